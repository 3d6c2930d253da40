"""Exports a fitted model as one ONNX with its pre- and post-processing inside: a raw window in, cycles left out.

Every family has the same inputs and outputs, so a server or client need not know which one answers. What a family adds
is its own part between the signals and the clipped answer: one `write_rul`, registered for its model's class.
"""

import hashlib
from functools import singledispatch

import numpy as np

from sinet_pipelines.errors import DisagreementError
from sinet_pipelines.features.regimes import OperatingRegimes
from sinet_pipelines.models.gradient_boosting import BoostedModel
from sinet_pipelines.models.model import Model
from sinet_pipelines.models.yardsticks import LinearModel
from sinet_pipelines.quantization.graph import GraphWriter
from sinet_pipelines.quantization.tree_graph import write_trees
from sinet_pipelines.quantization.trees import read_trees
from sinet_pipelines.quantization.window_graph import INPUTS, Signals, write_signals
from sinet_pipelines.schemas.features import FEATURE_NAMES, MAX_RUL_CYCLES


def export(model: Model, *, regimes: OperatingRegimes, family: str) -> bytes:
    """The model as ONNX: `window`, `first_cycles`, `cycle` in, `rul_cycles` within [0, 125] out, any batch, FP32.

    A row whose asked cycle is absent, or that has no cycle number, is answered NaN: there is nothing to say about it.
    Equal models and regimes give equal bytes. The metadata names the family, the version of the regimes, the number
    of features and the SHA-256 of the source.

    Args:
        model: fitted on features that `regimes` standardised.
        regimes: goes into the graph.
        family: the model's family by its name in the registry.

    Raises:
        DisagreementError: the model cannot be said in a graph that answers as it does.
    """
    graph = GraphWriter()
    signals = write_signals(graph, regimes)
    rul_cycles = _finish(graph, write_rul(model, graph, signals), signals)
    return graph.finish(
        inputs=INPUTS,
        outputs={"rul_cycles": (rul_cycles, (1,))},
        metadata={
            "family": family,
            "feature_count": str(len(model.feature_names)),
            "regimes_version": regimes.version,
            "source_sha256": source_sha256(model),
        },
    )


def source_sha256(model: Model) -> str:
    """SHA-256 over the names, sizes and bytes of the model's files, in the order of their names."""
    digest = hashlib.sha256()
    for name, content in sorted(model.files().items()):
        digest.update(f"{name} {len(content)}\n".encode() + content)
    return digest.hexdigest()


@singledispatch
def write_rul(model: Model, graph: GraphWriter, signals: Signals) -> str:
    """The family's part of the graph: its answer in cycles, not clipped, float64 (batch, 1).

    Raises:
        DisagreementError: no graph is known for this class, or the model asks for features that no graph computes.
    """
    known = ", ".join(sorted(cls.__name__ for cls in write_rul.registry if cls is not object))
    raise DisagreementError(f"no graph for a {type(model).__name__} (known: {known}); register one in export.py")


@write_rul.register
def _(model: BoostedModel, graph: GraphWriter, signals: Signals) -> str:
    return write_trees(graph, _pick(graph, model.feature_names, signals), read_trees(model.text))


@write_rul.register
def _(model: LinearModel, graph: GraphWriter, signals: Signals) -> str:
    features = _pick(graph, model.feature_names, signals)
    off = graph.node("Sub", features, graph.constant(model.means, np.float64))
    scaled = graph.node("Div", off, graph.constant(model.sds, np.float64))
    weighted = graph.node("MatMul", scaled, graph.constant(np.asarray(model.weights)[:, None], np.float64))
    return graph.node("Add", weighted, graph.constant(model.intercept, np.float64))


def _pick(graph: GraphWriter, feature_names: tuple[str, ...], signals: Signals) -> str:
    """The named features in the model's order, float64 (batch, n)."""
    unknown = sorted(set(feature_names) - set(FEATURE_NAMES))
    if unknown:
        raise DisagreementError(
            f"the model asks for {len(unknown)} features that no window gives, such as {unknown[0]!r} (known: "
            f"schemas.features.FEATURE_NAMES); train it again on today's features"
        )
    if feature_names == FEATURE_NAMES:
        return signals.features
    columns = [FEATURE_NAMES.index(name) for name in feature_names]
    return graph.node("Gather", signals.features, graph.constant(columns, np.int64), axis=1)


def _finish(graph: GraphWriter, cycles: str, signals: Signals) -> str:
    """The post-processing of every answer: within [0, 125], NaN where there is nothing to answer, FP32."""
    bounds = [graph.constant(bound, np.float64) for bound in (0.0, float(MAX_RUL_CYCLES))]
    clipped = graph.cast(graph.node("Clip", cycles, *bounds), np.float32)
    return graph.node("Where", signals.answerable, clipped, graph.constant(np.nan, np.float32))
