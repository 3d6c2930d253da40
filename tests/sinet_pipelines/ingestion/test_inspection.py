"""What is in a file is found once, by any process, for as long as the file does not change."""

import os
from datetime import date
from pathlib import Path

import pytest

import sinet_pipelines.ingestion.inspection as inspection
from sinet_pipelines.applications.turbofan.landed import TELEMETRY
from sinet_pipelines.ingestion.inspection import remembered
from sinet_pipelines.storage.cache import write_cache
from tests.inventory import EAST
from tests.zones import landing_zone

DAY = date(2026, 3, 1)


@pytest.fixture
def zone(tmp_path, make_rows, monkeypatch):
    """A zone with one drop that has been there for a while, and a process that has looked into no file."""
    monkeypatch.setattr(inspection, "_SETTLED_NS", -1)
    monkeypatch.setattr(inspection, "_FOUND", inspection.OrderedDict())
    found = landing_zone(tmp_path, TELEMETRY)
    found.land(EAST.name, DAY, name="a", rows=make_rows())
    return found


@pytest.fixture
def opened(monkeypatch):
    """The files that were looked into."""
    paths = []
    look = inspection._look_into
    monkeypatch.setattr(inspection, "_look_into", lambda path, *what: (paths.append(path), look(path, *what))[1])
    return paths


def in_another_process(monkeypatch):
    monkeypatch.setattr(inspection, "_FOUND", inspection.OrderedDict())


def test_what_was_found_is_known_to_the_next_process(zone, tmp_path, opened, monkeypatch):
    with remembered(tmp_path / "drops.json"):
        first = zone.drops(EAST.name, DAY)
    in_another_process(monkeypatch)
    with remembered(tmp_path / "drops.json"):
        assert zone.drops(EAST.name, DAY) == first
    assert len(opened) == 1


def test_a_file_replaced_under_its_name_is_looked_into_again(zone, tmp_path, opened, monkeypatch, make_rows):
    with remembered(tmp_path / "drops.json"):
        (drop,) = zone.drops(EAST.name, DAY)
    other = zone.land(EAST.name, DAY, name="b", rows=make_rows(engines=1))
    age = drop.path.stat()
    other.replace(drop.path)
    os.utime(drop.path, ns=(age.st_atime_ns, age.st_mtime_ns))
    in_another_process(monkeypatch)
    with remembered(tmp_path / "drops.json"):
        (now,) = zone.drops(EAST.name, DAY)
    assert (drop.rows, now.rows) == (10, 5)


@pytest.mark.parametrize("found", [None, 7, ["a", 1], ["a", "1", ""], ["a", True, ""]])
def test_an_entry_that_is_none_is_passed_over(zone, tmp_path, monkeypatch, found):
    path: Path = tmp_path / "drops.json"
    with remembered(path):
        before = zone.drops(EAST.name, DAY)
    write_cache(path, dict.fromkeys(inspection._FOUND, found))
    in_another_process(monkeypatch)
    with remembered(path):
        assert zone.drops(EAST.name, DAY) == before
