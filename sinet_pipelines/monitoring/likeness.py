"""The effective number of independent rows for rows that come in groups.

Rows of one engine on one day are nearly equal. Forty of them, counted as independent, would make any difference look
significant. The remedy is the design effect of clusters (Kish 1965, "Survey Sampling", section 5.4). Letters: N rows,
F features, K strata, U groups.
"""

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.floating]
Counts = NDArray[np.integer]


def likeness(values_NF: Floats, *, stratum: Counts, group: Counts) -> Floats:
    """Correlation of being below the median between two rows of one group and stratum: (F,), 0 to 1.

    The intraclass correlation of the values by analysis of variance (Donner 1986, Int. Stat. Rev. 54), converted to
    that of "below the median or not" for normal values (Sheppard 1899: 2/pi arcsin), since PSI and
    the distribution function consist of shares of rows. A missing value counts as its stratum's mean.
    """
    cell = stratum * (int(group.max()) + 1) + group
    order = np.argsort(cell, kind="stable")
    cell = cell[order]
    starts = np.flatnonzero(np.diff(cell, prepend=-1))
    if len(starts) < 2 or len(starts) == len(cell):
        return np.full(values_NF.shape[1], float(len(starts) < 2))
    counts = np.diff(starts, append=len(cell))[:, None]
    centred = _centred(values_NF[order], starts=np.flatnonzero(np.diff(stratum[order], prepend=-1)))
    means = np.add.reduceat(centred, starts, axis=0) / counts
    explained, total = (counts * means**2).sum(axis=0), np.einsum("nf,nf->f", centred, centred)
    within = (total - explained) / (len(cell) - len(starts))
    between = (explained - len(cell) * centred.mean(axis=0) ** 2) / (len(starts) - 1)
    usual = (len(cell) - (counts**2).sum() / len(cell)) / (len(starts) - 1)  # rows of a usual group
    spread = between + (usual - 1) * within
    correlation = np.divide(between - within, spread, out=np.zeros_like(spread), where=spread > 0)
    return 2 / np.pi * np.arcsin(np.clip(correlation, 0.0, 1.0))


def _centred(values_NF: Floats, *, starts: Counts) -> Floats:
    """Each value minus the mean of its stratum, whose rows are contiguous; 0 where it is missing."""
    missing_NF = np.isnan(values_NF)
    if missing_NF.any():
        values_NF = np.where(missing_NF, 0.0, values_NF)
    sums = np.add.reduceat(values_NF, starts, axis=0, dtype=np.float64)
    present = np.add.reduceat(~missing_NF, starts, axis=0, dtype=np.int64)
    means = np.repeat(sums / np.maximum(present, 1), np.diff(starts, append=len(values_NF)), axis=0)
    return np.where(missing_NF, 0.0, values_NF - means)


def worth_of_rows(count: int, group: Counts | None, likeness_F: Floats) -> Floats:
    """(F,) n, the effective number of independent rows: 1/n is the variance of a share, in its own unit."""
    if group is None:
        return np.full(len(likeness_F), float(count))
    squares = ((np.bincount(group) / count) ** 2).sum()
    return 1 / (likeness_F * squares + (1 - likeness_F) / count)


def worth_of_mix(rows_KU: Counts, mix_K: Floats, likeness_F: Floats) -> Floats:
    """(F,) the same for the reference weighted to a mix of strata: few rows with a large weight count little."""
    rows_K = rows_KU.sum(axis=1)
    weights_K = np.divide(mix_K, rows_K, out=np.zeros_like(mix_K), where=rows_K > 0)
    squares = ((weights_K @ rows_KU) ** 2).sum()
    alone = (weights_K**2 * rows_K).sum()
    return 1 / (likeness_F * squares + (1 - likeness_F) * alone)
