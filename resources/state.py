"""What the event log says of assets now: made, partly made, missing, failed or running, by day and by check."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path

import dagster as dg
from dagster._core.definitions.assets.graph.base_asset_graph import BaseAssetGraph
from dagster._core.storage.asset_check_execution_record import AssetCheckExecutionRecordStatus

from resources.placement import HARDWARE_TAG, REGION_TAG
from resources.versions import days_made, days_refused
from sinet_pipelines.ingestion.landing import LandingZone

GOING_ON = [dg.DagsterRunStatus.STARTING, dg.DagsterRunStatus.STARTED]


@dataclass(frozen=True)
class AssetState:
    """The last state of one asset.

    Attributes:
        key: of the asset.
        group: its stage.
        region: where it is bound.
        hardware: the kind it is bound to.
        state: missing, partial, done, failed or running.
        done: landed days that are made.
        failed: landed days whose newest check failed.
        missing: landed days that are neither.
        checks: name and whether it passed, of every check that ran.
        failed_days: the days of `failed`.
    """

    key: str
    group: str
    region: str
    hardware: str
    state: str
    done: int = 0
    failed: int = 0
    missing: int = 0
    checks: Mapping[str, bool] = field(default_factory=dict)
    failed_days: Sequence[date] = ()


def states(instance: dg.DagsterInstance, graph: BaseAssetGraph, home: Path) -> list[AssetState]:
    """The state of every executable asset, in the order of the walk."""
    zone = LandingZone(home / "landing")
    running = _running(instance)
    found = []
    for key in graph.toposorted_asset_keys:
        if graph.get(key).is_executable:
            found.append(_state_of(instance, graph, key, zone, is_running=key in running))
    return found


def _state_of(
    instance: dg.DagsterInstance, graph: BaseAssetGraph, key: dg.AssetKey, zone: LandingZone, *, is_running: bool
) -> AssetState:
    node = graph.get(key)
    checks = {check.name: check for check in graph.get_check_keys_for_assets({key})}
    passed: dict[str, bool] = {}
    common = {
        "key": key.to_user_string(),
        "group": node.group_name or "",
        "region": node.tags.get(REGION_TAG, ""),
        "hardware": node.tags.get(HARDWARE_TAG, ""),
    }
    if not node.is_partitioned:
        for name, check in checks.items():
            outcome = _newest_check(instance, check)
            if outcome is not None:
                passed[name] = outcome
        state = "running" if is_running else _state_without_days(instance, key)
        return AssetState(**common, state=state, checks=passed)
    landed = set(zone.days(key.path[0]))
    made = landed.intersection(days_made(instance, key))
    refused: set[date] = set()
    for name in checks:
        failing = landed.intersection(days_refused(instance, key, name))
        refused |= failing
        if made or failing:
            passed[name] = not failing
    missing = landed - made - refused
    state = "running" if is_running else _state_with_days(landed, made, refused)
    return AssetState(
        **common,
        state=state,
        done=len(made),
        failed=len(refused - made),
        missing=len(missing),
        checks=passed,
        failed_days=sorted(refused),
    )


def _state_with_days(landed: set[date], made: set[date], refused: set[date]) -> str:
    if landed and made == landed:
        return "done"
    if made:
        return "partial"
    return "failed" if refused else "missing"


def _state_without_days(instance: dg.DagsterInstance, key: dg.AssetKey) -> str:
    event = instance.get_latest_materialization_event(key)
    planned = instance.event_log_storage.get_latest_planned_materialization_info(key)
    if planned is not None and (event is None or event.run_id != planned.run_id):
        run = instance.get_run_by_id(planned.run_id)
        if run is not None and run.status == dg.DagsterRunStatus.FAILURE:
            return "failed"
    return "done" if event is not None else "missing"


def _newest_check(instance: dg.DagsterInstance, check: dg.AssetCheckKey) -> bool | None:
    records = instance.event_log_storage.get_asset_check_execution_history(check, limit=1)
    if not records or records[0].status == AssetCheckExecutionRecordStatus.PLANNED:
        return None
    return records[0].status == AssetCheckExecutionRecordStatus.SUCCEEDED


def _running(instance: dg.DagsterInstance) -> set[dg.AssetKey]:
    runs = instance.get_runs(dg.RunsFilter(statuses=GOING_ON))
    return {key for run in runs for key in run.asset_selection or ()}
