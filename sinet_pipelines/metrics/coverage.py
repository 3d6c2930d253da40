"""Coverage of intervals: the share of truths inside, and how far chance alone may take it from what was promised."""

import math

import numpy as np

INTERVAL_LEVEL = 0.9  # of the intervals that models give
BAND_LEVEL = 0.95  # of the band in which the number of covered truths lies when the intervals are what they say


def covered_band(intervals: int, *, level: float = INTERVAL_LEVEL) -> tuple[int, int]:
    """Least and most truths that so many intervals cover, 95 times in 100 (binomial, both sides).

    Args:
        intervals: how many, each about another engine.
        level: share that they promise to cover.

    >>> covered_band(100)
    (84, 95)
    """
    if level <= 0 or level >= 1:
        return (intervals, intervals) if level >= 1 else (0, 0)
    # by logarithms: from 1,030 on the binomial coefficients are more than a float holds
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
