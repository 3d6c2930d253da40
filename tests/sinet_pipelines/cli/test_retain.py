"""`sinet retain`: a dry run shows and removes nothing, an execution removes; only one at a time."""

import json
import os
import sqlite3
import time
from datetime import date

import pytest
from sqlalchemy.exc import OperationalError

from sinet_pipelines.cli.home import OWN_INSTANCE
from sinet_pipelines.cli.orchestrator import enter
from sinet_pipelines.cli.retain import remove_unneeded, retain
from sinet_pipelines.errors import BusyError, InventoryError, StorageError, UsageError
from sinet_pipelines.ingestion.record import Record, write_record
from sinet_pipelines.retention.execution import LOCK, SEEN
from sinet_pipelines.storage.blobs import blobs_of
from sinet_pipelines.storage.locks import held

OLD = "11111111-1111-1111-1111-111111111111"


@pytest.fixture
def home(tmp_path, monkeypatch):
    """A home in which one application landed; what a command sets in the environment ends with the test."""
    for name in ("SINET_HOME", "DAGSTER_HOME", OWN_INSTANCE):
        monkeypatch.setenv(name, "")
    folder = tmp_path / "home"
    write_record(folder, "mill", {"name": "rows", "simulated": False, "first_day": date(2026, 1, 1)}, Record.of)
    return folder


@pytest.fixture
def old_output(home):
    """The folder of an output of 40 days."""
    folder = home / "dagster" / "compute_logs" / OLD
    folder.mkdir(parents=True)
    (folder / "step.out").write_bytes(b"0123456789")
    at = time.time() - 40 * 86_400
    os.utime(folder, (at, at))
    return folder


def printed(capsys):
    return json.loads(capsys.readouterr().out)


def test_a_dry_run_lists_what_would_go_and_an_execution_removes_it(home, project, old_output, capsys):
    retain(home=home, project=project, dry_run=True, as_json=True)
    facts = printed(capsys)
    assert (facts["dry_run"], facts["removed"]) == (True, [])
    assert [(one["kind"], one["name"], one["bytes"]) for one in facts["going"]] == [("output of runs", OLD, 10)]
    assert old_output.exists()
    retain(home=home, project=project, dry_run=False, as_json=True)
    assert [one["name"] for one in printed(capsys)["removed"]] == [OLD]
    assert not old_output.exists()


def test_the_table_names_kind_number_bytes_and_reason(home, project, old_output, capsys):
    blobs_of(home, "EAST").put(b"graph")
    retain(home=home, project=project, dry_run=True, as_json=False)
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert ["kind", "things", "bytes", "kept", "because", "of"] in lines
    assert ["blobs", "1", "5", "unneeded", "for", "less", "than", "30", "days"] in lines
    assert ["output", "of", "runs", "1", "10", "nothing:", "would", "be", "removed"] in lines


@pytest.mark.slow
def test_a_second_execution_at_the_same_time_is_refused_and_a_run_goes_on(home, project, old_output):
    with held(home / LOCK):
        with pytest.raises(BusyError, match="another `sinet retain` .* is in progress"):
            retain(home=home, project=project, dry_run=False, as_json=True)
        assert remove_unneeded(home) == 0
    assert old_output.exists()


def test_the_end_of_a_run_records_when_a_blob_became_unneeded(home, project):
    name = blobs_of(home, "EAST").put(b"graph")
    enter(project, home)  # as `sinet run` does before
    assert remove_unneeded(home) == 0
    assert list(json.loads((home / SEEN).read_text())["unneeded_since"]) == [f"blobs:EAST/{name}"]


@pytest.mark.parametrize(
    "error",
    [
        InventoryError("inventory.yaml: line 3 is no entry"),
        StorageError("the event log could not be written"),
        PermissionError("mlflow-artifacts"),
        OperationalError("DELETE", {}, sqlite3.OperationalError("database is locked")),
    ],
    ids=lambda one: type(one).__name__,
)
def test_a_fault_of_the_removal_is_logged_and_the_caller_continues(home, monkeypatch, caplog, error):
    def failing(*_, **__):
        raise error

    monkeypatch.setattr("sinet_pipelines.retention.execution.execute", failing)
    assert remove_unneeded(home) == 0
    assert f"old data of {home} were not removed" in caplog.text


def test_a_folder_that_is_no_home_is_refused(tmp_path, project):
    with pytest.raises(UsageError, match="no fleet in"):
        retain(home=tmp_path, project=project, dry_run=True, as_json=False)
