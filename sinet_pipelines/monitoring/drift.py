"""Drift: how far values of many features lie from a reference's, as PSI and as a two-sample Kolmogorov-Smirnov test.

Values of one engine are alike and a day's mix of ages is its own, so neither count nor mix of rows may be taken as it
comes. Like is compared with like: the reference is weighted to the sample's mix of strata (post-stratification: Holt,
Smith 1979, J. R. Stat. Soc. A 142). And rows count as so many independent ones as they are worth: the design effect of
clusters (Kish 1965, "Survey Sampling", section 5.4), with the intraclass correlation measured in the reference.

What fleets, ages and days are is not known here. A missing value is NaN and sorts above all others, so that values
going missing are drift too. Letters: N rows, F features, K strata, U groups, B bins.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from sinet_pipelines.errors import ContractError
from sinet_pipelines.monitoring.likeness import Counts, Floats, likeness, worth_of_mix, worth_of_rows

BINS = 10  # deciles of the reference, as PSI is read since Siddiqi 2006
LARGE_PSI = 0.25  # "significant shift" in the same reading; less is none of a practical size
NORMAL_95 = 1.6448536269514722  # the 95 % point of the standard normal: above it chance alone goes 1 time in 20
COARSE_STEP = 64  # rows between the points at which a gap of distributions is looked at first


@dataclass(frozen=True)
class Reference:
    """Values that others are held against, sorted once.

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

    def knows(self, stratum_N: Counts) -> NDArray[np.bool_]:
        """(N,) whether the reference has rows in the stratum of each row: only such rows can be compared."""
        return self.rows_K[stratum_N] > 0


@dataclass(frozen=True)
class Comparison:
    """How far a sample lies from the reference, feature by feature, each (F,).

    Attributes:
        psi: population stability index over the reference's deciles; 0 is none.
        psi_limit: what a psi must exceed to be a shift of practical size that chance does not make.
        ks: largest gap between the two distribution functions, 0 to 1.
        p_value: of a gap as large under no drift.
        rows_worth: independent rows that the sample's are worth.
        reference_worth: independent rows that the weighted reference is worth.
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
    """The reference that some rows make.

    Args:
        values_NF: (N, F) values, N at least 1.
        stratum: (N,) from 0 to `strata` - 1: what alike rows share (an age band); None for one stratum.
        group: (N,) from 0: whose row it is (an engine); None where every row is independent.
        strata: K.

    Raises:
        ContractError: no row.
    """
    if not len(values_NF):
        raise ContractError("a reference without a row (allowed: one or more); give rows of the reference's days")
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
    """How far a sample lies from the reference, the reference weighted to the sample's mix of strata.

    PSI is near (1/n + 1/m) chi-squared with B - 1 degrees of freedom when nothing drifts (Yurdakul, Naranjo 2020,
    J. Risk Model Validation 14(4)), n and m what the rows are worth; its limit is the 95 % point of that, and no less
    than 0.25. The p-value is Kolmogorov's with Stephens's correction for few rows (1970, J. R. Stat. Soc. B 32).

    Args:
        reference: what is held to be normal.
        values_NF: (N, F) values of the same features, N at least 1.
        stratum: (N,) as in `reference_of`.
        group: (N,) from 0; the groups need not be those of the reference.

    Raises:
        ContractError: no row, or rows of a stratum that the reference lacks.
    """
    count = len(values_NF)
    stratum = np.zeros(count, dtype=np.intp) if stratum is None else stratum
    if not count or not reference.knows(stratum).all():
        raise ContractError(
            f"{count} rows, not all of a stratum that the reference has (allowed: one or more, all of such); "
            "compare only what `knows` admits"
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
    """P-values adjusted for their number, so that *any* false one is as rare as the level they are held against.

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
    """(F, B) upper ends of bins that hold equal numbers of the values that are there; the last is infinite."""
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
    """Rows by stratum and group where every row is its own group: one column says all that is asked of it."""
    return np.array([[part.shape[1]] for part in parts])


def _psi(expected_FB: Floats, found_FB: Floats, m_F: Floats, n_F: Floats) -> tuple[Floats, Floats]:
    """(F,) the index, half a row added to every bin that either has, and the 95 % point of chance alone."""
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

    Looked for at every 64th row first; between two of these the gap cannot exceed what both distribution functions
    rise to, and only where that is more than the largest found is every row looked at.
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
    """How far the sample's function lies above the other at some of its rows, and below it just before them."""
    right, left = np.zeros(len(at)), np.zeros(len(at))
    for values, share in zip(strata, mix, strict=True):
        if share > 0:
            right += share / len(values) * np.searchsorted(values, sample[at], side="right")
            left += share / len(values) * np.searchsorted(values, sample[at], side="left")
    return (at + 1) / len(sample) - right, left - at / len(sample)


def _ks_p_value(ks_F: Floats, rows_F: Floats) -> Floats:
    """(F,) Kolmogorov's survival function of the gap, rows being n m / (n + m)."""
    root = np.sqrt(rows_F)
    scaled = (root + 0.12 + 0.11 / root) * ks_F
    k = np.arange(1, 101)[:, None]
    tail = 2 * ((-1.0) ** (k - 1) * np.exp(-2 * k**2 * scaled**2)).sum(axis=0)
    return np.where(scaled < 0.2, 1.0, np.clip(tail, 0.0, 1.0))  # below 0.2 it is 1 to twelve digits
