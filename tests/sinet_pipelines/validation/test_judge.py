"""Judgement: each broken rule sets its row aside with the reason, and a day fails only on what that cannot cure."""

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

import numpy as np
import polars as pl
import pytest

from sinet_pipelines.applications.turbofan.schemas.telemetry import (
    CHANNELS,
    RAW_TELEMETRY,
    SENSORS,
    SETTINGS,
    VALIDATED_TELEMETRY,
)
from sinet_pipelines.storage.spill import FrameFile
from sinet_pipelines.validation.judge import judge_day_in_batches, judge_days, named_medians, unit_columns

DAY = date(2026, 3, 1)
ROWS = 100


def raw_rows(day=DAY, *, rows=ROWS, drop_id="d0"):
    """Sane rows of one engine: every channel in the middle of its bounds."""
    start = datetime(day.year, day.month, day.day, tzinfo=UTC)
    middle = {c.name: [(c.minimum + c.maximum) / 2] * rows for c in SETTINGS + SENSORS}
    frame = pl.DataFrame(
        {
            "unit": ["FD001-0001"] * rows,
            "role": ["history"] * rows,
            "cycle": pl.Series(range(1, rows + 1), dtype=pl.Int32),
            "recorded_at": [start + timedelta(minutes=n) for n in range(rows)],
            **middle,
            "event_date": [day] * rows,
            "row_hash": [f"{day}-{n}" for n in range(rows)],
            "drop_id": [drop_id] * rows,
            "unparsed": pl.Series([None] * rows, dtype=pl.String),
            "ingested_at": [start] * rows,
        }
    )
    return frame.select(c.name for c in RAW_TELEMETRY.columns)


def with_value(frame, row, column, value):
    """The frame with one value of one row replaced."""
    changed = pl.when(pl.int_range(pl.len()) == row).then(pl.lit(value, dtype=frame.schema[column]))
    return frame.with_columns(changed.otherwise(column).alias(column))


def test_sane_rows_all_pass():
    judged = judge_days(raw_rows(), VALIDATED_TELEMETRY)
    assert (judged.good.height, judged.bad.height) == (ROWS, 0)
    assert judged.days[0].passed


@pytest.mark.parametrize(
    ("column", "value", "reason"),
    [
        ("t30_degr", None, "t30_degr is missing"),
        ("t30_degr", 9e9, "t30_degr is outside 1000 to 2000 degR"),
        ("t30_degr", float("inf"), "t30_degr is outside 1000 to 2000 degR"),
        ("unit", None, "unit is missing"),
        ("role", "spare", "role is not one of history, live"),
        ("cycle", 0, "cycle is outside 1 to 100000 cycles"),
        ("unparsed", '{"t30_degr": "hot"}', "a value is not of its column's type"),
        ("recorded_at", datetime(2026, 3, 9, tzinfo=UTC), "recorded_at is not on the day of the drop"),
    ],
)
def test_a_row_that_breaks_a_rule_is_set_aside_with_the_reason(column, value, reason):
    judged = judge_days(with_value(raw_rows(), 7, column, value), VALIDATED_TELEMETRY)
    assert judged.bad["row_hash"].to_list() == [f"{DAY}-7"]
    assert reason in judged.bad["reason"][0]
    assert judged.days[0].passed
    assert judged.good.height == ROWS - 1


def test_a_column_bounded_on_one_side_is_judged_on_that_side():
    columns = [
        replace(column, maximum=None) if column.name == "t30_degr" else column for column in VALIDATED_TELEMETRY.columns
    ]
    contract = replace(VALIDATED_TELEMETRY, columns=tuple(columns))
    judged = judge_days(with_value(with_value(raw_rows(), 3, "t30_degr", 9e9), 7, "t30_degr", 0.0), contract)
    assert judged.bad.select("row_hash", "reason").rows() == [(f"{DAY}-7", "t30_degr is outside 1000 to inf degR")]


def test_of_two_rows_that_say_different_things_of_one_cycle_neither_is_believed():
    judged = judge_days(with_value(raw_rows(), 1, "cycle", 1), VALIDATED_TELEMETRY)
    assert sorted(judged.bad["row_hash"]) == [f"{DAY}-0", f"{DAY}-1"]
    assert "another row has the same unit and cycle" in judged.bad["reason"][0]


def test_the_same_cycle_on_two_days_is_no_conflict_within_a_day():
    other = DAY + timedelta(days=1)
    judged = judge_days(pl.concat([raw_rows(), raw_rows(other)]), VALIDATED_TELEMETRY)
    assert [verdict.passed for verdict in judged.days] == [True, True]


def test_a_day_with_too_many_bad_rows_fails_and_its_neighbour_goes_on():
    other = DAY + timedelta(days=1)
    broken = raw_rows(other)
    for row in range(6):
        broken = with_value(broken, row, "t30_degr", 0.0)
    judged = judge_days(pl.concat([raw_rows(), broken]), VALIDATED_TELEMETRY)
    first, second = judged.days
    assert first.passed
    assert not second.passed
    assert second.quarantined == 6
    assert "6 of 100 rows violate the contract (allowed: 5% a day)" in second.faults[0]


def test_exactly_the_allowed_share_passes():
    broken = raw_rows()
    for row in range(5):
        broken = with_value(broken, row, "t30_degr", 0.0)
    assert judge_days(broken, VALIDATED_TELEMETRY).days[0].passed


def test_another_unit_is_named_and_fails_the_day():
    kelvin = raw_rows().with_columns(pl.col("t2_degr") * 5 / 9)
    (verdict,) = judge_days(kelvin, VALIDATED_TELEMETRY).days
    assert not verdict.passed
    assert verdict.faults[0] == (
        "median t2_degr is 277.8, expected 380 to 620 degR: probably kelvin; drop the day again in degR"
    )


def test_the_file_in_another_unit_is_named_among_its_neighbours_however_the_day_is_judged(tmp_path):
    kelvin = raw_rows(drop_id="d1").with_columns(
        pl.col("t2_degr") * 5 / 9, cycle=pl.col("cycle") + 500, row_hash=pl.col("row_hash") + "b"
    )
    rows = pl.concat([raw_rows(rows=20), kelvin]).sort("unit", "cycle")
    names = {"d0": "EAST/2026-03-01/right.parquet", "d1": "EAST/2026-03-01/wrong.parquet"}
    (verdict,) = judge_days(rows, VALIDATED_TELEMETRY, files=lambda day: names if day == DAY else {}).days
    assert "probably kelvin; file EAST/2026-03-01/wrong.parquet; " in verdict.faults[0]
    with FrameFile(tmp_path) as good, FrameFile(tmp_path) as bad:
        columns = [column.name for column in unit_columns(VALIDATED_TELEMETRY)]
        batched = judge_day_in_batches(
            [rows[:50], rows[50:]],
            VALIDATED_TELEMETRY,
            day=DAY,
            medians=lambda: rows.select(pl.col(columns).median()).row(0, named=True),
            medians_by_file=lambda column: named_medians(rows, column, names),
            good=good,
            bad=bad,
        )
    assert batched == verdict


def test_a_small_drop_whose_only_rows_miss_a_reading_costs_these_rows_and_not_the_day():
    late = raw_rows(drop_id="d1", rows=1).with_columns(
        pl.lit(None, dtype=pl.Float64).alias("p2_psia"), cycle=pl.col("cycle") + 500, row_hash=pl.col("row_hash") + "b"
    )
    judged = judge_days(pl.concat([raw_rows(), late]), VALIDATED_TELEMETRY)
    assert judged.days[0].passed
    assert judged.bad["reason"].to_list() == ["p2_psia is missing"]


def test_what_was_wrong_with_a_drop_as_a_file_fails_its_day():
    (verdict,) = judge_days(raw_rows(), VALIDATED_TELEMETRY, drop_faults={DAY: ("drop x has t2 in 'K'",)}).days
    assert verdict.faults == ("drop x has t2 in 'K'",)


def test_no_rows_give_no_days():
    judged = judge_days(raw_rows().clear(), VALIDATED_TELEMETRY)
    assert judged.days == ()
    assert judged.bad.columns[-1] == "reason"


def test_no_row_is_lost_or_doubled():
    broken = with_value(with_value(raw_rows(), 3, "t2_degr", None), 3, "t24_degr", None)
    judged = judge_days(broken, VALIDATED_TELEMETRY)
    assert sorted([*judged.good["row_hash"], *judged.bad["row_hash"]]) == sorted(broken["row_hash"])
    assert all(name in judged.good.columns for name in CHANNELS)


def judged_in_batches(frame, size, *, faults=()):
    """Good rows, bad rows and verdict of a day judged in batches of so many rows."""
    medians = frame.select(pl.col(c.name).median() for c in unit_columns(VALIDATED_TELEMETRY)).row(0, named=True)
    with FrameFile(None) as good, FrameFile(None) as bad:
        verdict = judge_day_in_batches(
            (frame[start : start + size] for start in range(0, frame.height, size)),
            VALIDATED_TELEMETRY,
            day=DAY,
            medians=lambda: medians,
            faults=faults,
            good=good,
            bad=bad,
        )
        return [row for part in good for row in part.rows()], [row for part in bad for row in part.rows()], verdict


@pytest.mark.parametrize(("seed", "size"), [(0, 7), (1, 19), (2, 50)])  # a batch costs half a second, however small
def test_a_day_judged_in_batches_is_the_day_judged_at_once(seed, size):
    rng = np.random.default_rng(seed)
    frame = raw_rows(rows=20)
    for row in rng.integers(0, 20, size=3):
        frame = with_value(frame, int(row), "t30_degr", [None, 9e9][row % 2])
    frame = with_value(frame, int(rng.integers(0, 20)), "cycle", int(rng.integers(1, 20)))
    frame = frame.sort(RAW_TELEMETRY.order)
    at_once = judge_days(frame, VALIDATED_TELEMETRY)
    good, bad, verdict = judged_in_batches(frame, size)
    assert (good, bad) == (at_once.good.rows(), at_once.bad.rows())
    assert verdict == at_once.days[0]


def test_copies_of_a_cycle_in_two_batches_are_both_set_aside():
    frame = with_value(raw_rows(rows=4), 2, "cycle", 2)
    good, bad, _ = judged_in_batches(frame, 2)
    assert (len(good), len(bad)) == (2, 2)


def test_a_day_without_rows_fails_with_what_is_wrong_with_its_drops():
    _, _, verdict = judged_in_batches(raw_rows(rows=0), 2, faults=("drop a has no column unit",))
    assert verdict.faults[0] == "drop a has no column unit"
    assert "no row of" in verdict.faults[1]
