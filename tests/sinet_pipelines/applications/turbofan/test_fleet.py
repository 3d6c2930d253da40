import json
from dataclasses import replace
from datetime import date

import pytest

from sinet_pipelines.applications.turbofan.fleet import (
    Fleet,
    PlantedFault,
    fleet_of,
    read_fleet,
    write_fleet,
)
from sinet_pipelines.errors import FleetError
from sinet_pipelines.ingestion.record import Record, has_record, keep_copy, read_first_days, read_records
from sinet_pipelines.storage.layout import landing_root, record_copy, record_file
from tests.inventory import NAMES


def fleet_file(home):
    return record_file(home, "turbofan")


def fleet_copy(home):
    return record_copy(home, "turbofan")


FLEET = Fleet("plant", False, date(2026, 3, 1), subsets={"FD001": "a" * 64}, complete=True, regions=NAMES)


def test_a_fleet_is_read_as_it_was_written(tmp_path):
    planted = PlantedFault("drift", "WEST", date(2026, 3, 9), "t2_degr", 7, "too high")
    fleet = replace(FLEET, planted=(planted,), seed=3, cycles_per_day=30, days=40)
    write_fleet(fleet, tmp_path)
    assert read_fleet(tmp_path) == fleet


def test_a_home_without_a_record_has_no_fleet(tmp_path):
    assert read_fleet(tmp_path) is None


def test_the_record_says_what_others_read_of_it(tmp_path):
    write_fleet(FLEET, tmp_path)
    record = json.loads(fleet_file(tmp_path).read_text())
    assert fleet_file(tmp_path) == tmp_path / "landed" / "turbofan.json"
    assert read_records(tmp_path) == {"turbofan": Record("plant", False, date(2026, 3, 1))}
    assert read_first_days(tmp_path) == {"turbofan": date(2026, 3, 1)}
    assert record["first_day"] == "2026-03-01"
    assert record["regions"] == ["EAST", "WEST", "NULL_ISLAND"]
    assert (record["name"], record["simulated"], record["cycles_per_day"], record["days"]) == ("plant", False, 40, 25)


def test_days_and_slots_of_a_fleet():
    assert FLEET.last_day == date(2026, 3, 25)
    assert FLEET.day(24) == FLEET.last_day
    assert FLEET.slots == 1000


def test_a_subset_may_be_added_and_the_same_one_again():
    both = FLEET.admit("FD003", "b" * 64)
    assert both.subsets == {"FD001": "a" * 64, "FD003": "b" * 64}
    assert both.admit("FD001", "a" * 64) == both


def test_a_subset_that_says_something_else_is_another_fleet():
    with pytest.raises(FleetError, match=r"has another FD001 .*rows of two fleets never mix: land it with --home"):
        FLEET.admit("FD001", "c" * 64)


@pytest.mark.parametrize(
    "text",
    ["", "{", "[]", "{}", json.dumps({"name": "x"}), '{"name": 1, "simulated": 1, "first_day": "soon"}'],
)
def test_a_record_that_cannot_be_understood_is_refused_and_kept(tmp_path, text):
    fleet_file(tmp_path).parent.mkdir()
    fleet_file(tmp_path).write_text(text)
    with pytest.raises(FleetError, match="is no record of what landed"):
        read_fleet(tmp_path)
    assert fleet_file(tmp_path).read_text() == text


def test_a_record_of_a_region_that_the_registry_lost_is_read(tmp_path):
    write_fleet(FLEET, tmp_path)
    fleet_file(tmp_path).write_text(fleet_file(tmp_path).read_text().replace("WEST", "NORTH"))
    assert read_fleet(tmp_path).regions == ("EAST", "NORTH", "NULL_ISLAND")


def test_a_record_that_names_no_files_is_one_of_an_earlier_version(tmp_path):
    write_fleet(FLEET, tmp_path)
    record = json.loads(fleet_file(tmp_path).read_text())
    del record["landed"]
    fleet_file(tmp_path).write_text(json.dumps(record))
    assert read_fleet(tmp_path) == FLEET


DAMAGES = {
    "deleted": lambda path: path.unlink(),
    "emptied": lambda path: path.write_text(""),
    "truncated": lambda path: path.write_text(path.read_text()[:40]),
    "garbled": lambda path: path.write_bytes(b"\xff\xfe\x00"),
    "no object": lambda path: path.write_text("[]"),
    "another object": lambda path: path.write_text("{}"),
    "deep": lambda path: path.write_text("[" * 100_000),
}


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)
def test_a_damaged_record_is_put_back_from_its_copy(tmp_path, damage):
    fleet = Fleet("small", False, date(2026, 3, 1), complete=True, regions=NAMES)
    write_fleet(fleet, tmp_path)
    damage(fleet_file(tmp_path))
    assert read_fleet(tmp_path) == fleet
    fleet_copy(tmp_path).unlink()
    assert read_fleet(tmp_path) == fleet


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)
def test_without_a_copy_the_error_names_file_and_cure(tmp_path, damage):
    write_fleet(Fleet("small", False, date(2026, 3, 1), regions=NAMES), tmp_path)
    (landing_root(tmp_path, "EAST", "turbofan") / "2026-03-02").mkdir(parents=True)
    damage(fleet_file(tmp_path))
    damage(fleet_copy(tmp_path))
    if not has_record(tmp_path):
        assert read_fleet(tmp_path) is None
        return
    with pytest.raises(FleetError) as found:
        read_fleet(tmp_path)
    assert str(fleet_file(tmp_path)) in str(found.value)
    assert "--first-day 2026-03-02" in str(found.value)


def test_a_record_edited_by_hand_counts_and_its_copy_follows(tmp_path):
    write_fleet(Fleet("small", False, date(2026, 3, 1), regions=NAMES), tmp_path)
    path = fleet_file(tmp_path)
    path.write_text(path.read_text().replace("2026-03-01", "2026-02-20"))
    assert read_fleet(tmp_path).first_day == date(2026, 2, 20)
    keep_copy(tmp_path, "turbofan", fleet_of)
    path.unlink()
    assert read_fleet(tmp_path).first_day == date(2026, 2, 20)
