"""Versions of features: equal to a computation from the rows that were known at each instant."""

import random
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

import polars as pl
import pyarrow as pa
import pytest

from sinet_pipelines.features.as_known import as_known, read_as_known
from sinet_pipelines.features.versions import (
    Recipe,
    disordered_groups,
    feature_versions,
    keep_feature_versions,
    names_of_rows,
)
from sinet_pipelines.schemas.arrival import arrivals_of, history_of
from sinet_pipelines.schemas.contract import Column, Contract, DataClass
from sinet_pipelines.storage.tables import TableStore, empty
from sinet_pipelines.storage.versions import end_of_day, is_known, join_versions

START = datetime(2026, 3, 1, tzinfo=UTC)
INSTANT = pl.Datetime("us", "UTC")
DAYS = [date(2026, 3, 1), date(2026, 3, 2)]
KEY = ("unit", "cycle")
_NAMES = (
    Column("unit", pa.string(), "unit"),
    Column("cycle", pa.int64(), "cycle"),
    Column("event_date", pa.date32(), "day"),
    Column("row_hash", pa.string(), "hash"),
)
SUMS = Contract(
    "sums", "Sum of a unit's values.", DataClass.FEATURE, (*_NAMES, Column("total", pa.int64(), "sum")), key=KEY
)


def at(hour):
    return START + timedelta(hours=hour)


def sums(rows):
    """Of each row, the sum over its unit up to its own cycle."""
    total = pl.col("value").cum_sum().over("unit").alias("total")
    return rows.sort("unit", "cycle").with_columns(total).select(SUMS.schema.names)


RECIPE = Recipe(SUMS, "unit", "cycle", sums)


def drawn_rows(seed):
    """Versions of rows: units in order, units with late rows, corrections, and rows that were withdrawn."""
    draw = random.Random(seed)  # noqa: S311 - a seeded case, no secret
    rows = []
    for unit in "abcd":
        is_disordered = draw.random() < 0.7
        for cycle in range(1, draw.randint(2, 6)):
            day = DAYS[cycle > 3]
            since = cycle * 8 + (draw.choice([0, 0, 30, 60]) if is_disordered else 0)
            while True:
                ends = is_disordered and draw.random() < 0.4
                until = since + draw.choice([5, 20, 40]) if ends else None
                value = draw.randint(0, 9)
                rows.append((unit, cycle, day, f"{unit}{cycle}={value}", value, at(since), until and at(until)))
                if until is None or draw.random() < 0.3:
                    break
                since = until + draw.choice([0, 7])
    names = {"unit": pl.String, "cycle": pl.Int64, "event_date": pl.Date, "row_hash": pl.String, "value": pl.Int64}
    return pl.DataFrame(rows, schema={**names, "known_from": INSTANT, "known_until": INSTANT}, orient="row")


def versions_of(rows, days=DAYS):
    return feature_versions(
        rows.select(names_of_rows(RECIPE)),
        lambda units: rows.filter(pl.col("unit").is_in(units.implode())),
        RECIPE,
        days=days,
    )


def present(rows):
    return sums(rows.filter(pl.col("known_until").is_null()))


def all_versions(rows):
    found = versions_of(rows)
    return join_versions(present(rows).lazy(), found.arrivals.lazy(), found.history.lazy(), key=KEY).collect()


def at_instant(rows, instant):
    return rows.filter(is_known(pl.lit(instant).cast(INSTANT)))


@pytest.mark.parametrize("seed", range(30))
def test_versions_equal_a_computation_from_the_rows_known_at_each_instant(seed):
    rows = drawn_rows(seed)
    versions = all_versions(rows)
    for hour in range(2, 130, 9):
        found = at_instant(versions, at(hour)).select(SUMS.schema.names).sort(KEY)
        assert found.equals(sums(at_instant(rows, at(hour))).sort(KEY)), hour


def test_a_unit_whose_rows_arrive_in_order_is_not_computed_again():
    rows = drawn_rows(3)
    in_order = rows.filter(pl.col("known_until").is_null()).with_columns(known_from=START + pl.duration(hours="cycle"))
    assert disordered_groups(in_order, group="unit", order="cycle").len() == 0
    recipe = Recipe(SUMS, "unit", "cycle", lambda _: pytest.fail("computed"))
    found = feature_versions(in_order.select(names_of_rows(RECIPE)), lambda _: in_order, recipe, days=DAYS)
    assert (found.arrivals.height, found.history.height) == (in_order.height, 0)


def test_one_late_row_computes_its_unit_twice_however_many_rows_arrive_in_order():
    cycles = pl.DataFrame({"unit": ["a"] * 40, "cycle": range(1, 41), "value": [1] * 40})
    rows = cycles.with_columns(
        pl.lit(DAYS[0]).alias("event_date"),
        pl.format("a{}", "cycle").alias("row_hash"),
        pl.when(cycle=3)
        .then(START + timedelta(hours=10))
        .otherwise(START + pl.duration(hours="cycle"))
        .cast(INSTANT)
        .alias("known_from"),
        pl.lit(None, INSTANT).alias("known_until"),
    )
    computed = []
    recipe = replace(RECIPE, compute=lambda known: computed.append(known.height) or sums(known))
    feature_versions(rows.select(names_of_rows(RECIPE)), lambda _: rows, recipe, days=DAYS)
    assert sorted(computed) == [8, 40]


@pytest.mark.parametrize("seed", range(5))
def test_units_in_parts_have_the_versions_of_all_at_once(seed, monkeypatch):
    rows = drawn_rows(seed)
    whole = versions_of(rows)
    monkeypatch.setattr("sinet_pipelines.features.versions.FEATURES_AT_ONCE", 5)
    parts = versions_of(rows)
    for one, other in ((whole.arrivals, parts.arrivals), (whole.history, parts.history)):
        assert one.sort(one.columns).equals(other.sort(one.columns))


def by_words(rows, row):
    """The features of one row at the first instant after the end of its day at which it is known, by brute force."""
    end = datetime.combine(row["event_date"] + timedelta(days=1), datetime.min.time(), tzinfo=UTC)
    instants = [end, *(one for one in [*rows["known_from"], *rows["known_until"]] if one is not None and one > end)]
    for instant in sorted(instants):
        known = sums(at_instant(rows, instant))
        found = known.filter((pl.col("unit") == row["unit"]) & (pl.col("cycle") == row["cycle"]))
        if found.height:
            return instant, found.row(0)
    raise AssertionError("a present row is known at last")


@pytest.mark.parametrize("seed", range(30))
def test_each_row_is_as_known_at_the_first_moment_after_its_day_at_which_it_is_known(seed):
    rows = drawn_rows(seed)
    found, now = versions_of(rows), present(rows)
    known = as_known(now, found.arrivals, found.history, key=KEY)
    assert known.height == now.height
    for was, row in zip(now.iter_rows(named=True), known.iter_rows(named=True), strict=True):
        moment, values = by_words(rows, was)
        assert (row["as_known_at"], tuple(row[name] for name in SUMS.schema.names)) == (moment, values)
        assert row["is_former"] or values == tuple(was.values())


def test_without_a_late_row_the_present_rows_are_what_was_known():
    now = present(drawn_rows(3))
    known = as_known(now, empty(arrivals_of(SUMS)), empty(history_of(SUMS)), key=KEY)
    assert known.select(now.columns).equals(now)
    assert not known["is_former"].any()
    assert known["as_known_at"].equals(known.select(end=end_of_day())["end"].cast(INSTANT))


def recorded(store):
    """Versions of sums that were recorded in a region, with former ones on each day; the present sums."""
    rows = drawn_rows(1)
    found = versions_of(rows)
    assert set(found.history["event_date"]) == set(DAYS)
    keep_feature_versions(store, RECIPE, found, days=DAYS)
    return found, present(rows)


def test_former_features_are_kept_when_a_feature_is_added(tmp_path):
    store = TableStore(str(tmp_path), "mill")
    found, _ = recorded(store)
    wider = replace(SUMS, columns=(*SUMS.columns, Column("count", pa.int64(), "a later feature")))
    history = found.history.with_columns(count=pl.lit(1)).filter(pl.col("event_date") == DAYS[0])
    arrivals = found.arrivals.filter(pl.col("event_date") == DAYS[0])
    keep_feature_versions(
        store, replace(RECIPE, features=wider), replace(found, arrivals=arrivals, history=history), days=DAYS[:1]
    )
    kept = store.read(history_of(wider))
    assert kept.height == found.history.height
    assert set(kept.filter(pl.col("count").is_null())["event_date"]) == {DAYS[1]}


@pytest.mark.parametrize("damage", ["log", "day"])
def test_damaged_versions_of_features_neither_block_a_reader_nor_the_next_write(tmp_path, damage, caplog):
    store = TableStore(str(tmp_path), "mill")
    found, now = recorded(store)
    for name in ("sums_history", "sums_arrivals"):
        table = tmp_path / "feature/mill" / name
        pattern = "_delta_log/*.json" if damage == "log" else f"event_date={DAYS[0]}/*"
        for file in sorted(table.glob(pattern)):
            file.write_text("{")
    known = read_as_known(store, SUMS, now)
    assert not known.filter(pl.col("event_date") == DAYS[0])["is_former"].any()
    assert "damaged rows are left out" in caplog.text
    keep_feature_versions(store, RECIPE, found, days=DAYS)
    expected = as_known(now, found.arrivals, found.history, key=KEY)
    assert read_as_known(store, SUMS, now).equals(expected)
