"""Exports a fitted model as one ONNX with its pre- and post-processing inside: a raw window in, cycles left out.

Every family has the same inputs and outputs, so a server or client need not know which one answers. What a family adds
is its own part between the signals and the clipped answer: one `write_rul`, registered for its model's class.
"""

import hashlib
from functools import singledispatch

import numpy as np

from sinet_pipelines.errors import DisagreementError
from sinet_pipelines.features.regimes import OperatingRegimes
from sinet_pipelines.models.blend import BlendModel
from sinet_pipelines.models.gradient_boosting import BoostedModel
from sinet_pipelines.models.interval import Interval
from sinet_pipelines.models.model import Model
from sinet_pipelines.models.perceptron import PerceptronModel
from sinet_pipelines.models.temporal_convolution import ConvolutionModel
from sinet_pipelines.models.yardsticks import LinearModel
from sinet_pipelines.quantization.convolution_graph import write_convolution
from sinet_pipelines.quantization.dense_graph import write_dense, write_standardised
from sinet_pipelines.quantization.graph import GraphWriter, write_clipped
from sinet_pipelines.quantization.interval_graph import write_interval
from sinet_pipelines.quantization.request_contract import METADATA_KEY, request_contract
from sinet_pipelines.quantization.tree_graph import write_trees
from sinet_pipelines.quantization.trees import read_trees
from sinet_pipelines.quantization.window_graph import INPUTS, Signals, write_signals
from sinet_pipelines.schemas.features import FEATURE_NAMES


def export(model: Model, *, regimes: OperatingRegimes, family: str, interval: Interval | None = None) -> bytes:
    """The model as ONNX: `window`, `first_cycles`, `cycle` in, `rul_cycles` within [0, 125] out, any batch, FP32.

    With an interval also `lower_cycles` and `upper_cycles`. A row is answered NaN throughout when there is nothing to
    predict from: its asked cycle is absent or has no number, or too few of the engine's first cycles are there. Equal
    models, regimes and intervals give equal bytes. The metadata names the family, the version of the regimes, the
    number of features, the SHA-256 of the source, the interval's level where there is one, and what may be asked
    (`request_contract.py`).

    Args:
        model: fitted on features that `regimes` standardised.
        regimes: goes into the graph.
        family: the model's family by its name in the registry.
        interval: around the model's answers.

    Raises:
        DisagreementError: the model cannot be said in a graph that answers as it does.
    """
    graph = GraphWriter()
    signals = write_signals(graph, regimes)
    rul_cycles = write_clipped(graph, write_rul(model, graph, signals))
    answers = {"rul_cycles": rul_cycles}
    metadata = {
        "family": family,
        "feature_count": str(len(model.feature_names)),
        "regimes_version": regimes.version,
        "source_sha256": source_sha256(model),
        METADATA_KEY: request_contract(),
    }
    if interval is not None:
        answers["lower_cycles"], answers["upper_cycles"] = write_interval(graph, rul_cycles, interval)
        metadata["interval_level"] = str(interval.level)
    outputs = {name: (_finish(graph, cycles, signals), (1,)) for name, cycles in answers.items()}
    return graph.finish(inputs=INPUTS, outputs=outputs, metadata=metadata)


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


@write_rul.register
def _(model: PerceptronModel, graph: GraphWriter, signals: Signals) -> str:
    features = _pick(graph, model.feature_names, signals)
    means, sds = model.weights["feature_means"], model.weights["feature_sds"]
    return _dense(model, graph, write_standardised(graph, features, means, sds))


@write_rul.register
def _(model: ConvolutionModel, graph: GraphWriter, signals: Signals) -> str:
    statistics = _pick(graph, model.statistic_names, signals)
    means, sds = model.weights["statistic_means"], model.weights["statistic_sds"]
    seen = write_convolution(graph, signals, model)
    return _dense(model, graph, graph.node("Concat", seen, write_standardised(graph, statistics, means, sds), axis=1))


@write_rul.register
def _(model: BlendModel, graph: GraphWriter, signals: Signals) -> str:
    weighted = [
        graph.node("Mul", write_clipped(graph, write_rul(member, graph, signals)), graph.constant(weight, np.float64))
        for member, weight in zip(model.members, model.weights, strict=True)
    ]
    return graph.node("Sum", *weighted)


def _dense(model: PerceptronModel | ConvolutionModel, graph: GraphWriter, x: str) -> str:
    return write_dense(graph, x, model.weights, target_mean=model.target_mean, target_sd=model.target_sd)


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
    """The post-processing of every answer: NaN where there is nothing to answer, FP32."""
    return graph.node("Where", signals.answerable, graph.cast(cycles, np.float32), graph.constant(np.nan, np.float32))
