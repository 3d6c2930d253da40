"""The newest materialisation and check result of each day of many assets, read from the event log in a few queries.

Dagster's own reader makes an object of every event, which takes a third of a millisecond: a plan of 24,000 days needs
nine seconds. Here only rows, version and tags are decoded. A wiped asset, and storage that is no SQL database, are left
to Dagster's reader.
"""

import json
from collections.abc import Collection, Iterable, Iterator, Mapping
from datetime import date
from functools import cache
from typing import TYPE_CHECKING, Any, TypeVar

import dagster as dg
import orjson

from resources.dagster_private import DagsterEventType, deserialize_value
from resources.materializations.held import Recorded, as_day
from resources.materializations.log_file import recorded_of, specific_of
from resources.writes import WRITES_ENTRY
from sinet_pipelines.errors import StorageError

if TYPE_CHECKING:
    import sqlalchemy as sql

    from resources.dagster_private import SqlEventLogStorage

T = TypeVar("T")
Days = Mapping[date, Recorded]
PAGE = 1000  # records of one query

_NEWEST = """SELECT asset_key, MAX(id) FROM event_logs
    WHERE dagster_event_type = 'ASSET_MATERIALIZATION' AND partition IS NOT NULL AND asset_key IN :keys
    GROUP BY asset_key, partition"""
_WIPED = "SELECT asset_key FROM asset_keys WHERE wipe_timestamp IS NOT NULL"
_EVENTS = "SELECT id, event FROM event_logs WHERE id IN :ids"
_FAILED = """SELECT asset_key, check_name, evaluation_event FROM asset_check_executions
    WHERE execution_status = 'FAILED' AND id IN (
        SELECT MAX(id) FROM asset_check_executions
        WHERE execution_status IN ('SUCCEEDED', 'FAILED') AND asset_key IN :keys
        GROUP BY asset_key, check_name, partition)
    ORDER BY id"""
_FAILING = """SELECT asset_key, partition FROM asset_check_executions
    WHERE execution_status = 'FAILED' AND id IN (
        SELECT MAX(id) FROM asset_check_executions
        WHERE execution_status IN ('SUCCEEDED', 'FAILED') AND check_name = :check
        GROUP BY asset_key, partition)"""
_FAILED_IN = """SELECT asset_key, partition FROM asset_check_executions
    WHERE execution_status = 'FAILED' AND check_name = :check AND partition IS NOT NULL AND run_id IN :runs
    """


def read_days(instance: dg.DagsterInstance, keys: Collection[dg.AssetKey]) -> dict[dg.AssetKey, Days]:
    """The newest materialisation of each day of each asset; an asset without days has none."""
    storage = _sql_storage(instance)
    if storage is None:
        return {key: _by_dagster(instance, key) for key in keys}
    by_text = {key.to_string(): key for key in keys}
    with storage.index_connection() as connection:
        wiped = {text for (text,) in connection.execute(_query(_WIPED))} & set(by_text)
        plain = [text for text in by_text if text not in wiped]
        newest = [
            row
            for some in _pages(plain)
            for row in connection.execute(_query(_NEWEST, "keys"), {"keys": some}).fetchall()
        ]
        key_of = {number: by_text[text] for text, number in newest}
        found: dict[dg.AssetKey, dict[date, Recorded]] = {key: {} for key in keys}
        for number, event in _events(connection, key_of):
            materialisation = specific_of(_decoded(event))["materialization"]
            if day := as_day(materialisation["partition"]):
                found[key_of[number]][day] = recorded_of(materialisation)
    return {**found, **{by_text[text]: _by_dagster(instance, by_text[text]) for text in wiped}}


def read_refusals(
    instance: dg.DagsterInstance, checks: Collection[dg.AssetCheckKey]
) -> dict[dg.AssetCheckKey, dict[date, dg.AssetCheckEvaluation]]:
    """For each check, the days whose newest result failed, each with that result."""
    storage = _sql_storage(instance)
    found: dict[dg.AssetCheckKey, dict[date, dg.AssetCheckEvaluation]] = {check: {} for check in checks}
    by_text = {(check.asset_key.to_string(), check.name): check for check in checks}
    if storage is None:
        return {check: _refusals_by_dagster(instance, check) for check in checks}
    with storage.index_connection() as connection:
        for some in _pages(sorted({text for text, _ in by_text})):
            for text, name, event in connection.execute(_query(_FAILED, "keys"), {"keys": some}):
                logged: Any = deserialize_value(event) if (text, name) in by_text else None
                entry = logged.dagster_event if logged is not None else None
                evaluation = entry.asset_check_evaluation_data if entry is not None else None
                if evaluation is not None and (day := as_day(evaluation.partition)):
                    found[by_text[text, name]][day] = evaluation
    return found


def refused_by(
    instance: dg.DagsterInstance, check_name: str, run_ids: Collection[str]
) -> frozenset[tuple[dg.AssetKey, date]]:
    """The assets and days that failed a check in one of these runs, and whose newest result is a failure.

    Raises:
        StorageError: the event log is in no SQL database.
    """
    storage = _sql_storage(instance)
    if storage is None:
        kind = type(instance.event_log_storage).__name__
        raise StorageError(f"the event log is a {kind}; results of checks are read from an SQL database: use one")
    with storage.index_connection() as connection:
        failing = {(text, day) for text, day in connection.execute(_query(_FAILING), {"check": check_name})}
        failed = {
            (text, day)
            for some in _pages(run_ids)
            for text, day in connection.execute(_query(_FAILED_IN, "runs"), {"check": check_name, "runs": some})
        }
    found = [(dg.AssetKey.from_db_string(text), as_day(name)) for text, name in sorted(failing & failed)]
    return frozenset((key, day) for key, day in found if key is not None and day is not None)


def recorded(event: dg.AssetMaterialization) -> Recorded:
    """The metadata of a materialisation about the data that it wrote."""
    numbers = {
        name: value.value if isinstance(value, dg.IntMetadataValue) else None for name, value in event.metadata.items()
    }
    writes: Any = event.metadata.get(WRITES_ENTRY)
    return Recorded(event.tags or {}, numbers, None if writes is None else writes.value)


def _sql_storage(instance: dg.DagsterInstance) -> "SqlEventLogStorage | None":
    """The event log if it is in an SQL database; None for another one."""
    # here, since with SQLAlchemy it is a sixth of the time of loading the definitions
    from resources.dagster_private import SqlEventLogStorage

    storage = instance.event_log_storage
    return storage if isinstance(storage, SqlEventLogStorage) else None


@cache
def _query(text: str, *lists: str) -> "sql.TextClause":
    """A query, of whose parameters some are lists of values."""
    import sqlalchemy as sql

    return sql.text(text).bindparams(*(sql.bindparam(name, expanding=True) for name in lists))


def _decoded(event: str) -> Any:
    """The event as a dictionary; Python's own JSON also reads NaN and infinity, which a person's metadata may hold."""
    try:
        return orjson.loads(event)
    except orjson.JSONDecodeError:
        return json.loads(event)


def _pages(items: Iterable[T]) -> Iterator[list[T]]:
    left = list(items)
    for start in range(0, len(left), PAGE):
        yield left[start : start + PAGE]


def _events(connection: Any, numbers: Iterable[int]) -> Iterator[tuple[int, str]]:
    for some in _pages(sorted(numbers)):
        yield from connection.execute(
            _query(_EVENTS, "ids"), {"ids": some}
        ).fetchall()  # row by row costs twice as much


def _by_dagster(instance: dg.DagsterInstance, key: dg.AssetKey) -> dict[date, Recorded]:
    newest = instance.event_log_storage.get_latest_storage_id_by_partition(key, DagsterEventType.ASSET_MATERIALIZATION)
    found: dict[date, Recorded] = {}
    for some in _pages(sorted(newest.values())):
        chosen = dg.AssetRecordsFilter(asset_key=key, storage_ids=some)
        for record in instance.fetch_materializations(chosen, limit=PAGE).records:
            event = record.asset_materialization
            day = as_day(event.partition) if event else None
            if event is not None and day is not None:
                found[day] = recorded(event)
    return found


def _refusals_by_dagster(instance: dg.DagsterInstance, check: dg.AssetCheckKey) -> dict[date, dg.AssetCheckEvaluation]:
    newest: dict[date, dg.AssetCheckEvaluation] = {}
    cursor: int | None = None
    while True:
        page = instance.event_log_storage.get_asset_check_execution_history(check, limit=PAGE, cursor=cursor)
        for record in page:
            entry = record.event.dagster_event if record.event else None
            if entry is None or entry.event_type != DagsterEventType.ASSET_CHECK_EVALUATION:
                continue
            evaluation = entry.asset_check_evaluation_data
            day = as_day(evaluation.partition)
            if day is not None:
                newest.setdefault(day, evaluation)
        if len(page) < PAGE:
            return {day: evaluation for day, evaluation in newest.items() if not evaluation.passed}
        cursor = page[-1].id
