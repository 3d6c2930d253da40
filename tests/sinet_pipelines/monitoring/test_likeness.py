"""What rows in groups are worth: from one row a group to as many as there are, by how alike they are."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sinet_pipelines.monitoring.likeness import likeness, worth_of_mix, worth_of_rows


def grouped(*, correlation, groups, size, seed=0):
    """Normal rows of which two of one group correlate as asked: (groups * size, 1) and their groups."""
    rng = np.random.default_rng(seed)
    own = rng.normal(size=(groups, 1)) * np.sqrt(correlation)
    rows = own + rng.normal(size=(groups, size)) * np.sqrt(1 - correlation)
    return rows.reshape(-1, 1), np.repeat(np.arange(groups), size)


def test_rows_of_one_group_that_are_equal_are_worth_one_row_a_group():
    group = np.repeat(np.arange(5), 8)
    assert worth_of_rows(40, group, np.array([1.0])) == pytest.approx(5)


def test_rows_that_are_nothing_alike_are_worth_their_number():
    group = np.repeat(np.arange(5), 8)
    assert worth_of_rows(40, group, np.array([0.0])) == pytest.approx(40)
    assert worth_of_rows(40, None, np.array([0.7])) == pytest.approx(40)


def test_the_worth_is_that_of_kish():
    # 40 / (1 + (8 - 1) * 0.3), the design effect of equal groups
    assert worth_of_rows(40, np.repeat(np.arange(5), 8), np.array([0.3])) == pytest.approx(40 / 3.1)


@pytest.mark.parametrize("correlation", [0.0, 0.3, 0.8])
def test_likeness_is_sheppards_share_of_the_correlation_that_the_rows_were_made_with(correlation):
    rows, group = grouped(correlation=correlation, groups=3000, size=6)
    found = likeness(rows, stratum=np.zeros(len(rows), dtype=int), group=group)
    assert found == pytest.approx(2 / np.pi * np.arcsin(correlation), abs=0.03)


def test_likeness_is_that_of_being_below_the_median_together():
    rows, group = grouped(correlation=0.6, groups=4000, size=2, seed=3)
    below = (rows[:, 0] < 0).reshape(-1, 2)
    counted = np.corrcoef(below[:, 0], below[:, 1])[0, 1]
    found = likeness(rows, stratum=np.zeros(len(rows), dtype=int), group=group)
    assert found == pytest.approx(counted, abs=0.05)


def test_what_strata_have_in_common_is_no_likeness():
    rows, group = grouped(correlation=0.0, groups=400, size=6)
    stratum = group % 2
    assert likeness(rows + 10 * stratum[:, None], stratum=stratum, group=group) == pytest.approx(0, abs=0.05)


def test_a_single_group_is_taken_as_wholly_alike_and_groups_of_one_row_as_not_alike():
    rows = np.arange(6.0).reshape(-1, 1)
    one = np.zeros(6, dtype=int)
    assert likeness(rows, stratum=one, group=one) == 1
    assert likeness(rows, stratum=one, group=np.arange(6)) == 0


def test_a_constant_feature_and_missing_values_have_a_likeness_too():
    rows = np.full((6, 2), 2.0)
    rows[1, 1] = np.nan
    found = likeness(rows, stratum=np.zeros(6, dtype=int), group=np.repeat([0, 1], 3))
    assert found.tolist() == [0, 0]


def test_a_stratum_much_asked_for_and_little_seen_makes_the_reference_worth_little():
    rows_KU = np.array([[50, 50], [1, 0]])
    assert worth_of_mix(rows_KU, np.array([1.0, 0.0]), np.array([0.0])) == pytest.approx(100)
    assert worth_of_mix(rows_KU, np.array([0.0, 1.0]), np.array([0.0])) == pytest.approx(1)


@given(
    sizes=st.lists(st.integers(1, 30), min_size=1, max_size=8),
    alike=st.floats(0, 1),
)
def test_rows_are_worth_at_least_one_and_at_most_their_number(sizes, alike):
    group = np.repeat(np.arange(len(sizes)), sizes)
    worth = worth_of_rows(len(group), group, np.array([alike]))
    assert 1 - 1e-9 <= worth[0] <= len(group) + 1e-9
    mixed = worth_of_mix(np.array([sizes]), np.array([1.0]), np.array([alike]))
    assert mixed == pytest.approx(worth)
