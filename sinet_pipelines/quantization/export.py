"""Exports a fitted model as one ONNX graph with its pre- and post-processing: from an application's inputs to outputs.

Every family of an application has the same inputs and outputs, so servers and clients work with every family.
The application writes the pre-processing (`Preparation`). A family adds its own part between the signals and the
clipped prediction: a `write_raw`, registered for its model's class.
"""

import hashlib
from functools import singledispatch

import numpy as np

from sinet_pipelines.errors import DisagreementError
from sinet_pipelines.models.baselines import LinearModel
from sinet_pipelines.models.blend import BlendModel
from sinet_pipelines.models.gradient_boosting import BoostedModel
from sinet_pipelines.models.interval import Interval
from sinet_pipelines.models.model import Model
from sinet_pipelines.models.perceptron import PerceptronModel
from sinet_pipelines.models.probability import Decision
from sinet_pipelines.models.random_forest import ForestModel
from sinet_pipelines.models.temporal_convolution import ConvolutionModel
from sinet_pipelines.quantization.convolution_graph import write_convolution
from sinet_pipelines.quantization.decision_graph import write_decision, write_probability
from sinet_pipelines.quantization.dense_graph import write_dense, write_standardised
from sinet_pipelines.quantization.forest_graph import write_forest
from sinet_pipelines.quantization.graph import GraphWriter, write_clipped
from sinet_pipelines.quantization.interval_graph import write_interval
from sinet_pipelines.quantization.signals import Preparation, Signals
from sinet_pipelines.quantization.tree_graph import write_trees
from sinet_pipelines.quantization.trees import read_trees


def export(
    model: Model,
    *,
    preparation: Preparation,
    family: str,
    interval: Interval | None = None,
    decision: Decision | None = None,
) -> bytes:
    """The model as ONNX: the application's inputs, its task's outputs, any batch size, FP32.

    The outputs of a regression are the prediction within the task's range and, with an interval, its two ends. Those of
    a classification are the probability and, with a decision, its calibrated probability and whether to warn. A row
    without enough values is NaN in all outputs. Equal models, preparations, intervals and decisions make equal bytes.
    The metadata has the family, the number of features, the SHA-256 of the source, the interval's level or the
    threshold if there is one, and the metadata of the preparation.

    Args:
        model: fitted on features that the preparation computes.
        preparation: the pre-processing in the graph.
        family: the model's family by its name in the registry.
        interval: around the model's predictions.
        decision: on the model's scores.

    Raises:
        DisagreementError: no graph can be written that predicts as the model does.
    """
    graph = GraphWriter()
    signals = preparation.write(graph)
    predicted = write_prediction(model, graph, signals)
    metadata = {
        "family": family,
        "feature_count": str(len(model.feature_names)),
        "source_sha256": source_sha256(model),
        **preparation.metadata,
    }
    answers = [predicted]
    if interval is not None:
        answers += write_interval(graph, predicted, interval)
        metadata["interval_level"] = str(interval.level)
    if decision is not None:
        answers = [*write_decision(graph, predicted, decision)]
        metadata["threshold"] = str(decision.threshold)
    names = model.task.outputs[: len(answers)]
    outputs = {name: (_finish(graph, one, signals), (1,)) for name, one in zip(names, answers, strict=True)}
    return graph.finish(inputs=preparation.inputs, outputs=outputs, metadata=metadata)


def source_sha256(model: Model) -> str:
    """SHA-256 over the names, sizes and bytes of the model's files, in the order of their names."""
    digest = hashlib.sha256()
    for name, content in sorted(model.files().items()):
        digest.update(f"{name} {len(content)}\n".encode() + content)
    return digest.hexdigest()


def write_prediction(model: Model, graph: GraphWriter, signals: Signals) -> str:
    """The model's prediction within its task's range, float64 (batch, 1)."""
    raw = write_raw(model, graph, signals)
    if not model.task.is_regression and isinstance(model, BoostedModel | LinearModel):
        return write_probability(graph, raw)
    return write_clipped(graph, raw, model.task.range)


@singledispatch
def write_raw(model: Model, graph: GraphWriter, signals: Signals) -> str:
    """The family's part of the graph: its sum in the target's unit, or a logit, not clipped, float64 (batch, 1).

    Raises:
        DisagreementError: no graph is registered for this class, or the model reads features that no graph computes.
    """
    known = ", ".join(sorted(cls.__name__ for cls in write_raw.registry if cls is not object))
    raise DisagreementError(f"no graph for a {type(model).__name__} (known: {known}); register one in export.py")


@write_raw.register
def _(model: ForestModel, graph: GraphWriter, signals: Signals) -> str:
    return write_forest(graph, _pick(graph, model.feature_names, signals), model)


@write_raw.register
def _(model: BoostedModel, graph: GraphWriter, signals: Signals) -> str:
    return write_trees(graph, _pick(graph, model.feature_names, signals), read_trees(model.text))


@write_raw.register
def _(model: LinearModel, graph: GraphWriter, signals: Signals) -> str:
    features = _pick(graph, model.feature_names, signals)
    off = graph.node("Sub", features, graph.constant(model.means, np.float64))
    scaled = graph.node("Div", off, graph.constant(model.sds, np.float64))
    weighted = graph.node("MatMul", scaled, graph.constant(np.asarray(model.weights)[:, None], np.float64))
    return graph.node("Add", weighted, graph.constant(model.intercept, np.float64))


@write_raw.register
def _(model: PerceptronModel, graph: GraphWriter, signals: Signals) -> str:
    features = _pick(graph, model.feature_names, signals)
    means, sds = model.weights["feature_means"], model.weights["feature_sds"]
    return _dense(model, graph, write_standardised(graph, features, means, sds))


@write_raw.register
def _(model: ConvolutionModel, graph: GraphWriter, signals: Signals) -> str:
    statistics = _pick(graph, model.statistic_names, signals)
    means, sds = model.weights["statistic_means"], model.weights["statistic_sds"]
    seen = write_convolution(graph, signals, model)
    return _dense(model, graph, graph.node("Concat", seen, write_standardised(graph, statistics, means, sds), axis=1))


@write_raw.register
def _(model: BlendModel, graph: GraphWriter, signals: Signals) -> str:
    weighted = [
        graph.node("Mul", write_prediction(member, graph, signals), graph.constant(weight, np.float64))
        for member, weight in zip(model.members, model.weights, strict=True)
    ]
    return graph.node("Sum", *weighted)


def _dense(model: PerceptronModel | ConvolutionModel, graph: GraphWriter, x: str) -> str:
    return write_dense(graph, x, model.weights, target_mean=model.target_mean, target_sd=model.target_sd)


def _pick(graph: GraphWriter, feature_names: tuple[str, ...], signals: Signals) -> str:
    """The named features in the model's order, float64 (batch, n)."""
    there = signals.feature_names
    unknown = sorted(set(feature_names) - set(there))
    if unknown:
        raise DisagreementError(
            f"the model reads {len(unknown)} features that no graph computes, such as {unknown[0]!r} (known: "
            f"the {len(there)} of its application); train it again on the present features"
        )
    if feature_names == there:
        return signals.features
    columns = [there.index(name) for name in feature_names]
    return graph.node("Gather", signals.features, graph.constant(columns, np.int64), axis=1)


def _finish(graph: GraphWriter, values: str, signals: Signals) -> str:
    """The post-processing of every output: NaN for a row that is not answerable, FP32."""
    single = graph.cast(values, np.float32)
    if not signals.answerable:
        return single
    return graph.node("Where", signals.answerable, single, graph.constant(np.nan, np.float32))
