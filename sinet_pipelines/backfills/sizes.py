"""Estimates the bytes that days add to tables, from the files of the days that are there.

The interval is the prediction interval for the sum of future observations: `m` days have the mean `m * mean` and the
variance `s^2 * (m + m^2 / n)` (Hahn and Meeker, "Statistical Intervals", 1991, of the mean of m future observations).
The quantile of Student's t is the expansion 26.7.5 of Abramowitz and Stegun.
"""

from collections.abc import Mapping, Sequence
from statistics import NormalDist, mean, variance

from sinet_pipelines.backfills.estimates import NEEDED_RUNS, NOMINAL, Estimate

Z = NormalDist().inv_cdf((1 + NOMINAL) / 2)


def bytes_of_days(known: Mapping[str, Sequence[float]], planned: Mapping[str, int]) -> Estimate:
    """The bytes that planned days write.

    Args:
        known: for each asset the bytes of its days that are there.
        planned: for each asset with a table the number of days to write.
    """
    wanted = {asset: days for asset, days in sorted(planned.items()) if days}
    unknown = tuple(asset for asset in wanted if not known.get(asset))
    learnt = {asset: days for asset, days in wanted.items() if asset not in unknown}
    if not learnt:
        return Estimate(None if wanted else 0.0, unknown=unknown)
    value = sum(mean(known[asset]) * days for asset, days in learnt.items())
    fewest = min(len(known[asset]) for asset in learnt)
    if fewest < NEEDED_RUNS:
        return Estimate(value, runs=fewest, unknown=unknown)
    spread = sum(variance(known[asset]) * (days + days**2 / len(known[asset])) for asset, days in learnt.items())
    half = student_quantile(fewest - 1) * spread**0.5
    return Estimate(value, max(0.0, value - half), value + half, fewest, unknown)


def student_quantile(freedom: int) -> float:
    """The quantile of Student's t that leaves a tenth above it, as the intervals of 80 % do.

    >>> round(student_quantile(3), 2), round(student_quantile(24), 3)  # tables: 1.638, 1.318
    (1.63, 1.318)
    """
    first = (Z**3 + Z) / 4
    second = (5 * Z**5 + 16 * Z**3 + 3 * Z) / 96
    return Z + first / freedom + second / freedom**2
