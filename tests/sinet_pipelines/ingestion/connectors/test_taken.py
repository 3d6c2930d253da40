"""The state of a source: in the region's storage, for one home at a time, ignored by the landing zone."""

import shutil
import time

import pytest

from sinet_pipelines.errors import BusyError
from sinet_pipelines.ingestion.connectors import taken
from sinet_pipelines.ingestion.connectors.taken import Taken
from sinet_pipelines.ingestion.zone_file import ZoneFile
from sinet_pipelines.inventory.roots import Root
from sinet_pipelines.storage.objects import open_objects
from sinet_pipelines.storage.roots import access_options, root_of, settle_roots
from tests.outside import FolderOutside, as_csv
from tests.pulls import DATA, a_row, landed, landed_frame, pull, some_rows, units
from tests.zones import landing_zone


class Region:
    """A region of the inventory with a root on a store."""

    name = "EAST"

    def __init__(self, root):
        self.root = root


@pytest.fixture
def stored_home(tmp_path, s3_store, monkeypatch):
    """Makes a home whose region EAST is the prefix of a bucket, the same for each home."""
    root = Root(f"s3://{s3_store.bucket()}/plant", endpoint_url=s3_store.url)
    monkeypatch.setenv("SINET_EAST_AT_EAST_ACCESS_KEY_ID", s3_store.key_id)
    monkeypatch.setenv("SINET_EAST_AT_EAST_SECRET_ACCESS_KEY", s3_store.secret)

    def make(name="home"):
        path = tmp_path / name
        path.mkdir()
        settle_roots(path, [Region(root)])
        return path

    return make


@pytest.fixture
def folder(tmp_path):
    return FolderOutside(tmp_path)


def test_rows_and_state_are_in_the_storage_of_the_region(folder, stored_home):
    home = stored_home()
    folder.write("a.csv", as_csv(some_rows(0, 4)) + b"bad\n")
    assert pull(folder.url, home).totals.rows == 4
    folder.write("a.csv", as_csv([a_row(1, speed_rpm=9), a_row(7)]))
    made = pull(folder.url, home)
    assert (landed(home), made.totals.withdrawn) == (["M1", "M7"], 1)
    assert dict(landed_frame(home).select("unit", "speed_rpm").iter_rows())["M1"] == 9
    assert not (home / "EAST").exists()
    assert landing_zone(home, DATA).unused("EAST") == ()


def test_the_landing_zone_of_a_folder_ignores_the_state(folder, tmp_path):
    home = tmp_path / "home"
    folder.add(some_rows(0, 2))
    pull(folder.url, home)
    assert landing_zone(home, DATA).unused("EAST") == ()


def test_another_home_of_the_same_storage_lands_nothing_again(folder, stored_home):
    folder.add(some_rows(0, 4))
    homes = [stored_home("one"), stored_home("two")]
    assert [pull(folder.url, home).totals.rows for home in homes] == [4, 0]


def _interrupted(folder, home, monkeypatch):
    def killed(*_):
        raise KeyboardInterrupt

    folder.add(some_rows(0, 4))
    with monkeypatch.context() as patch:
        patch.setattr(Taken, "confirm", killed)
        with pytest.raises(KeyboardInterrupt):
            pull(folder.url, home)


def _later(monkeypatch):
    """Sets the clock to a time at which a lease of now has ended."""
    later = time.time() + taken.LEASE_S + 60
    monkeypatch.setattr(taken.time, "time", lambda: later)


def test_files_that_another_machine_writes_at_the_moment_are_not_removed(folder, stored_home, monkeypatch):
    _interrupted(folder, stored_home("one"), monkeypatch)
    other = stored_home("two")
    with pytest.raises(BusyError, match=r"another `sinet pull` takes rows from .* \(home .*one at .*\); wait for it"):
        pull(folder.url, other)
    assert landed(other) == units(0, 4)
    _later(monkeypatch)
    assert pull(folder.url, other).totals.rows == 4
    assert landed(other) == units(0, 4)


def test_a_pull_whose_files_were_taken_over_stops(folder, stored_home):
    home = stored_home()
    objects = open_objects(root_of(home, "EAST").uri, access_options(home, "EAST"))
    first = Taken(objects, "plant", "file:/rows", home=home)
    first.plan(["landing/plant/2026-03-01/a.parquet"])
    second = Taken(objects, "plant", "file:/rows", home=home)
    second.claim()
    with pytest.raises(BusyError, match="this one lands nothing more"):
        first.plan(["landing/plant/2026-03-01/b.parquet"])


def test_a_pull_that_was_taken_over_removes_nothing_of_the_other_one(folder, stored_home, monkeypatch):
    folder.add(some_rows(0, 4))
    homes = [stored_home("one"), stored_home("two")]
    real = ZoneFile.keep

    def keep(self, content):
        real(self, content)
        monkeypatch.setattr(ZoneFile, "keep", real)
        _later(monkeypatch)
        assert pull(folder.url, homes[1]).totals.rows == 4  # the other machine lands the same drops

    monkeypatch.setattr(ZoneFile, "keep", keep)
    with pytest.raises(BusyError, match="this one lands nothing more"):
        pull(folder.url, homes[0])
    assert landed(homes[0]) == units(0, 4)


def test_a_moved_home_continues(folder, tmp_path, monkeypatch):
    _interrupted(folder, tmp_path / "home", monkeypatch)
    moved = shutil.move(tmp_path / "home", tmp_path / "moved")
    _later(monkeypatch)
    pull(folder.url, moved)
    assert landed(moved) == units(0, 4)
