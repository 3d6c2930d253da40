"""What retention reads from Dagster's event log, and how a run goes from it.

The databases count and compare; no event is decoded, except that texts are searched for what a step wrote.
"""

import re
from collections.abc import Collection, Iterator
from datetime import UTC, datetime
from pathlib import Path

import dagster as dg
import sqlalchemy as sql

from resources.dagster_private import SqlEventLogStorage
from resources.writes import WRITES_ENTRY
from sinet_pipelines.retention.runs import EndedRun, EventLog

ENDED = [dg.DagsterRunStatus.SUCCESS, dg.DagsterRunStatus.FAILURE, dg.DagsterRunStatus.CANCELED]
# a queued run has read nothing yet, and may wait for ever where no daemon runs
IN_PROGRESS = [dg.DagsterRunStatus.STARTING, dg.DagsterRunStatus.STARTED, dg.DagsterRunStatus.CANCELING]
_TYPES = "'ASSET_MATERIALIZATION', 'ASSET_OBSERVATION', 'ASSET_FAILED_TO_MATERIALIZE'"
_NEWEST = f"""SELECT MAX(id) FROM event_logs WHERE dagster_event_type IN ({_TYPES})
    AND asset_key IS NOT NULL GROUP BY asset_key, dagster_event_type, partition"""  # noqa: S608 - constants alone
_RUNS = sql.text(f"SELECT DISTINCT run_id FROM event_logs WHERE id IN ({_NEWEST})")  # noqa: S608
_CHECKS = sql.text("""SELECT DISTINCT run_id FROM asset_check_executions WHERE id IN (
    SELECT MAX(id) FROM asset_check_executions GROUP BY asset_key, check_name, partition, execution_status)""")
_LAST = sql.text("SELECT DISTINCT last_run_id FROM asset_keys")
_WRITES = sql.text(
    f"SELECT event FROM event_logs WHERE id IN ({_NEWEST}) AND event LIKE :entry"  # noqa: S608
)
_VERSIONS = sql.text("""SELECT run_id, event FROM event_logs
    WHERE dagster_event_type = 'ASSET_MATERIALIZATION' AND event LIKE :entry AND event LIKE '%"versions": {"%'""")
_SIZE = sql.text("SELECT SUM(LENGTH(event)) FROM event_logs WHERE run_id = :run")
_BLOB = re.compile(r'"([A-Z_][A-Z0-9_]*/[0-9a-f]{64})"')  # regions as in `inventory/regions.py`
_VERSION = re.compile(r'"versions": \{([^}]*)\}')
_NAME = re.compile(r'"([^"]+/\d+)":')
_ENTRY = f'%"{WRITES_ENTRY}"%'


def event_log_of(instance: dg.DagsterInstance, *, killed: Collection[str] = ()) -> EventLog | None:
    """What retention needs of the event log; None where it is in no SQL database.

    Args:
        instance: with the event log.
        killed: ids of runs that are recorded as in progress, and whose process is gone.
    """
    storage = instance.event_log_storage
    if not isinstance(storage, SqlEventLogStorage):
        return None
    opened = instance.get_run_records(
        dg.RunsFilter(statuses=IN_PROGRESS)
    )  # before the events: a run that starts now is new
    opened = [one for one in opened if one.dagster_run.run_id not in killed]
    with storage.index_connection() as connection:
        newest = {row[0] for query in (_RUNS, _CHECKS, _LAST) for row in connection.execute(query) if row[0]}
        blobs = {name for (text,) in connection.execute(_WRITES, {"entry": _ENTRY}) for name in _BLOB.findall(text)}
        versions: dict[str, list[str]] = {}
        for run_id, text in connection.execute(_VERSIONS, {"entry": _ENTRY}):
            names = (name for entry in _VERSION.findall(text) for name in _NAME.findall(entry))
            versions.setdefault(run_id, []).extend(names)
    return EventLog(
        in_progress=tuple(one.dagster_run.run_id for one in opened),
        oldest_start=min((_utc(one.create_timestamp) for one in opened), default=None),
        ended=tuple(_ended(instance, storage, versions)),
        newest=frozenset(newest),
        blobs=frozenset(blobs),
    )


def remove_run(instance: dg.DagsterInstance, run_id: str) -> None:
    """Removes an ended run with its events. The run goes last, so that a kill in between leaves it to the next call.

    Where a run has a database of its own, that is removed whole, with SQLite's files beside it: rows that were deleted
    in it first would stay in its `-wal` file.

    Args:
        instance: whose event log has the run.
        run_id: of the run.
    """
    storage = instance.event_log_storage
    if isinstance(storage, SqlEventLogStorage) and storage.is_run_sharded:
        with storage.index_connection() as connection:
            storage.delete_events_for_run(connection, run_id)
        if storage.supports_global_concurrency_limits:
            storage.free_concurrency_slots_for_run(run_id)
        for file in _files(storage, run_id):
            file.unlink(missing_ok=True)
    else:
        storage.delete_events(run_id)
    instance.run_storage.delete_run(run_id)


def _ended(
    instance: dg.DagsterInstance, storage: SqlEventLogStorage, versions: dict[str, list[str]]
) -> Iterator[EndedRun]:
    for record in instance.get_run_records(dg.RunsFilter(statuses=ENDED)):
        run_id = record.dagster_run.run_id
        ended = record.end_time and datetime.fromtimestamp(record.end_time, UTC)
        size = _size(storage, run_id)
        yield EndedRun(run_id, ended or _utc(record.update_timestamp), size, tuple(versions.get(run_id, ())))


def _size(storage: SqlEventLogStorage, run_id: str) -> int:
    if storage.is_run_sharded:
        return sum(file.stat().st_size for file in _files(storage, run_id) if file.exists())
    with storage.index_connection() as connection:
        return int(connection.execute(_SIZE, {"run": run_id}).scalar() or 0)


def _files(storage: SqlEventLogStorage, run_id: str) -> list[Path]:
    """The database with the events of one run and SQLite's files beside it, of an event log with one for each run."""
    path = Path(storage.path_for_shard(run_id))  # type: ignore[attr-defined]
    return [path.with_name(f"{path.name}{suffix}") for suffix in ("-wal", "-shm", "-journal", "")]


def _utc(time: datetime) -> datetime:
    return time.replace(tzinfo=UTC) if time.tzinfo is None else time.astimezone(UTC)
