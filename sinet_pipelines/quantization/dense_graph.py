"""Writes dense layers into a graph: the perceptron, and the last layers of every network.

Hidden layers are FP32, as in training and comparison; the output is summed in float64, as in the models
(`models/descent.py`). Measured on 8,200 rows of six regimes: summed in FP32 a prediction has an error of up to 1.7e-5
cycles, in float64 of 7e-6, and 32 products take no measurable time.
"""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from sinet_pipelines.quantization.graph import GraphWriter

HIDDEN_LAYERS = ("dense0", "dense1")


def write_standardised(graph: GraphWriter, values: str, means: NDArray, sds: NDArray) -> str:
    """The values, float64 (batch, n), standardised to zero mean and unit standard deviation, FP32."""
    off = graph.node("Sub", graph.cast(values, np.float32), graph.constant(means, np.float32))
    return graph.node("Div", off, graph.constant(sds, np.float32))


def write_dense(
    graph: GraphWriter, x: str, weights: Mapping[str, NDArray], *, target_mean: float, target_sd: float
) -> str:
    """The prediction in the target's unit, not clipped, float64 (batch, 1).

    Args:
        graph: the graph.
        x: FP32 (batch, n), input of the first hidden layer.
        weights: `dense0`, `dense1` and `out`: `.weight` (n_out, n_in), `.bias` (n_out,).
        target_mean: prediction for an output of 0.
        target_sd: scale of the target for each unit of output.
    """
    for layer in HIDDEN_LAYERS:
        parts = [graph.constant(weights[f"{layer}.{part}"], np.float32) for part in ("weight", "bias")]
        x = graph.node("Relu", graph.node("Gemm", x, *parts, transB=1))
    weighted = graph.node("MatMul", graph.cast(x, np.float64), graph.constant(weights["out.weight"].T, np.float64))
    out = graph.node("Add", weighted, graph.constant(weights["out.bias"], np.float64))
    scaled = graph.node("Mul", out, graph.constant(target_sd, np.float64))
    return graph.node("Add", scaled, graph.constant(target_mean, np.float64))
