"""Drift: compares distributions of many features with a reference, by PSI and a two-sample Kolmogorov-Smirnov test.

Values of one engine are similar, and the mix of ages differs by day, so rows are neither independent nor equally
distributed. Two corrections apply. The reference is weighted to the sample's mix of strata (post-stratification: Holt,
Smith 1979, J. R. Stat. Soc. A 142). And the number of rows is replaced by an effective number of independent rows: the
design effect of clusters (Kish 1965, "Survey Sampling", section 5.4), with the intraclass correlation of the reference.

This module has no notion of fleets, ages and days. A missing value is NaN and sorts above all others, so that a growing
share of missing values is drift too. Letters: N rows, F features, K strata, U groups, B bins.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from sinet_pipelines.errors import ContractError
from sinet_pipelines.monitoring.likeness import Counts, Floats, likeness, worth_of_mix, worth_of_rows

BINS = 10  # deciles of the reference, as usual for PSI since Siddiqi 2006
LARGE_PSI = 0.25  # "significant shift" by the usual rule; a smaller one has no practical size
NORMAL_95 = 1.6448536269514722  # the 95 % point of the standard normal, which chance exceeds once in 20 times
COARSE_STEP = 64  # rows between the points at which a gap of distributions is searched first


@dataclass(frozen=True)
class Reference:
    """The values of the reference, sorted once for all comparisons.

    Attributes:
        sorted_KFN: per stratum (F, rows of it) ascending, missing values last.
        edges_FB: (F, B) upper ends of the bins; the last is infinite.
        shares_KFB: (K, F, B + 1) share of a stratum's rows in each bin, the last for missing values; 0 without rows.
        rows_KU: (K, U) rows of each group in each stratum.
        likeness_F: (F,) correlation, of two rows of one group, of lying below the feature's median.
    """

    sorted_KFN: tuple[Floats, ...]
    edges_FB: Floats
    shares_KFB: Floats
    rows_KU: Counts
    likeness_F: Floats

    @cached_property
    def rows_K(self) -> Counts:
        """(K,) rows in each stratum."""
        return self.rows_KU.sum(axis=1)

    def covers(self, stratum_N: Counts) -> NDArray[np.bool_]:
        """(N,) whether the reference has rows in the stratum of each row: only such rows can be compared."""
        return self.rows_K[stratum_N] > 0


@dataclass(frozen=True)
class Comparison:
    """How far a sample lies from the reference, feature by feature, each (F,).

    Attributes:
        psi: population stability index over the reference's deciles; 0 is none.
        psi_limit: limit of psi: a shift above it has a practical size and is not chance.
        ks: largest gap between the two distribution functions, 0 to 1.
        p_value: of a gap as large under no drift.
        rows_worth: effective number of independent rows of the sample.
        reference_worth: effective number of independent rows of the weighted reference.
    """

    psi: Floats
    psi_limit: Floats
    ks: Floats
    p_value: Floats
    rows_worth: Floats
    reference_worth: Floats


def reference_of(
    values_NF: Floats,
    *,
    stratum: Counts | None = None,
    group: Counts | None = None,
    strata: int = 1,
) -> Reference:
    """The reference made of some rows.

    Args:
        values_NF: (N, F) values, N at least 1.
        stratum: (N,) from 0 to `strata` - 1: a property that similar rows share (an age band); None for one stratum.
        group: (N,) from 0: the group of each row (an engine); None where every row is independent.
        strata: K.

    Raises:
        ContractError: no row.
    """
    if not len(values_NF):
        raise ContractError("a reference without a row (allowed: one or more); pass rows of the reference's days")
    stratum = np.zeros(len(values_NF), dtype=np.intp) if stratum is None else stratum
    parts = tuple(_sorted_FN(values_NF[stratum == k] if strata > 1 else values_NF) for k in range(strata))
    edges_FB = _deciles(parts[0] if strata == 1 else _sorted_FN(values_NF))
    shares = [_counts(part, edges_FB) / max(part.shape[1], 1) for part in parts]
    if group is None:
        return Reference(parts, edges_FB, np.stack(shares), _singles(parts), np.zeros(values_NF.shape[1]))
    rows_KU = np.zeros((strata, int(group.max()) + 1), dtype=np.int64)
    np.add.at(rows_KU, (stratum, group), 1)
    return Reference(parts, edges_FB, np.stack(shares), rows_KU, likeness(values_NF, stratum=stratum, group=group))


def compare(
    reference: Reference,
    values_NF: Floats,
    *,
    stratum: Counts | None = None,
    group: Counts | None = None,
) -> Comparison:
    """The difference of a sample from the reference, which is weighted to the sample's mix of strata.

    PSI is near (1/n + 1/m) chi-squared with B - 1 degrees of freedom when nothing drifts (Yurdakul, Naranjo 2020,
    J. Risk Model Validation 14(4)), with n and m the effective numbers of rows; its limit is the 95 % point of that,
    and at least 0.25. The p-value is Kolmogorov's with Stephens's correction for few rows (1970, J. R. Stat. Soc. B
    32).

    Args:
        reference: the normal values.
        values_NF: (N, F) values of the same features, N at least 1.
        stratum: (N,) as in `reference_of`.
        group: (N,) from 0; the groups need not be those of the reference.

    Raises:
        ContractError: no row, or rows of a stratum that the reference lacks.
    """
    count = len(values_NF)
    stratum = np.zeros(count, dtype=np.intp) if stratum is None else stratum
    if not count or not reference.covers(stratum).all():
        raise ContractError(
            f"{count} rows, not all of a stratum of the reference (allowed: one or more, all of such strata); "
            "compare only the rows that `covers` selects"
        )
    mix_K = np.bincount(stratum, minlength=len(reference.rows_K)) / count
    n_F = worth_of_rows(count, group, reference.likeness_F)
    m_F = worth_of_mix(reference.rows_KU, mix_K, reference.likeness_F)
    sample_FN = _sorted_FN(values_NF)
    expected_FB = np.tensordot(mix_K, reference.shares_KFB, axes=1)
    found_FB = _counts(sample_FN, reference.edges_FB) / count
    psi, chance = _psi(expected_FB, found_FB, m_F, n_F)
    ks = np.array([_gap(row, [part[f] for part in reference.sorted_KFN], mix_K) for f, row in enumerate(sample_FN)])
    return Comparison(psi, np.maximum(LARGE_PSI, chance), ks, _ks_p_value(ks, n_F * m_F / (n_F + m_F)), n_F, m_F)


def holm(p_values: Floats) -> Floats:
    """P-values adjusted for their number, so that the rate of *any* false positive is that of the level.

    Holm 1979, "A simple sequentially rejective multiple test procedure", Scand. J. Stat. 6.

    >>> holm(np.array([0.01, 0.04, 0.03])).tolist()
    [0.03, 0.06, 0.06]
    """
    order = np.argsort(p_values, kind="stable")
    adjusted = np.empty(len(p_values))
    adjusted[order] = np.minimum(1.0, np.maximum.accumulate(p_values[order] * np.arange(len(p_values), 0, -1)))
    return adjusted


def _sorted_FN(values_NF: Floats) -> Floats:
    return np.sort(np.ascontiguousarray(values_NF.T), axis=1)


def _deciles(sorted_FN: Floats) -> Floats:
    """(F, B) upper ends of bins with equal numbers of present values; the last is infinite."""
    present_F = np.array([np.searchsorted(row, np.nan) for row in sorted_FN])
    at_FB = np.ceil(present_F[:, None] * np.arange(1, BINS) / BINS).astype(np.intp) - 1
    edges = np.take_along_axis(sorted_FN, np.maximum(at_FB, 0), axis=1)
    top = np.full((len(edges), 1), np.inf, dtype=edges.dtype)
    return np.concatenate([np.where(np.isnan(edges), np.inf, edges).astype(edges.dtype), top], axis=1)


def _counts(sorted_FN: Floats, edges_FB: Floats) -> Counts:
    """(F, B + 1) values in each bin, the last the missing ones."""
    below = [np.searchsorted(row, edges, side="right") for row, edges in zip(sorted_FN, edges_FB, strict=True)]
    ends = np.full((len(edges_FB), 1), sorted_FN.shape[1])
    return np.diff(np.concatenate([np.stack(below), ends], axis=1), axis=1, prepend=0)


def _singles(parts: Sequence[Floats]) -> Counts:
    """Rows by stratum and group where every row is its own group: one column contains all needed information."""
    return np.array([[part.shape[1]] for part in parts])


def _psi(expected_FB: Floats, found_FB: Floats, m_F: Floats, n_F: Floats) -> tuple[Floats, Floats]:
    """(F,) the index, with half a row added to every bin that either has, and the 95 % point of chance alone."""
    used_FB = (expected_FB > 0) | (found_FB > 0)
    bins_F = used_FB.sum(axis=1)
    shares = [
        (part * worth[:, None] + 0.5) / (worth + 0.5 * bins_F)[:, None]
        for part, worth in ((expected_FB, m_F), (found_FB, n_F))
    ]
    terms = (shares[1] - shares[0]) * np.log(shares[1] / shares[0])
    freedom_F = np.maximum((expected_FB > 0).sum(axis=1) - 1, 1)
    return np.where(used_FB, terms, 0.0).sum(axis=1), (1 / n_F + 1 / m_F) * _chi_squared_95(freedom_F)


def _chi_squared_95(freedom: Counts) -> Floats:
    """The 95 % point of chi-squared, within 3 % (Wilson, Hilferty 1931, PNAS 17)."""
    spread = 2 / (9 * freedom)
    return freedom * (1 - spread + NORMAL_95 * np.sqrt(spread)) ** 3


def _gap(sample: Floats, strata: Sequence[Floats], mix: Floats) -> float:
    """The largest gap between the sample's distribution function and the weighted one of the strata, exactly.

    Every 64th row is checked first. Between two of these the gap is limited by the increase of both distribution
    functions, and only where this limit exceeds the largest gap found is every row checked.
    """
    count = len(sample)
    coarse = np.append(np.arange(0, count - 1, COARSE_STEP), count - 1)
    above, below = _gaps(sample, coarse, strata, mix)
    largest = max(above.max(), below.max())
    rise, start, end = np.diff(coarse) / count, coarse[:-1], coarse[1:]
    hidden = (above[:-1] + rise > largest) | (below[1:] + rise > largest)
    if hidden.any():
        inside = np.concatenate([np.arange(a + 1, b) for a, b in zip(start[hidden], end[hidden], strict=True)])
        if len(inside):
            above, below = _gaps(sample, inside, strata, mix)
            largest = max(largest, above.max(), below.max())
    return float(min(1.0, max(largest, 0.0)))


def _gaps(sample: Floats, at: Counts, strata: Sequence[Floats], mix: Floats) -> tuple[Floats, Floats]:
    """The distances of the sample's function above the other at some of its rows, and below it just before them."""
    right, left = np.zeros(len(at)), np.zeros(len(at))
    for values, share in zip(strata, mix, strict=True):
        if share > 0:
            right += share / len(values) * np.searchsorted(values, sample[at], side="right")
            left += share / len(values) * np.searchsorted(values, sample[at], side="left")
    return (at + 1) / len(sample) - right, left - at / len(sample)


def _ks_p_value(ks_F: Floats, rows_F: Floats) -> Floats:
    """(F,) Kolmogorov's survival function of the gap, with `rows_F` = n m / (n + m)."""
    root = np.sqrt(rows_F)
    scaled = (root + 0.12 + 0.11 / root) * ks_F
    k = np.arange(1, 101)[:, None]
    tail = 2 * ((-1.0) ** (k - 1) * np.exp(-2 * k**2 * scaled**2)).sum(axis=0)
    return np.where(scaled < 0.2, 1.0, np.clip(tail, 0.0, 1.0))  # below 0.2 it is 1 to twelve digits
