"""A home of version 0.1 lands again in a new home: every row and event, and nothing of the old one is touched."""

import json
from dataclasses import asdict
from datetime import date

import pytest

from sinet_pipelines.applications.turbofan.cmapss import read_cmapss
from sinet_pipelines.applications.turbofan.delivery import deliver
from sinet_pipelines.applications.turbofan.fleet import read_fleet
from sinet_pipelines.applications.turbofan.founding import Wish
from sinet_pipelines.applications.turbofan.landed import TELEMETRY
from sinet_pipelines.applications.turbofan.older_home import land_again
from sinet_pipelines.errors import FleetError, SourceError
from tests.inventory import NAMES, REGIONS
from tests.zones import landing_zone

TODAY = date(2026, 3, 26)


@pytest.fixture
def landed(cmapss_folder, tmp_path):
    """A home of now in which two live and three history engines landed."""
    home = tmp_path / "landed"
    report = deliver(
        [read_cmapss(cmapss_folder, "FD009")], home=home, wish=Wish("plant", False, regions=NAMES), today=TODAY
    )
    return home, report


@pytest.fixture
def old(landed, tmp_path):
    """The same as version 0.1 laid it out: all zones in one folder, the record beside them and once more above."""
    home, _ = landed
    folder = tmp_path / "old home"
    for region in REGIONS:
        source = home / region.name / "landing" / "turbofan"
        for path in (path for path in source.rglob("*") if path.is_file()):
            target = folder / "landing" / region.name / path.relative_to(source)
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(path.read_bytes())
    text = json.dumps(asdict(read_fleet(home)), default=date.isoformat)
    for name in ("landing/fleet.json", "fleet.json"):
        (folder / name).write_text(text)
    return folder


def files_of(folder):
    return {path.relative_to(folder): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_every_row_and_event_is_there_again_and_the_old_home_is_as_it_was(old, landed, tmp_path):
    home, first = landed
    before = files_of(old)
    report = land_again(old, home=tmp_path / "new", regions=NAMES)
    assert files_of(tmp_path / "new") == files_of(home)
    assert files_of(old) == before
    assert (report.rows, report.drops, report.new_drops, report.events) == (first.rows, 5, 5, first.events)
    again = land_again(old, home=tmp_path / "new", regions=NAMES)
    assert (again.rows, again.new_drops) == (first.rows, 0)


def test_a_copy_that_was_killed_is_completed(old, tmp_path):
    new = tmp_path / "new"
    land_again(old, home=new, regions=NAMES)
    whole = files_of(new)
    zone = landing_zone(new, TELEMETRY)
    zone.drops("EAST", zone.days("EAST")[0])[0].path.unlink()
    (new / "landed" / "turbofan.json").unlink()
    (new / "landed-turbofan.json").unlink()
    assert land_again(old, home=new, regions=NAMES).new_drops == 1
    assert files_of(new) == whole


def test_a_link_out_of_a_region_is_not_followed(old, tmp_path):
    target = next((old / "landing" / "WEST").glob("20*/*.parquet"))
    day = next((old / "landing" / "EAST").glob("20*"))
    (day / "linked.parquet").symlink_to(target)
    land_again(old, home=tmp_path / "new", regions=NAMES)
    assert not list((tmp_path / "new" / "EAST").rglob("linked.parquet"))


def test_a_damaged_record_is_read_from_its_copy_and_without_one_the_home_is_refused(old, tmp_path):
    (old / "landing" / "fleet.json").write_text("{")
    assert land_again(old, home=tmp_path / "new", regions=NAMES).name == "plant"
    (old / "fleet.json").write_text("[]")
    with pytest.raises(SourceError, match=r"old home is no home of version 0\.1: its record .* cannot be read"):
        land_again(old, home=tmp_path / "another", regions=NAMES)
    assert not (tmp_path / "another").exists()


def test_a_home_that_has_a_fleet_of_its_own_is_left_as_it_is(old, landed, cmapss_folder, tmp_path):
    other = tmp_path / "other"
    deliver([read_cmapss(cmapss_folder, "FD009")], home=other, wish=Wish("other", False, regions=NAMES), today=TODAY)
    before = files_of(other)
    with pytest.raises(FleetError, match="has a fleet of its own; name a new home with --home"):
        land_again(old, home=other, regions=NAMES)
    assert files_of(other) == before
