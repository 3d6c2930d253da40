import errno
import io
import os
from dataclasses import replace
from datetime import date

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from sinet_pipelines.applications.turbofan.cmapss import read_cmapss
from sinet_pipelines.applications.turbofan.delivery import deliver
from sinet_pipelines.applications.turbofan.fleet import read_fleet, write_fleet
from sinet_pipelines.applications.turbofan.founding import Wish
from sinet_pipelines.applications.turbofan.landed import TELEMETRY
from sinet_pipelines.errors import FleetError, StorageError, UnknownRegionError
from sinet_pipelines.ingestion import landing
from sinet_pipelines.storage.layout import landing_root
from tests.inventory import NAMES
from tests.zones import landing_zone

TODAY = date(2026, 3, 26)
WISH = Wish("plant", False, regions=NAMES)
REGIONS = ("EAST", "WEST", "NULL_ISLAND")


@pytest.fixture
def subset(cmapss_folder):
    return read_cmapss(cmapss_folder, "FD009")


def _land(subset, home, **more):
    return deliver([subset], home=home, today=TODAY, **{"wish": WISH, **more})


def _files(home):
    return {path.relative_to(home): path.read_bytes() for path in home.rglob("*") if path.is_file()}


def test_all_rows_and_events_land_and_the_report_counts_them(subset, tmp_path):
    report = _land(subset, tmp_path)
    zone = landing_zone(tmp_path, TELEMETRY)
    days = [zone.read_day(region, day) for region in REGIONS for day in zone.days(region)]
    assert report.rows == sum(day.sent for day in days) == sum(day.rows.height for day in days) == 20
    assert (report.drops, report.new_drops, report.days) == (5, 5, 5)
    assert (report.events, report.planted) == ({"failures": 3, "truth": 2}, 0)
    assert (report.first_day, report.last_day) == (date(2026, 3, 1), date(2026, 3, 25))
    assert report.regions == REGIONS
    failures = pl.concat([zone.read_events(region, "failures") for region in REGIONS])
    assert failures.select("unit", "cycle").rows() == [("FD009-0001", 6), ("FD009-0002", 4), ("FD009-0003", 5)]
    truth = pl.concat([zone.read_events(region, "truth") for region in REGIONS])
    assert truth.select("unit", "cycle", "rul_cycles").rows() == [("FD009-L0001", 3, 7), ("FD009-L0002", 2, 9)]


def test_landing_again_changes_nothing_also_on_a_later_day(subset, tmp_path):
    first = _land(subset, tmp_path)
    before = _files(tmp_path)
    again = deliver([subset], home=tmp_path, wish=WISH, today=date(2026, 5, 1))
    assert _files(tmp_path) == before
    assert (again.rows, again.new_drops, again.first_day) == (first.rows, 0, first.first_day)


def test_a_drop_that_was_removed_lands_again(subset, tmp_path):
    _land(subset, tmp_path)
    before = _files(tmp_path)
    next((landing_root(tmp_path, "EAST", "turbofan") / "2026-03-01").iterdir()).unlink()
    assert _land(subset, tmp_path).new_drops == 1
    assert _files(tmp_path) == before


def test_a_drop_that_was_withdrawn_stays_away_where_nothing_is_to_be_restored(subset, tmp_path):
    _land(subset, tmp_path)
    next((landing_root(tmp_path, "EAST", "turbofan") / "2026-03-01").iterdir()).unlink()
    before = _files(tmp_path)
    assert _land(subset, tmp_path, restore=False).new_drops == 0
    assert _files(tmp_path) == before


@pytest.fixture
def other_bytes(monkeypatch):
    """From now on files of the same rows are other bytes, as another version of Parquet writes them."""

    def change():
        _rewrite(monkeypatch, lambda table: table)

    return change


@pytest.fixture
def another_contract(monkeypatch):
    """From now on files of the same rows have one column more."""

    def change():
        _rewrite(monkeypatch, lambda table: table.append_column("more", pa.array([1.0] * len(table))))

    return change


def _rewrite(monkeypatch, change):
    def written(content):
        buffer = io.BytesIO()
        pq.write_table(change(pq.read_table(io.BytesIO(content))), buffer, compression="none")
        return buffer.getvalue()

    drop, events = landing.encode_drop, landing.encode_events
    monkeypatch.setattr(landing, "encode_drop", lambda rows, contract: written(drop(rows, contract)))
    monkeypatch.setattr(landing, "encode_events", lambda rows, kind: written(events(rows, kind)))


def _landed(home):
    return {path: content for path, content in _files(home).items() if path.suffix == ".parquet"}


def _places(home):
    """The folder of each landed file, as often as it has files."""
    return sorted(path.parent for path in _landed(home))


@pytest.mark.parametrize("restore", [True, False])
def test_a_fleet_that_landed_lands_no_second_time_as_other_bytes(subset, tmp_path, other_bytes, restore):
    first = _land(subset, tmp_path)
    before = _files(tmp_path)
    other_bytes()
    again = _land(subset, tmp_path, restore=restore)
    assert _files(tmp_path) == before
    assert (again.rows, again.drops, again.new_drops) == (first.rows, first.drops, 0)


@pytest.mark.parametrize("restore", [True, False])
def test_under_a_contract_with_other_columns_each_file_is_replaced_by_its_successor(
    subset, tmp_path, another_contract, restore
):
    first = _land(subset, tmp_path)
    places, before = _places(tmp_path), _landed(tmp_path)
    another_contract()
    again = _land(subset, tmp_path, restore=restore)
    assert (again.rows, again.drops, again.new_drops) == (first.rows, first.drops, 0)
    assert _places(tmp_path) == places
    assert not set(_landed(tmp_path)) & set(before)
    assert all("more" in pq.read_schema(tmp_path / path).names for path in _landed(tmp_path))
    once = _files(tmp_path)
    _land(subset, tmp_path, restore=restore)
    assert _files(tmp_path) == once


def test_a_drop_that_was_withdrawn_stays_away_under_another_contract_until_it_is_restored(
    subset, tmp_path, another_contract
):
    _land(subset, tmp_path)
    places = _places(tmp_path)
    removed = next((landing_root(tmp_path, "EAST", "turbofan") / "2026-03-01").iterdir())
    removed.unlink()
    another_contract()
    _land(subset, tmp_path, restore=False)
    assert _places(tmp_path) == [place for place in places if tmp_path / place != removed.parent]
    assert _land(subset, tmp_path).new_drops == 1
    assert _places(tmp_path) == places


@pytest.mark.parametrize("restore", [True, False])
def test_a_home_of_an_earlier_version_that_is_complete_lands_nothing_twice(subset, tmp_path, another_contract, restore):
    _land(subset, tmp_path)
    before = _landed(tmp_path)
    write_fleet(replace(read_fleet(tmp_path), landed={}), tmp_path)
    another_contract()
    assert _land(subset, tmp_path, restore=restore).new_drops == 0
    assert _landed(tmp_path) == before


@pytest.mark.parametrize("first", [True, False])
@pytest.mark.parametrize("writes", range(1, 13))
def test_a_landing_stopped_in_the_middle_goes_on_under_another_contract_and_each_file_lands_once(
    subset, tmp_path, monkeypatch, another_contract, writes, first
):
    _land(subset, tmp_path / "whole")
    home, left, real = tmp_path / "stopped", [2 * writes], os.fsync

    def fills_up(handle):
        left[0] -= 1
        if left[0] < 0:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        real(handle)

    if not first:  # not the first landing is stopped, but the one that replaces its files
        _land(subset, home)
        another_contract()
    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", fills_up)
        with pytest.raises(StorageError):
            _land(subset, home, restore=False)
    if first:
        another_contract()
    for restore in (False, True):
        _land(subset, home, restore=restore)
        assert _places(home) == _places(tmp_path / "whole")
        assert all("more" in pq.read_schema(home / path).names for path in _landed(home))
    assert read_fleet(home).complete


def test_rows_of_a_region_that_the_inventory_lost_stay_and_the_others_are_landed_as_before(subset, tmp_path):
    _land(subset, tmp_path)
    before = _files(tmp_path)
    without_west = Wish("plant", False, regions=tuple(name for name in NAMES if name != "WEST"))
    report = _land(subset, tmp_path, wish=without_west)
    assert _files(tmp_path) == before
    assert report.regions == ("EAST", "NULL_ISLAND")
    write_fleet(replace(read_fleet(tmp_path), complete=False), tmp_path / "another")  # a landing that was killed
    with pytest.raises(UnknownRegionError, match="no region 'WEST'"):
        _land(subset, tmp_path / "another", wish=without_west)


def test_a_new_fleet_is_laid_out_in_the_regions_of_its_deployment(subset, tmp_path):
    report = _land(subset, tmp_path, wish=Wish("plant", False, regions=("NORTH", "EAST")))
    assert report.regions == ("NORTH", "EAST")
    assert read_fleet(tmp_path).regions == ("NORTH", "EAST")


@pytest.mark.parametrize("writes", [1, 3, 7, 10])
def test_a_landing_that_the_disk_stopped_is_completed_by_the_next(subset, tmp_path, monkeypatch, writes):
    _land(subset, tmp_path / "whole")
    left = [2 * writes]  # a file and its folder
    real = os.fsync

    def fills_up(handle):
        left[0] -= 1
        if left[0] < 0:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        real(handle)

    monkeypatch.setattr(os, "fsync", fills_up)
    home = tmp_path / "stopped"
    with pytest.raises(StorageError, match="no space is left"):
        _land(subset, home)
    monkeypatch.setattr(os, "fsync", real)
    assert not read_fleet(home).complete
    assert (
        _files(home).items()
        <= (_files(tmp_path / "whole") | {p: b for p, b in _files(home).items() if p.suffix == ".json"}).items()
    )
    _land(subset, home)
    assert _files(home) == _files(tmp_path / "whole")


def test_truth_lands_last(subset, tmp_path, monkeypatch):
    order = []
    real = os.replace

    def record(source, target, *args, **kwargs):
        order.append(str(target))
        return real(source, target, *args, **kwargs)

    monkeypatch.setattr(os, "replace", record)
    _land(subset, tmp_path)
    kinds = [
        "truth" if "/truth/" in p else "failures" if "/failures/" in p else "record" if p.endswith(".json") else "rows"
        for p in order
    ]
    assert list(dict.fromkeys(kinds)) == ["record", "rows", "failures", "truth"]
    assert kinds[-1] == "record"


def test_a_subset_may_be_added_to_a_fleet_and_leaves_the_first_as_it_was(cmapss_folder, tmp_path):
    for part in ("train", "test", "RUL"):
        (cmapss_folder / f"{part}_FD010.txt").write_bytes((cmapss_folder / f"{part}_FD009.txt").read_bytes())
    home, both_at_once = tmp_path / "one_by_one", tmp_path / "at_once"
    subsets = [read_cmapss(cmapss_folder, name) for name in ("FD009", "FD010")]
    for subset in subsets:
        deliver([subset], home=home, wish=WISH, today=TODAY)
    deliver(subsets, home=both_at_once, wish=WISH, today=TODAY)
    assert _files(home) == _files(both_at_once)
    assert list(read_fleet(home).subsets) == ["FD009", "FD010"]


def test_another_fleet_for_a_home_is_refused_before_anything_is_written(subset, tmp_path, cmapss_folder):
    home = tmp_path / "home"
    _land(subset, home)
    before = _files(home)
    with pytest.raises(FleetError, match="another was requested"):
        deliver([subset], home=home, wish=Wish("other", False, regions=NAMES), today=TODAY)
    (cmapss_folder / "RUL_FD009.txt").write_text("7\n8\n")
    with pytest.raises(FleetError, match="has another FD009"):
        _land(read_cmapss(cmapss_folder, "FD009"), home)
    assert _files(home) == before


def test_copies_and_texts_of_a_file_are_counted_and_nothing_is_lost(cmapss_folder, tmp_path):
    path = cmapss_folder / "train_FD009.txt"
    lines = path.read_text().splitlines()
    lines += [lines[0], lines[1].replace(" 7.02 ", " 7.77 "), lines[2].replace(" 7.03 ", " broken ")]
    lines[3] = lines[3].replace("1 4 ", "1 four ", 1)
    path.write_text("\n".join(lines))
    _land(read_cmapss(cmapss_folder, "FD009"), tmp_path)
    zone = landing_zone(tmp_path, TELEMETRY)
    day = zone.read_day("EAST", zone.days("EAST")[0])
    assert (day.sent, day.duplicates) == (9, 1)
    assert day.rows.filter(cycle=2).height == 2
    assert sorted(day.rows["unparsed"].drop_nulls()) == ['{"cycle": "four"}', '{"p2_psia": "broken"}']
