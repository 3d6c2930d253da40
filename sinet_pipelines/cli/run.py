"""`sinet run`: runs all stages on one home; makes what is missing or stale, and continues after a kill."""

import os
import time
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console

from sinet_pipelines.applications.application import parse_key
from sinet_pipelines.cli.failures import AssetFailure, failures_of
from sinet_pipelines.cli.home import CACHE, find_project, held, home_of, make_current, make_home
from sinet_pipelines.cli.progress import AssetProgress, RunProgress, quiet, watched
from sinet_pipelines.cli.retain import remove_unneeded
from sinet_pipelines.errors import FailedError, UsageError
from sinet_pipelines.escaping import for_terminal
from sinet_pipelines.storage.logs import rotate
from sinet_pipelines.words import counted

if TYPE_CHECKING:
    from dagster import DagsterInstance

    from sinet_pipelines.ingestion.delivery import LandReport, Order

MAX_ROUNDS = 20  # of planning: a late row needs one for each stage; more would be a defect of the platform


@dataclass(frozen=True)
class RunResult:
    """The result of an end-to-end run.

    Attributes:
        seconds: duration of each asset's steps.
        failures: the assets that failed, in the order of time.
        runs: number of Dagster runs.
    """

    seconds: dict[str, float]
    failures: tuple[AssetFailure, ...]
    runs: int


def run_applications(
    names: Collection[str],
    *,
    data: Path | None,
    home: Path | None,
    project: Path | None,
    first_day: date | None,
    as_json: bool,
) -> int:
    """Runs all stages and prints a summary; returns the exit code.

    Args:
        names: the applications to run; empty for all.
        data: the folder to land; None for simulated data.
        home: None for the home of the data.
        project: the checkout; None for the one at or above the current folder.
        first_day: first day of the layout; None for that of the home, or for the day that makes yesterday the last.
        as_json: whether to print JSON alone.

    Raises:
        UsageError: the data folder or an application does not exist, or the home has other data.
        BusyError: another run is in progress in the home.
    """
    started = time.perf_counter()
    root = find_project(project)
    os.environ["SINET_PROJECT"] = str(root)
    _require_known(names)
    recognised = _recognised(data, names) if data is not None else {}
    folder = make_home(home or home_of(data))
    with held(folder):
        from sinet_pipelines.ingestion.delivery import Order
        from sinet_pipelines.inventory.regions import this_inventory
        from sinet_pipelines.storage.roots import settle_roots

        inventory = this_inventory()
        settle_roots(folder, inventory.regions)  # rows land where the inventory places their region
        order = Order(folder, data, first_day=first_day, restore=False, regions=inventory.names)
        landed = _land(order, recognised, names)
        from sinet_pipelines.cli.orchestrator import enter
        from sinet_pipelines.cli.state_health import mend_state
        from sinet_pipelines.ingestion.inspection import remembered

        enter(root, folder)
        make_current(folder)
        mended = mend_state(folder)
        rotate(folder / "run.log")
        with remembered(folder / CACHE / "drops.json"), quiet(folder / "run.log") as console:
            for sentence in mended:
                console.print(sentence)
            console.print(f"home {for_terminal(folder)}")
            for sentence in landed:
                console.print(sentence)
            result = _run_all(folder, console, names)
            remove_unneeded(folder)
        from sinet_pipelines.cli.summary import report

        return report(folder, result, seconds=time.perf_counter() - started, as_json=as_json)


def _recognised(folder: Path, names: Collection[str]) -> dict[str, str]:
    """The applications that can land the folder, each with its format; checked before a home is made for it.

    Raises:
        UsageError: there is no such folder.
        SourceError: no application recognises it, or it lacks files of its format.
    """
    from sinet_pipelines.cli.land import sources
    from sinet_pipelines.ingestion.delivery import recognising

    known = {name: source for name, source in sources().items() if not names or name in names}
    if not folder.is_dir():
        formats = "; ".join(f"{name}: {words}" for one in known.values() for name, words in one.formats.items())
        raise UsageError(f"no folder {folder}; name one in a format that is read ({formats}), or omit --data")
    found = recognising(known, folder)
    for name in found:
        known[name].subsets(folder)
    return found


def _require_known(names: Collection[str]) -> None:
    from sinet_pipelines.applications import NAMES

    if unknown := sorted(set(names).difference(NAMES)):
        raise UsageError(
            f"no application {', '.join(unknown)} (known: {', '.join(NAMES)}); name some of these, or none"
        )


def _land(order: "Order", recognised: Mapping[str, str], names: Collection[str]) -> list[str]:
    """Lands missing data, and returns a sentence for each application.

    Without a folder every application simulates its data. In a home with real data each continues with the data that
    it has. A landing that was killed is completed. A drop that was withdrawn since is not landed again.

    Args:
        order: the home and the folder.
        recognised: the applications that can land the folder, each with its format.
        names: the applications to run; empty for all.

    Raises:
        FleetError: the home has other data.
    """
    from sinet_pipelines.cli.land import sources
    from sinet_pipelines.ingestion.record import keep_copy, read_record, read_records

    known = {name: source for name, source in sources().items() if not names or name in names}
    for name, source in known.items():
        read_record(order.home, name, source.parse)
        keep_copy(order.home, name, source.parse)
    records, lines = read_records(order.home), []
    is_real = any(not record.simulated for record in records.values())
    for name, source in known.items():
        record = records.get(name)
        if name in recognised or (order.folder is None and not is_real):
            lines.append(_words(source.deliver(replace(order, form=recognised.get(name)))))
        elif record is not None:
            lines.append(f"{name} continues with {record.name}, landed from {record.first_day}")
    return lines


def _words(report: "LandReport") -> str:
    kind = " (simulated)" if report.simulated else ""
    new_drops = f"{report.new_drops} of them new" if report.new_drops else "all of them landed before"
    laid_out = f"{counted(report.rows, 'row')} in {counted(report.drops, 'drop')}"
    return f"{report.application} from {report.name}{kind} as laid out: {laid_out}, {new_drops}"


def _run_all(home: Path, console: Console, names: Collection[str]) -> RunResult:
    from sinet_pipelines.cli.orchestrator import end_killed_runs, load_definitions, opened_instance

    with opened_instance() as instance:
        for run_id in end_killed_runs(instance):
            console.print(f"run {run_id[:8]} was killed; continuing where it stopped")
        result = _repair(instance, load_definitions().resolve_asset_graph(), home, console, names)
        from resources.deployment import this_deployment
        from resources.unused import record_unused

        record_unused(instance, this_deployment())
        return result


def _repair(instance: "DagsterInstance", graph: Any, home: Path, console: Console, names: Collection[str]) -> RunResult:
    """Plans and executes runs until there is nothing left to make, or until a failure that is not of single days.

    Raises:
        FailedError: after the last round there is still something to make.
    """
    seconds: dict[str, float] = {}
    failures: dict[str, AssetFailure] = {}
    runs = rounds = 0
    observe(instance, graph, console)
    planned = _of_applications(_plan(instance, graph, home), names)
    while planned:
        rounds += 1
        if rounds > MAX_ROUNDS:
            left = ", ".join(sorted(key.to_user_string() for one in planned for key in one.keys))
            raise FailedError(f"after {MAX_ROUNDS} rounds these are still to make: {left}; run again and report this")
        for one in _first_of(planned, graph):
            progress, found = _execute(instance, one, console)
            runs += 1
            for name, asset in progress.assets.items():
                seconds[name] = seconds.get(name, 0.0) + asset.seconds
                failures.pop(name, None)
            failures |= {failure.asset: failure for failure in found}
            if any(not failure.is_refusal for failure in found):
                return RunResult(seconds, tuple(failures.values()), runs)
        again = _of_applications(_plan(instance, graph, home), names)
        planned = [] if again == planned else again  # a second equal run would fail in the same way
    return RunResult(seconds, tuple(failures.values()), runs)


def observe(instance: "DagsterInstance", graph: Any, console: Console) -> None:
    """Observes the landing zones of all regions where these run apart; on one machine a plan sees them itself."""
    from resources.deployment import this_deployment
    from resources.keys import ROLE_TAG, Role, with_tag
    from schedules.backfills import PlannedRun

    if not this_deployment().is_one_machine:
        _execute(instance, PlannedRun(frozenset(with_tag(graph, ROLE_TAG, Role.LANDING_ZONE))), console)


def _first_of(planned: list[Any], graph: Any) -> list[Any]:
    """The runs that make tables of rows, where there are any: which features their rows reach is known afterwards.

    Tables of events are landed like rows but have no days: they are made in the same round as other assets.
    """
    from resources.keys import CADENCE_TAG, Cadence

    def brings_rows(key: Any) -> bool:
        node = graph.get(key)
        return node.is_partitioned and node.tags.get(CADENCE_TAG) == Cadence.LANDING

    return [one for one in planned if any(map(brings_rows, one.keys))] or planned


def _of_applications(planned: list[Any], names: Collection[str]) -> list[Any]:
    """The planned runs without the assets of other applications; all runs where no application is named."""
    if not names:
        return planned
    kept = [(one, frozenset(key for key in one.keys if parse_key(key.path).application in names)) for one in planned]
    return [replace(one, keys=keys) for one, keys in kept if keys]


def _plan(instance: "DagsterInstance", graph: Any, home: Path) -> list[Any]:
    from resources.deployment import this_deployment
    from schedules.backfills import plan_repair
    from sinet_pipelines.cli.orchestrator import dead_endpoints, endpoints_behind

    return plan_repair(instance, graph, this_deployment(home), also={*dead_endpoints(home), *endpoints_behind(home)})


def _execute(instance: "DagsterInstance", planned: Any, console: Console) -> tuple[RunProgress, list[AssetFailure]]:
    """Executes one run; returns the progress of its assets, and the failures."""
    from sinet_pipelines.cli.orchestrator import create_run, execute

    run, job = create_run(instance, planned)
    names = {key.to_user_string(): AssetProgress(key.to_user_string()) for key in sorted(planned.keys)}
    steps = {key.to_python_identifier(): key.to_user_string() for key in planned.keys}
    progress = RunProgress(names, steps)
    with watched(instance, run.run_id, progress, console):
        execute(instance, run, job)
    return progress, failures_of(instance, run.run_id, steps)
