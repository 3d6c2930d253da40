"""Quantizes a network's graph to INT8: static, weights by channel, calibrated on every operating regime.

Only convolutions and dense layers become INT8 (onnxruntime's own quantizer, QDQ form: each tensor between a quantizing
and a dequantizing node, which a runtime fuses into integer kernels); what makes signals of raw windows stays float64,
and the output layer with it. Trees are not quantized: their thresholds compare, they do not multiply.
"""

from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from sinet_pipelines.errors import QuantizationError
from sinet_pipelines.features.regimes import OperatingRegimes
from sinet_pipelines.features.sequences import Sequences
from sinet_pipelines.models.model import Model
from sinet_pipelines.models.temporal_convolution import ConvolutionModel
from sinet_pipelines.quantization.calibration import calibration_rows
from sinet_pipelines.quantization.session import feed, open_session

OPERATORS = ("Conv", "Gemm", "Relu")
# How the quantizer says that a graph has nothing left to fold or fuse, which is so for one written by hand; else it
# warns, twice. Its own preparation changed no byte of what was quantized and took fifty times as long.
_PREPARED = ("onnx.quant.pre_process", "onnxruntime.quant")


def is_quantizable(model: Model) -> bool:
    """Whether a model has an INT8 form: a temporal convolution has; trees, lines and what is blended with them stay FP32."""
    return isinstance(model, ConvolutionModel)


def quantize(onnx_bytes: bytes, calibration: Sequences, *, regimes: OperatingRegimes) -> bytes:
    """The graph with its convolutions and dense layers in INT8, of the same signature; equal input, equal bytes.

    Args:
        onnx_bytes: an exported temporal convolution, FP32.
        calibration: rows of engines that may be seen; equally many of every regime are drawn from them.
        regimes: those of the graph.

    Raises:
        QuantizationError: the graph has no convolution, is INT8 already, or was exported with other regimes.
        ContractError: a regime has no calibration row.
    """
    from onnx import load_from_string

    model = load_from_string(onnx_bytes)
    _require_network(model, regimes)
    rows = calibration_rows(calibration, regimes)
    quantized = _quantize_static(model, rows)
    said = {prop.key: prop.value for prop in quantized.metadata_props if prop.key != _PREPARED[0]}
    _describe(quantized, {**said, "precision": "int8", "calibration_rows": str(len(rows))})
    content = bytes(quantized.SerializeToString(deterministic=True))
    open_session(content)
    return content


def _require_network(model: Any, regimes: OperatingRegimes) -> None:
    operators = {node.op_type for node in model.graph.node}
    said = {prop.key: prop.value for prop in model.metadata_props}
    if "Conv" not in operators or "TreeEnsemble" in operators:
        raise QuantizationError(
            f"a graph of family {said.get('family', 'unknown')} has no INT8 form (allowed: a temporal convolution "
            "alone); serve it as FP32"
        )
    if "QuantizeLinear" in operators:
        raise QuantizationError("the graph is INT8 already (allowed: FP32); quantize the one it was made from")
    if said.get("regimes_version") != regimes.version:
        raise QuantizationError(
            f"regimes {regimes.version} for a graph of regimes {said.get('regimes_version')}; give its own"
        )


def _quantize_static(model: Any, rows: Sequences) -> Any:
    """onnxruntime's quantizer works on files; they are gone when this returns."""
    import onnx
    from onnxruntime.quantization import CalibrationDataReader, CalibrationMethod, QuantFormat, QuantType, quantize_static

    class Reader(CalibrationDataReader):
        """Hands out all rows at once."""

        def __init__(self) -> None:
            self._batches: Iterator[dict] = iter([feed(rows)])

        def get_next(self) -> dict | None:
            return next(self._batches, None)

    _describe(model, {**{prop.key: prop.value for prop in model.metadata_props}, _PREPARED[0]: _PREPARED[1]})
    with TemporaryDirectory(prefix="sinet-quantize-") as folder:
        source, target = Path(folder, "fp32.onnx"), Path(folder, "int8.onnx")
        source.write_bytes(model.SerializeToString(deterministic=True))
        quantize_static(
            source,
            target,
            Reader(),
            quant_format=QuantFormat.QDQ,
            op_types_to_quantize=list(OPERATORS),
            per_channel=True,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
            calibrate_method=CalibrationMethod.MinMax,
        )
        return onnx.load(target)


def _describe(model: Any, metadata: dict[str, str]) -> None:
    from onnx import helper

    del model.metadata_props[:]
    helper.set_model_props(model, dict(sorted(metadata.items())))
