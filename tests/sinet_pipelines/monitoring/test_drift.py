"""PSI and Kolmogorov-Smirnov of many features: equal to plain second implementations, and honest about groups."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from sinet_pipelines.errors import ContractError
from sinet_pipelines.monitoring.drift import LARGE_PSI, compare, holm, reference_of

VALUES = st.lists(st.integers(-6, 6).map(float), min_size=1, max_size=40)


def column(values):
    return np.array(values, dtype=np.float64).reshape(-1, 1)


def plain_psi(reference, sample):
    """The textbook's: deciles of the reference, shares by histogram."""
    edges = np.concatenate([[-np.inf], np.quantile(reference, np.arange(1, 10) / 10), [np.inf]])
    p, q = (np.histogram(one, edges)[0] / len(one) for one in (reference, sample))
    return float(((q - p) * np.log(q / p)).sum())


def plain_gap(reference, sample):
    """The definition, at every value that either has."""
    return max(abs(np.mean(reference <= x) - np.mean(sample <= x)) for x in {*reference, *sample})


@given(reference=VALUES, sample=VALUES)
def test_ks_is_the_largest_gap_at_any_value_ties_and_all(reference, sample):
    reference, sample = column(reference), column(sample)
    found = compare(reference_of(reference), sample).ks[0]
    assert found == pytest.approx(plain_gap(reference[:, 0], sample[:, 0]), abs=1e-12)


@given(size=st.integers(100, 2000), shift=st.floats(-0.5, 0.5), decimals=st.integers(0, 3), seed=st.integers(0, 99))
def test_ks_looked_for_coarsely_first_misses_no_gap(size, shift, decimals, seed):
    rng = np.random.default_rng(seed)
    reference, sample = rng.normal(size=700).round(decimals), (rng.normal(size=size) + shift).round(decimals)
    found = compare(reference_of(column(reference)), column(sample)).ks[0]
    assert found == pytest.approx(stats.ks_2samp(sample, reference, method="asymp").statistic, abs=1e-12)


@pytest.mark.parametrize("shift", [0.0, 0.1, 0.5])
def test_p_is_scipys_within_a_tenth_where_rows_are_many(shift):
    rng = np.random.default_rng(1)
    reference, sample = rng.normal(size=2000), rng.normal(size=900) + shift
    found = compare(reference_of(column(reference)), column(sample)).p_value[0]
    assert found == pytest.approx(stats.ks_2samp(sample, reference, method="asymp").pvalue, rel=0.1, abs=1e-9)


def test_psi_is_the_textbooks_for_every_feature():
    rng = np.random.default_rng(2)
    reference = rng.normal(size=(20_000, 3))
    sample = rng.normal(size=(15_000, 3)) + [0, 0.2, 1.0]
    found = compare(reference_of(reference), sample).psi
    expected = [plain_psi(reference[:, f], sample[:, f]) for f in range(3)]
    assert found == pytest.approx(expected, rel=0.02, abs=2e-4)


def test_psi_of_a_half_moved_by_hand():
    # ten equal bins in the reference, all of the sample in the last: 0.9 ln 10 + 9 * 0.1 ln 10 without the half rows
    reference = column(np.arange(100_000.0))
    found = compare(reference_of(reference), column(np.full(100_000, 99_999.0)))
    smallest = 0.5 / 100_005
    expected = (0.99996 - 0.1) * np.log(0.99996 / 0.1) + 9 * (0.1 - smallest) * np.log(0.1 / smallest)
    assert found.psi[0] == pytest.approx(expected, rel=1e-3)


def test_the_limit_of_psi_is_what_chance_makes_of_few_rows_and_a_quarter_of_many():
    rng = np.random.default_rng(3)
    few, many = (compare(reference_of(rng.normal(size=(n, 1))), rng.normal(size=(n, 1))) for n in (30, 5000))
    assert few.psi_limit[0] == pytest.approx((1 / 30 + 1 / 30) * stats.chi2.ppf(0.95, 9), rel=0.01)
    assert many.psi_limit[0] == LARGE_PSI


def test_what_is_compared_with_itself_has_not_drifted():
    values = np.random.default_rng(4).normal(size=(500, 2))
    found = compare(reference_of(values), values)
    assert found.psi == pytest.approx([0, 0], abs=1e-12)
    assert found.ks == pytest.approx([0, 0], abs=1e-12)
    assert found.p_value == pytest.approx([1, 1])


def test_a_constant_sensor_has_no_drift_and_drifts_when_it_moves():
    reference = reference_of(np.full((200, 1), 3.0))
    still, moved = (compare(reference, np.full((100, 1), value)) for value in (3.0, 4.0))
    assert (still.psi[0], still.ks[0], still.p_value[0]) == (0, 0, 1)
    assert moved.ks[0] == 1
    assert moved.p_value[0] < 1e-9
    assert moved.psi[0] > moved.psi_limit[0]


def test_values_that_go_missing_are_drift():
    values = np.random.default_rng(5).normal(size=(400, 1))
    holes = values.copy()
    holes[::2] = np.nan
    found = compare(reference_of(values), holes)
    assert found.ks[0] == pytest.approx(0.5, abs=0.01)
    assert found.psi[0] > found.psi_limit[0]
    as_ever = compare(reference_of(holes), holes)
    assert (as_ever.psi[0], as_ever.ks[0]) == pytest.approx((0, 0), abs=1e-12)
    none_left = compare(reference_of(values), np.full((50, 1), np.nan))
    assert none_left.ks[0] == 1


def test_another_mix_of_strata_is_no_drift():
    rng = np.random.default_rng(6)
    stratum = rng.integers(0, 2, 4000)
    usual, sample = rng.normal(size=(4000, 1)) + 5 * stratum[:, None], rng.normal(size=(1000, 1)) + 5
    found = compare(reference_of(usual, stratum=stratum, strata=2), sample, stratum=np.ones(1000, dtype=int))
    assert found.psi[0] < LARGE_PSI
    assert found.p_value[0] > 0.01
    as_if_one = compare(reference_of(usual), sample)
    assert as_if_one.psi[0] > LARGE_PSI
    assert as_if_one.p_value[0] < 1e-9


def grouped(rng, *, groups, shift=0.0):
    """Rows of engines that differ among each other as much as their rows do: (40 rows each), and whose they are."""
    own = np.repeat(rng.normal(size=groups), 40)
    return (own + rng.normal(size=groups * 40) + shift).reshape(-1, 1), np.repeat(np.arange(groups), 40)


def test_engines_that_differ_are_no_drift_though_rows_taken_alone_say_so():
    rng = np.random.default_rng(7)
    alarms, naive = 0, 0
    for _ in range(200):
        (usual, whose), (sample, of) = grouped(rng, groups=25), grouped(rng, groups=10)
        alarms += compare(reference_of(usual, group=whose), sample, group=of).p_value[0] < 0.05
        naive += compare(reference_of(usual), sample).p_value[0] < 0.05
    assert alarms <= 10  # 5 % of 200
    assert naive > 100


def test_a_shift_of_three_standard_deviations_is_found_through_the_differences_of_engines():
    rng = np.random.default_rng(8)
    usual, whose = grouped(rng, groups=25)
    sample, of = grouped(rng, groups=10, shift=3 * np.sqrt(2))
    found = compare(reference_of(usual, group=whose), sample, group=of)
    assert found.p_value[0] < 1e-5
    assert found.psi[0] > found.psi_limit[0]


@given(st.lists(st.floats(0, 1), min_size=1, max_size=12))
def test_adjusted_p_values_are_never_smaller_and_keep_their_order(p_values):
    raw = np.array(p_values)
    adjusted = holm(raw)
    assert (adjusted >= raw).all()
    assert (adjusted <= 1).all()
    order = np.argsort(raw, kind="stable")
    assert (np.diff(adjusted[order]) >= 0).all()
    assert adjusted[order[0]] == pytest.approx(min(1, raw.min() * len(raw)))


def test_no_rows_and_strata_the_reference_lacks_are_refused():
    with pytest.raises(ContractError, match="a reference without a row"):
        reference_of(np.empty((0, 2)))
    reference = reference_of(np.ones((3, 1)), stratum=np.zeros(3, dtype=int), strata=2)
    assert reference.covers(np.array([0, 1])).tolist() == [True, False]
    with pytest.raises(ContractError, match="not all of a stratum of the reference"):
        compare(reference, np.ones((2, 1)), stratum=np.array([0, 1]))
    with pytest.raises(ContractError, match="0 rows"):
        compare(reference, np.empty((0, 1)), stratum=np.empty(0, dtype=int))
