"""What the event log says of assets now: made, partly made, missing, failed or running, by day and by check."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from functools import cache, partial
from pathlib import Path

import dagster as dg
from dagster._core.definitions.assets.graph.base_asset_graph import BaseAssetGraph
from dagster._core.events import DagsterEventType
from dagster._core.storage.asset_check_execution_record import AssetCheckExecutionRecordStatus

from resources.placement import HARDWARE_TAG, REGION_TAG
from resources.stale import Books
from resources.versions import GAP_TAG, refusals
from sinet_pipelines.escaping import from_markdown
from sinet_pipelines.ingestion.landing import LandingZone
from sinet_pipelines.storage.locks import RUN_LOCK, is_held

#: Of a step: the first begins or goes on with it, the others end it or leave it for later.
_STEP_BEGINS = (DagsterEventType.STEP_START, DagsterEventType.STEP_RESTARTED)
_STEP_RESTS = (
    DagsterEventType.STEP_SUCCESS,
    DagsterEventType.STEP_FAILURE,
    DagsterEventType.STEP_SKIPPED,
    DagsterEventType.STEP_UP_FOR_RETRY,
)


@dataclass(frozen=True)
class AssetState:
    """The last state of one asset.

    Attributes:
        key: of the asset.
        group: its stage.
        region: where it is bound.
        hardware: the kind it is bound to.
        state: missing, partial, done, failed or running; running is what a step is at work on now, and not what waits
            for its turn in a run.
        done: landed days that are made.
        failed: landed days that are not made and whose newest check failed.
        missing: landed days that are neither.
        checks: name and whether it passed, of every check that ran.
        failed_days: landed days whose newest check failed, made before or not.
        made_at: when it was last materialised, UTC; None for never.
        failures: what each failed check found, of each day that failed it.
        faults: what storage lost of it, a sentence each.
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
    made_at: datetime | None = None
    failures: Sequence["Failure"] = ()
    faults: Sequence[str] = ()


@dataclass(frozen=True)
class Failure:
    """A check that failed.

    Attributes:
        check: its name.
        day: the day that failed it; None where the whole asset did.
        reason: what was found; empty where the check recorded none.
    """

    check: str
    day: date | None
    reason: str


@dataclass(frozen=True)
class _Days:
    """Landed days of an asset: those made, and for each check those whose newest result failed."""

    landed: frozenset[date]
    made: frozenset[date]
    refused: Mapping[str, Mapping[date, str]]

    @property
    def failures(self) -> list[Failure]:
        """What each check found of each day that failed it."""
        return [
            Failure(name, day, reason) for name, days in self.refused.items() for day, reason in sorted(days.items())
        ]

    @property
    def failed(self) -> frozenset[date]:
        return frozenset[date]().union(*self.refused.values())

    @property
    def state(self) -> str:
        if self.landed and self.made == self.landed:
            return "done"
        if self.made:
            return "partial"
        return "failed" if self.failed else "missing"

    @property
    def checks(self) -> dict[str, bool]:
        return {name: not days for name, days in self.refused.items() if self.made or days}


def states(instance: dg.DagsterInstance, graph: BaseAssetGraph, home: Path) -> list[AssetState]:
    """The state of every executable asset, in the order of the walk."""
    running = _running_steps(instance)
    books = Books(instance, graph, home)
    landed = cache(partial(_landed, LandingZone(home / "landing")))
    keys = [key for key in graph.toposorted_asset_keys if graph.get(key).is_executable]
    return [_state_of(books, key, landed=landed, is_running=key.to_python_identifier() in running) for key in keys]


def is_walked(home: Path) -> bool:
    """Whether a `sinet run` is at work in the home: it holds the lock, and the lock goes with its process."""
    return is_held(home / RUN_LOCK)


def _landed(zone: LandingZone, region: str, partitions: dg.PartitionsDefinition[str]) -> frozenset[date]:
    """The days on which something landed in a region and that are partitions."""
    return frozenset(day for day in zone.days(region) if partitions.has_partition_key(str(day)))


def _state_of(
    books: Books,
    key: dg.AssetKey,
    *,
    landed: Callable[[str, dg.PartitionsDefinition[str]], frozenset[date]],
    is_running: bool,
) -> AssetState:
    instance, graph = books.instance, books.graph
    node = graph.get(key)
    checks = sorted(graph.get_check_keys_for_assets({key}), key=lambda check: check.name)
    said = {
        "key": key.to_user_string(),
        "group": node.group_name or "",
        "region": node.tags.get(REGION_TAG, ""),
        "hardware": node.tags.get(HARDWARE_TAG, ""),
        "made_at": _made_at(books, key),
    }
    if node.partitions_def is None:
        outcomes = {check.name: _newest_check(instance, check) for check in checks}
        passed = {name: outcome.passed for name, outcome in outcomes.items() if outcome is not None}
        failures = [
            Failure(name, None, from_markdown(outcome.description or ""))
            for name, outcome in outcomes.items()
            if outcome is not None and not outcome.passed
        ]
        state = "running" if is_running else _state_without_days(books, key)
        return AssetState(**said, state=state, checks=passed, failures=failures, faults=_faults(books, key))
    days = _days(books, key, landed=landed(key.path[0], node.partitions_def), checks=[check.name for check in checks])
    return AssetState(
        **said,
        state="running" if is_running else days.state,
        done=len(days.made),
        failed=len(days.failed - days.made),
        missing=len(days.landed - days.made - days.failed),
        checks=days.checks,
        failed_days=sorted(days.failed),
        failures=days.failures,
        faults=_faults(books, key),
    )


def _faults(books: Books, key: dg.AssetKey) -> list[str]:
    return [fault.message for fault in books.kept.faults(key)]


def _days(books: Books, key: dg.AssetKey, *, landed: frozenset[date], checks: Sequence[str]) -> _Days:
    refused = {
        name: {
            day: from_markdown(evaluation.description or "")
            for day, evaluation in refusals(books.instance, key, name).items()
            if day in landed
        }
        for name in checks
    }
    made = {day for day, tags in books.kept.days(key).items() if GAP_TAG not in tags}
    return _Days(landed, landed.intersection(made), refused)


def _state_without_days(books: Books, key: dg.AssetKey) -> str:
    """Failed only while the failure matters: what is what its inputs say is done, whatever was tried since."""
    instance = books.instance
    event, last_run = books.kept.newest(key), books.kept.last_run(key)
    is_of_last_run = event is not None and event.run_id == last_run
    planned = None if is_of_last_run else instance.event_log_storage.get_latest_planned_materialization_info(key)
    if planned is not None and (event is None or event.run_id != planned.run_id):
        run = instance.get_run_by_id(planned.run_id)
        has_failed = run is not None and run.status == dg.DagsterRunStatus.FAILURE
        if has_failed and books.inputs_made_from(key) != books.inputs_of(key):
            return "failed"
    return "done" if books.kept.event(key) is not None else "missing"


def _made_at(books: Books, key: dg.AssetKey) -> datetime | None:
    event = books.kept.newest(key)
    return None if event is None else datetime.fromtimestamp(event.timestamp, UTC)


def _newest_check(instance: dg.DagsterInstance, check: dg.AssetCheckKey) -> dg.AssetCheckEvaluation | None:
    """The newest result of a check, None for one that never ran or that runs now."""
    for record in instance.event_log_storage.get_asset_check_execution_history(check, limit=1):
        event = record.event.dagster_event if record.event else None
        if record.status != AssetCheckExecutionRecordStatus.PLANNED and event is not None:
            return event.asset_check_evaluation_data
    return None


def _running_steps(instance: dg.DagsterInstance) -> set[str]:
    """The keys of the steps that runs are at work on now."""
    running = set[str]()
    for run in instance.get_runs(dg.RunsFilter(statuses=[dg.DagsterRunStatus.STARTED])):
        begun: dict[str, bool] = {}
        for entry in instance.all_logs(run.run_id, of_type={*_STEP_BEGINS, *_STEP_RESTS}):
            if entry.step_key is not None:
                begun[entry.step_key] = entry.dagster_event_type in _STEP_BEGINS
        running |= {step for step, is_begun in begun.items() if is_begun}
    return running
