"""`sinet status` counts all landed rows and lists the files of the landing zone that are not used."""

import re

import pyarrow.parquet as pq
import pytest
from rich.console import Console

from sinet_pipelines.cli.status import SHOWN_FILES, _unused_table, _with_server, read_accounts, read_unused
from sinet_pipelines.ingestion.landing import LandingZone
from sinet_pipelines.monitoring.row_account import total
from sinet_pipelines.schemas.telemetry import VALIDATED_TELEMETRY
from sinet_pipelines.storage.tables import TableStore


def _lines(table):
    console = Console(width=160)
    with console.capture() as said:
        console.print(table)
    return said.get().splitlines()


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


def test_unused_files_of_a_home_are_listed_with_path_reason_cure_and_region(home):
    day = home / "landing" / "EAST" / "1970-01-01"
    day.mkdir()
    (day / "a.parquet").write_bytes(b"")
    (found,) = read_unused(home)
    assert (found["path"], found["region"]) == ("EAST/1970-01-01/a.parquet", "EAST")
    assert found["reason"].startswith("1970-01-01 is before the first day of this fleet")
    assert found["cure"].startswith("set first_day in fleet.json to 1970-01-01")


@pytest.mark.parametrize(("folder", "is_sent"), [("east/2026-03-01", True), ("EAST/27-11-2026", False)])
def test_rows_of_a_misplaced_file_are_sent_where_it_is_in_a_day_and_the_file_is_listed(home, folder, is_sent):
    before = total(read_accounts(home, {}).values())
    drop = next(path for path in sorted((home / "landing" / "EAST").glob("*/*.parquet")))
    (home / "landing" / folder).mkdir(parents=True)
    (home / "landing" / folder / "rows.parquet").write_bytes(drop.read_bytes())
    after = total(read_accounts(home, {}).values())
    assert before.closes
    assert after.closes
    rows = pq.read_metadata(drop).num_rows if is_sent else 0
    assert (after.sent - before.sent, after.pending - before.pending) == (rows, rows)
    assert f"{folder}/rows.parquet" in [one["path"] for one in read_unused(home)]


def test_rows_of_a_region_that_left_the_registry_stay_in_the_account_and_its_files_are_named(home):
    before = read_accounts(home, {})
    (home / "landing" / "WEST").rename(
        home / "landing" / "NORTH"
    )  # what a zone of an added region looks like afterwards
    after = read_accounts(home, {})
    assert after["NORTH"] == before["WEST"]
    assert total(after.values()) == total(before.values())
    assert total(after.values()).landed > 0
    listed = [one for one in read_unused(home) if one["region"] == "NORTH"]
    files = [path for path in (home / "landing" / "NORTH").rglob("*") if path.is_file()]
    assert sorted(one["path"] for one in listed) == sorted(str(path.relative_to(home / "landing")) for path in files)
    assert {one["reason"] for one in listed} == {"no region NORTH is in the registry (known: EAST, WEST, NULL_ISLAND)"}


def test_rows_in_the_tables_of_a_region_that_left_the_registry_are_counted_there(home):
    zone = LandingZone(home / "landing")
    day = zone.days("WEST")[0]
    rows = zone.read_day("WEST", day).rows
    TableStore(str(home / "tables" / "WEST")).replace_days(VALIDATED_TELEMETRY, rows, days=[day])
    for part in ("landing", "tables"):
        (home / part / "WEST").rename(home / part / "NORTH")
    assert read_accounts(home, {})["NORTH"].in_tables == rows.height


def test_a_folder_of_any_name_is_counted_and_has_no_tables(home):
    (home / "landing" / "WEST").rename(home / "landing" / "50%25 off #1")
    account = read_accounts(home, {})["50%25 off #1"]
    assert account.landed == account.pending > 0
    assert account.closes


def test_a_file_called_like_markup_is_shown_as_it_is_called():
    lines = _lines(_unused_table([{"path": "EAST/[/red].csv", "reason": "[b]no[/b]", "cure": "remove it"}]))
    assert re.split(r"\s{2,}", lines[1].strip()) == ["EAST/[/red].csv", "[b]no[/b]", "remove it"]


def test_of_many_unused_files_the_first_are_shown_and_the_others_counted():
    files = [{"path": f"{number}.csv", "reason": "no", "cure": "remove it"} for number in range(SHOWN_FILES + 3)]
    lines = _lines(_unused_table(files))
    assert len(lines) == 1 + SHOWN_FILES + 1
    assert lines[-1].startswith("... and 3 more")
