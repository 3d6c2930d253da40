"""How turbofan models are served: the part of their graphs before a family's part, and rows as inputs of graphs."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sinet_pipelines.applications.turbofan.features.completeness import are_answerable
from sinet_pipelines.applications.turbofan.features.regimes import OperatingRegimes
from sinet_pipelines.applications.turbofan.features.sequences import Sequences
from sinet_pipelines.applications.turbofan.graph.calibration_rows import calibration_rows
from sinet_pipelines.applications.turbofan.graph.request_contract import METADATA_KEY, request_contract
from sinet_pipelines.applications.turbofan.graph.window_graph import INPUTS, tensors_of, write_signals
from sinet_pipelines.applications.turbofan.task import RUL
from sinet_pipelines.errors import QuantizationError
from sinet_pipelines.quantization.graph import GraphWriter
from sinet_pipelines.quantization.graph_rows import GraphRows
from sinet_pipelines.quantization.int8 import metadata_of, quantize
from sinet_pipelines.quantization.signals import Signals

REGIMES_KEY = "regimes_version"


@dataclass(frozen=True)
class WindowPreparation:
    """Computes features from a raw window of 30 cycles within the graph (`quantization.signals.Preparation`).

    Attributes:
        regimes: regimes for the standardisation of sensors.
    """

    regimes: OperatingRegimes

    @property
    def inputs(self) -> Mapping[str, Sequence[int]]:
        """`window`, `first_cycles` and `cycle`."""
        return INPUTS

    @property
    def metadata(self) -> Mapping[str, str]:
        """The version of the regimes, and the contract of requests."""
        return {REGIMES_KEY: self.regimes.version, METADATA_KEY: request_contract()}

    def write(self, graph: GraphWriter) -> Signals:
        """The signals of a window."""
        return write_signals(graph, self.regimes)


def graph_rows_of(sequences: Sequences) -> GraphRows:
    """The sequences as inputs of a served graph."""
    cycles = sequences.cycle_B.tolist()
    names = tuple(f"engine {unit} at cycle {cycle}" for unit, cycle in zip(sequences.unit, cycles, strict=True))
    return GraphRows(tensors_of(sequences), are_answerable(sequences), names)


def quantize_by_regime(onnx_bytes: bytes, calibration: Sequences, *, regimes: OperatingRegimes) -> bytes:
    """The graph in INT8, calibrated on the same number of rows from every operating regime.

    Args:
        onnx_bytes: an exported temporal convolution, FP32.
        calibration: rows of engines outside of the evaluation set.
        regimes: regimes of the graph.

    Raises:
        QuantizationError: the graph is not a temporal convolution in FP32, was exported with other regimes, or predicts
            NaN for a calibration row.
        ContractError: a regime has no calibration row.
        DisagreementError: the graph cannot be opened.
    """
    import onnx

    version = metadata_of(onnx.load_from_string(onnx_bytes)).get(REGIMES_KEY)
    if version != regimes.version:
        raise QuantizationError(
            f"regimes {regimes.version} for a graph of regimes {version} (allowed: its own); calibrate it with those "
            "it was exported with"
        )
    rows = calibration_rows(calibration.take(are_answerable(calibration)), regimes)
    return quantize(onnx_bytes, graph_rows_of(rows), output=RUL.outputs[0])
