"""How many days one run of a backfill makes."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sinet_pipelines.backfills.split import Bound, choose_split, makespan


def runs_of(days, size):
    return math.ceil(days / size)


def test_a_large_fixed_cost_asks_for_one_run():
    assert choose_split(30, lambda size: runs_of(30, size) * 60 + 30).days_per_run == 30


def test_without_a_fixed_cost_a_killed_run_loses_little():
    split = choose_split(30, lambda size: runs_of(30, size) * 0.001 + 30)
    assert split.days_per_run == 2
    assert "a killed run loses less" in split.reason


def test_days_that_take_more_together_than_alone_are_split():
    """The time of one run grows with the square of its days: 11 runs of 3 days take 209 s, 8 runs of 4 days 208 s."""
    assert choose_split(32, lambda size: runs_of(32, size) * (10 + size**2)).days_per_run == 3


def test_memory_bounds_the_days_and_is_named():
    split = choose_split(30, lambda size: runs_of(30, size) * 60.0, [Bound(7, "memory of EAST/a"), Bound(9, "time")])
    assert split.days_per_run == 6  # five runs, as with 7
    assert "memory of EAST/a" in split.reason


def test_an_unknown_fixed_cost_gives_as_few_runs_as_possible_and_shows_it():
    split = choose_split(30, None, [Bound(20, "memory of EAST/a")])
    assert split.days_per_run == 20
    assert "past runs do not show the fixed cost" in split.reason
    assert "memory of EAST/a" in split.reason


def test_places_take_runs_in_order():
    assert makespan([4, 3, 2, 1], 2) == 5.0
    assert makespan([], 2) == 0.0


@given(
    st.integers(1, 400),
    st.floats(0, 100),
    st.floats(0, 10),
    st.lists(st.integers(1, 50), max_size=2),
)
def test_the_split_is_within_the_bounds_and_near_the_best(days, fixed, per_day, limits):
    def seconds(size):
        return runs_of(days, size) * fixed + days * per_day

    split = choose_split(days, seconds, [Bound(limit, "limit") for limit in limits])
    allowed = min([days, *limits])
    assert 1 <= split.days_per_run <= allowed
    assert seconds(split.days_per_run) <= seconds(allowed) * 1.05 + 1e-9


def test_no_days_need_no_split():
    assert choose_split(0, None).days_per_run == pytest.approx(1)
