"""What past runs of a home took, from Dagster's event log: seconds, cost and events of each step, by asset and days.

The database counts and sums; no event is decoded. Table sizes come from the files of the days that are there.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import dagster as dg
import sqlalchemy as sql

from resources.dagster_private import ASSET_EVENTS, AssetGraph, BaseAssetGraph, SqlEventLogStorage
from resources.deployment import Deployment
from resources.keys import name_of
from resources.materializations.held import as_day
from resources.materializations.kept import place_of
from resources.placement import HARDWARE_TAG, NEEDS_TAG, REGION_TAG
from sinet_pipelines.backfills.history import EVENT_BYTES, RUN, SECONDS, USD, PastRun, Step
from sinet_pipelines.placement.needs import Needs
from sinet_pipelines.placement.prices import usd_per_second
from sinet_pipelines.storage.delta_log import read_log
from sinet_pipelines.storage.layout import table_folder
from sinet_pipelines.storage.roots import root_of

NEWEST = 60  # past runs that are read: more change an estimate little, and older ones ran older code
ENDED = [dg.DagsterRunStatus.SUCCESS, dg.DagsterRunStatus.FAILURE, dg.DagsterRunStatus.CANCELED]
ENDS = "STEP_SUCCESS", "STEP_FAILURE"
_STEPS = sql.text("""SELECT step_key, dagster_event_type, MIN(timestamp), MAX(timestamp), COUNT(DISTINCT partition),
        SUM(LENGTH(event))
    FROM event_logs WHERE run_id = :run GROUP BY step_key, dagster_event_type""")
_FILE = sql.text("SELECT page_count * page_size FROM pragma_page_count(), pragma_page_size()")


@dataclass(frozen=True)
class Placed:
    """Where a step runs and what a second of it costs.

    Attributes:
        region: its region; empty for a step that is bound nowhere.
        hardware: id of the kind.
        usd_per_second: price of the inventory.
        needs: of the step.
    """

    region: str = ""
    hardware: str = ""
    usd_per_second: float = 0.0
    needs: Needs = Needs()


def placed(graph: BaseAssetGraph, deployment: Deployment) -> dict[str, Placed]:
    """The place and price of each asset's step, by the asset's key as it is shown."""
    found = {}
    for key in graph.toposorted_asset_keys if isinstance(graph, AssetGraph) else ():
        node: Any = graph.get(key)
        tags = node.assets_def.op.tags if node.is_executable else {}
        if REGION_TAG in tags:
            region, needs = deployment.region(tags[REGION_TAG]), Needs.from_json(tags[NEEDS_TAG])
            price = usd_per_second(region, tags[HARDWARE_TAG], needs)
            found[key.to_user_string()] = Placed(region.name, tags[HARDWARE_TAG], price, needs)
    return found


def past_runs(instance: dg.DagsterInstance, graph: BaseAssetGraph, places: Mapping[str, Placed]) -> list[PastRun]:
    """The newest ended runs with what their finished steps took, the newest first.

    Args:
        instance: whose event log is read.
        graph: of the assets; steps of other assets are left out.
        places: of the assets.
    """
    records = instance.get_run_records(dg.RunsFilter(statuses=ENDED), limit=NEWEST)
    step_names = names_of_steps(graph)
    runs = (read_run(instance, one, step_names, places) for one in records)
    return [run for run in runs if any(step.asset != RUN for step in run.steps)]


def names_of_steps(graph: BaseAssetGraph) -> dict[str, str]:
    """The asset of each step, by the key of the step."""
    return {key.to_python_identifier(): key.to_user_string() for key in graph.get_all_asset_keys()}


def read_run(
    instance: dg.DagsterInstance,
    record: dg.RunRecord,
    step_names: Mapping[str, str],
    places: Mapping[str, Placed],
    *,
    is_whole: bool = False,
) -> PastRun:
    """What the steps of one ended run took, and the run beside its steps.

    Args:
        instance: whose event log is read.
        record: of the run.
        step_names: the asset of each step.
        places: of the assets.
        is_whole: whether failed steps and the end of a failed run count. Of past runs they do not: a step that failed
            shows nothing of one that succeeds, and the end of a killed run is when it was found.
    """
    run_id, storage = record.dagster_run.run_id, instance.event_log_storage
    if not isinstance(storage, SqlEventLogStorage):
        return PastRun(run_id, ())
    with storage.run_connection(run_id) as connection:
        found = connection.execute(_STEPS, {"run": run_id})
        rows = [(step, kind, first, last, days, int(size or 0)) for step, kind, first, last, days, size in found]
        is_sqlite = connection.dialect.name == "sqlite"
        size = int(connection.execute(_FILE).scalar() or 0) if is_sqlite else 0
    payload = sum(row[5] for row in rows)
    stored = _stored_bytes(rows, pages=size / payload if size and payload else 1.0, twice=is_sqlite)
    steps = tuple(_steps(rows, step_names, places, stored, ends=ENDS if is_whole else ENDS[:1]))
    if record.dagster_run.status != dg.DagsterRunStatus.SUCCESS and not is_whole:
        return PastRun(run_id, steps)
    wall = (record.end_time or 0.0) - (record.start_time or 0.0)
    own = sum(step.amounts[SECONDS] for step in steps)
    beside = {SECONDS: max(0.0, wall) - own, USD: 0.0, EVENT_BYTES: stored.get(None, 0.0)}
    return PastRun(run_id, (*steps, Step(RUN, 0, beside)))


def _steps(
    rows: Sequence[tuple[Any, ...]],
    step_names: Mapping[str, str],
    places: Mapping[str, Placed],
    stored: Mapping[str | None, float],
    *,
    ends: Sequence[str],
) -> Iterator[Step]:
    by_step: dict[str, dict[str, tuple[Any, ...]]] = {}
    for row in rows:
        if row[0] in step_names:
            by_step.setdefault(row[0], {})[row[1]] = row
    for step_key, found in sorted(by_step.items()):
        end = next((found[kind] for kind in ends if kind in found), None)
        if "STEP_START" not in found or end is None:
            continue
        seconds = _seconds(end[3]) - _seconds(found["STEP_START"][2])
        days = max((row[4] for kind, row in found.items() if kind == "ASSET_MATERIALIZATION"), default=0)
        price = places.get(step_names[step_key], Placed()).usd_per_second
        amounts = {SECONDS: seconds, USD: seconds * price, EVENT_BYTES: stored[step_key]}
        yield Step(step_names[step_key], days, amounts)


def _stored_bytes(rows: Sequence[tuple[Any, ...]], *, pages: float, twice: bool) -> dict[str | None, float]:
    """Bytes on the disk of each step's events.

    Args:
        rows: of the query.
        pages: bytes of the run's file for each byte of its events; 1 where it has none of its own.
        twice: whether an asset's events are in the index, too, as SQLite keeps them.
    """
    doubled = {kind.value for kind in ASSET_EVENTS} if twice else set()
    stored: dict[str | None, float] = {}
    for step_key, kind, _, _, _, size in rows:
        stored[step_key] = stored.get(step_key, 0.0) + size * (pages + (kind in doubled))
    return stored


def _seconds(at: Any) -> float:
    """Seconds since 1970 of a time in UTC, which SQLite returns as text."""
    found = datetime.fromisoformat(at) if isinstance(at, str) else at
    return float(found.replace(tzinfo=UTC).timestamp())


def table_bytes(graph: BaseAssetGraph, deployment: Deployment, keys: Sequence[dg.AssetKey]) -> dict[str, list[float]]:
    """For each asset with a table on this machine, the bytes of the files of each of its days.

    Only the table's log is read. Where the regions run apart, or their root is a store, there are none.
    """
    found = {}
    for key in keys:
        folder = _folder_of(graph, deployment, key)
        if folder is not None:
            found[key.to_user_string()] = [size for _, size in sorted(_sizes_of_days(folder).items())]
    return found


def written_bytes(graph: BaseAssetGraph, deployment: Deployment, keys: Sequence[dg.AssetKey]) -> float | None:
    """The bytes of all files of the assets' tables, those of replaced days included; None where a table is not here."""
    total = 0.0
    for key in keys:
        folder = _folder_of(graph, deployment, key)
        if folder is not None:
            total += sum(_size(path) for path in folder.rglob("*.parquet"))
        elif place_of(graph.get(key)).table is not None:
            return None
    return total


def _folder_of(graph: BaseAssetGraph, deployment: Deployment, key: dg.AssetKey) -> Path | None:
    place = place_of(graph.get(key))
    if place.table is None or not place.region or not deployment.is_one_machine:
        return None
    if not root_of(deployment.home, place.region).is_local:
        return None
    return table_folder(deployment.home, place.region, name_of(key).application, place.table)


def _sizes_of_days(folder: Path) -> dict[str, float]:
    """The bytes of each day's files in the newest version of a table; none where its log cannot be read."""
    log, sizes = read_log(folder), dict[str, float]()
    for file in log.files if log is not None and log.damaged is None else ():
        if file.day is not None and as_day(file.day) is not None:
            sizes[file.day] = sizes.get(file.day, 0.0) + file.size
    return sizes


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0
