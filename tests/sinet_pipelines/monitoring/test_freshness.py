"""Rows that keep coming: counted by day, silent days named, the expected day held against the reference."""

from datetime import date, timedelta

import polars as pl
import pytest

from sinet_pipelines.applications.turbofan.schemas.monitoring import ROWS_BY_DAY
from sinet_pipelines.monitoring.freshness import count_by_day, freshness_of
from sinet_pipelines.storage.tables import to_contract

FIRST_DAY = date(2026, 3, 1)


def day(number):
    return FIRST_DAY + timedelta(days=number)


def rows(counts):
    """So many rows on each day (by its number), two engines in turn."""
    found = [(day(number), f"U{n % 2}") for number, count in counts.items() for n in range(count)]
    return pl.DataFrame(found, schema={"event_date": pl.Date, "unit": pl.String}, orient="row")


def watch(counts, *, until):
    by_day = count_by_day(
        rows(counts),
        region="WEST",
        first_day=FIRST_DAY,
        until=day(until),
        group="unit",
        groups="engines",
        contract=ROWS_BY_DAY,
    )
    return by_day, freshness_of(by_day, region="WEST", expected=day(until))


def test_every_day_has_a_line_and_a_silent_one_has_zero_rows():
    by_day, fresh = watch({0: 4, 2: 1}, until=3)
    assert by_day["rows"].to_list() == [4, 0, 1, 0]
    assert by_day["engines"].to_list() == [2, 0, 1, 0]
    assert to_contract(by_day, ROWS_BY_DAY).num_rows == 4
    assert fresh.silent_days == (day(1), day(3))


def test_a_region_silent_yesterday_is_named_with_its_last_day():
    _, fresh = watch({0: 4, 1: 4}, until=3)
    assert fresh.fault == "WEST sent no row on 2026-03-04; the last rows are of 2026-03-02"


def test_a_region_that_never_sent_a_row_says_so():
    _, fresh = watch({}, until=1)
    assert fresh.fault == "WEST sent no row on 2026-03-02; none ever came"
    assert fresh.silent_days == (day(0), day(1))


def test_rows_are_held_against_the_median_of_the_reference_days():
    counts = dict.fromkeys(range(5, 15), 100) | {15: 50, 7: 1000}
    by_day, fresh = watch(counts, until=15)
    assert fresh.share_of_reference == pytest.approx(0.5)
    assert by_day["share_of_reference"].to_list()[6] == 1.0
    assert fresh.fault == ""


def test_a_day_with_a_small_part_of_the_usual_rows_is_an_outage():
    _, fresh = watch(dict.fromkeys(range(5, 15), 100) | {15: 10}, until=15)
    assert fresh.fault == "WEST sent 10 rows on 2026-03-16, 10% of the reference days' (allowed: 25% or more)"


def test_before_there_is_a_reference_any_row_is_fresh():
    _, fresh = watch({0: 1, 1: 1}, until=1)
    assert fresh.share_of_reference is None
    assert fresh.fault == ""


def test_rows_of_today_are_not_yet_looked_at():
    by_day, fresh = watch({0: 3, 1: 3, 2: 9}, until=1)
    assert by_day.height == 2
    assert fresh.rows == 3
