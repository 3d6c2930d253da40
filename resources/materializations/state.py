"""The present state of assets in the event log: done, partial, missing, failed or running, by day and by check."""

from collections.abc import Collection, Sequence
from datetime import UTC, date, datetime
from pathlib import Path

import dagster as dg

from resources.dagster_private import AssetCheckExecutionRecordStatus, BaseAssetGraph, DagsterEventType
from resources.deployment import Deployment
from resources.materializations.asset_state import AssetState, Days, Described, state_as_a_whole, state_by_day
from resources.materializations.held import GAP_TAG
from resources.materializations.kept import place_of
from resources.materializations.staleness import Staleness
from resources.placement import HARDWARE_TAG, REGION_TAG
from sinet_pipelines.escaping import from_markdown
from sinet_pipelines.storage.locks import RUN_LOCK, is_held

#: Events of a step: the first begin or continue it, the others end or postpone it.
_STEP_BEGINS = (DagsterEventType.STEP_START, DagsterEventType.STEP_RESTARTED)
_STEP_RESTS = (
    DagsterEventType.STEP_SUCCESS,
    DagsterEventType.STEP_FAILURE,
    DagsterEventType.STEP_SKIPPED,
    DagsterEventType.STEP_UP_FOR_RETRY,
)


def states(instance: dg.DagsterInstance, graph: BaseAssetGraph, deployment: Deployment) -> list[AssetState]:
    """The state of every executable asset, upstream assets first."""
    running = _running_steps(instance)
    staleness = Staleness(instance, graph, deployment)
    return [_state_of(staleness, asset, running=running) for asset in described(graph)]


def is_run_in_progress(home: Path) -> bool:
    """Whether a `sinet run` is in progress in the home: it holds the lock, which ends with its process."""
    return is_held(home / RUN_LOCK)


def described(graph: BaseAssetGraph) -> list[Described]:
    """The declarations of every executable asset, upstream assets first."""
    return [_described(graph, key) for key in graph.toposorted_asset_keys if graph.get(key).is_materializable]


def _described(graph: BaseAssetGraph, key: dg.AssetKey) -> Described:
    node = graph.get(key)
    place, days = place_of(node), node.partitions_def
    return Described(
        path=tuple(key.path),
        group=node.group_name or "",
        region=node.tags.get(REGION_TAG, ""),
        hardware=node.tags.get(HARDWARE_TAG, ""),
        checks=tuple(sorted(check.name for check in graph.get_check_keys_for_assets({key}))),
        days=() if days is None else (days.get_first_partition_key() or "", days.get_last_partition_key() or ""),
        table=place.table.name if place.table else None,
        data_class=str(place.table.data_class) if place.table else "",
        store=place.store,
    )


def _state_of(staleness: Staleness, asset: Described, *, running: Collection[str]) -> AssetState:
    key = dg.AssetKey(asset.path)
    is_running, made_at = key.to_python_identifier() in running, _made_at(staleness, key)
    if asset.days:
        days = _days(staleness, key, landed=asset.landed(staleness.published.landed(asset.path)), checks=asset.checks)
        return state_by_day(asset, days, made_at=made_at, faults=_faults(staleness, key), is_running=is_running)
    found = {name: _newest_check(staleness.instance, dg.AssetCheckKey(key, name)) for name in asset.checks}
    outcomes = {
        name: (result.passed, from_markdown(result.description or ""))
        for name, result in found.items()
        if result is not None
    }
    state = "running" if is_running else _state_without_days(staleness, key)
    return state_as_a_whole(asset, state, outcomes, made_at=made_at, faults=_faults(staleness, key))


def _faults(staleness: Staleness, key: dg.AssetKey) -> list[str]:
    return [fault.message for fault in staleness.kept.faults(key)]


def _days(staleness: Staleness, key: dg.AssetKey, *, landed: frozenset[date], checks: Sequence[str]) -> Days:
    refused = {
        name: {
            day: from_markdown(evaluation.description or "")
            for day, evaluation in staleness.kept.refusals(dg.AssetCheckKey(key, name)).items()
            if day in landed
        }
        for name in checks
    }
    made = {day for day, tags in staleness.kept.days(key).items() if GAP_TAG not in tags}
    return Days(landed, landed.intersection(made), refused)


def _state_without_days(staleness: Staleness, key: dg.AssetKey) -> str:
    """Failed only while the failure matters: an asset that is up to date is done, even if a later attempt failed."""
    instance = staleness.instance
    event, last_run = staleness.kept.newest(key), staleness.kept.last_run(key)
    is_of_last_run = event is not None and event.run_id == last_run
    planned = None if is_of_last_run else instance.event_log_storage.get_latest_planned_materialization_info(key)
    if planned is not None and (event is None or event.run_id != planned.run_id):
        run = instance.get_run_by_id(planned.run_id)
        has_failed = run is not None and run.status == dg.DagsterRunStatus.FAILURE
        if has_failed and staleness.inputs_made_from(key) != staleness.inputs_of(key):
            return "failed"
    return "done" if staleness.kept.event(key) is not None else "missing"


def _made_at(staleness: Staleness, key: dg.AssetKey) -> datetime | None:
    event = staleness.kept.newest(key)
    return None if event is None else datetime.fromtimestamp(event.timestamp, UTC)


def _newest_check(instance: dg.DagsterInstance, check: dg.AssetCheckKey) -> dg.AssetCheckEvaluation | None:
    """The newest result of a check, None for one that never ran or that runs now."""
    for record in instance.event_log_storage.get_asset_check_execution_history(check, limit=1):
        event = record.event.dagster_event if record.event else None
        if record.status != AssetCheckExecutionRecordStatus.PLANNED and event is not None:
            return event.asset_check_evaluation_data
    return None


def _running_steps(instance: dg.DagsterInstance) -> set[str]:
    """The keys of the steps that are in progress."""
    running = set[str]()
    for run in instance.get_runs(dg.RunsFilter(statuses=[dg.DagsterRunStatus.STARTED])):
        begun: dict[str, bool] = {}
        for entry in instance.all_logs(run.run_id, of_type={*_STEP_BEGINS, *_STEP_RESTS}):
            if entry.step_key is not None:
                begun[entry.step_key] = entry.dagster_event_type in _STEP_BEGINS
        running |= {step for step, is_begun in begun.items() if is_begun}
    return running
