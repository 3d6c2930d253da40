import hashlib
import os
import shutil
from datetime import date, timedelta

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from sinet_pipelines.applications.turbofan.landed import TELEMETRY
from sinet_pipelines.applications.turbofan.schemas.telemetry import DROP, RAW_TELEMETRY
from sinet_pipelines.errors import SourceError, UnknownRegionError
from sinet_pipelines.ingestion.drops import FaultKind
from sinet_pipelines.ingestion.hashing import row_hash
from tests.zones import landing_zone

DAY = date(2026, 3, 1)


@pytest.fixture
def zone(tmp_path):
    return landing_zone(tmp_path, TELEMETRY)


def _files(zone):
    return {path: path.read_bytes() for path in zone.home.rglob("*") if path.is_file()}


def test_a_drop_is_named_by_its_content_and_stands_in_its_day(zone, make_rows):
    path = zone.land("EAST", DAY, name="FD001", rows=make_rows())
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    assert path == zone.folder("EAST") / "2026-03-01" / f"FD001-{digest[:12]}.parquet"


def test_landing_twice_changes_nothing(zone, make_rows):
    path = zone.land("EAST", DAY, name="FD001", rows=make_rows())
    before, age = _files(zone), path.stat().st_mtime_ns
    assert zone.land("EAST", DAY, name="FD001", rows=make_rows()) == path
    assert _files(zone) == before
    assert path.stat().st_mtime_ns == age


def test_a_drop_that_was_cut_short_is_written_again(zone, make_rows):
    path = zone.land("EAST", DAY, name="FD001", rows=make_rows())
    whole = path.read_bytes()
    path.write_bytes(whole[:100])
    zone.land("EAST", DAY, name="FD001", rows=make_rows())
    assert path.read_bytes() == whole


def test_a_day_is_read_back_in_the_columns_of_raw_telemetry(zone, make_rows):
    rows = make_rows()
    path = zone.land("EAST", DAY, name="FD001", rows=rows)
    raw = zone.read_day("EAST", DAY)
    expected = pl.DataFrame(RAW_TELEMETRY.schema.empty_table()).drop("ingested_at").schema
    assert raw.rows.schema == expected
    assert (raw.sent, raw.duplicates, raw.faults) == (10, 0, ())
    assert raw.rows.select(rows.columns).equals(rows.sort("unit", "cycle"))
    assert raw.rows["row_hash"].to_list() == row_hash(rows.sort("unit", "cycle"), DROP).to_list()
    assert set(raw.rows["drop_id"]) == {hashlib.sha256(path.read_bytes()).hexdigest()[:16]}
    assert set(raw.rows["event_date"]) == {DAY}


def test_exact_copies_are_dropped_and_counted_within_and_between_drops(zone, make_rows):
    rows = make_rows()
    zone.land("EAST", DAY, name="FD001", rows=pl.concat([rows, rows[:2]]))
    zone.land("EAST", DAY, name="FD001", rows=rows[:3])
    raw = zone.read_day("EAST", DAY)
    assert (raw.sent, raw.duplicates, raw.rows.height) == (15, 5, 10)


def test_rows_that_say_something_else_of_one_cycle_all_stay(zone, make_rows):
    rows = make_rows()
    zone.land("EAST", DAY, name="FD001", rows=pl.concat([rows, rows[:1].with_columns(pl.col("t2_degr") + 1)]))
    assert zone.read_day("EAST", DAY).rows.height == 11


def test_a_file_of_the_same_bytes_is_the_same_drop(zone, make_rows):
    path = zone.land("EAST", DAY, name="FD001", rows=make_rows())
    before = (zone.fingerprint("EAST", DAY), zone.drops("EAST", DAY))
    shutil.copy(path, path.with_name("Z-copy.parquet"))
    assert (zone.fingerprint("EAST", DAY), zone.drops("EAST", DAY)) == before
    assert zone.read_day("EAST", DAY).sent == 10


def test_a_day_is_the_same_in_whatever_order_and_under_whatever_names_its_drops_came(tmp_path, make_rows):
    rows = make_rows(engines=3, cycles=6)
    parts = [rows[:9], rows[5:12], rows[10:][::-1]]
    days = []
    for order in ([0, 1, 2], [2, 0, 1], [1, 2, 0]):
        zone = landing_zone(tmp_path / "".join(map(str, order)), TELEMETRY)
        for number, part in enumerate(order):
            zone.land("EAST", DAY, name=f"drop{number}", rows=parts[part])
        days.append(zone.read_day("EAST", DAY))
    assert all(day.rows.equals(days[0].rows) for day in days)
    assert {(day.sent, day.duplicates) for day in days} == {(24, 6)}


def test_days_are_those_on_which_a_file_landed(zone, make_rows):
    for days in (3, 1):
        day = DAY + timedelta(days=days)
        zone.land("WEST", day, name="A", rows=make_rows(day=day))
    (zone.folder("WEST") / "2026-03-09").mkdir()
    (zone.folder("WEST") / "2026-03-10").mkdir()
    (zone.folder("WEST") / "2026-03-10" / ".A.parquet").write_bytes(b"half")
    (zone.folder("WEST") / "20260311").mkdir()
    (zone.folder("WEST") / "20260311" / "A.parquet").write_bytes(b"here")
    (zone.folder("WEST") / "events" / "truth").mkdir(parents=True)
    assert zone.days("WEST") == [date(2026, 3, 2), date(2026, 3, 4)]
    assert zone.days("EAST") == []


def test_a_day_without_rows_cannot_be_landed(zone, make_rows):
    with pytest.raises(SourceError, match="a day without rows is no day"):
        zone.land("EAST", DAY, name="A", rows=make_rows().clear())
    assert zone.days("EAST") == []


def test_a_day_on_which_nothing_landed_reads_as_nothing(zone):
    raw = zone.read_day("EAST", DAY)
    assert (raw.rows.height, raw.sent, raw.duplicates, raw.faults) == (0, 0, 0, ())
    assert "ingested_at" not in raw.rows.columns


def test_a_file_still_being_written_is_not_looked_at(zone, make_rows):
    path = zone.land("EAST", DAY, name="A", rows=make_rows())
    path.with_name(".B.parquet").write_bytes(path.read_bytes()[:50])
    assert len(zone.drops("EAST", DAY)) == 1
    assert zone.read_day("EAST", DAY).faults == ()


def test_a_file_that_is_no_table_is_named_and_its_neighbours_go_on(zone, make_rows):
    path = zone.land("EAST", DAY, name="A", rows=make_rows())
    path.with_name("B.parquet").write_bytes(b"no table")
    raw = zone.read_day("EAST", DAY)
    assert (raw.rows.height, raw.sent) == (10, 10)
    assert [(fault.file, fault.kind) for fault in raw.faults] == [("B.parquet", FaultKind.UNREADABLE)]
    assert zone.read_faults("EAST", DAY) == ()
    assert {drop.rows for drop in zone.drops("EAST", DAY)} == {10, 0}


def test_a_day_of_nothing_but_broken_files_has_no_rows_and_says_why(zone):
    folder = zone.folder("EAST") / "2026-03-01"
    folder.mkdir(parents=True)
    (folder / "B.parquet").write_bytes(b"no table")
    raw = zone.read_day("EAST", DAY)
    assert (raw.rows.height, raw.sent, len(raw.faults)) == (0, 0, 1)


def test_a_column_that_a_drop_lacks_fails_its_day(zone, make_rows):
    zone.land("EAST", DAY, name="A", rows=make_rows())
    pq.write_table(make_rows(seed=1).drop("p2_psia").to_arrow(), zone.folder("EAST") / "2026-03-01" / "B.parquet")
    assert zone.read_faults("EAST", DAY) == ("drop B.parquet has no column p2_psia; drop the day again with it",)


def test_a_drop_that_changes_is_seen_to_change(zone, make_rows):
    path = zone.land("EAST", DAY, name="A", rows=make_rows())
    first = (zone.drops("EAST", DAY)[0], zone.fingerprint("EAST", DAY))
    pq.write_table(make_rows(engines=1).to_arrow(), path)
    os.utime(path, ns=(1, 1))
    second = (zone.drops("EAST", DAY)[0], zone.fingerprint("EAST", DAY))
    assert (first[0].rows, second[0].rows) == (10, 5)
    assert first[1] != second[1]


@pytest.mark.parametrize("name", ["../A", "a/b", "", ".A", "a b", "a\n", "x" * 65])
def test_a_name_that_could_climb_out_is_refused(zone, make_rows, name):
    with pytest.raises(SourceError, match="allowed: letters, digits and _"):
        zone.land("EAST", DAY, name=name, rows=make_rows())
    assert list(zone.home.iterdir()) == []


@pytest.mark.parametrize("region", ["..", "east", "EAST/..", ""])
def test_a_region_that_is_none_is_refused(zone, make_rows, region):
    with pytest.raises(UnknownRegionError):
        zone.land(region, DAY, name="A", rows=make_rows())
    with pytest.raises(UnknownRegionError):
        zone.days(region)


def test_a_file_of_many_row_groups_and_foreign_types_is_one_drop(zone, make_rows):
    rows = make_rows(engines=4, cycles=10)
    folder = zone.folder("EAST") / "2026-03-01"
    folder.mkdir(parents=True)
    table = rows.with_columns(pl.col("cycle").cast(pl.Int64)).to_arrow()
    table = table.set_column(3, "recorded_at", table.column("recorded_at").cast(pa.timestamp("ms", tz="Asia/Tokyo")))
    pq.write_table(table, folder / "plant.parquet", row_group_size=7)
    raw = zone.read_day("EAST", DAY)
    assert raw.rows.select(rows.columns).equals(rows.sort("unit", "cycle"))
    assert zone.drops("EAST", DAY)[0].rows == 40
