"""Versions of rows: what was known at each instant is read back, whatever was corrected, withdrawn or killed."""

import random
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

import polars as pl
import pyarrow as pa
import pytest

from sinet_pipelines.schemas.arrival import arrivals_of, history_of
from sinet_pipelines.schemas.contract import Column, Contract, DataClass
from sinet_pipelines.storage.revisions import Revision, keep_versions, withhold
from sinet_pipelines.storage.tables import TableStore
from sinet_pipelines.storage.versions import has_versions, known_at, scan_versions

DAY = date(2026, 3, 1)
START = datetime(2026, 3, 1, tzinfo=UTC)
ROWS = Contract(
    "rows",
    "A row.",
    DataClass.RAW,
    (
        Column("unit", pa.string(), "unit"),
        Column("value", pa.int64(), "value"),
        Column("event_date", pa.date32(), "day"),
        Column("row_hash", pa.string(), "hash"),
    ),
    key=("unit",),
)
WIDER = replace(ROWS, columns=(*ROWS.columns, Column("weight", pa.float64(), "a required column of a later contract")))
TEXTS = replace(ROWS, columns=(ROWS.columns[0], Column("value", pa.string(), "of another type"), *ROWS.columns[2:]))
INSTANT = pl.Datetime("us", "UTC")


def at(hour):
    return START + timedelta(hours=hour)


def rows_of(values, day=DAY):
    """One row for each unit; its hash is its content."""
    rows = [(unit, value, day, f"{unit}={value}") for unit, value in values.items()]
    return pl.DataFrame(rows, schema=pl.Schema(ROWS.schema), orient="row")


def arrivals(instants):
    """Arrivals by hash; any other row's is unknown."""

    def of(_, hashes):
        known = [instants.get(one) for one in hashes]
        return pl.DataFrame({"row_hash": hashes, "known_from": pl.Series(known, dtype=INSTANT)})

    return of


def revise(store, values, *, hour, instants=None):
    rows = rows_of(values)
    keep_versions(store, ROWS, Revision([DAY], rows, arrivals(instants or {}), at=at(hour)))
    store.replace_days(ROWS, rows, days=[DAY])


def known(store, hour):
    found = known_at(scan_versions(store, ROWS), at(hour)).collect()
    return dict(found.select("unit", "value").rows())


@pytest.fixture
def store(tmp_path):
    return TableStore(str(tmp_path), "mill")


def test_rows_of_unknown_arrival_are_known_from_the_end_of_their_day_and_nothing_is_written(store):
    revise(store, {"a": 1}, hour=3)
    assert not has_versions(store, ROWS)
    assert [known(store, hour) for hour in (23, 24)] == [{}, {"a": 1}]


def test_a_row_is_known_from_its_arrival(store):
    revise(store, {"a": 1, "b": 2}, hour=3, instants={"a=1": at(2), "b=2": at(30)})
    assert [known(store, hour) for hour in (1, 2, 30)] == [{}, {"a": 1}, {"a": 1, "b": 2}]


def test_a_corrected_row_is_known_until_the_arrival_of_its_correction(store):
    revise(store, {"a": 1}, hour=3, instants={"a=1": at(2)})
    revise(store, {"a": 7}, hour=50, instants={"a=7": at(49)})
    assert [known(store, hour) for hour in (2, 48, 49)] == [{"a": 1}, {"a": 1}, {"a": 7}]


def test_a_withdrawn_row_is_known_until_its_withdrawal_and_again_once_it_is_back(store):
    for hour, values in ((3, {"a": 1}), (50, {}), (60, {"a": 1})):
        revise(store, values, hour=hour, instants={"a=1": at(2)})
    assert [known(store, hour) for hour in (49, 50, 59, 60)] == [{"a": 1}, {}, {}, {"a": 1}]


def test_a_row_that_stays_has_its_arrival_still_when_another_drop_brings_it_again(store):
    revise(store, {"a": 1}, hour=3, instants={"a=1": at(2)})
    revise(store, {"a": 1, "b": 1}, hour=50, instants={"a=1": at(49), "b=1": at(49)})
    assert known(store, 10) == {"a": 1}


def test_a_row_of_unknown_arrival_that_was_not_there_before_is_known_from_now_on(store):
    revise(store, {"a": 1}, hour=30)
    revise(store, {"a": 1, "b": 1}, hour=50)
    assert [known(store, hour) for hour in (49, 50)] == [{"a": 1}, {"a": 1, "b": 1}]


@pytest.mark.parametrize("then", [{"a": 7}, {"a": 1}, {}])
def test_a_process_that_was_killed_before_the_table_was_written_leaves_nothing_false(store, then):
    instants = {"a=1": at(2), "a=7": at(49)}
    revise(store, {"a": 1}, hour=3, instants=instants)
    killed = Revision([DAY], rows_of({"a": 7}), arrivals(instants), at=at(50))
    keep_versions(store, ROWS, killed)
    revise(store, then, hour=51, instants=instants)
    assert (known(store, 10), known(store, 52)) == ({"a": 1}, then)


def test_a_day_that_is_written_again_unchanged_commits_nothing(store):
    revise(store, {"a": 1}, hour=3, instants={"a=1": at(2)})
    revise(store, {"a": 7}, hour=50, instants={"a=7": at(49)})
    before = [store.health(one).version for one in (arrivals_of(ROWS), history_of(ROWS))]
    keep_versions(store, ROWS, Revision([DAY], rows_of({"a": 7}), arrivals({}), at=at(60)))
    assert [store.health(one).version for one in (arrivals_of(ROWS), history_of(ROWS))] == before


def test_damaged_versions_are_dropped_and_the_present_rows_remain(store, tmp_path, caplog):
    revise(store, {"a": 1}, hour=3, instants={"a=1": at(2)})
    revise(store, {"a": 7}, hour=50, instants={"a=7": at(49)})
    for file in (tmp_path / "raw/mill/rows_history").rglob("*.parquet"):
        file.unlink()
    revise(store, {"a": 8}, hour=70, instants={"a=8": at(69)})
    assert "damaged rows are left out" in caplog.text
    assert [known(store, hour) for hour in (10, 60, 69)] == [{}, {"a": 7}, {"a": 8}]


@pytest.mark.parametrize(
    ("contract", "new"), [(WIDER, {"weight": pl.lit(1.0)}), (TEXTS, {"value": pl.lit("9")})], ids=["wider", "texts"]
)
def test_former_rows_are_kept_when_the_contract_has_other_columns(store, contract, new):
    revise(store, {"a": 1, "b": 1}, hour=3, instants={"a=1": at(2), "b=1": at(2)})
    revise(store, {"a": 7, "b": 1}, hour=50, instants={"a=7": at(49)})
    rows = rows_of({"a": 9, "b": 9}).with_columns(**new).select(contract.schema.names)
    keep_versions(store, contract, Revision([DAY], rows, arrivals({"a=9": at(69)}), at=at(70)))
    store.replace_days(contract, rows, days=[DAY])
    former = store.read(history_of(contract))["row_hash"].sort().to_list()
    assert former == ["a=1", "a=7", "b=1"]
    found = known_at(scan_versions(store, contract), at(70)).sort("unit").collect()
    assert found["row_hash"].to_list() == ["a=9", "b=9"]


def test_a_former_row_without_a_required_value_is_no_version_of_the_present_table(store):
    revise(store, {"a": 1}, hour=3, instants={"a=1": at(2)})
    rows = rows_of({"a": 9}).with_columns(weight=1.0)
    keep_versions(store, WIDER, Revision([DAY], rows, arrivals({"a=9": at(69)}), at=at(70)))
    store.replace_days(WIDER, rows, days=[DAY])
    assert known_at(scan_versions(store, WIDER), at(60)).collect().height == 0


def test_with_a_smaller_table_of_present_rows_the_arrivals_of_its_days_alone_are_read(store, tmp_path):
    days = [DAY, DAY + timedelta(days=1)]
    rows = pl.concat([rows_of({"a": 1}), rows_of({"b": 1}, days[1])])
    keep_versions(store, ROWS, Revision(days, rows, arrivals({"a=1": at(30), "b=1": at(60)}), at=at(61)))
    few = replace(ROWS, name="few")
    store.replace_days(few, rows.head(1), days=days)
    (other,) = (tmp_path / f"raw/mill/rows_arrivals/event_date={days[1]}").glob("*.parquet")
    other.write_bytes(bytes(other.stat().st_size))  # whoever opens it fails
    found = scan_versions(store, ROWS, where=pl.col("unit").is_in(["a", "b"]), present=few).collect()
    assert found.select("unit", "known_from").rows() == [("a", at(30))]


def test_damage_of_one_day_leaves_the_former_rows_of_another(store, tmp_path):
    def make(value, now):
        rows = pl.concat([rows_of({"a": value}), rows_of({"b": value}, DAY + timedelta(days=1))])
        days = [DAY, DAY + timedelta(days=1)]
        instants = {f"{unit}={value}": at(now) for unit in "ab"}
        keep_versions(store, ROWS, Revision(days, rows, arrivals(instants), at=at(now)))
        return lambda: store.replace_days(ROWS, rows, days=days)

    make(1, 30)()
    for file in (tmp_path / f"raw/mill/rows/event_date={DAY}").iterdir():
        file.unlink()
    make(7, 50)()
    assert [known(store, hour) for hour in (40, 50)] == [{"b": 1}, {"a": 7, "b": 7}]


def test_damaged_arrivals_are_filled_from_those_of_the_files(store, tmp_path):
    instants = {"a=1": at(49), "b=1": at(60)}
    revise(store, {"a": 1}, hour=50, instants=instants)
    for file in (tmp_path / "raw/mill/rows_arrivals").rglob("*.parquet"):
        file.unlink()
    revise(store, {"a": 1, "b": 1}, hour=61, instants=instants)
    assert [known(store, hour) for hour in (48, 49, 60)] == [{}, {"a": 1}, {"a": 1, "b": 1}]


def test_content_that_was_observed_before_and_replaces_a_later_row_is_known_from_now_on(store):
    instants = {"a=1": at(2), "a=7": at(30), "b=1": at(2)}
    revise(store, {"a": 7, "b": 1}, hour=31, instants=instants)
    revise(store, {"a": 1, "b": 1}, hour=50, instants=instants)
    assert [known(store, hour) for hour in (29, 49, 50)] == [{"b": 1}, {"a": 7, "b": 1}, {"a": 1, "b": 1}]


def test_rows_with_other_hashes_and_the_same_arrivals_are_the_same_rows(store):
    revise(store, {"a": 1, "b": 1}, hour=3, instants={"a=1": at(2)})
    revise(store, {"a": 2, "b": 2}, hour=50, instants={"a=2": at(2)})
    assert [known(store, hour) for hour in (1, 2, 24)] == [{}, {"a": 2}, {"a": 2, "b": 2}]
    assert store.read(history_of(ROWS)).height == 0


def test_a_row_that_was_set_aside_is_known_from_the_step_that_takes_it_in(store):
    instants = {"a=1": at(2), "b=1": at(2)}
    revise(store, {"a": 1}, hour=3, instants=instants)
    rows, aside = rows_of({"a": 1, "b": 1}), replace(ROWS, name="aside")
    store.replace_days(aside, rows_of({"b": 1}), days=[DAY])
    keep_versions(store, ROWS, Revision([DAY], rows, arrivals(instants), at=at(50), withheld=aside))
    keep_versions(store, ROWS, Revision([DAY], rows, arrivals(instants), at=at(51)))  # after a kill of the first one
    store.replace_days(ROWS, rows, days=[DAY])
    assert [known(store, hour) for hour in (49, 51)] == [{"a": 1}, {"a": 1, "b": 1}]


def test_a_row_of_a_day_that_was_refused_is_known_from_the_step_that_takes_it_in(store):
    instants = {"a=1": at(2), "b=1": at(2), "b=7": at(49)}
    for _ in range(2):
        withhold(store, ROWS, [rows_of({"a": 1, "b": 1})], arrivals=arrivals({}))
    assert store.version(arrivals_of(ROWS)) == 0
    rows = rows_of({"a": 1, "b": 7})
    keep_versions(store, ROWS, Revision([DAY], rows, arrivals(instants), at=at(50)))
    revise(store, {"a": 1, "b": 7}, hour=51, instants=instants)  # after a kill before the table was written
    assert [known(store, hour) for hour in (48, 49, 50)] == [{}, {"b": 7}, {"a": 1, "b": 7}]


def test_a_refused_day_leaves_the_arrivals_of_its_rows(store):
    revise(store, {"a": 1}, hour=3, instants={"a=1": at(2)})
    withhold(store, ROWS, [rows_of({"a": 1, "b": 1})], arrivals=arrivals({}))
    assert known(store, 10) == {"a": 1}
    revise(store, {"a": 1}, hour=50, instants={"a=1": at(2)})
    assert known(store, 10) == {"a": 1}


@pytest.mark.parametrize("seed", range(4))
def test_of_each_key_at_most_one_row_is_known_at_an_instant_also_between_the_writes(store, seed):
    draw = random.Random(seed)  # noqa: S311 - a seeded case, no secret
    instants = {f"{unit}={value}": at(draw.randint(0, 40)) for unit in "ab" for value in range(3)}
    for hour in range(25, 60, 5):
        values = {unit: draw.randint(0, 2) for unit in "ab" if draw.random() < 0.8}
        rows = rows_of(values)
        keep_versions(store, ROWS, Revision([DAY], rows, arrivals(instants), at=at(hour)))
        if draw.random() < 0.7:
            require_one_row_a_key(store, until=hour)
            store.replace_days(ROWS, rows, days=[DAY])
        require_one_row_a_key(store, until=hour)


def require_one_row_a_key(store, until):
    versions = scan_versions(store, ROWS).collect().lazy()
    for hour in range(until + 2):
        assert not known_at(versions, at(hour)).collect()["unit"].is_duplicated().any(), hour


@pytest.mark.parametrize("seed", range(6))
def test_each_instant_is_read_back_after_any_changes(store, seed):
    draw = random.Random(seed)  # noqa: S311 - a seeded case, no secret
    hour, instants, states = 0, {}, []
    for _ in range(8):
        hour += draw.randint(1, 9)
        values = {unit: draw.randint(0, 3) for unit in "abc" if draw.random() < 0.7}
        instants |= {f"{u}={v}": at(hour) for u, v in values.items() if f"{u}={v}" not in instants}
        revise(store, values, hour=hour, instants=instants)
        states.append((hour, values))
    for now, values in states:
        assert known(store, now) == values, now
