"""What a landing zone keeps, whether its region's root is a folder of the home or an object store."""

import io
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

import polars as pl
import pyarrow.parquet as pq
import pytest

from sinet_pipelines.applications.turbofan.landed import TELEMETRY
from sinet_pipelines.errors import SourceError
from sinet_pipelines.ingestion.landing import LandingZone
from sinet_pipelines.ingestion.misplaced import misplaced_in_home
from sinet_pipelines.ingestion.scan_store import misplaced_in_store
from sinet_pipelines.storage.folder import FolderObjects
from sinet_pipelines.storage.objects import Objects, open_objects
from tests.inventory import NAMES
from tests.sinet_pipelines.applications.turbofan.conftest import DAY, make_rows
from tests.zones import landing_zone

__all__ = ["make_rows"]
TODAY = date(2026, 3, 5)
ZONE = "landing/turbofan"


@dataclass(frozen=True)
class Rooted:
    """A zone whose region EAST lies under one kind of root."""

    zone: LandingZone
    objects: Objects

    def put(self, key, content):
        """Writes an object as a sender does."""
        self.objects.put(key, content)

    def unused(self):
        """Every unused file of the region with its reason, by its path."""
        zone = self.zone
        if zone.stores:
            misplaced = misplaced_in_store(self.objects, "EAST", ["turbofan"])
        else:
            misplaced = misplaced_in_home(zone.home, ["turbofan"], NAMES)
        return {one.path: one for one in (*zone.unused("EAST", first_day=DAY, today=TODAY), *misplaced)}


@pytest.fixture(params=["folder", "S3"])
def root(request, tmp_path):
    if request.param == "folder":
        return Rooted(landing_zone(tmp_path, TELEMETRY), FolderObjects(str(tmp_path / "EAST")))
    store = request.getfixturevalue("s3_store")
    objects = open_objects(f"s3://{store.bucket()}/my plant #1", store.options)
    return Rooted(landing_zone(tmp_path, TELEMETRY, stores={"EAST": objects}), objects)


def parquet(rows):
    buffer = io.BytesIO()
    pq.write_table(rows.to_arrow(), buffer)
    return buffer.getvalue()


def truth(unit):
    row = {"unit": [unit], "cycle": [5], "rul_cycles": [7], "known_at": [datetime(2026, 3, 2, tzinfo=UTC)]}
    return pl.DataFrame(row, schema_overrides={"cycle": pl.Int32, "rul_cycles": pl.Int32})


def test_rows_that_land_are_read_back_once(root, make_rows):
    rows = make_rows()
    path = root.zone.land("EAST", DAY, name="FD001", rows=rows)
    assert root.zone.land("EAST", DAY, name="FD001", rows=rows) == path
    raw = root.zone.read_day("EAST", DAY)
    assert (raw.sent, raw.faults) == (10, ())
    assert raw.rows.select(rows.columns).equals(rows.sort("unit", "cycle"))
    assert root.zone.days("EAST") == [DAY]
    assert root.zone.days("WEST") == []
    assert [one.key for one in root.objects.walk()] == [f"{ZONE}/2026-03-01/{path.name}"]


def test_a_drop_that_was_cut_short_is_written_again(root, make_rows):
    name = root.zone.land("EAST", DAY, name="FD001", rows=make_rows()).name
    key = f"{ZONE}/2026-03-01/{name}"
    whole = root.objects.read(key)
    root.put(key, whole[:100])
    root.zone.land("EAST", DAY, name="FD001", rows=make_rows())
    assert root.objects.read(key) == whole


def test_an_empty_day_cannot_land_and_a_name_cannot_climb_out(root, make_rows):
    with pytest.raises(SourceError, match="a day without rows is no day"):
        root.zone.land("EAST", DAY, name="A", rows=make_rows().clear())
    with pytest.raises(SourceError, match="cannot begin a file's name"):
        root.zone.land("EAST", DAY, name="../up", rows=make_rows())


def test_the_fingerprint_is_of_the_content_whatever_its_files_are_called(root, make_rows):
    root.zone.land("EAST", DAY, name="FD001", rows=make_rows())
    before = root.zone.fingerprint("EAST", DAY)
    (key,) = [one.key for one in root.objects.walk()]
    root.put(f"{ZONE}/2026-03-01/another name #1 50%.parquet", root.objects.read(key))
    assert root.zone.fingerprint("EAST", DAY) == before
    root.put(f"{ZONE}/2026-03-01/more.parquet", parquet(make_rows(engines=1, seed=3)))
    assert root.zone.fingerprint("EAST", DAY) != before
    root.objects.delete(f"{ZONE}/2026-03-01/more.parquet")
    root.objects.delete(key)
    assert root.zone.fingerprint("EAST", DAY) == before
    assert root.zone.read_day("EAST", DAY).sent == 10


def test_a_day_sorted_on_disk_equals_the_day_read_at_once(root, make_rows, tmp_path):
    root.put(f"{ZONE}/2026-03-01/a.parquet", parquet(make_rows(engines=3, cycles=8)))
    root.put(f"{ZONE}/2026-03-01/b c.parquet", parquet(make_rows(engines=2, cycles=5)))
    root.put(f"{ZONE}/2026-03-01/damaged.parquet", b"PAR1 no table PAR1")
    at_once = root.zone.read_day("EAST", DAY)
    with root.zone.sort_day("EAST", DAY, folder=tmp_path / "runs", batch_rows=4) as day:
        assert pl.concat(day.batches()).equals(at_once.rows)
        assert (day.sent, [fault.file for fault in day.faults]) == (at_once.sent, ["damaged.parquet"])
    assert root.zone.row_names("EAST", DAY)[0] == at_once.sent == 34


def test_values_of_hive_folders_fill_the_columns_that_the_files_lack(root, make_rows):
    rows = make_rows()
    for unit, part in rows.partition_by("unit", as_dict=True, include_key=False).items():
        root.put(f"{ZONE}/event_date=2026-03-01/role=history/unit={unit[0]}/p.parquet", parquet(part.drop("role")))
    raw = root.zone.read_day("EAST", DAY)
    assert raw.faults == ()
    assert raw.rows.select(rows.columns).equals(rows.sort("unit", "cycle"))
    assert root.zone.read_faults("EAST", DAY) == ()
    assert root.zone.days("EAST") == [DAY]
    assert root.unused() == {}


def test_a_folder_of_parts_is_read_and_what_other_writers_hide_is_not(root, make_rows):
    rows = make_rows()
    root.put(f"{ZONE}/2026-03-01/x.parquet/part-0.parquet", parquet(rows[:4]))
    root.put(f"{ZONE}/2026-03-01/x.parquet/part-1.parquet", parquet(rows[4:]))
    for name in ("_SUCCESS", ".part-0.parquet.crc", "_temporary/0/a.parquet"):
        root.put(f"{ZONE}/2026-03-01/x.parquet/{name}", b"half")
    root.put(f"{ZONE}/2026-03-02/_SUCCESS", b"")
    root.put("_marker", b"")
    assert root.zone.read_day("EAST", DAY).sent == 10
    assert root.zone.days("EAST") == [DAY]
    assert root.unused() == {}


@pytest.mark.parametrize(
    ("path", "reason", "cure"),
    [
        ("rows.parquet", "it stands beside landing/", "move it into EAST/landing/<application>/<YYYY-MM-DD>/"),
        ("2026-03-01/a.parquet", "it stands beside landing/", "move it into EAST/landing/<application>/<YYYY-MM-DD>/"),
        ("landing/a.parquet", "it stands beside the folders of the applications", "move it into EAST/landing/<appl"),
        ("landing/Turbofan/2026-03-01/a.parquet", "Turbofan is no application", "rename the folder to turbofan"),
        ("landing/2026-03-01/a.parquet", "2026-03-01 is a day outside of an application's", "move it into one of"),
        (f"{ZONE}/a.parquet", "it stands beside the folders of the days", "move it into EAST/landing/turbofan/<YYYY"),
        (f"{ZONE}/27-11-2026/a.parquet", "its folder 27-11-2026 is no day", "rename the folder to 2026-11-27"),
        (f"{ZONE}/2026-02-28/a.parquet", "2026-02-28 is before the first day of turbofan", "set first_day"),
        (f"{ZONE}/2026-03-06/a.parquet", "2026-03-06 is still to come", "wait for that day"),
        (f"{ZONE}/events/a.parquet", "it is of no kind of events", "move it into EAST/landing/turbofan/events/<kind>/"),
        (f"{ZONE}/events/thruth/a.parquet", "there is no kind of events thruth (allowed: failures and truth)", "move"),
        (f"{ZONE}/events/truth/a.parquet", "it has rul_cycles, known_at not once among its columns", "put it there"),
        (f"{ZONE}/2026-03-01/{'a/' * 17}a.parquet", "it is more than 16 folders deep", "move it up"),
    ],
)
def test_a_sound_file_in_a_wrong_place_is_listed_with_reason_and_cure(root, make_rows, path, reason, cure):
    root.put(path, parquet(make_rows()))
    (found,) = root.unused().values()
    assert found.path.rstrip("/") in f"EAST/{path}"
    assert found.reason.startswith(reason)
    assert found.cure.startswith(cure)
    assert found.region == "EAST"


@pytest.mark.parametrize(
    ("name", "content", "cure"),
    [
        ("rows.csv", b"unit,cycle\nA,1\n", "write its rows as Parquet or remove it"),
        ("rows.parquet", b"unit,cycle\nA,1\n", "put it there again or remove it"),
        ("empty file.parquet", b"", "put it there again or remove it"),
    ],
)
def test_a_file_that_is_no_parquet_is_listed_and_its_neighbours_are_read(root, make_rows, name, content, cure):
    root.put(f"{ZONE}/2026-03-01/{name}", content)
    root.put(f"{ZONE}/2026-03-01/sound.parquet", parquet(make_rows()))
    found = root.unused()[f"EAST/{ZONE}/2026-03-01/{name}"]
    assert found.reason.startswith("it is no readable Parquet file (")
    assert found.cure == cure
    raw = root.zone.read_day("EAST", DAY)
    assert (raw.sent, [fault.file for fault in raw.faults]) == (10, [name])


def test_a_replaced_drop_is_looked_into_again(root, make_rows):
    key = f"{ZONE}/2026-03-01/a.parquet"
    root.put(key, parquet(make_rows()))
    (before,) = root.zone.drops("EAST", DAY)
    root.put(key, parquet(make_rows(engines=1)))
    (now,) = root.zone.drops("EAST", DAY)
    assert (before.rows, now.rows) == (10, 5)
    assert before.drop_id != now.drop_id
    assert root.zone.file_names("EAST", DAY) == {now.drop_id: f"EAST/{key}"}


def test_a_withdrawn_drop_is_none_and_one_put_back_is_the_same(root, make_rows):
    key = f"{ZONE}/2026-03-01/a.parquet"
    content = parquet(make_rows())
    root.put(key, content)
    before = root.zone.fingerprint("EAST", DAY)
    root.objects.delete(key)
    assert root.zone.days("EAST") == root.zone.drops("EAST", DAY) == []
    assert root.zone.read_day("EAST", DAY).sent == 0
    root.put(key, content)
    assert root.zone.fingerprint("EAST", DAY) == before


def test_a_drop_removed_after_it_was_listed_is_no_drop_and_no_fault(root, make_rows):
    for name in ("a", "b"):
        root.put(f"{ZONE}/2026-03-01/{name}.parquet", parquet(make_rows(seed=len(name) if name == "a" else 9)))
    parts = root.zone._parts("EAST", DAY)
    root.objects.delete(f"{ZONE}/2026-03-01/a.parquet")
    zone = _with_parts(root.zone, parts)
    raw = zone.read_day("EAST", DAY)
    assert (raw.sent, raw.faults) == (10, ())
    assert len(zone.drops("EAST", DAY)) == 1


def test_events_are_read_settled_and_named_by_their_content(root):
    root.zone.land_events("EAST", "truth", name="A", events=truth("a"))
    before = root.zone.events_fingerprint("EAST", "truth")
    root.zone.land_events("EAST", "truth", name="B", events=truth("b"))
    assert root.zone.read_events("EAST", "truth")["unit"].to_list() == ["a", "b"]
    assert root.zone.events_fingerprint("EAST", "truth") != before
    root.put(f"{ZONE}/events/truth/bad one.parquet", b"x")
    assert [fault.file for fault in root.zone.event_faults("EAST", "truth")] == ["bad one.parquet"]
    assert list(root.unused()) == [f"EAST/{ZONE}/events/truth/bad one.parquet"]


def _with_parts(zone, parts):
    class Listed(LandingZone):
        def _parts(self, region, day):
            return parts

    return Listed(zone.home, zone.data, zone.regions, stores=zone.stores)


def test_days_are_those_with_a_file_whatever_their_order(root, make_rows):
    for days in (3, 1):
        day = DAY + timedelta(days=days)
        root.zone.land("EAST", day, name="A", rows=make_rows(day=day))
    assert root.zone.days("EAST") == [date(2026, 3, 2), date(2026, 3, 4)]
