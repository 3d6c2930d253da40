"""Coverage of intervals: the share of truths inside, and the deviation from the nominal level that chance allows."""

import math

import numpy as np

INTERVAL_LEVEL = 0.9  # of the intervals of models
BAND_LEVEL = 0.95  # of the band for the number of covered truths when the intervals are valid


def covered_band(intervals: int, *, level: float = INTERVAL_LEVEL) -> tuple[int, int]:
    """Least and most truths inside so many intervals, 95 times in 100 (binomial, two-sided).

    Args:
        intervals: number of intervals, each for another group.
        level: nominal share of truths inside.

    >>> covered_band(100)
    (84, 95)
    """
    if level <= 0 or level >= 1:
        return (intervals, intervals) if level >= 1 else (0, 0)
    # with logarithms, since from 1,030 on the binomial coefficients exceed a float
    ways = math.lgamma(intervals + 1)
    chances = [
        math.exp(
            ways
            - math.lgamma(k + 1)
            - math.lgamma(intervals - k + 1)
            + k * math.log(level)
            + (intervals - k) * math.log1p(-level)
        )
        for k in range(intervals + 1)
    ]
    below = np.cumsum(chances)
    tail = (1 - BAND_LEVEL) / 2
    return int(np.argmax(below >= tail)), int(np.argmax(below >= 1 - tail))
