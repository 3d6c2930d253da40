"""A landing zone with many files: each is inspected once, in a limited time, and none blocks the others."""

import errno
import shutil
import time
from collections import Counter
from datetime import UTC, date, datetime, timedelta

import polars as pl
import pyarrow as pa
import pytest

import sinet_pipelines.ingestion.inspection as inspection
from sinet_pipelines.applications.milling.application import MILLING
from sinet_pipelines.ingestion.landed import landed_rows
from sinet_pipelines.ingestion.observed_days import observed_days
from sinet_pipelines.ingestion.reading_time import ReadingTime
from sinet_pipelines.ingestion.zone_observation import Before
from sinet_pipelines.schemas.contract import Column
from tests.zones import landing_zone

DATA = landed_rows("plant", "samples", (Column("unit", pa.string(), "a machine"),), key=("unit", "recorded_at"))
FIRST = date(2026, 3, 1)
DAYS = [FIRST + timedelta(days=number) for number in range(3)]


@pytest.fixture
def zone(tmp_path, monkeypatch):
    """A zone with two drops on each of three days, in a process that has inspected no file."""
    monkeypatch.setattr(inspection, "_SETTLED_NS", -1)
    monkeypatch.setattr(inspection, "_FOUND", inspection.OrderedDict())
    found = landing_zone(tmp_path / "home", DATA)
    for day in DAYS:
        for unit in ("M1", "M2"):
            land(found, day, unit)
    return found


@pytest.fixture
def opened(monkeypatch):
    """How often each file was inspected, by its name."""
    found, look = Counter(), inspection._look_into

    def counted(part, *what):
        found[part.name] += 1
        return look(part, *what)

    monkeypatch.setattr(inspection, "_look_into", counted)
    return found


def land(zone, day, unit):
    at = datetime(day.year, day.month, day.day, tzinfo=UTC)
    rows = pl.DataFrame(
        {"unit": [unit], "recorded_at": [at]}, schema_overrides={"recorded_at": pl.Datetime("us", "UTC")}
    )
    return zone.land("EAST", day, name=unit, rows=rows)


def observe(zone, known=None, **more):
    return zone.observe("EAST", before=Before(zone.state("EAST"), known or {}), **more)


def test_a_day_in_its_former_state_is_not_inspected_again(zone, opened):
    first = observe(zone)
    inspection._FOUND.clear()
    opened.clear()
    assert observe(zone, first.days) == first
    assert not opened
    land(zone, DAYS[1], "M3")
    later = observe(zone, first.days)
    assert (opened.total(), later.days[DAYS[1]].drops) == (3, 3)
    assert [later.days[day] for day in DAYS[::2]] == [first.days[day] for day in DAYS[::2]]


def test_a_restarted_process_uses_what_the_former_one_found(zone, opened, tmp_path):
    for _ in range(2):
        with observed_days(tmp_path / "days.json", "EAST/plant", code="1") as days:
            found = observe(zone, days)
            days.update(found.days)
        inspection._FOUND.clear()
    assert opened.total() == 6
    with observed_days(tmp_path / "days.json", "EAST/plant", code="2") as days:
        assert days == {}


@pytest.mark.parametrize("days", ["[]", '{"x": 1}', '{"2026-03-01": {"content": 1}}'])
def test_a_damaged_cache_of_days_is_ignored(tmp_path, days):
    entry = f'{{"EAST/plant": {{"code": "1", "days": {days}}}}}'
    (tmp_path / "days.json").write_text(f'{{"format": 1, "entries": {entry}}}')
    with observed_days(tmp_path / "days.json", "EAST/plant", code="1") as found:
        assert found == {}


def test_a_day_with_a_file_that_may_change_unnoticed_is_inspected_again(zone, monkeypatch):
    first = observe(zone)
    monkeypatch.setattr(inspection, "_SETTLED_NS", 3600 * 10**9)
    before = Before(zone.state("EAST"), first.days)
    assert [before.unchanged(day) for day in DAYS] == [None] * 3


def test_days_that_are_not_read_in_time_are_left_and_keep_what_was_known(zone):
    first = observe(zone)
    land(zone, DAYS[1], "M3")
    late = observe(zone, first.days, reading=ReadingTime(0.0))
    assert late.left == (DAYS[1],)
    assert late.days == first.days
    assert observe(zone, late.days).days[DAYS[1]].drops == 3


def test_an_observation_continues_where_the_time_was_over(zone, opened, monkeypatch):
    now, known, passes = 0.0, {}, 0
    monkeypatch.setattr(time, "monotonic", lambda: now)
    look = inspection._look_into

    def slow(*what):
        nonlocal now
        now += 1.0
        return look(*what)

    monkeypatch.setattr(inspection, "_look_into", slow)
    left = DAYS
    while left:
        found = observe(zone, known, reading=ReadingTime(1.5))
        known, left, passes = found.days, found.left, passes + 1
    assert passes == 3
    assert sorted(opened.values()) == [1] * 6
    assert found == observe(zone)


def test_a_poisoned_file_is_listed_with_and_without_what_is_known_of_its_day(zone):
    (zone.folder("EAST") / str(DAYS[0]) / "poison.parquet").write_bytes(b"no table")
    first = observe(zone)
    again = observe(zone, first.days)
    assert [one.path for one in first.unused] == [f"EAST/landing/plant/{DAYS[0]}/poison.parquet"]
    assert again == first
    assert zone.read_day("EAST", DAYS[0]).rows["unit"].to_list() == ["M1", "M2"]


def test_of_two_thousand_files_a_new_one_is_the_only_one_inspected(zone, opened):
    content = land(zone, DAYS[2], "M3").read_bytes()
    folders = [zone.folder("EAST") / str(FIRST + timedelta(days=number)) for number in range(20)]
    for folder in folders:
        folder.mkdir(exist_ok=True)
        for number in range(100):
            (folder / f"{number}.parquet").write_bytes(content + b"%d" % number)  # other bytes, and no table
    first = observe(zone)
    assert (sum(day.drops for day in first.days.values()), len(first.unused)) == (2007, 2000)
    opened.clear()
    land(zone, DAYS[0], "M3")
    later = observe(zone, first.days)
    assert (opened.total(), len(later.unused)) == (1, 2000)


def test_known_files_take_no_time_and_each_pass_reads_one_new_file_at_least(zone, opened):
    left, passes = DAYS, 0
    while left:
        found = observe(zone, reading=ReadingTime(1e-9))
        left, passes = found.left, passes + 1
    assert (passes, sorted(opened.values())) == (6, [1] * 6)
    assert found == observe(zone)


def test_a_day_with_more_files_than_the_process_remembers_is_read_in_the_end(zone, opened, monkeypatch):
    monkeypatch.setattr(inspection, "_MOST", 1)
    for day in DAYS[1:]:
        shutil.rmtree(zone.folder("EAST") / str(day))
    for number in range(3, 7):
        land(zone, DAYS[0], f"M{number}")
    passes = [observe(zone, reading=ReadingTime(1e-9)) for _ in range(6)]
    assert [len(found.left) for found in passes] == [1] * 5 + [0]
    assert (passes[-1].days[DAYS[0]].drops, sorted(opened.values())) == (6, [1] * 6)


def test_a_day_that_changed_between_two_passes_is_read_completely(zone):
    file = land(zone, DAYS[0], "M3")
    assert observe(zone, reading=ReadingTime(1e-9)).left
    file.unlink()
    land(zone, DAYS[0], "M0")
    while (found := observe(zone, reading=ReadingTime(1e-9))).left:
        pass
    assert found == observe(zone)
    assert found.days[DAYS[0]].drops == 3


def test_a_file_that_cannot_be_read_for_a_moment_is_read_again(zone, monkeypatch):
    broken = zone.folder("EAST") / str(DAYS[0])
    look = inspection._look_into

    def fails(part, *what):
        if part.path.parent == broken:
            raise OSError(errno.EMFILE, "Too many open files")
        return look(part, *what)

    monkeypatch.setattr(inspection, "_look_into", fails)
    first = observe(zone)
    assert (first.may_pass, len(first.unused), first.days[DAYS[0]].state) == (True, 2, "")
    monkeypatch.setattr(inspection, "_look_into", look)
    second = observe(zone, first.days)
    assert (second.may_pass, second.unused) == (False, ())
    assert second.days == observe(zone).days


def test_files_of_events_are_read_in_the_time_of_the_pass_too(tmp_path):
    found = landing_zone(tmp_path / "home", MILLING.data)
    kind = MILLING.data.events[0].name
    folder = found.folder("EAST") / "events" / kind
    folder.mkdir(parents=True)
    (folder / "a.parquet").write_bytes(b"no table")
    late = observe(found, reading=ReadingTime(0.0))
    assert (late.left_events, late.unused) == ((kind,), ())
    assert [one.path for one in observe(found).unused] == [f"EAST/landing/milling/events/{kind}/a.parquet"]
