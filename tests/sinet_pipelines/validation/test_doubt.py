"""Rows in doubt: what two days have is set aside on both, and depends on what has landed alone."""

from datetime import UTC, date, datetime, timedelta

import polars as pl
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sinet_pipelines.applications.turbofan.schemas.telemetry import VALIDATED_TELEMETRY
from sinet_pipelines.ingestion.landed import landed_rows
from sinet_pipelines.schemas.contract import Column
from sinet_pipelines.storage.fingerprint import fingerprint
from sinet_pipelines.storage.tables import TableStore
from sinet_pipelines.validation.doubt import doubt_of_days, doubted_rows, keeps_its_rules, rows_in_doubt, settled
from sinet_pipelines.validation.judge import judge_days
from tests.sinet_pipelines.validation.test_judge import raw_rows

FIRST = date(2026, 3, 1)
KEY = VALIDATED_TELEMETRY.key
SCHEMA = {
    "event_date": pl.Date,
    "recorded_at": pl.Datetime("us", "UTC"),
    "unit": pl.String,
    "cycle": pl.Int32,
}


def rows(*found):
    """Rows as (day, unit, cycle), each recorded on its day, or (day, unit, cycle, day of its clock)."""
    laid = [(day_of(day), clock_of(clock[0] if clock else day), unit, cycle) for day, unit, cycle, *clock in found]
    return pl.DataFrame(laid, schema=SCHEMA, orient="row")


def day_of(number):
    return FIRST + timedelta(days=number)


def clock_of(number):
    return None if number is None else datetime(2026, 3, 1, 12, tzinfo=UTC) + timedelta(days=number)


def test_a_row_keeps_its_rules_when_it_is_complete_finite_and_in_bounds():
    whole = raw_rows()
    n = whole.height
    assert whole.select(keeps_its_rules(VALIDATED_TELEMETRY)).to_series().to_list() == [True] * n
    for bad in (
        pl.lit(None, pl.Float64).alias("t24_degr"),
        pl.lit(float("nan")).alias("t24_degr"),
        (pl.col("t24_degr") * 5 / 9).alias("t24_degr"),
        pl.lit("retired").alias("role"),
        pl.lit(0, pl.Int32).alias("cycle"),
    ):
        broken = whole.with_columns(bad).select(keeps_its_rules(VALIDATED_TELEMETRY)).to_series()
        assert broken.to_list() == [False] * n, bad


def test_a_cycle_on_two_days_is_in_doubt_on_both_and_each_names_the_other():
    found = rows_in_doubt(rows((0, "A", 1), (1, "A", 1), (1, "A", 2), (2, "B", 1)), key=KEY)
    assert found.rows() == [(day_of(0), "A", 1, str(day_of(1))), (day_of(1), "A", 1, str(day_of(0)))]


def test_of_three_days_each_names_the_two_others():
    found = rows_in_doubt(rows((0, "A", 1), (4, "A", 1), (2, "A", 1)), key=KEY)
    assert found["other_days"].to_list() == [
        f"{day_of(2)}, {day_of(4)}",
        f"{day_of(0)}, {day_of(4)}",
        f"{day_of(0)}, {day_of(2)}",
    ]


def test_two_rows_of_one_day_are_no_doubt_of_two_days():
    assert rows_in_doubt(rows((0, "A", 1), (0, "A", 1)), key=KEY).is_empty()


def test_a_row_whose_clock_is_not_on_its_day_casts_no_doubt_on_another():
    assert rows_in_doubt(rows((0, "A", 1), (1, "A", 1, 0), (2, "A", 1, None)), key=KEY).is_empty()


def test_rows_without_a_name_are_not_compared():
    assert rows_in_doubt(rows((0, None, 1), (1, None, 1), (0, "A", None), (1, "A", None)), key=KEY).is_empty()


def test_what_is_in_doubt_on_a_day_has_a_fingerprint_that_changes_with_it():
    one = doubt_of_days(rows_in_doubt(rows((0, "A", 1), (1, "A", 1)), key=KEY))
    two = doubt_of_days(rows_in_doubt(rows((0, "A", 1), (1, "A", 1), (0, "A", 2), (2, "A", 2)), key=KEY))
    assert set(one) == {day_of(0), day_of(1)}
    assert set(two) == {day_of(0), day_of(1), day_of(2)}
    assert one[day_of(0)] != two[day_of(0)]
    assert one[day_of(1)] == two[day_of(1)]


def test_of_rows_that_share_engine_and_cycle_none_is_settled():
    assert settled(rows((0, "A", 1), (1, "A", 1), (1, "A", 2)), key=("unit", "cycle"))["cycle"].to_list() == [2]


def test_rows_of_some_keys_at_a_time_have_the_conflicts_of_all(tmp_path):
    data = landed_rows("mill", "samples", (Column("unit", pa.string(), "unit"),), key=("unit",))
    found = [(day, unit) for day, units in ((0, "abcd"), (1, "bcxy"), (2, "cza")) for unit in [*units, None]]
    days = [day_of(number) for number in range(3)]
    raw = pl.DataFrame(
        {"unit": [unit for _, unit in found], "event_date": [day_of(day) for day, _ in found]}
    ).with_columns(pl.col("event_date").cast(pl.Datetime("us", "UTC")).alias("recorded_at"), row_hash=pl.lit("hash"))
    others = [name for name in data.raw.schema.names if name not in raw.columns]
    whole = raw.with_columns(pl.lit(None, pl.Schema(data.raw.schema)[name]).alias(name) for name in others)
    store = TableStore(str(tmp_path), "mill")
    filled = whole.with_columns(pl.lit("drop").alias("drop_id"), pl.col("recorded_at").alias("ingested_at"))
    store.replace_days(data.raw, filled, days=days)
    tables = {"raw": data.raw, "validated": data.validated}
    at_once = doubted_rows(store, **tables)
    assert at_once["unit"].to_list() == ["a", "b", "c", "b", "c", "a", "c"]
    assert doubted_rows(store, **tables, rows_at_once=1).equals(at_once)


def test_rows_in_doubt_are_set_aside_with_the_day_named_and_fail_no_day_however_many():
    first, second = raw_rows(FIRST, rows=3), raw_rows(day_of(1), rows=2)
    raw = pl.concat([first.head(2), second])
    judged = judge_days(raw, VALIDATED_TELEMETRY, doubted=rows_in_doubt(raw, key=KEY))
    assert judged.good.is_empty()
    assert [day.passed for day in judged.days] == [True, True]
    assert [day.in_doubt for day in judged.days] == [2, 2]
    assert set(judged.bad.filter(event_date=FIRST)["reason"]) == {
        f"the same unit and cycle was recorded on {day_of(1)} as well"
    }


drops = st.lists(
    st.tuples(st.integers(0, 3), st.sets(st.tuples(st.sampled_from("AB"), st.integers(1, 3)), min_size=1, max_size=3)),
    min_size=1,
    max_size=6,
)


@pytest.mark.slow
@settings(deadline=None)
@given(drops, st.randoms(use_true_random=False))
def test_whatever_the_order_of_arrival_what_is_kept_is_what_one_look_at_everything_keeps(landed, random):
    """Days are judged again when their rows or what is in doubt on them changed, and only then."""
    order = list(landed)
    random.shuffle(order)
    raw, made_from, kept = {}, {}, {}
    for day, keys in order:
        raw.setdefault(day, set()).update(keys)
        everything = rows(*((d, *key) for d, found in raw.items() for key in sorted(found)))
        doubt = doubt_of_days(rows_in_doubt(everything, key=KEY))
        for number, found in raw.items():
            inputs = fingerprint(sorted(found), doubt.get(day_of(number), ""))
            if made_from.get(number) != inputs:
                made_from[number] = inputs
                kept[number] = _kept(everything, number)
    everything = rows(*((day, *key) for day, found in raw.items() for key in sorted(found)))
    assert kept == {number: _kept(everything, number) for number in raw}
    total = [key for found in kept.values() for key in found]
    assert len(total) == len(set(total))  # no cycle is kept on two days


def _kept(everything, number):
    own = everything.filter(event_date=day_of(number))
    doubted = rows_in_doubt(everything, key=KEY)
    return frozenset(own.join(doubted, on=["event_date", *KEY], how="anti").select(KEY).iter_rows())
