"""How many of n come true by chance: the band in which a count lies when each has the chance it is said to have."""

import math

import numpy as np

BAND_LEVEL = 0.95  # of the band, both sides


def binomial_band(n: int, share: float, *, level: float = BAND_LEVEL) -> tuple[int, int]:
    """Least and most that come true of n, each with this chance, `level` of the time (both tails alike).

    Args:
        n: trials, from 0.
        share: chance of each, 0 to 1.
        level: of the band.

    >>> binomial_band(100, 0.9)
    (84, 95)
    >>> binomial_band(0, 0.9)
    (0, 0)
    """
    if share <= 0 or share >= 1:
        return (n, n) if share >= 1 else (0, 0)
    k = np.arange(n + 1)
    ways = np.array([math.lgamma(n + 1) - math.lgamma(i + 1) - math.lgamma(n - i + 1) for i in range(n + 1)])
    below = np.cumsum(np.exp(ways + k * math.log(share) + (n - k) * math.log1p(-share)))
    tail = (1 - level) / 2
    return min(int(np.searchsorted(below, tail)), n), min(int(np.searchsorted(below, 1 - tail)), n)
