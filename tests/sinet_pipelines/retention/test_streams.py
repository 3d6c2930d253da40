"""Landed rows of streams go thirty days after their arrival; rows that have not landed and offsets stay."""

from datetime import UTC, datetime, timedelta

import deltalake
import pytest

from sinet_pipelines.ingestion.streams.stream_tables import BATCH, LANDED, LANDED_STREAM, PLANNED
from sinet_pipelines.retention.places import Place
from sinet_pipelines.retention.policy import Kind
from sinet_pipelines.retention.streams import streams_of_place
from tests.sinet_pipelines.ingestion.streams.test_stream_tables import ARRIVED_US, store, tables_in
from tests.sinet_pipelines.retention.conftest import Store

ARRIVED = datetime.fromtimestamp(ARRIVED_US / 1e6, UTC)
DAYS_30 = timedelta(days=30)


@pytest.fixture
def tables(tmp_path):
    """A stream with three batches, of which two have landed."""
    found = tables_in(tmp_path)
    for number in range(3):
        store(found, number)
    found.mark(PLANNED, 2)
    found.mark(LANDED, 2, 2)
    return found


def look(home, *, days):
    return streams_of_place(Place(home, "EAST"), ["plant"], keep=DAYS_30, now=ARRIVED + timedelta(days=days))


def table(home):
    return deltalake.DeltaTable(str(home / "EAST/raw/plant/landed_stream"))


def units(home):
    return sorted(table(home).to_pyarrow_table()["unit"].to_pylist())


def test_landed_rows_go_thirty_days_after_their_arrival_and_others_stay(tables, tmp_path):
    assert list(look(tmp_path, days=29).things()) == []
    found = look(tmp_path, days=31)
    (thing,) = found.things()
    assert thing.name == f"EAST/plant/{LANDED_STREAM.name} to batch 2"
    assert thing.unused_since == ARRIVED
    assert found.remove(thing)
    assert units(tmp_path) == ["M2"]


def test_a_writer_goes_on_and_offsets_stay_after_a_removal(tables, tmp_path):
    found = look(tmp_path, days=31)
    assert [found.remove(one) for one in found.things()] == [True]
    store(tables, 3)  # its view is of before the removal
    again = tables_in(tmp_path)
    assert (again.position("nats/plant", 0), again.batch, again.landed) == (3, 4, 2)
    again.require_rows()
    assert again.rows_of(3, 4)["unit"].to_list() == ["M2", "M3"]
    assert units(tmp_path) == ["M2", "M3"]
    assert table(tmp_path).transaction_version(BATCH) == 4


def test_of_a_compacted_file_the_rows_that_have_not_landed_stay(tables, tmp_path):
    assert tables.compact() == 3
    assert [one.name for one in look(tmp_path, days=31).things()] == ["EAST/plant/landed_stream to batch 2"]
    tables.mark(PLANNED, 3)
    tables.mark(LANDED, 3, 1)
    assert [one.name for one in look(tmp_path, days=31).things()] == ["EAST/plant/landed_stream to batch 3"]


def test_of_a_compacted_file_the_rows_of_old_days_go_and_its_newer_rows_stay(tables, tmp_path):
    store(tables, 3, arrived_us=ARRIVED_US + 10 * 86_400_000_000)
    tables.mark(PLANNED, 4)
    tables.mark(LANDED, 4, 2)
    assert tables.compact() == 4
    found = look(tmp_path, days=32)
    (thing,) = found.things()
    assert (thing.name, thing.unused_since) == ("EAST/plant/landed_stream to batch 3", ARRIVED)
    assert 0 < thing.size < table(tmp_path).get_add_actions(flatten=True)["size_bytes"][0].as_py()
    assert found.remove(thing)
    assert units(tmp_path) == ["M3"]


def test_the_planner_lists_them(tables, tmp_path):
    things = Store(tmp_path).look(ARRIVED + timedelta(days=31)).things
    assert [one.name for one in things if one.kind is Kind.STREAM_ROWS] == ["EAST/plant/landed_stream to batch 2"]


def test_a_region_without_streams_has_none(tmp_path):
    assert list(look(tmp_path, days=31).things()) == []
