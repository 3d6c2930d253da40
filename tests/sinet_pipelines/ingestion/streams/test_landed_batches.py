"""Rows of streams that became drops may be removed; the stream continues as if they were there."""

from datetime import UTC, datetime

import deltalake
import pyarrow as pa
import pytest

from sinet_pipelines.ingestion.landed import landed_rows
from sinet_pipelines.ingestion.streams import landed_batches
from sinet_pipelines.ingestion.streams.decoding import decode
from sinet_pipelines.ingestion.streams.drops_of_streams import land_stored
from sinet_pipelines.ingestion.streams.ingester import _with_origin
from sinet_pipelines.ingestion.streams.landed_batches import removable_rows
from sinet_pipelines.ingestion.streams.source import Message
from sinet_pipelines.ingestion.streams.stream_tables import LANDED_STREAM, StreamTables
from sinet_pipelines.schemas.contract import Column
from sinet_pipelines.storage.tables import tables_of
from tests.zones import landing_zone

DATA = landed_rows("plant", "samples", (Column("unit", pa.string(), "a machine"),), key=("unit", "recorded_at"))
ARRIVED = datetime(2026, 2, 25, 12, tzinfo=UTC)
LATER = datetime(2026, 2, 26, tzinfo=UTC)


def tables_in(home):
    return StreamTables(tables_of(home, "EAST", "plant"), DATA)


def store(tables, number, *, source="nats/o'plant", message_id="", at=ARRIVED):
    payload = f'{{"unit": "M{number}", "recorded_at": "2026-03-01T10:00:00Z"}}'.encode()
    sent = [Message(0, number, payload, int(at.timestamp() * 1e6), message_id=message_id)]
    tables.store_rows(_with_origin(source, sent, decode(sent, DATA.drop)), source, {0: (number, number)})


def remove(home, found):
    table = deltalake.DeltaTable(tables_of(home, "EAST", "plant").uri(LANDED_STREAM))
    assert table.delete(found.predicate)["num_deleted_rows"] == found.rows


def units(home):
    return sorted(tables_in(home).scan().collect()["unit"])


def test_rows_that_have_landed_may_be_removed_and_the_others_land_afterwards(tmp_path):
    tables, zone = tables_in(tmp_path), landing_zone(tmp_path, DATA)
    for number in range(3):
        store(tables, number)
    land_stored(tables, zone, "EAST")
    store(tables, 3)
    found = removable_rows(tables, arrived_before=LATER)
    assert (found.rows, found.last_batch) == (3, 3)
    remove(tmp_path, found)
    assert units(tmp_path) == ["M3"]
    store(tables, 4)  # the writer goes on with the table that it opened before
    again = tables_in(tmp_path)
    assert (again.position("nats/o'plant", 0), again.landed, again.batch) == (4, 3, 5)
    (file,) = land_stored(again, zone, "EAST")
    assert file.path.exists()
    assert sorted(zone.read_day("EAST", datetime(2026, 3, 1, tzinfo=UTC).date()).rows["unit"]) == [
        f"M{number}" for number in range(5)
    ]
    assert removable_rows(again, arrived_before=ARRIVED).rows == 0


def test_without_a_landing_no_row_may_be_removed(tmp_path):
    tables = tables_in(tmp_path)
    assert removable_rows(tables, arrived_before=LATER).rows == 0
    store(tables, 0)
    found = removable_rows(tables, arrived_before=LATER)
    assert (found.rows, found.last_batch) == (0, 0)
    remove(tmp_path, found)
    assert units(tmp_path) == ["M0"]


def test_the_last_ids_of_a_broker_without_offsets_stay(tmp_path, monkeypatch):
    monkeypatch.setattr(landed_batches, "IDS", 2)
    tables = tables_in(tmp_path)
    for number in range(5):
        store(tables, number, source="mqtt/o'plant/#", message_id=f"id{number}")
    land_stored(tables, landing_zone(tmp_path, DATA), "EAST")
    remove(tmp_path, removable_rows(tables, arrived_before=LATER))
    assert tables_in(tmp_path).recent_ids("mqtt/o'plant/#", 2) == ["id3", "id4"]
    assert units(tmp_path) == ["M3", "M4"]


def test_an_instant_without_a_zone_is_refused(tmp_path):
    with pytest.raises(ValueError, match="has no time zone"):
        removable_rows(tables_in(tmp_path), arrived_before=datetime(2026, 3, 1))  # noqa: DTZ001
