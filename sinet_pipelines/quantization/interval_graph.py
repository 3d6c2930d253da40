"""Writes an interval into a graph: the ends around a clipped answer, as `models/interval.py` has them."""

import numpy as np

from sinet_pipelines.models.interval import Interval
from sinet_pipelines.quantization.graph import GraphWriter, write_clipped


def write_interval(graph: GraphWriter, cycles: str, interval: Interval) -> tuple[str, str]:
    """Lower and upper end in cycles, within [0, 125], float64 (batch, 1) each.

    The half width is the first knot's and, for every stretch between two knots, its slope times how much of it the
    answer has passed: the same line as by interpolation, and constant beyond the outer knots without a comparison.

    Args:
        graph: where to write.
        cycles: float64 (batch, 1), the clipped answer.
        interval: of the model.
    """
    knots, widths = (np.asarray(values) for values in (interval.knots_cycles, interval.half_widths_cycles))
    half = graph.constant(widths[:1], np.float64)
    if len(knots) > 1:
        past = graph.node("Sub", cycles, graph.constant(knots[:-1], np.float64))
        stretches, slopes = np.diff(knots), np.diff(widths) / np.diff(knots)
        passed = graph.node("Max", past, graph.constant(0.0, np.float64))
        passed = graph.node("Min", passed, graph.constant(stretches, np.float64))
        half = graph.node("Add", graph.node("MatMul", passed, graph.constant(slopes[:, None], np.float64)), half)
    lower, upper = (write_clipped(graph, graph.node(side, cycles, half)) for side in ("Sub", "Add"))
    return lower, upper
