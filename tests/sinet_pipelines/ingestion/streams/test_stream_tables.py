"""The tables of streams: offsets outlive checkpoints and compaction, and of two writers one fails."""

from dataclasses import replace

import deltalake
import pyarrow as pa
import pytest

from sinet_pipelines.errors import BusyError, StorageError
from sinet_pipelines.ingestion.landed import landed_rows
from sinet_pipelines.ingestion.streams.batch import Batch, Taken
from sinet_pipelines.ingestion.streams.drops_of_streams import land_stored
from sinet_pipelines.ingestion.streams.source import Message
from sinet_pipelines.ingestion.streams.stream_tables import LANDED, LANDED_STREAM, StreamTables
from sinet_pipelines.schemas.contract import Column
from sinet_pipelines.storage.layout import record_file
from sinet_pipelines.storage.tables import tables_of
from tests.zones import landing_zone

DATA = landed_rows("plant", "samples", (Column("unit", pa.string(), "a machine"),), key=("unit", "recorded_at"))
ARRIVED_US = 1_772_000_000_000_000  # 2026-02-25


def tables_in(home, data=DATA):
    return StreamTables(tables_of(home, "EAST", "plant"), data)


def a_batch(sent, data=DATA):
    """A batch of messages, decoded."""
    batch = Batch(data.drop)
    batch.add(Taken.of(sent))
    batch.decode()
    return batch


def store(tables, number, *, day="2026-03-01", arrived_us=ARRIVED_US):
    """Stores one message with one row."""
    payload = f'{{"unit": "M{number}", "recorded_at": "{day}T10:00:00Z"}}'.encode()
    sent = [Message(0, number, payload, arrived_us)]
    tables.store_rows(a_batch(sent).stored_rows("nats/plant"), "nats/plant", {0: (number, number)})


def table(home):
    return deltalake.DeltaTable(tables_of(home, "EAST", "plant").uri(LANDED_STREAM))


@pytest.mark.slow
def test_offsets_outlive_checkpoints_and_compaction(tmp_path):
    tables = tables_in(tmp_path)
    for number in range(105):
        store(tables, number)
    assert list((tmp_path / "EAST/raw/plant/landed_stream/_delta_log").glob("*.checkpoint.parquet"))
    assert tables.compact() == 105
    assert len(table(tmp_path).file_uris()) == 1
    again = tables_in(tmp_path)
    assert (again.position("nats/plant", 0), again.batch) == (104, 105)
    assert again.rows_of(3, 5)["unit"].to_list() == ["M2", "M3", "M4"]


def test_of_two_writers_one_fails_and_nothing_is_doubled(tmp_path):
    store(tables_in(tmp_path), 0)
    one, other = tables_in(tmp_path), tables_in(tmp_path)
    store(one, 1)
    with pytest.raises(BusyError, match="another process appends to"):
        store(other, 1)
    assert sorted(table(tmp_path).to_pyarrow_table()["unit"].to_pylist()) == ["M0", "M1"]


def test_a_new_optional_column_is_added_and_another_contract_is_refused(tmp_path):
    store(tables_in(tmp_path), 0)
    columns = [column for column in DATA.drop.columns if column.name != "recorded_at"]
    wider = landed_rows(
        "plant",
        "samples",
        (*columns, Column("note", pa.string(), "a remark", nullable=True)),
        key=("unit", "recorded_at"),
    )
    tables = tables_in(tmp_path, wider)
    sent = [Message(0, 1, b'{"unit": "M1", "note": "new", "recorded_at": "2026-03-01T10:00:00Z"}', ARRIVED_US)]
    tables.store_rows(a_batch(sent, wider).stored_rows("nats/plant"), "nats/plant", {0: (1, 1)})
    assert tables.rows_of(1, 2)["note"].to_list() == [None, "new"]
    with pytest.raises(StorageError, match="has columns of another contract; land its rows"):
        tables_in(tmp_path)


def test_a_landing_that_was_killed_writes_the_same_files_again(tmp_path):
    tables, zone = tables_in(tmp_path), landing_zone(tmp_path, DATA)
    for number, day in enumerate(["2026-03-01", "2026-03-01", "2026-03-02"]):
        store(tables, number, day=day)
    files = land_stored(tables, zone, "EAST")
    assert [file.name.rsplit("-", 1)[0] for file in files] == ["stream_000000000001_000000000003"] * 2
    files[0].remove()  # an operator withdraws a drop: it does not come back
    assert land_stored(tables, zone, "EAST") == []
    store(tables, 3)
    mark, tables.mark = tables.mark, lambda name, *rest: mark(name, *rest) if "done" not in name else _killed()
    with pytest.raises(KeyboardInterrupt):
        land_stored(tables, zone, "EAST")
    again = tables_in(tmp_path)
    store(again, 4)  # is not part of the planned range
    names = [file.name for file in land_stored(again, zone, "EAST")]
    assert [name.rsplit("-", 1)[0] for name in names] == [
        "stream_000000000004_000000000004",
        "stream_000000000005_000000000005",
    ]
    landed = [zone.read_day("EAST", day) for day in zone.days("EAST")]
    assert sorted(unit for day in landed for unit in day.rows["unit"]) == ["M2", "M3", "M4"]
    assert '"first_day": "2026-02-25"' in record_file(tmp_path, "plant").read_text()


def test_a_compaction_by_another_process_does_not_stop_the_writer(tmp_path):
    tables = tables_in(tmp_path)
    for number in range(3):
        store(tables, number)
    table(tmp_path).optimize.compact()
    store(tables, 3)
    tables.mark(LANDED, 4, 4)
    table(tmp_path).delete()  # by a person, of rows that have landed
    store(tables, 4)
    assert tables_in(tmp_path).rows_of(1, 9)["unit"].to_list() == ["M4"]


def test_stored_rows_that_disappear_before_they_land_are_noticed(tmp_path):
    """A restored table keeps its offsets, so that its rows would not be read again."""
    tables, zone = tables_in(tmp_path), landing_zone(tmp_path, DATA)
    for number in range(3):
        store(tables, number)
    land_stored(tables, zone, "EAST")
    table(tmp_path).delete("unit = 'M0'")  # it has landed: it may go
    for number in range(3, 6):
        store(tables, number)
    version = table(tmp_path).version()
    table(tmp_path).restore(version - 2)
    words = r"has 1 row after batch 3, which landed last .stored: 3.: it was restored to an older version"
    with pytest.raises(StorageError, match=words):
        store(tables, 6)
    with pytest.raises(StorageError, match=words):
        land_stored(tables_in(tmp_path), zone, "EAST")
    table(tmp_path).restore(version)
    again = tables_in(tmp_path)
    store(again, 6)
    land_stored(again, zone, "EAST")
    landed = [zone.read_day("EAST", day) for day in zone.days("EAST")]
    assert sorted(unit for day in landed for unit in day.rows["unit"]) == [f"M{number}" for number in range(7)]


def test_a_table_that_is_moved_away_while_it_is_written_is_named(tmp_path):
    tables = tables_in(tmp_path)
    store(tables, 0)
    folder = tmp_path / "EAST/raw/plant/landed_stream"
    folder.rename(tmp_path / "away")
    with pytest.raises(StorageError, match="landed_stream was moved away while its streams were stored; put it back"):
        store(tables, 1)
    (tmp_path / "away").rename(folder)
    assert tables_in(tmp_path).rows_of(1, 9)["unit"].to_list() == ["M0"]


def _killed():
    raise KeyboardInterrupt


def test_dead_letters_beyond_the_rows_are_known_by_offset(tmp_path):
    tables = tables_in(tmp_path)
    store(tables, 0)
    letters = a_batch([Message(0, 2, b"x", ARRIVED_US)]).dead_letters("nats/plant")
    tables.store_dead(letters, "nats/plant", {0: (1, 2)})
    again = tables_in(tmp_path)
    assert again.dead_beyond("nats/plant", 0) == {2}
    assert (again.position("nats/plant", 0), again.last_offset("nats/plant", 0)) == (0, 2)
    store(again, 2)
    assert again.dead_beyond("nats/plant", 0) == frozenset()


def test_a_landing_is_limited_in_rows(tmp_path, monkeypatch):
    monkeypatch.setattr("sinet_pipelines.ingestion.streams.drops_of_streams.DROP_ROWS", 2)
    tables, zone = tables_in(tmp_path), landing_zone(tmp_path, DATA)
    for number in range(5):
        store(tables, number)
    files = land_stored(tables, zone, "EAST")
    assert [file.name[7:32] for file in files] == [
        "000000000001_000000000002",
        "000000000003_000000000004",
        "000000000005_000000000005",
    ]
    assert replace(zone).read_day("EAST", zone.days("EAST")[0]).rows.height == 5
