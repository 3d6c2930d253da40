"""The record of a replica, compared with its store, and the lag by instants: plain functions, without Feast."""

import shutil
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from sinet_pipelines.errors import StorageError
from sinet_pipelines.features import replicas
from sinet_pipelines.features.lag import Lag, Offline, _of_events, read_lag
from sinet_pipelines.features.replica_mark import Mark, TableRead, WrittenEntity
from sinet_pipelines.features.replicas import (
    LOCK_FILE,
    ONLINE_TABLE,
    ReplicaPlace,
    ReplicaSource,
    begin_write,
    keep_record,
    read_record,
    read_records,
    replica_faults,
)
from sinet_pipelines.features.sqlite_replica import SqliteReplica
from sinet_pipelines.storage.locks import held

AT = datetime(2026, 11, 28, tzinfo=UTC)
SOURCE = ReplicaSource(("EAST/feature/turbofan/window_features",), "unit", "event_at")
MARK = Mark("first", 1, "v1", AT)


@pytest.fixture
def place(tmp_path):
    """A replica in SQLite with one engine and its record."""
    found = ReplicaPlace(tmp_path / "feast #2", "WEST", application="turbofan")
    found.own.mkdir(parents=True)
    settle(found, MARK)
    keep_record(found, MARK, SOURCE)
    return found


def settle(place, mark):
    import sqlite3
    from contextlib import closing

    with closing(sqlite3.connect(place.database)) as store, store:
        store.execute(f"CREATE TABLE IF NOT EXISTS {ONLINE_TABLE} (entity_key BLOB)")
        store.execute(f"INSERT INTO {ONLINE_TABLE} VALUES (?)", (b"a",))
    place.open().settle(mark, [WrittenEntity("a", b"a", AT)])


def fault_of(place):
    return next((one.found for one in replica_faults(place)), "")


def test_a_write_that_began_and_did_not_end_is_a_fault_unless_it_still_runs(place):
    assert fault_of(place) == ""
    begin_write(place, "second")
    assert "has parts of a write that did not end" in fault_of(place)
    with held(place.folder / LOCK_FILE):
        assert fault_of(place) == ""
    second = replace(MARK, write="second")
    settle(place, second)
    assert "has parts of a write that did not end" in fault_of(place)
    keep_record(place, second, SOURCE)
    assert fault_of(place) == ""


def test_a_store_with_an_older_copy_of_its_data_is_not_of_another_home(place):
    settle(place, replace(MARK, write="before", written_at=AT - timedelta(hours=1)))
    assert "has an older copy of its data, of 2026-11-27 23:00" in fault_of(place)
    settle(place, replace(MARK, write="other", written_at=AT + timedelta(hours=1)))
    assert "was last written at 2026-11-28 01:00 by another home" in fault_of(place)


def test_a_write_that_ends_between_the_two_reads_is_no_fault(place, monkeypatch):
    former, now = read_record(place.folder, "WEST"), replace(MARK, write="second")
    settle(place, now)
    keep_record(place, now, SOURCE)
    reads = [former]
    real = replicas.read_record
    monkeypatch.setattr(replicas, "read_record", lambda *names: reads.pop() if reads else real(*names))
    assert fault_of(place) == ""
    assert reads == []


@pytest.mark.parametrize(
    ("store", "changed"), [("lag_limit_s", 0), ("url", "redis://u:pw@host"), ("url", "redis://host:70000")]
)
def test_a_record_with_values_that_are_not_allowed_is_no_record(place, store, changed):
    import orjson

    found = orjson.loads(place.record.read_bytes())
    place.record.write_bytes(orjson.dumps({**found, "store": {**found["store"], store: changed}}))
    assert read_record(place.folder, "WEST") is None
    assert "has no record of a write" in fault_of(place)


def test_a_record_that_was_copied_from_another_region_or_cannot_be_read_is_no_record(place):
    (place.folder / "EAST").mkdir()
    shutil.copy(place.record, place.folder / "EAST")
    (place.folder / "NORTH" / place.record.name).mkdir(parents=True)
    assert [one.place.region for one in read_records(place.folder)] == ["WEST"]


def lag_of(online, *, offline, version=1):
    tables = {"t": TableRead(2, AT)}
    mark = replace(MARK, tables={"t": TableRead(version, AT)})
    return _of_events(Lag("WEST", "turbofan", "sqlite", "x", limit_s=60), Offline(offline, tables), online, mark, "")


def test_rows_that_left_the_tables_fail_the_check():
    lag = lag_of({"a": AT, "gone": AT, "same": AT}, offline={"a": AT - timedelta(hours=50), "same": AT})
    assert (lag.withdrawn, lag.behind, lag.passed) == (2, 0, False)
    assert "has 2 engines whose row left the tables" in lag.sentence


def test_a_correction_of_the_same_instant_is_seen_by_the_version_of_its_table():
    assert lag_of({"a": AT}, offline={"a": AT}).has_newer_tables
    current = lag_of({"a": AT}, offline={"a": AT}, version=2)
    assert (current.has_newer_tables, current.passed) == (False, True)


def test_a_store_that_cannot_be_read_is_requested_once_for_the_lag(place, monkeypatch):
    requests = []

    def fails(_):
        requests.append("request")
        raise StorageError("it does not answer")

    for name in ("mark", "event_times"):
        monkeypatch.setattr(SqliteReplica, name, fails)
    assert "it does not answer; then `sinet run` writes it again" in read_lag(place, SOURCE).sentence
    assert requests == ["request"]
