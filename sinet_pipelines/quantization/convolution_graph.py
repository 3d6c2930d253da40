"""Writes a temporal convolution into a graph that computes only what the predicted cycle needs.

In training every cycle is predicted; when served, only one is. The last convolution then reads five steps of the layer
below, that layer computes only these five, and so on: a stride replaces the dilation. With dilations 1, 2, 4 the
29 input cycles become 13, 5 and 1 steps instead of 25, 17 and 1. The sums are the same; measured with 128 channels on
one thread, 89 us instead of 127 (van den Oord et al. 2016 prune WaveNet's generation in the same way).

Letters: B rows, C channels, L steps.
"""

import numpy as np

from sinet_pipelines.errors import DisagreementError
from sinet_pipelines.models.temporal_convolution import ConvolutionModel
from sinet_pipelines.quantization.graph import GraphWriter
from sinet_pipelines.quantization.signals import Signals

_TIME = 2  # axis of the cycles where channels come before them, as convolutions need


def write_convolution(graph: GraphWriter, signals: Signals, model: ConvolutionModel) -> str:
    """The output of the convolutions at the predicted cycle, FP32 (B, C).

    Absent cycles are hidden before every layer as in training, but not after the last one, whose only step is the
    predicted cycle itself: a row without it has the prediction NaN anyway.

    Raises:
        DisagreementError: a dilation is not a multiple of the one before, or the layers need more than the window.
    """
    steps = steps_read(model)
    if steps[0] > signals.steps:
        raise DisagreementError(
            f"the convolutions read {steps[0]} steps (allowed: the {signals.steps} of a window); train with fewer"
        )
    window = _last(graph, signals.z, steps[0], axis=1, of=signals.steps)
    h_BCL = _time_last(graph, graph.cast(window, np.float32))
    present_B1L = _time_last(graph, graph.cast(signals.present, np.float32))
    for layer, dilation in enumerate(model.dilations):
        # the distance between computed steps is the distance between inputs of the next layer
        ahead = model.dilations[layer + 1] if layer + 1 < len(model.dilations) else dilation
        stride = ahead // _apart(model, layer)
        weight, bias = (model.weights[f"conv{layer}.{part}"] for part in ("weight", "bias"))
        y_BCL = graph.node(
            "Conv",
            h_BCL,
            graph.constant(weight, np.float32),
            graph.constant(bias, np.float32),
            kernel_shape=[weight.shape[2]],
            dilations=[dilation // _apart(model, layer)],
            strides=[stride],
        )
        y_BCL = graph.node("Relu", y_BCL)
        n = steps[layer + 1]
        if layer:
            y_BCL = graph.node("Add", y_BCL, _last(graph, h_BCL, n, axis=_TIME, every=stride, of=steps[layer]))
        if n > 1:
            there = _last(graph, present_B1L, n, axis=_TIME, every=ahead, of=signals.steps)
            y_BCL = graph.node("Mul", y_BCL, there)
        h_BCL = y_BCL
    return graph.node("Squeeze", h_BCL, graph.constant([_TIME], np.int64))


def _apart(model: ConvolutionModel, layer: int) -> int:
    """Distance in cycles between two inputs of a layer: 1 for the first layer, its own dilation for the others."""
    return model.dilations[layer] if layer else 1


def steps_read(model: ConvolutionModel) -> list[int]:
    """Number of steps that each layer reads, which the layer below computes; then the number of the last output.

    Raises:
        DisagreementError: a dilation is not a multiple of the one before.
    """
    taps = [model.weights[f"conv{layer}.weight"].shape[2] for layer in range(len(model.dilations))]
    steps = [1]
    for layer in reversed(range(len(model.dilations))):
        following = model.dilations[layer + 1] if layer + 1 < len(model.dilations) else model.dilations[layer]
        if following % model.dilations[layer]:
            raise DisagreementError(
                f"dilations {model.dilations} (allowed: each a multiple of the one before); train with such ones"
            )
        span = (steps[0] - 1) * following + (taps[layer] - 1) * model.dilations[layer]
        steps.insert(0, span // _apart(model, layer) + 1)
    return steps


def _last(graph: GraphWriter, tensor: str, n: int, *, axis: int, of: int, every: int = 1) -> str:
    """The last n steps of an axis of length `of`, or every `every`-th of them counted from its end."""
    start = of - 1 - (n - 1) * every
    parts = [graph.constant([number], np.int64) for number in (start, of, axis, every)]
    return graph.node("Slice", tensor, *parts)


def _time_last(graph: GraphWriter, tensor_BLx: str) -> str:
    return graph.node("Transpose", tensor_BLx, perm=[0, 2, 1])
