"""The interval around each prediction of a regression."""

from dataclasses import dataclass

import numpy as np

from sinet_pipelines.models.model import Floats


@dataclass(frozen=True)
class Interval:
    """The half width of every prediction: linear between knots, constant beyond the outer knots.

    Attributes:
        level: nominal share of truths inside, 0 to 1; truths are clipped to the range first.
        knots: (K,) predictions, ascending, in the target's unit.
        half_widths: (K,) half width at each knot, in the target's unit.
        range: smallest lower end and greatest upper end; None without bounds.
    """

    level: float
    knots: tuple[float, ...]
    half_widths: tuple[float, ...]
    range: tuple[float, float] | None = None

    def half_width(self, predicted_B: Floats) -> Floats:
        """(B,) half width around each prediction, in the target's unit."""
        return np.interp(predicted_B, self.knots, self.half_widths)

    def around(self, predicted_B: Floats) -> tuple[Floats, Floats]:
        """(B,) lower and (B,) upper ends, clipped to the range; NaN where the prediction is NaN.

        >>> interval = Interval(0.9, (0.0, 100.0), (2.0, 12.0), (0.0, 125.0))
        >>> lower, upper = interval.around(np.array([0.0, 50.0, 120.0]))
        >>> lower.tolist(), upper.tolist()
        ([0.0, 43.0, 108.0], [2.0, 57.0, 125.0])
        """
        half_B = self.half_width(predicted_B)
        ends = (predicted_B - half_B, predicted_B + half_B)
        lower_B, upper_B = (self.within_range(end) for end in ends)
        return lower_B, upper_B

    def within_range(self, values_B: Floats) -> Floats:
        """(B,) values clipped to the range."""
        return values_B if self.range is None else np.clip(values_B, *self.range)
