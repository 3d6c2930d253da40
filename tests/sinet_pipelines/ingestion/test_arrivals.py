"""Arrivals of files: the first observation of each content, whatever its file's name and time."""

import os
from datetime import UTC, date, datetime, timedelta

import polars as pl
import pyarrow as pa
import pytest

from sinet_pipelines.errors import StorageError, UnreachableError
from sinet_pipelines.ingestion.arrivals import arrivals_of_rows, file_arrivals, has_arrivals, observe_arrivals
from sinet_pipelines.ingestion.landed import landed_rows
from sinet_pipelines.schemas.contract import Column
from sinet_pipelines.storage.tables import TableStore, tables_of
from tests.loopback import free_port
from tests.zones import landing_zone

KILN = landed_rows("kiln", "samples", (Column("sample", pa.int32(), "number"),), key=("sample",))
DAY = date(2026, 3, 1)
NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
LATER = datetime(2026, 3, 5, tzinfo=UTC)


@pytest.fixture
def zone(tmp_path):
    return landing_zone(tmp_path, KILN)


@pytest.fixture
def tables(tmp_path):
    return tables_of(tmp_path, "EAST", "kiln")


def land(zone, *samples, name="plant"):
    rows = pl.DataFrame(
        {"sample": samples, "recorded_at": [NOON] * len(samples)}, schema_overrides={"sample": pl.Int32}
    )
    return zone.land("EAST", DAY, name=name, rows=rows)


def observe(zone, tables, now):
    observe_arrivals(zone, tables, "EAST", now=now)
    found = file_arrivals(tables).sort("arrived_at")
    return found.select("arrived_at", "was_there").rows()


def known_from(zone, tables):
    """The arrival of each row of the day, by its sample."""
    rows = zone.read_day("EAST", DAY).rows
    found = arrivals_of_rows(zone, tables, "EAST")(DAY, rows["row_hash"])
    return dict(rows.join(found, on="row_hash", how="left").sort("sample").select("sample", "known_from").rows())


def test_content_that_was_there_when_the_observation_began_has_an_unknown_arrival(zone, tables):
    land(zone, 1)
    assert observe(zone, tables, LATER) == [(LATER, True)]
    assert known_from(zone, tables) == {1: None}


def test_content_that_was_there_on_its_own_day_is_known_from_the_observation(zone, tables):
    land(zone, 1)
    observe(zone, tables, NOON)
    assert known_from(zone, tables) == {1: NOON}


def test_content_that_lands_later_arrives_at_its_first_observation(zone, tables):
    observe(zone, tables, NOON)
    land(zone, 1)
    assert observe(zone, tables, LATER) == [(LATER, False)]
    assert observe(zone, tables, LATER + timedelta(days=1)) == [(LATER, False)]
    assert known_from(zone, tables) == {1: LATER}


def test_a_file_that_is_renamed_touched_or_copied_does_not_arrive_again(zone, tables):
    path = land(zone, 1)
    observe(zone, tables, NOON)
    moved = path.rename(path.with_name("other.parquet"))
    os.utime(moved, (0, 0))
    path.write_bytes(moved.read_bytes())
    assert observe(zone, tables, LATER) == [(NOON, True)]


def test_a_withdrawn_file_that_is_put_back_has_its_first_arrival(zone, tables):
    observe(zone, tables, NOON)
    path = land(zone, 1)
    observe(zone, tables, NOON)
    content = path.read_bytes()
    path.unlink()
    observe(zone, tables, LATER)
    path.write_bytes(content)
    assert observe(zone, tables, LATER) == [(NOON, False)]


def test_a_row_of_several_drops_arrives_with_the_first_of_them(zone, tables):
    land(zone, 1, 2)
    observe(zone, tables, NOON)
    land(zone, 2, 3, name="late")
    observe(zone, tables, LATER)
    assert known_from(zone, tables) == {1: NOON, 2: NOON, 3: LATER}


def test_rows_of_a_file_that_was_replaced_before_the_observation_keep_its_arrival_and_new_ones_arrive_now(zone, tables):
    observe(zone, tables, NOON)
    path = land(zone, 1, 2)
    observe(zone, tables, LATER)
    rows = zone.read_day("EAST", DAY).rows
    path.unlink()
    land(zone, 2, 3)
    found = arrivals_of_rows(zone, tables, "EAST")(DAY, pl.concat([rows, zone.read_day("EAST", DAY).rows])["row_hash"])
    of = dict(found.iter_rows())
    gone, again = (of[hashed] for hashed in rows.sort("sample")["row_hash"])
    assert gone == LATER
    assert again > LATER
    assert len(of) == found.height == 3


def test_a_part_of_a_day_gets_its_own_rows_and_one_that_shows_whether_any_arrival_is_known(zone, tables):
    land(zone, *range(8))
    observe(zone, tables, LATER)
    land(zone, 8, 9, name="late")
    observe(zone, tables, LATER + timedelta(days=1))
    rows = zone.read_day("EAST", DAY).rows
    few = pl.concat([rows.filter(pl.col("sample") < 3)["row_hash"], pl.Series(["of no drop"])])
    found = arrivals_of_rows(zone, tables, "EAST")(DAY, few)
    of = dict(found.iter_rows())
    assert [of[one] for one in few] == [None, None, None, LATER + timedelta(days=1)]
    assert len(of) == found.height == 5
    assert found["known_from"].null_count() == 3


def test_a_damaged_record_begins_again(zone, tables, tmp_path):
    land(zone, 1)
    observe(zone, tables, NOON)
    for file in (tmp_path / "EAST/feature/kiln/file_arrivals/_delta_log").iterdir():
        file.write_text("{")
    assert observe(zone, tables, LATER) == [(LATER, True)]


@pytest.mark.parametrize("use", [file_arrivals, has_arrivals])
def test_a_store_that_does_not_answer_is_no_record_without_arrivals(use):
    options = {
        "AWS_ENDPOINT_URL": f"http://127.0.0.1:{free_port()}",
        "AWS_ALLOW_HTTP": "true",
        "AWS_REGION": "us-east-1",
        "AWS_ACCESS_KEY_ID": "id",
        "AWS_SECRET_ACCESS_KEY": "key",
        "max_retries": "0",
    }
    with pytest.raises(UnreachableError):
        use(TableStore("s3://mill", "kiln", options))


def test_an_observation_that_cannot_read_the_record_leaves_it_as_it_is(zone, tables, tmp_path):
    land(zone, 1)
    before = observe(zone, tables, NOON)
    (file,) = (tmp_path / "EAST/feature/kiln/file_arrivals").glob("*.parquet")
    content = file.read_bytes()
    file.write_bytes(bytes(len(content)))  # of the same size: no fault that a listing finds
    with pytest.raises(StorageError):
        observe(zone, tables, LATER)
    file.write_bytes(content)
    assert observe(zone, tables, LATER) == before


def test_damage_of_the_record_is_logged_and_counts_as_no_record(zone, tables, tmp_path, caplog):
    observe(zone, tables, NOON)
    for file in (tmp_path / "EAST/feature/kiln/file_arrivals/_delta_log").iterdir():
        file.write_text("{")
    assert not has_arrivals(tables)
    assert file_arrivals(tables).height == 0
    assert "count as unknown" in caplog.text


def test_events_have_an_arrival_too(tmp_path):
    from sinet_pipelines.applications.turbofan.landed import FAILURES, TELEMETRY

    zone, tables = landing_zone(tmp_path, TELEMETRY), tables_of(tmp_path, "EAST", "turbofan")
    observe(zone, tables, NOON)
    events = pl.DataFrame({"unit": ["a"], "cycle": [3], "failed_at": [NOON]})
    zone.land_events("EAST", FAILURES.name, name="plant", events=events)
    assert observe(zone, tables, LATER) == [(LATER, False)]
    assert file_arrivals(tables)["kind"].to_list() == [FAILURES.name]
