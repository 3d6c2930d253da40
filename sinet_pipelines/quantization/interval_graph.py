"""Writes an interval into a graph: the ends around a clipped prediction, as in `models/interval.py`."""

import numpy as np

from sinet_pipelines.models.interval import Interval
from sinet_pipelines.quantization.graph import GraphWriter, write_clipped


def write_interval(graph: GraphWriter, values: str, interval: Interval) -> tuple[str, str]:
    """Lower and upper end within the interval's range, float64 (batch, 1) each.

    The half width is that of the first knot plus, for every stretch between two knots, its slope times the part of it
    below the prediction: the same line as by interpolation, and constant beyond the outer knots without a comparison.

    Args:
        graph: the graph.
        values: float64 (batch, 1), the clipped prediction.
        interval: of the model.
    """
    knots, widths = (np.asarray(values) for values in (interval.knots, interval.half_widths))
    half = graph.constant(widths[:1], np.float64)
    if len(knots) > 1:
        past = graph.node("Sub", values, graph.constant(knots[:-1], np.float64))
        stretches, slopes = np.diff(knots), np.diff(widths) / np.diff(knots)
        passed = graph.node("Max", past, graph.constant(0.0, np.float64))
        passed = graph.node("Min", passed, graph.constant(stretches, np.float64))
        half = graph.node("Add", graph.node("MatMul", passed, graph.constant(slopes[:, None], np.float64)), half)
    lower, upper = (write_clipped(graph, graph.node(side, values, half), interval.range) for side in ("Sub", "Add"))
    return lower, upper
