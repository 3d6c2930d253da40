"""`sinet status` counts all landed rows and lists the files of the landing zone that are not used."""

import re
import shutil
from dataclasses import replace

import pyarrow.parquet as pq
import pytest
from rich.console import Console

from sinet_pipelines import applications
from sinet_pipelines.applications.turbofan.application import TURBOFAN
from sinet_pipelines.applications.turbofan.landed import TELEMETRY
from sinet_pipelines.applications.turbofan.schemas.telemetry import VALIDATED_TELEMETRY
from sinet_pipelines.cli.status import (
    SHOWN_FILES,
    _assets_table,
    _unused_table,
    _with_server,
    read_accounts,
    read_unused,
)
from sinet_pipelines.monitoring.row_account import total
from sinet_pipelines.storage.layout import landing_root
from sinet_pipelines.storage.tables import tables_of
from tests.deployed import published_at
from tests.zones import landing_zone


def _lines(table):
    console = Console(width=160)
    with console.capture() as found:
        console.print(table)
    return found.get().splitlines()


SERVED = {"name": "rul", "model": "rul", "ready": True}


@pytest.mark.parametrize(
    ("endpoints", "expected"),
    [
        ([], "done"),  # stopped by `sinet stop`, or never started
        ([SERVED], "done"),
        ([{**SERVED, "ready": False}], "failed"),
        ([{**SERVED, "ready": False}, {**SERVED, "name": "rul-v1"}], "failed"),  # one beside the champion's answers
        ([{**SERVED, "ready": False}, SERVED], "done"),
    ],
)
def test_the_endpoint_is_failed_with_its_checks_while_its_server_does_not_answer(endpoints, expected):
    checks = [{"name": "answers", "passed": True}]
    found = _with_server({"asset": "fleet/endpoint", "state": "done", "checks": checks}, endpoints)
    assert (found["state"], found["checks"]) == (expected, [{"name": "answers", "passed": expected == "done"}])
    other = {"asset": "fleet/evaluation", "state": "done", "checks": checks}
    assert _with_server(other, endpoints) == other


@pytest.mark.slow
def test_unused_files_of_a_home_are_listed_with_path_reason_cure_and_region(home):
    day = landing_root(home, "EAST", "turbofan") / "1970-01-01"
    day.mkdir()
    (day / "a.parquet").write_bytes(b"")
    (found,) = read_unused(published_at(home))
    assert (found["path"], found["region"]) == ("EAST/landing/turbofan/1970-01-01/a.parquet", "EAST")
    assert found["reason"].startswith("1970-01-01 is before the first day of turbofan in this home")
    assert found["application"] == "turbofan"
    assert found["cure"].startswith("set first_day in landed/turbofan.json to 1970-01-01")


@pytest.mark.slow
@pytest.mark.parametrize(("folder", "is_sent"), [("east/2026-03-01", True), ("EAST/27-11-2026", False)])
def test_rows_of_a_misplaced_file_are_sent_where_it_is_in_a_day_and_the_file_is_listed(home, folder, is_sent):
    before = total(read_accounts(published_at(home), {}).values())
    drop = next(path for path in sorted((landing_root(home, "EAST", "turbofan")).glob("*/*.parquet")))
    region, day = folder.split("/")
    place = landing_root(home, region, "turbofan") / day
    place.mkdir(parents=True)
    (place / "rows.parquet").write_bytes(drop.read_bytes())
    after = total(read_accounts(published_at(home), {}).values())
    assert before.closes
    assert after.closes
    rows = pq.read_metadata(drop).num_rows if is_sent else 0
    assert (after.sent - before.sent, after.pending - before.pending) == (rows, rows)
    assert f"{region}/landing/turbofan/{day}/rows.parquet" in [one["path"] for one in read_unused(published_at(home))]


@pytest.mark.slow
def test_rows_of_a_region_that_left_the_registry_stay_in_the_account_and_its_files_are_named(home):
    before = read_accounts(published_at(home), {})
    (home / "WEST").rename(home / "NORTH")  # what the folder of an added region looks like afterwards
    after = read_accounts(published_at(home), {})
    assert after["turbofan", "NORTH"] == before["turbofan", "WEST"]
    assert total(after.values()) == total(before.values())
    assert total(after.values()).landed > 0
    listed = [one for one in read_unused(published_at(home)) if one["region"] == "NORTH"]
    files = [path for path in (landing_root(home, "NORTH", "turbofan")).rglob("*") if path.is_file()]
    assert sorted(one["path"] for one in listed) == sorted(str(path.relative_to(home)) for path in files)
    assert {one["reason"] for one in listed} == {"no region NORTH is in the inventory (known: EAST, WEST, NULL_ISLAND)"}


@pytest.mark.slow
def test_rows_in_the_tables_of_a_region_that_left_the_registry_are_counted_there(home):
    zone = landing_zone(home, TELEMETRY)
    day = zone.days("WEST")[0]
    rows = zone.read_day("WEST", day).rows
    tables_of(home, "WEST", "turbofan").replace_days(VALIDATED_TELEMETRY, rows, days=[day])
    (home / "WEST").rename(home / "NORTH")
    assert read_accounts(published_at(home), {})["turbofan", "NORTH"].in_tables == rows.height


@pytest.mark.slow
def test_a_folder_of_any_name_is_counted_and_has_no_tables(home):
    (home / "WEST").rename(home / "50%25 off #1")
    account = read_accounts(published_at(home), {})["turbofan", "50%25 off #1"]
    assert account.landed == account.pending > 0
    assert account.closes


@pytest.mark.slow
def test_two_applications_of_a_home_are_counted_apart_and_one_that_left_the_list_is_named(home, monkeypatch):
    other = replace(TURBOFAN, name="lathes", landed=replace(TELEMETRY, application="lathes"))
    monkeypatch.setattr(applications, "load_applications", lambda: (TURBOFAN,))
    before = read_accounts(published_at(home), {})
    shutil.copytree(landing_root(home, "EAST", "turbofan"), landing_root(home, "EAST", "lathes"))
    monkeypatch.setattr(applications, "load_applications", lambda: (TURBOFAN, other))
    after = read_accounts(published_at(home), {})
    assert after["lathes", "EAST"] == before["turbofan", "EAST"]
    assert {place: after[place] for place in before} == before
    assert read_unused(published_at(home)) == []
    monkeypatch.setattr(applications, "load_applications", lambda: (TURBOFAN,))
    assert read_accounts(published_at(home), {}) == before
    listed = read_unused(published_at(home))
    assert {one["reason"] for one in listed} == {"lathes is no application (known: turbofan)"}
    files = [path for path in landing_root(home, "EAST", "lathes").rglob("*") if path.is_file()]
    assert sorted(one["path"] for one in listed) == sorted(str(path.relative_to(home)) for path in files)


def test_assets_of_two_applications_are_listed_one_application_after_the_other_upstream_first():
    def asset(application, name):
        facts = {"group": "ingestion", "region": "EAST", "hardware": "cpu", "state": "done", "made_at": None}
        days = {"done": 0, "failed": 0, "missing": 0}
        return {
            "asset": f"EAST/{application}/{name}",
            "application": application,
            "partitions": days,
            **facts,
            "checks": [],
        }

    assets = [asset("turbofan", "raw"), asset("milling", "raw"), asset("turbofan", "late"), asset("milling", "early")]
    listed = [line.split()[:2] for line in _lines(_assets_table(assets))[1:]]
    assert listed == [["milling", "raw"], ["milling", "early"], ["turbofan", "raw"], ["turbofan", "late"]]


def test_a_file_called_like_markup_is_shown_as_it_is_called():
    lines = _lines(_unused_table([{"path": "EAST/[/red].csv", "reason": "[b]no[/b]", "cure": "remove it"}]))
    assert re.split(r"\s{2,}", lines[1].strip()) == ["EAST/[/red].csv", "[b]no[/b]", "remove it"]


def test_of_many_unused_files_the_first_are_shown_and_the_others_counted():
    files = [{"path": f"{number}.csv", "reason": "no", "cure": "remove it"} for number in range(SHOWN_FILES + 3)]
    lines = _lines(_unused_table(files))
    assert len(lines) == 1 + SHOWN_FILES + 1
    assert lines[-1].startswith("... and 3 more")
