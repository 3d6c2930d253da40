"""`sinet run`: the whole walk on one home; makes what is missing, does nothing twice, goes on after a kill."""

import os
import time
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console

from sinet_pipelines.cli.failures import AssetFailure, failures_of
from sinet_pipelines.cli.home import CACHE, find_project, held, home_of, make_current, make_home
from sinet_pipelines.cli.progress import AssetProgress, RunProgress, quiet, watched
from sinet_pipelines.cli.pruning import prune
from sinet_pipelines.errors import FailedError, UsageError
from sinet_pipelines.escaping import for_terminal
from sinet_pipelines.ingestion.cmapss import find_subsets
from sinet_pipelines.storage.logs import rotate
from sinet_pipelines.words import counted

if TYPE_CHECKING:
    from dagster import DagsterInstance

MAX_ROUNDS = 20  # of planning: a late row takes one for each stage of the walk; more would be a fault of ours


@dataclass(frozen=True)
class Walk:
    """What a walk did.

    Attributes:
        seconds: of each asset that it worked at.
        failures: what it could not make, in the order it happened.
        runs: how many it took.
    """

    seconds: dict[str, float]
    failures: tuple[AssetFailure, ...]
    runs: int


def run_walk(
    *, data: Path | None, home: Path | None, project: Path | None, first_day: date | None, as_json: bool
) -> int:
    """Walks and says what it did; the exit code.

    Raises:
        UsageError: the data folder is not there, or the home has another fleet.
        BusyError: another run is at work in the home.
    """
    started = time.perf_counter()
    root = find_project(project)
    os.environ["SINET_PROJECT"] = str(root)
    if data is not None and not data.is_dir():
        raise UsageError(f"no folder {data}; give a folder in C-MAPSS format (train_FD001.txt and so on), or no --data")
    if data is not None:
        find_subsets(data)  # a folder without any is told before it gets a home
    folder = make_home(home or home_of(data))
    with held(folder):
        landed = _land(folder, data, first_day)
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
            console.print(f"home {for_terminal(folder)}\n{landed}")
            walk = _walk(folder, console)
            prune(folder)
        from sinet_pipelines.cli.summary import report

        return report(folder, walk, seconds=time.perf_counter() - started, as_json=as_json)


def _land(home: Path, data: Path | None, first_day: date | None) -> str:
    """Lands the fleet; one that landed in part before a kill is completed, and a drop withdrawn since stays away.

    Raises:
        FleetError: the home has another fleet.
    """
    from sinet_pipelines.cli.land import land_folder, land_simulated
    from sinet_pipelines.ingestion.fleet import keep_copy, read_fleet

    fleet = read_fleet(home)
    keep_copy(home)
    if data is not None:
        report = land_folder(data, home=home, first_day=first_day, restore=False)
    elif fleet is None or fleet.simulated:
        report = land_simulated(home, first_day=first_day, restore=False)
    else:
        return f"goes on with fleet {fleet.name}, landed from {fleet.first_day}"
    kind = " (simulated)" if report.simulated else ""
    news = f"{report.new_drops} of them new" if report.new_drops else "all of them landed before"
    laid_out = f"{counted(report.rows, 'row')} in {counted(report.drops, 'drop')}"
    return f"fleet {report.fleet}{kind} as laid out: {laid_out}, {news}"


def _walk(home: Path, console: Console) -> Walk:
    from sinet_pipelines.cli.orchestrator import end_killed_runs, load_definitions, opened_instance

    with opened_instance() as instance:
        for run_id in end_killed_runs(instance):
            console.print(f"run {run_id[:8]} was killed; going on where it was")
        walk = _repair(instance, load_definitions().resolve_asset_graph(), home, console)
        from resources.unused import record_unused

        record_unused(instance, home)
        return walk


def _repair(instance: "DagsterInstance", graph: Any, home: Path, console: Console) -> Walk:
    """Plans and executes until there is nothing left to make, or something fails that is no matter of single days.

    Raises:
        FailedError: each round leaves something to be made.
    """
    seconds: dict[str, float] = {}
    failures: dict[str, AssetFailure] = {}
    runs = rounds = 0
    planned = _plan(instance, graph, home)
    while planned:
        rounds += 1
        if rounds > MAX_ROUNDS:
            left = ", ".join(sorted(key.to_user_string() for one in planned for key in one.keys))
            raise FailedError(f"after {MAX_ROUNDS} rounds there is still to be made: {left}; run again and report this")
        for one in _first_of(planned):
            progress, found = _execute(instance, one, console)
            runs += 1
            for name, asset in progress.assets.items():
                seconds[name] = seconds.get(name, 0.0) + asset.seconds
                failures.pop(name, None)
            failures |= {failure.asset: failure for failure in found}
            if any(not failure.is_refusal for failure in found):
                return Walk(seconds, tuple(failures.values()), runs)
        again = _plan(instance, graph, home)
        planned = [] if again == planned else again  # what a run could not mend, the same run will not mend
    return Walk(seconds, tuple(failures.values()), runs)


def _first_of(planned: list[Any]) -> list[Any]:
    """The runs that bring rows, where there are such: which features reach them is known when they are there."""
    rows = [one for one in planned if any(key.path[-1] == "validated_telemetry" for key in one.keys)]
    return rows or planned


def _plan(instance: "DagsterInstance", graph: Any, home: Path) -> list[Any]:
    from schedules.backfills import plan_repair
    from sinet_pipelines.cli.orchestrator import dead_endpoints, endpoints_behind

    return plan_repair(instance, graph, home, also={*dead_endpoints(home), *endpoints_behind(home)})


def _execute(instance: "DagsterInstance", planned: Any, console: Console) -> tuple[RunProgress, list[AssetFailure]]:
    """Executes one run; how far its assets came, and which of them failed."""
    from sinet_pipelines.cli.orchestrator import create_run, execute

    run, job = create_run(instance, planned)
    names = {key.to_user_string(): AssetProgress(key.to_user_string()) for key in sorted(planned.keys)}
    steps = {key.to_python_identifier(): key.to_user_string() for key in planned.keys}
    progress = RunProgress(names, steps)
    with watched(instance, run.run_id, progress, console):
        execute(instance, run, job)
    return progress, failures_of(instance, run.run_id, steps)
