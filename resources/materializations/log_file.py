"""Reads the state of assets from the SQLite files of Dagster's event log, without Dagster.

The import of Dagster and the opening of its instance take several times as long as the reading. The tables and the JSON
of an event are those of the pinned version. Rare cases are left to Dagster: a wiped asset, a run in progress, another
schema.
"""

import json
import sqlite3
from collections import defaultdict
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

from resources.materializations.held import Recorded, as_day
from resources.writes import WRITES_ENTRY
from sinet_pipelines.storage.databases import DAGSTER_REVISION
from sinet_pipelines.storage.layout import file_uri

BUSY_S = 5.0

_NEWEST_OF_DAYS = """SELECT asset_key, event FROM event_logs WHERE id IN (
    SELECT MAX(id) FROM event_logs WHERE dagster_event_type = 'ASSET_MATERIALIZATION' AND partition IS NOT NULL
    GROUP BY asset_key, partition)"""
_NEWEST_RESULTS = """SELECT asset_key, check_name, evaluation_event FROM asset_check_executions WHERE id IN (
    SELECT MAX(id) FROM asset_check_executions WHERE execution_status IN ('SUCCEEDED', 'FAILED')
    GROUP BY asset_key, check_name, partition) ORDER BY id DESC"""
_NEWEST_RECORDS = """SELECT asset_key, check_name, execution_status, evaluation_event FROM asset_check_executions
    WHERE id IN (SELECT MAX(id) FROM asset_check_executions GROUP BY asset_key, check_name)"""
_NEWEST_PLANS = """SELECT asset_key, run_id FROM event_logs WHERE id IN (
    SELECT MAX(id) FROM event_logs WHERE dagster_event_type = 'ASSET_MATERIALIZATION_PLANNED' GROUP BY asset_key)"""
_UNFINISHED = "('NOT_STARTED', 'STARTING', 'STARTED', 'CANCELING')"


@dataclass(frozen=True)
class Made:
    """The newest materialisation of an asset.

    Attributes:
        at: when it was recorded, UTC.
        run_id: of the run that recorded it.
        recorded: its metadata.
    """

    at: datetime
    run_id: str
    recorded: Recorded


@dataclass(frozen=True)
class Outcome:
    """The newest result of a check.

    Attributes:
        passed: whether it did.
        description: what was found, as markdown.
    """

    passed: bool
    description: str


@dataclass(frozen=True)
class Log:
    """The content of the log, by asset keys whose parts are joined by `/`.

    Attributes:
        newest: the newest materialisation of each asset.
        last_run: the last run that made it, or planned to make it.
        days: the newest materialisation of each day of each asset.
        results: the newest result of each day, by asset and check.
        outcomes: the newest result of each check, of any day; None for one that is not finished.
        failed_plans: assets whose newest planned materialisation is of a failed run, with that run.
    """

    newest: Mapping[str, Made]
    last_run: Mapping[str, str]
    days: Mapping[str, Mapping[date, Recorded]]
    results: Mapping[tuple[str, str], Mapping[date, Outcome]]
    outcomes: Mapping[tuple[str, str], Outcome | None]
    failed_plans: Mapping[str, str] = field(default_factory=dict)


def read_log(folder: Path) -> Log | None:
    """The log below a `$DAGSTER_HOME`; None where only Dagster can read it."""
    try:
        with _opened(folder / "history" / "runs.db") as runs, _opened(folder / "history/runs/index.db") as index:
            if not _is_plain(runs, index):
                return None
            failed = {run for (run,) in runs.execute("SELECT run_id FROM runs WHERE status = 'FAILURE'")}
            return _read(index, failed)
    except (sqlite3.Error, ValueError, KeyError, TypeError):
        return None  # Dagster's own reader reports the fault better


@contextmanager
def _opened(path: Path) -> Iterator[sqlite3.Connection]:
    """A connection that reads the database as of one moment; later writes are invisible to it."""
    with closing(sqlite3.connect(f"{file_uri(path)}?mode=ro", uri=True, timeout=BUSY_S, isolation_level=None)) as found:
        found.execute("BEGIN")
        yield found


def _is_plain(runs: sqlite3.Connection, index: sqlite3.Connection) -> bool:
    """Whether the log has no case that only Dagster's reader handles."""
    for database in (runs, index):
        if database.execute("SELECT version_num FROM alembic_version").fetchall() != [(DAGSTER_REVISION,)]:
            return False
    (wiped,) = index.execute("SELECT COUNT(*) FROM asset_keys WHERE wipe_timestamp IS NOT NULL").fetchone()
    (at_work,) = runs.execute(f"SELECT COUNT(*) FROM runs WHERE status IN {_UNFINISHED}").fetchone()  # noqa: S608
    return not (wiped or at_work)


def _read(index: sqlite3.Connection, failed: set[str]) -> Log:
    newest, last_run = dict[str, Made](), dict[str, str]()
    for key, record, run_id in index.execute("SELECT asset_key, last_materialization, last_run_id FROM asset_keys"):
        name = _name(key)
        if run_id is not None:
            last_run[name] = run_id
        if record:
            newest[name] = _made(json.loads(record)["event_log_entry"])
    days: defaultdict[str, dict[date, Recorded]] = defaultdict(dict)
    for key, event in index.execute(_NEWEST_OF_DAYS):
        materialisation = specific_of(json.loads(event))["materialization"]
        if day := as_day(materialisation["partition"]):
            days[_name(key)][day] = recorded_of(materialisation)
    results: defaultdict[tuple[str, str], dict[date, Outcome]] = defaultdict(dict)
    for key, check, event in index.execute(_NEWEST_RESULTS):
        specific = specific_of(json.loads(event))
        if day := as_day(specific["partition"]):
            results[_name(key), check].setdefault(day, _outcome(specific))
    outcomes = {
        (_name(key), check): None if status == "PLANNED" else _outcome(specific_of(json.loads(event)))
        for key, check, status, event in index.execute(_NEWEST_RECORDS)
    }
    plans = {_name(key): run for key, run in index.execute(_NEWEST_PLANS) if run in failed}
    return Log(newest, last_run, days, results, outcomes, plans)


def _name(key: str) -> str:
    return "/".join(json.loads(key))


def specific_of(entry: dict[str, Any]) -> dict[str, Any]:
    """The part of an event's JSON that is specific to its kind."""
    found: dict[str, Any] = entry["dagster_event"]["event_specific_data"]
    return found


def _made(entry: dict[str, Any]) -> Made:
    recorded = recorded_of(specific_of(entry)["materialization"])
    return Made(datetime.fromtimestamp(entry["timestamp"], UTC), entry["run_id"], recorded)


def recorded_of(materialisation: dict[str, Any]) -> Recorded:
    """The metadata in a materialisation's JSON about the data that it wrote."""
    numbers: dict[str, int | None] = {}
    writes = None
    for entry in materialisation["metadata_entries"]:
        label, data = entry["label"], entry["entry_data"]
        numbers[label] = data["value"] if data["__class__"] == "IntMetadataEntryData" else None
        if label == WRITES_ENTRY:
            writes = data["data"]
    return Recorded(materialisation["tags"] or {}, numbers, writes)


def _outcome(specific: dict[str, Any]) -> Outcome:
    return Outcome(bool(specific["success"]), specific["description"] or "")
