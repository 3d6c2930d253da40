"""Intervals: how far from a predicted remaining useful life the true one may lie."""

from dataclasses import dataclass

import numpy as np

from sinet_pipelines.models.model import Floats
from sinet_pipelines.schemas.features import MAX_RUL_CYCLES


@dataclass(frozen=True)
class Interval:
    """A half width for every prediction, by linear interpolation between knots and constant beyond the outer ones.

    Attributes:
        level: share of truths (capped at 125) that should lie inside.
        knots_cycles: (K,) predictions, ascending.
        half_widths_cycles: (K,) half width at each.
    """

    level: float
    knots_cycles: tuple[float, ...]
    half_widths_cycles: tuple[float, ...]

    def half_width(self, predicted_B: Floats) -> Floats:
        """(B,) half width in cycles around each prediction."""
        return np.interp(predicted_B, self.knots_cycles, self.half_widths_cycles)

    def around(self, predicted_B: Floats) -> tuple[Floats, Floats]:
        """(B,) lower and (B,) upper ends in cycles, within [0, 125]; NaN where the prediction is.

        >>> lower, upper = Interval(0.9, (0.0, 100.0), (2.0, 12.0)).around(np.array([0.0, 50.0, 120.0]))
        >>> lower.tolist(), upper.tolist()
        ([0.0, 43.0, 108.0], [2.0, 57.0, 125.0])
        """
        half_B = self.half_width(predicted_B)
        ends = (predicted_B - half_B, predicted_B + half_B)
        lower_B, upper_B = (np.clip(end, 0.0, float(MAX_RUL_CYCLES)) for end in ends)
        return lower_B, upper_B
