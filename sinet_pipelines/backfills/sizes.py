"""Estimates the bytes that days add to tables, from the files of the days that are there.

The interval is a percentile bootstrap of the sum (Efron, "Bootstrap methods: another look at the jackknife", Annals of
Statistics 7, 1979): the known days are drawn again, and from these the days to come.
"""

from collections.abc import Mapping, Sequence
from statistics import median

import numpy as np

from sinet_pipelines.backfills.estimates import NEEDED_RUNS, NOMINAL, Estimate

DRAWS = 400  # of the bootstrap: an end of the interval then varies by some percent
SEED = 11


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
    value = sum(median(known[asset]) * days for asset, days in learnt.items())
    fewest = min(len(known[asset]) for asset in learnt)
    if fewest < NEEDED_RUNS:
        return Estimate(value, runs=fewest, unknown=unknown)
    random, total = np.random.default_rng(SEED), np.zeros(DRAWS)
    for asset, days in learnt.items():
        sample = np.asarray(known[asset], dtype=np.float64)
        again = random.choice(sample, (DRAWS, len(sample)))
        total += np.take_along_axis(again, random.integers(0, len(sample), (DRAWS, days)), axis=1).sum(axis=1)
    lower, upper = np.quantile(total, [(1 - NOMINAL) / 2, (1 + NOMINAL) / 2])
    return Estimate(value, min(float(lower), value), max(float(upper), value), fewest, unknown)
