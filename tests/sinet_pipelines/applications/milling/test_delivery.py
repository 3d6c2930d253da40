from datetime import date

import pytest

from sinet_pipelines.applications.milling.delivery import land_folder, land_simulated
from sinet_pipelines.applications.milling.landed import OUTCOMES, RECORDS
from sinet_pipelines.applications.milling.production import read_production
from sinet_pipelines.errors import FleetError, StorageError
from sinet_pipelines.ingestion.zone_file import ZoneFile
from tests.inventory import NAMES
from tests.zones import landing_zone

TODAY = date(2026, 3, 27)


def files_of(home):
    return {path: path.read_bytes() for path in sorted(home.rglob("*.parquet"))}


def test_simulated_records_land_in_every_region_and_end_yesterday(tmp_path):
    report = land_simulated(tmp_path, records=1500, today=TODAY, with_faults=False, regions=NAMES)
    zone = landing_zone(tmp_path, RECORDS)
    assert report.last_day == date(2026, 3, 26)
    assert report.rows == report.events["outcomes"] == 1500
    assert {region: len(zone.days(region)) for region in report.regions} == dict.fromkeys(report.regions, 25)
    day = zone.read_day("EAST", report.first_day)
    assert day.faults == ()
    assert day.rows["unparsed"].null_count() == day.rows.height
    assert sum(zone.read_events(region, OUTCOMES.name).height for region in report.regions) == 1500


def test_landing_again_changes_nothing_even_on_a_later_day(tmp_path):
    first = land_simulated(tmp_path, records=300, today=TODAY, regions=NAMES)
    before = files_of(tmp_path)
    again = land_simulated(tmp_path, records=300, today=date(2026, 4, 30), regions=NAMES)
    assert again.new_drops == 0
    assert again.first_day == first.first_day
    assert files_of(tmp_path) == before


def test_a_removed_drop_is_put_back_only_where_that_is_wanted(tmp_path):
    land_simulated(tmp_path, records=300, today=TODAY, regions=NAMES)
    before = files_of(tmp_path)
    path = next(iter(before))
    path.unlink()
    land_simulated(tmp_path, records=300, today=TODAY, restore=False, regions=NAMES)
    assert not path.exists()
    land_simulated(tmp_path, records=300, today=TODAY, regions=NAMES)
    assert files_of(tmp_path) == before


def test_a_landing_that_ended_early_is_completed(tmp_path, monkeypatch):
    written = []
    keep = ZoneFile.keep

    def keep_some(file, content):
        if len(written) == 5:
            raise StorageError("the disk is full")
        written.append(file)
        keep(file, content)

    monkeypatch.setattr(ZoneFile, "keep", keep_some)
    with pytest.raises(StorageError):
        land_simulated(tmp_path / "home", records=300, today=TODAY, regions=NAMES)
    monkeypatch.undo()
    assert not read_production(tmp_path / "home").complete
    land_simulated(tmp_path / "home", records=300, today=date(2026, 4, 1), regions=NAMES)
    whole = land_simulated(tmp_path / "other", records=300, today=TODAY, regions=NAMES)
    assert [path.name for path in files_of(tmp_path / "home")] == [path.name for path in files_of(tmp_path / "other")]
    assert read_production(tmp_path / "home").first_day == whole.first_day


def test_a_table_of_the_published_format_lands_without_faults(tmp_path, records, write_table):
    folder = write_table(records)
    report = land_folder(folder, home=tmp_path / "home", today=TODAY, regions=NAMES)
    assert not report.simulated
    assert report.planted == 0
    assert report.events == {"outcomes": records.height}
    production = read_production(tmp_path / "home")
    assert production.complete
    assert production.name == folder.name


@pytest.mark.parametrize("requested", [{"seed": 1}, {"records": 301}, {"first_day": date(2026, 1, 1)}])
def test_a_home_has_one_source_of_records(tmp_path, requested):
    land_simulated(tmp_path, records=300, today=TODAY, regions=NAMES)
    with pytest.raises(FleetError, match="one source a home, laid out once; name another home"):
        land_simulated(tmp_path, **{"records": 300, "today": TODAY, **requested}, regions=NAMES)


def test_a_layout_does_not_reach_into_the_future(tmp_path):
    with pytest.raises(FleetError, match="25 days end on 2026-03-27 .*a first day until 2026-03-02"):
        land_simulated(tmp_path, records=300, first_day=date(2026, 3, 3), today=TODAY, regions=NAMES)


def test_a_damaged_record_is_put_back_from_its_copy(tmp_path):
    land_simulated(tmp_path, records=300, today=TODAY, regions=NAMES)
    known = read_production(tmp_path)
    (tmp_path / "landed" / "milling.json").write_text("{")
    assert read_production(tmp_path) == known
