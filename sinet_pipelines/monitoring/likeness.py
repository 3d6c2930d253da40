"""What rows that come in groups are worth: how many independent rows would say as much.

Rows of one engine on one day are nearly one row told forty times; taken as forty they make any difference look certain.
The remedy is the design effect of clusters (Kish 1965, "Survey Sampling", section 5.4). Letters: N rows, F features,
K strata, U groups.
"""

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.floating]
Counts = NDArray[np.integer]


def likeness(values_NF: Floats, *, stratum: Counts, group: Counts) -> Floats:
    """Correlation of lying below the median, of two rows of one group in one stratum: (F,), 0 to 1.

    The intraclass correlation of the values by analysis of variance (Donner 1986, Int. Stat. Rev. 54), brought to
    that of "below the median or not" for normal values (Sheppard 1899: 2/pi arcsin): it is shares of rows that PSI and
    the distribution function are made of. A missing value counts as its stratum's mean.
    """
    cell = stratum * (int(group.max()) + 1) + group
    order = np.argsort(cell, kind="stable")
    starts = np.flatnonzero(np.diff(cell[order], prepend=-1))
    counts = np.diff(starts, append=len(cell))
    values = values_NF[order].astype(np.float64)
    if len(starts) < 2 or len(starts) == len(cell):
        return np.ones(values.shape[1]) if len(starts) < 2 else np.zeros(values.shape[1])
    centred = values - _stratum_means(values, stratum[order])
    centred[np.isnan(centred)] = 0.0
    means = np.add.reduceat(centred, starts, axis=0) / counts[:, None]
    within = (centred**2).sum(axis=0) - (counts[:, None] * means**2).sum(axis=0)
    between = (counts[:, None] * means**2).sum(axis=0) - len(cell) * centred.mean(axis=0) ** 2
    between, within = between / (len(starts) - 1), within / (len(cell) - len(starts))
    usual = (len(cell) - (counts**2).sum() / len(cell)) / (len(starts) - 1)
    total = between + (usual - 1) * within
    correlation = np.divide(between - within, total, out=np.zeros_like(total), where=total > 0)
    return 2 / np.pi * np.arcsin(np.clip(correlation, 0.0, 1.0))


def _stratum_means(values_NF: Floats, stratum_N: Counts) -> Floats:
    """(N, F) the mean of the values present in each row's stratum; NaN where none is."""
    present = ~np.isnan(values_NF)
    sums = np.zeros((int(stratum_N.max()) + 1, values_NF.shape[1]))
    counts = np.zeros_like(sums)
    np.add.at(sums, stratum_N, np.where(present, values_NF, 0.0))
    np.add.at(counts, stratum_N, present)
    return np.divide(sums, counts, out=np.full_like(sums, np.nan), where=counts > 0)[stratum_N]


def worth_of_rows(count: int, group: Counts | None, likeness_F: Floats) -> Floats:
    """(F,) n independent rows would say as much as these: 1/n is the variance of a share, in its own unit."""
    if group is None:
        return np.full(len(likeness_F), float(count))
    squares = ((np.bincount(group) / count) ** 2).sum()
    return 1 / (likeness_F * squares + (1 - likeness_F) / count)


def worth_of_mix(rows_KU: Counts, mix_K: Floats, likeness_F: Floats) -> Floats:
    """(F,) the same of the reference with its strata weighted to a mix: few rows of a stratum much asked say little."""
    rows_K = rows_KU.sum(axis=1)
    weights_K = np.divide(mix_K, rows_K, out=np.zeros_like(mix_K), where=rows_K > 0)
    squares = ((weights_K @ rows_KU) ** 2).sum()
    alone = (weights_K**2 * rows_K).sum()
    return 1 / (likeness_F * squares + (1 - likeness_F) * alone)
