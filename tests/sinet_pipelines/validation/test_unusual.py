"""What is unusual is a sentence with the place and the cure; sound rows of real instruments have none."""

from dataclasses import replace
from datetime import timedelta

import numpy as np
import polars as pl
import pytest

from sinet_pipelines.applications.turbofan.schemas.telemetry import VALIDATED_TELEMETRY
from sinet_pipelines.applications.turbofan.simulator import simulate_fleet
from sinet_pipelines.validation.judge import judge_days
from sinet_pipelines.validation.unusual import LEAST_VALUES, MOST_WARNINGS, unusual, with_warnings
from tests.sinet_pipelines.validation.test_compiled import CONTRACT, DAY, sound_rows

WATCHED = replace(
    CONTRACT,
    columns=tuple(
        replace(one, stuck_after=5, outlier_iqrs=10.0) if one.name == "load_kw" else one for one in CONTRACT.columns
    ),
    series=("machine",),
    counter="sample",
)


def working_rows(n=40, *, machine="m"):
    """Rows of a machine whose load changes with each sample, recorded minute by minute."""
    rows = sound_rows(n)
    load = pl.Series("load_kw", 50 + np.random.default_rng(0).normal(size=n).round(6))
    instants = pl.col("recorded_at") + pl.duration(minutes=pl.int_range(pl.len()))
    return rows.with_columns(load, instants, machine=pl.lit(machine))


def found(rows, contract=WATCHED):
    shuffled = rows.sample(fraction=1.0, shuffle=True, seed=0)
    return unusual(shuffled.select, contract)


def where(rows, condition, column, value):
    return rows.with_columns(pl.when(condition).then(value).otherwise(column).alias(column))


def test_working_rows_have_nothing_unusual():
    assert found(pl.concat([working_rows(), working_rows(machine="other")])) == {}


def test_a_sensor_that_repeats_a_value_is_stuck_in_its_series():
    sample = pl.col("sample")
    rows = pl.concat([where(working_rows(), sample.is_between(10, 16), "load_kw", 50.5), working_rows(machine="other")])
    assert found(rows) == {
        DAY: (
            "load_kw is 50.5 in 7 successive rows in machine m (expected: fewer than 5); the sensor is probably stuck, "
            "check it",
        )
    }


@pytest.mark.parametrize("last", [13, 14])
def test_a_sensor_is_stuck_from_the_declared_number_of_rows_on(last):
    rows = where(working_rows(), pl.col("sample").is_between(10, last), "load_kw", 50.5)
    assert bool(found(rows)) == (last == 14)


def test_equal_values_of_different_machines_and_missing_values_are_no_stuck_sensor():
    each = [where(working_rows(4, machine=name), pl.lit(value=True), "load_kw", 50.5) for name in "abc"]
    missing = where(working_rows(30, machine="d"), pl.col("sample") > 9, "load_kw", pl.lit(None, pl.Float64))
    broken = where(working_rows(30, machine="e"), pl.col("sample") > 9, "load_kw", 9999.99)
    assert found(pl.concat([*each, missing, broken])) == {}


def test_a_clock_that_goes_back_within_a_series_is_named_with_the_first_place():
    late = pl.col("recorded_at") - pl.duration(hours=1)
    rows = where(working_rows(), pl.col("sample").is_in([20, 30]), "recorded_at", late)
    rows = pl.concat([rows, working_rows(machine="other").with_columns(recorded_at=late)])
    assert found(rows) == {
        DAY: (
            "recorded_at goes back 2 times while sample rises, first at machine m, sample 20; "
            "check the clock of the source",
        )
    }


def test_rows_of_one_count_and_rows_of_another_day_do_not_go_back():
    same = working_rows(2).with_columns(sample=pl.lit(1, pl.Int32))
    other = where(working_rows(), pl.col("sample") == 5, "recorded_at", pl.col("recorded_at") + pl.duration(days=3))
    assert found(pl.concat([same, other.filter(pl.col("sample") > 2)])) == {}


def test_an_outlier_is_named_with_the_quartiles():
    rows = where(working_rows(50), pl.col("sample") == 9, "load_kw", 99.0)
    (text,) = found(rows)[DAY]
    assert text.startswith(
        "1 of 50 values of load_kw are more than 10 interquartile ranges from the quartiles of the day"
    )
    assert text.endswith("kW), such as 99; check the sensor")


def test_few_values_and_values_without_spread_have_no_outliers():
    few = where(working_rows(LEAST_VALUES - 1), pl.col("sample") == 9, "load_kw", 99.0)
    steady = replace(WATCHED, counter="")
    flat = where(working_rows(50), pl.col("sample") != 9, "load_kw", 50.0)
    assert (found(few), found(flat, steady)) == ({}, {})


def test_each_day_of_several_has_its_own_sentences():
    stuck = where(working_rows(), pl.col("sample") > 30, "load_kw", 50.5)
    later = working_rows().with_columns(
        event_date=pl.lit(DAY + timedelta(days=1)), recorded_at=pl.col("recorded_at") + pl.duration(days=1)
    )
    assert list(found(pl.concat([stuck, later]))) == [DAY]


def test_a_contract_that_declares_nothing_reads_nothing():
    assert unusual(lambda columns: pytest.fail(f"read {columns}"), CONTRACT) == {}


def test_a_verdict_with_warnings_passes_and_has_a_limited_number_of_them():
    rows = working_rows()
    verdicts = {one.day: one for one in judge_days(rows.with_columns(row_hash=pl.lit("h")), CONTRACT).days}
    drift = {DAY: tuple(f"drop {number} has a column more" for number in range(MOST_WARNINGS + 7))}
    warned = with_warnings(verdicts, WATCHED, read=rows.select, drift=drift)[DAY]
    assert warned.passed
    assert len(warned.warnings) == MOST_WARNINGS + 1
    assert warned.warnings[-1] == "and 7 more"


def test_simulated_engines_have_nothing_unusual():
    subset = simulate_fleet(history_engines=6, live_engines=1, seed=3, name="SIM")
    rows = subset.train.with_columns(event_date=pl.lit(DAY), recorded_at=pl.lit(None, pl.Datetime("us", "UTC")))
    assert unusual(rows.select, VALIDATED_TELEMETRY) == {}
