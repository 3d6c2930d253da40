"""Fingerprints of days: a row changes the days whose windows or baselines it is part of, and no other."""

from datetime import date, timedelta

import polars as pl
from hypothesis import given
from hypothesis import strategies as st

from sinet_pipelines.applications.turbofan.features.inputs import day_inputs

DAYS = [date(2026, 3, 1) + timedelta(days=n) for n in range(5)]


def rows(day, unit, *hashes):
    return pl.DataFrame({"event_date": [day] * len(hashes), "unit": [unit] * len(hashes), "row_hash": list(hashes)})


def fleet():
    """Engine a flies on all days, engine b on the last two; a's first cycles are on day 0, b's on day 3."""
    flown = [rows(day, "a", f"a{n}") for n, day in enumerate(DAYS)] + [
        rows(DAYS[3], "b", "b3"),
        rows(DAYS[4], "b", "b4"),
    ]
    early = pl.DataFrame({"unit": ["a", "b"], "row_hash": ["a0", "b3"]})
    return pl.concat(flown), early


def inputs(flown, early, **changes):
    values = {"regimes_version": "r1", "reach_days": 1, "code_version": "1", **changes}
    return day_inputs(flown, early, **values)


def changed(before, after):
    return [n for n, day in enumerate(DAYS) if before.get(day) != after.get(day)]


def test_a_late_row_changes_its_day_and_the_one_its_windows_reach():
    flown, early = fleet()
    after = inputs(pl.concat([flown, rows(DAYS[1], "a", "late")]), early)
    assert changed(inputs(flown, early), after) == [1, 2]


def test_a_late_first_cycle_changes_all_days_of_its_engine_and_only_these():
    flown, early = fleet()
    late = pl.concat([early, pl.DataFrame({"unit": ["b"], "row_hash": ["first of b"]})])
    assert changed(inputs(flown, early), inputs(flown, late)) == [3, 4]


def test_other_regimes_or_other_code_change_every_day():
    flown, early = fleet()
    before = inputs(flown, early)
    assert changed(before, inputs(flown, early, regimes_version="r2")) == [0, 1, 2, 3, 4]
    assert changed(before, inputs(flown, early, code_version="2")) == [0, 1, 2, 3, 4]


@given(order=st.permutations(range(7)))
def test_the_order_of_rows_does_not_matter(order):
    flown, early = fleet()
    assert inputs(flown[list(order)], early[::-1]) == inputs(flown, early)
