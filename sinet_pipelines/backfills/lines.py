"""Fits a fixed amount and an amount per day to past steps, robust against outliers.

The slope is the median of the slopes of all pairs of samples (Theil, "A rank-invariant method of linear and polynomial
regression analysis", 1950; Sen, JASA 63, 1968), the fixed part the median of the rests. Up to 29 % of the samples may
be arbitrarily wrong: a first step that imported libraries, a step beside a busy neighbour.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from statistics import median

NEWEST = 30  # samples of one asset: its pairs are 435, and older runs were made by older code


@dataclass(frozen=True)
class CostLine:
    """An amount as `fixed + per_day * days`.

    Attributes:
        fixed: of one step, whatever its days.
        per_day: of each day.
        is_split: whether samples of different numbers of days separated the two; else `fixed` is 0 for steps with days.
    """

    fixed: float
    per_day: float
    is_split: bool

    def at(self, days: int) -> float:
        """The amount of a step of so many days."""
        return self.fixed + self.per_day * days


def fit_line(samples: Sequence[tuple[int, float]]) -> CostLine | None:
    """The line through samples of (days, amount), the newest first; None without samples.

    Neither part is negative for steps with days: more days never cost less, and no step costs less than nothing.

    >>> fit_line([(1, 3.0), (2, 5.0), (4, 9.0), (3, 70.0)])
    CostLine(fixed=1.0, per_day=2.0, is_split=True)
    >>> fit_line([(25, 5.0)])
    CostLine(fixed=0.0, per_day=0.2, is_split=False)
    """
    newest = samples[:NEWEST]
    if not newest:
        return None
    if not any(days for days, _ in newest):
        return CostLine(median(amount for _, amount in newest), 0.0, is_split=True)
    slopes = [(b - a) / (n - m) for (m, a), (n, b) in combinations(newest, 2) if m != n]
    if not slopes:
        return CostLine(0.0, median(amount / days for days, amount in newest), is_split=False)
    per_day = max(0.0, median(slopes))
    fixed = median(amount - per_day * days for days, amount in newest)
    if fixed >= 0:
        return CostLine(fixed, per_day, is_split=True)
    return CostLine(0.0, median(amount / days for days, amount in newest if days), is_split=True)
