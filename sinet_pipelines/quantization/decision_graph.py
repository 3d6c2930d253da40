"""Writes a decision into a graph: a score's probability, and whether to warn, as in `models/probability.py`."""

import numpy as np

from sinet_pipelines.models.probability import LEAST_SCORE, Decision
from sinet_pipelines.quantization.graph import GraphWriter


def write_decision(graph: GraphWriter, score: str, decision: Decision) -> tuple[str, str]:
    """Calibrated probability within [0, 1], and 1 where it is at least the threshold, else 0; float64 (batch, 1) each.

    Args:
        graph: the graph.
        score: float64 (batch, 1), within [0, 1].
        decision: of the model.
    """
    one = graph.constant(1.0, np.float64)
    clipped = graph.node("Clip", score, *(graph.constant(v, np.float64) for v in (LEAST_SCORE, 1.0 - LEAST_SCORE)))
    logit = graph.node("Log", graph.node("Div", clipped, graph.node("Sub", one, clipped)))
    scaled = graph.node("Mul", logit, graph.constant(decision.scaling.slope, np.float64))
    raw = graph.node("Add", scaled, graph.constant(decision.scaling.offset, np.float64))
    probability = write_probability(graph, raw)
    warned = graph.node("GreaterOrEqual", probability, graph.constant(decision.threshold, np.float64))
    return probability, graph.cast(warned, np.float64)


def write_probability(graph: GraphWriter, logit: str) -> str:
    """The logistic function of a logit, float64; written with `Exp`, since kernels of `Sigmoid` are approximations."""
    one = graph.constant(1.0, np.float64)
    return graph.node("Div", one, graph.node("Add", one, graph.node("Exp", graph.node("Neg", logit))))
