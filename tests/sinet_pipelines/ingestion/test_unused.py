"""Every file of a landing zone is read as a drop, or listed with the reason and the cure."""

import os
import shutil
import socket
from dataclasses import replace
from datetime import date, timedelta

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sinet_pipelines.applications.turbofan.landed import TELEMETRY
from sinet_pipelines.ingestion import inspection
from sinet_pipelines.ingestion.misplaced import misplaced_in_home
from sinet_pipelines.storage.layout import data_docs
from tests.inventory import NAMES
from tests.zones import landing_zone

DAY = date(2026, 3, 1)
TODAY = date(2026, 3, 5)


@pytest.fixture
def zone(tmp_path):
    return landing_zone(tmp_path, TELEMETRY)


@pytest.fixture
def put(zone, make_rows):
    """Writes a sound drop, or other bytes, at a path of the zone."""

    def write(path, content=None, *, rows=None):
        file = zone.home / placed(path)
        file.parent.mkdir(parents=True, exist_ok=True)
        if content is None:
            pq.write_table((make_rows() if rows is None else rows).to_arrow(), file)
        else:
            file.write_bytes(content)
        return file

    return write


def placed(path):
    """Where a path of a test lies in the home: `EAST/x` in the zone of EAST, what names `landing/` as it is."""
    region, _, rest = path.partition("/")
    return path if "landing/" in f"{path}/" else f"{region}/landing/turbofan/{rest}".rstrip("/")


def listed_as(path):
    """A listed path as the tests spell it."""
    return path.replace("/landing/turbofan", "", 1)


def unused(zone, *, applications=("turbofan",)):
    files = (*zone.unused(first_day=DAY, today=TODAY), *misplaced_in_home(zone.home, applications, NAMES))
    return {listed_as(one.path): one for one in files}


def test_a_sound_drop_is_used_and_nothing_is_listed(zone, put):
    put("EAST/2026-03-01/a.parquet")
    assert unused(zone) == {}
    assert landing_zone(zone.home / "nowhere", TELEMETRY).unused() == ()


def test_data_docs_are_a_part_of_their_region(zone, put):
    put("EAST/2026-03-01/a.parquet")
    page = zone.home / "EAST" / data_docs("turbofan") / "validated_telemetry" / "2026-03-01.html"
    page.parent.mkdir(parents=True)
    page.write_text("<h1>sample</h1>")
    assert unused(zone) == {}


@pytest.mark.parametrize(
    ("path", "reason", "cure"),
    [
        (
            "EAST/landing/a.parquet",
            "it stands beside the folders of the applications",
            "move it into EAST/landing/<application>/<YYYY-MM-DD>/ or remove it",
        ),
        (
            "EAST/landing/Turbofan/2026-03-01/a.parquet",
            "Turbofan is no application (known: turbofan)",
            "rename the folder to turbofan, or remove it",
        ),
        (
            "EAST/landing/lathes/2026-03-01/a.parquet",
            "lathes is no application (known: turbofan)",
            "move its files into the folder of one of: turbofan",
        ),
        (
            "EAST/landing/2026-03-01/a.parquet",
            "2026-03-01 is a day outside of an application's folder",
            "move it into one of: turbofan",
        ),
        (
            "landing/EAST/2026-03-01/a.parquet",
            "each region has a landing zone of its own",
            "move it into <REGION>/landing/<application>/<YYYY-MM-DD>/ or remove it",
        ),
        ("east/2026-03-01/a.parquet", "no region east is in the inventory", "rename the folder to EAST"),
        (
            "MARS/2026-03-01/a.parquet",
            "no region MARS is in the inventory",
            "add the region to inventory.yaml or remove",
        ),
        (
            "EAST/a.parquet",
            "it stands beside the folders of the days",
            "move it into EAST/landing/turbofan/<YYYY-MM-DD>/ or remove it",
        ),
        ("EAST/27-11-2026/a.parquet", "its folder 27-11-2026 is no day", "rename the folder to 2026-11-27"),
        ("EAST/20260301/a.parquet", "its folder 20260301 is no day", "rename the folder to 2026-03-01"),
        ("EAST/Events/truth/a.parquet", "its folder Events is no day", "rename the folder to the day of its rows"),
        (
            "EAST/2026-02-28/a.parquet",
            "2026-02-28 is before the first day of turbofan in this home, 2026-03-01",
            "set first_day",
        ),
        (
            "EAST/1970-01-01/a.parquet",
            "1970-01-01 is before the first day of turbofan in this home",
            "set first_day in landed/turbofan.json",
        ),
        ("EAST/2026-03-06/a.parquet", "2026-03-06 is still to come (today is 2026-03-05, UTC)", "wait for that day"),
        ("EAST/2099-01-01/a.parquet", "2099-01-01 is still to come", "wait for that day"),
        ("EAST/events/a.parquet", "it is of no kind of events", "move it into EAST/landing/turbofan/events/<kind>/"),
        ("EAST/events/thruth/a.parquet", "there is no kind of events thruth (allowed: failures and truth)", "move it"),
        ("EAST/events/truth/a.parquet", "it has rul_cycles, known_at not once among its columns", "put it there again"),
    ],
)
def test_a_sound_file_in_a_wrong_place_is_listed_with_reason_and_cure(zone, put, path, reason, cure):
    put(path)
    found = unused(zone)
    assert list(found) == [path]
    assert found[path].reason.startswith(reason)
    assert found[path].cure.startswith(cure)


@pytest.mark.parametrize("name", ["rows.csv", "rows.parquet", "rows", "rows.PARQUET"])
def test_a_file_that_is_no_parquet_is_listed(zone, put, name):
    put(f"EAST/2026-03-01/{name}", b"unit,cycle\nA,1\n")
    found = unused(zone)[f"EAST/2026-03-01/{name}"]
    assert found.reason.startswith("it is no readable Parquet file (")
    expected = (
        "put it there again or remove it" if "parquet" in name.lower() else "write its rows as Parquet or remove it"
    )
    assert found.cure == expected


def test_a_file_with_a_whole_footer_and_a_broken_page_is_listed_and_counts_no_rows(zone, put):
    file = put("EAST/2026-03-01/a.parquet")
    content = bytearray(file.read_bytes())
    content[4:400] = b"\xff" * 396  # the first pages; the footer is at the end
    file.write_bytes(content)
    assert list(unused(zone)) == ["EAST/2026-03-01/a.parquet"]
    assert [drop.rows for drop in zone.drops("EAST", DAY)] == [0]
    assert zone.read_day("EAST", DAY).sent == 0


@pytest.mark.parametrize(
    "name", ["_SUCCESS", "_metadata", ".a.parquet.crc", "_temporary/0/a.parquet", ".tmp/a.parquet"]
)
@pytest.mark.parametrize(
    "folder",
    ["landing/", "EAST/landing/", "EAST/", "EAST/2026-03-01/", "EAST/2026-03-01/x.parquet/", "EAST/events/truth/"],
)
def test_markers_and_what_is_being_written_are_ignored_everywhere(zone, put, folder, name):
    put(folder + name, b"half")
    assert unused(zone) == {}
    assert zone.days("EAST") == []
    assert zone.event_faults("EAST", "truth") == ()


def test_a_folder_is_a_drop_of_its_parts(zone, put, make_rows):
    rows = make_rows()
    put("EAST/2026-03-01/x.parquet/part-0.parquet", rows=rows[:4])
    put("EAST/2026-03-01/x.parquet/part-1.parquet", rows=rows[4:])
    put("EAST/2026-03-01/x.parquet/_SUCCESS", b"")
    whole = landing_zone(zone.home.parent / "whole", TELEMETRY)
    whole.land("EAST", DAY, name="A", rows=rows)
    assert unused(zone) == {}
    assert zone.days("EAST") == [DAY]
    assert zone.read_day("EAST", DAY).rows.drop("drop_id").equals(whole.read_day("EAST", DAY).rows.drop("drop_id"))


def test_values_of_hive_folders_fill_the_columns_that_the_files_lack(zone, put, make_rows):
    rows = make_rows()
    for unit, part in rows.partition_by("unit", as_dict=True, include_key=False).items():
        put(f"EAST/event_date=2026-03-01/role=history/unit={unit[0]}/p.parquet", rows=part.drop("role"))
    raw = zone.read_day("EAST", DAY)
    assert raw.faults == ()
    assert raw.rows.select(rows.columns).equals(rows.sort("unit", "cycle"))
    assert zone.read_faults("EAST", DAY) == ()


def test_two_files_of_the_same_bytes_in_two_hive_folders_are_two_drops(zone, put, make_rows):
    rows = make_rows(engines=1).drop("unit")
    for unit in ("A%2F1", "B", "__HIVE_DEFAULT_PARTITION__"):
        put(f"EAST/2026-03-01/unit={unit}/p.parquet", rows=rows)
    raw = zone.read_day("EAST", DAY)
    assert raw.sent == raw.rows.height == 15
    assert set(raw.rows["unit"]) == {"A/1", "B", None}
    assert len(zone.drops("EAST", DAY)) == 3


class TestLinks:
    def test_a_link_to_another_regions_drop_is_not_followed_and_is_listed(self, zone, put):
        target = put("WEST/2026-03-01/a.parquet")
        (zone.home / placed("EAST/2026-03-01")).mkdir(parents=True)
        (zone.home / placed("EAST/2026-03-01/a.parquet")).symlink_to(target)
        assert zone.days("EAST") == []
        assert zone.read_day("EAST", DAY).sent == 0
        found = unused(zone)["EAST/2026-03-01/a.parquet"]
        assert found.reason == "it is a link out of EAST/landing/turbofan, and such links are not followed"

    @pytest.mark.parametrize("link", ["EAST", "EAST/2026-03-01", "EAST/2026-03-01/x.parquet", "EAST/events"])
    def test_a_link_to_a_folder_of_another_region_is_not_followed_and_is_listed(self, zone, put, link):
        put("WEST/2026-03-01/a.parquet")
        put("WEST/2026-03-01/truth/a.parquet")
        path = zone.home / placed(link)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.symlink_to(zone.home / placed("WEST" if link == "EAST" else "WEST/2026-03-01"))
        assert zone.days("EAST") == []
        assert zone.read_events("EAST", "truth").height == 0
        found = zone.unused("EAST", first_day=DAY, today=TODAY)
        assert [listed_as(one.path).rstrip("/") for one in found] == [link]
        assert "link" in found[0].reason

    def test_a_region_folder_that_is_a_link_to_a_disk_of_its_own_is_read(self, zone, put, tmp_path):
        put("EAST/2026-03-01/a.parquet")
        shutil.move(zone.home / placed("EAST"), tmp_path / "disk")
        (zone.home / placed("EAST")).symlink_to(tmp_path / "disk")
        assert zone.read_day("EAST", DAY).sent == 10
        assert unused(zone) == {}

    def test_a_link_within_the_region_is_read(self, zone, put):
        target = put("EAST/2026-03-01/..data/a.parquet")
        (zone.home / placed("EAST/2026-03-01/a.parquet")).symlink_to(target)
        assert zone.read_day("EAST", DAY).sent == 10
        assert unused(zone) == {}

    @pytest.mark.parametrize("target", ["nowhere", "a.parquet", "."])
    def test_a_link_to_nowhere_to_itself_or_to_a_folder_is_listed(self, zone, put, target):
        put("EAST/2026-03-01/b.parquet")
        (zone.home / placed("EAST/2026-03-01/a.parquet")).symlink_to(target)
        assert list(unused(zone)) == ["EAST/2026-03-01/a.parquet"]
        assert zone.read_day("EAST", DAY).sent == 10

    def test_a_link_to_the_drops_of_another_application_is_not_followed_and_is_listed(self, zone, put):
        put("EAST/landing/milling/2026-03-01/a.parquet")
        (zone.home / "EAST/landing/turbofan").symlink_to(zone.home / "EAST/landing/milling")
        assert zone.days("EAST") == []
        (found,) = zone.unused("EAST", first_day=DAY, today=TODAY)
        assert found.reason == "it is a link to the folder of milling, and no two applications share drops"

    def test_a_whole_region_that_is_a_link_to_another_is_not_read(self, zone, put):
        put("WEST/2026-03-01/a.parquet")
        (zone.home / "EAST").symlink_to(zone.home / "WEST")
        assert zone.days("EAST") == []
        assert zone.days("WEST") == [DAY]
        (found,) = zone.unused("EAST", first_day=DAY, today=TODAY)
        assert found.reason.startswith("it is a link to the folder of WEST")


def test_two_applications_land_beside_each_other_and_neither_sees_the_others_drops(zone, put):
    put("EAST/2026-03-01/a.parquet")
    other = landing_zone(zone.home, replace(TELEMETRY, application="lathes"))
    put("EAST/landing/lathes/2026-03-02/b.parquet")
    assert (zone.days("EAST"), other.days("EAST")) == ([DAY], [DAY + timedelta(days=1)])
    assert unused(zone, applications=("turbofan", "lathes")) == {}
    assert [one.application for one in unused(zone).values()] == [""]


def test_a_file_beside_the_parts_of_a_region_is_listed(zone, put):
    put("EAST/2026-03-01/a.parquet")
    for name in ("rows.parquet", "2026-03-01/a.parquet"):
        file = zone.home / "EAST" / name
        file.parent.mkdir(exist_ok=True)
        file.write_bytes(b"x")
    assert {path: one.cure for path, one in unused(zone).items()} == dict.fromkeys(
        ("EAST/rows.parquet", "EAST/2026-03-01/a.parquet"),
        "move it into EAST/landing/<application>/<YYYY-MM-DD>/ or remove it",
    )


def test_pipes_and_sockets_are_listed_and_block_nothing(zone, put, monkeypatch):
    put("EAST/2026-03-01/a.parquet")
    for folder in ("EAST/landing", "EAST", "EAST/2026-03-01", "EAST/events/truth"):
        (zone.home / placed(folder)).mkdir(parents=True, exist_ok=True)
        os.mkfifo(zone.home / placed(folder) / "pipe.parquet")
    monkeypatch.chdir(zone.home / placed("EAST/2026-03-01"))  # a socket's whole path may be too long
    with socket.socket(socket.AF_UNIX) as server:
        server.bind("socket.parquet")
        found = unused(zone)
    assert {path: one.reason for path, one in found.items()} == {
        "EAST/landing/pipe.parquet": "it is a named pipe, no file",
        "EAST/pipe.parquet": "it is a named pipe, no file",
        "EAST/2026-03-01/pipe.parquet": "it is a named pipe, no file",
        "EAST/2026-03-01/socket.parquet": "it is a socket, no file",
        "EAST/events/truth/pipe.parquet": "it is a named pipe, no file",
    }
    assert zone.read_day("EAST", DAY).sent == 10
    assert zone.read_events("EAST", "truth").height == 0


def test_what_becomes_a_pipe_or_a_link_after_it_was_listed_is_not_read(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "file").write_bytes(b"raw rows of WEST")
    (tmp_path / "link").symlink_to(tmp_path / "file")
    for name in ("pipe", "link"):
        with pytest.raises(OSError, match="no regular file|symbolic links"):
            inspection.open_file(tmp_path / name).__enter__()


@pytest.fixture
def refuse(monkeypatch):
    """Makes the machine refuse to open files of a name: with an error, or as gone."""

    def patch(name, error):
        def opening(path, *arguments, **options):
            if os.fspath(path).endswith(name):
                raise error
            return real(path, *arguments, **options)

        real = os.open
        monkeypatch.setattr(os, "open", opening)

    return patch


def test_a_file_that_the_machine_does_not_give_stops_no_neighbour(zone, put, refuse):
    put("EAST/2026-03-01/a.parquet")
    put("EAST/2026-03-01/b.parquet", b"other")
    put("EAST/events/truth/b.parquet", b"other")
    refuse("b.parquet", PermissionError(13, "Permission denied"))
    raw = zone.read_day("EAST", DAY)
    assert (raw.sent, [fault.file for fault in raw.faults]) == (10, ["b.parquet"])
    assert "Permission denied" in raw.faults[0].message
    assert {path: one.reason for path, one in unused(zone).items()} == {
        "EAST/2026-03-01/b.parquet": "it cannot be read (Permission denied)",
        "EAST/events/truth/b.parquet": "it cannot be read (Permission denied)",
    }
    assert [fault.file for fault in zone.event_faults("EAST", "truth")] == ["b.parquet"]


def test_a_file_that_could_not_be_read_is_taken_in_once_it_can_be(zone, put, make_rows, monkeypatch):
    put("EAST/2026-03-01/a.parquet", rows=make_rows(seed=1))
    put("EAST/2026-03-01/b.parquet", rows=make_rows(seed=2))
    monkeypatch.setattr(inspection, "_SETTLED_NS", 0)
    with monkeypatch.context() as patch:
        real = os.open
        patch.setattr(os, "open", lambda path, *rest: refused(path) or real(path, *rest))
        before = zone.fingerprint("EAST", DAY)
        assert zone.read_day("EAST", DAY).sent == 10
    assert zone.fingerprint("EAST", DAY) != before
    assert zone.read_day("EAST", DAY).sent == 20
    assert unused(zone) == {}


def refused(path):
    if os.fspath(path).endswith("b.parquet"):
        raise OSError(5, "Input/output error")


def test_a_file_that_is_gone_when_it_is_read_is_no_drop_and_no_fault(zone, put, refuse):
    put("EAST/2026-03-01/a.parquet")
    put("EAST/2026-03-01/b.parquet", b"other")
    put("EAST/events/truth/b.parquet", b"other")
    refuse("b.parquet", FileNotFoundError(2, "No such file or directory"))
    raw = zone.read_day("EAST", DAY)
    assert (raw.sent, raw.faults) == (10, ())
    assert zone.event_faults("EAST", "truth") == ()
    assert unused(zone) == {}


def test_a_folder_that_cannot_be_listed_is_named(zone, put, monkeypatch):
    put("EAST/2026-03-01/a.parquet")
    put("EAST/2026-03-02/b.parquet")
    real = os.scandir

    def scandir(path):
        if str(path).endswith("2026-03-02"):
            raise PermissionError(13, "Permission denied")
        return real(path)

    monkeypatch.setattr(os, "scandir", scandir)
    found = unused(zone)
    assert {path: one.reason for path, one in found.items()} == {
        "EAST/2026-03-02/": "its files cannot be listed (Permission denied)"
    }
    assert zone.days("EAST") == [DAY]


def test_names_that_a_terminal_would_obey_are_escaped(zone, put):
    put("EAST/2026-03-01/\x1b[31m\n.csv", b"x")
    put(os.fsdecode(b"EAST/2026-03-01/\xff.csv"), b"x")
    put("EAST/2026-03-01/Zürich 日本.csv", b"x")
    assert sorted(unused(zone)) == [
        "EAST/2026-03-01/Zürich 日本.csv",
        "EAST/2026-03-01/\\udcff.csv",
        "EAST/2026-03-01/\\x1b[31m\\n.csv",
    ]


@pytest.mark.parametrize("settled_ns", [0, 2_000_000_000])
def test_a_rewrite_of_equal_size_and_age_is_seen(zone, put, monkeypatch, settled_ns):
    monkeypatch.setattr(inspection, "_SETTLED_NS", settled_ns)
    file = put("EAST/2026-03-01/a.csv", b"first")
    os.utime(file, ns=(1, 1))
    before = zone.fingerprint("EAST", DAY)
    other = file.with_name(".other")  # a new file, so that its number differs even where the clock stood still
    other.write_bytes(b"other")
    other.replace(file)
    os.utime(file, ns=(1, 1))
    assert zone.fingerprint("EAST", DAY) != before


_PLACES = (
    "EAST/landing/",
    "landing/EAST/2026-03-01/",
    "EAST/",
    "EAST/2026-03-01/",
    "EAST/2026-03-09/",
    "EAST/x/",
    "east/2026-03-01/",
    "EAST/events/truth/",
)
_NAMES = ("a.parquet", "b.csv", "d.parquet/p.parquet", "role=live/a.parquet", ".h.parquet", "_SUCCESS", "_m/a.parquet")


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.dictionaries(
        st.tuples(st.sampled_from(_PLACES), st.sampled_from(_NAMES)),
        st.sampled_from(["rows", "junk", "link"]),
        max_size=8,
    )
)
def test_whatever_lands_every_visible_file_is_read_or_listed_and_never_both(tmp_path_factory, files):
    zone = landing_zone(tmp_path_factory.mktemp("any"), TELEMETRY)
    table = pa.table({"unit": ["A"], "cycle": [1]})
    visible = set()
    for (folder, name), content in files.items():
        file = zone.home / placed(folder + name)
        file.parent.mkdir(parents=True, exist_ok=True)
        if content == "rows":
            pq.write_table(table, file)
        elif content == "junk":
            file.write_bytes(b"junk")
        else:
            file.symlink_to("/etc/hostname")
        if not any(part[0] in "._" for part in name.split("/")):
            visible.add(folder + name)
    listed = set(unused(zone))
    used = {listed_as(drop.path.relative_to(zone.home).as_posix()) for drop in zone.drops("EAST", DAY) if drop.rows}
    twins = {
        path
        for path in visible - listed - used
        if path.startswith("EAST/2026-03-01/") and files_say(files, path) == "rows"
    }  # of files of the same bytes one stands for all
    assert listed.isdisjoint(used)
    assert listed | used | twins == visible
    days = [DAY + timedelta(days=8), DAY]
    assert {day for day in days if zone.read_day("EAST", day).sent} <= set(zone.days("EAST"))


def files_say(files, path):
    return next(content for (folder, name), content in files.items() if folder + name == path)
