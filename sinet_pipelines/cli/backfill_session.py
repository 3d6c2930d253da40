"""Executes one backfill in this process: before each run it reads the home again and plans what is left.

So a day that someone else made meanwhile is not made again, and a kill costs no more than the run in progress.
"""

import os
import time
from collections import Counter
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console

from sinet_pipelines.backfills import record as kinds
from sinet_pipelines.backfills.journal import CANCEL, PAUSE, append_entry, journal_path, read_entries, requested
from sinet_pipelines.cli.backfill_signals import Signals
from sinet_pipelines.cli.failures import AssetFailure, failures_of
from sinet_pipelines.cli.progress import AssetProgress, RunProgress, watched
from sinet_pipelines.words import counted

if TYPE_CHECKING:
    import dagster as dg

    from resources.deployment import Deployment
    from schedules.backfill_goal import Goal, Todo
    from schedules.backfills import PlannedRun

BACKFILL_TAG = "sinet/backfill"  # of the runs, with the number, for the UI
MOST_TRIES = 3  # of one day: a late row makes a day stale again, a defect makes it stale for ever
FAILED_IN_A_ROW = 3  # runs: a full disk fails every run, and each failure costs time
WAIT_S = 2.0  # for a run of another process that makes the same days
CODE = ("assets", "resources", "schedules", "sinet_pipelines")  # folders of the checkout
RELOAD = "reload"  # an end of a session: the code changed, and a new process continues


@dataclass
class Session:
    """One process's work on a backfill.

    Attributes:
        home: the home, whose lock this process holds.
        number: of the backfill.
        instance: of the home.
        graph: of the assets.
        deployment: of the home.
        goal: what is to be made.
        days_per_run: the most days of one run.
        total: pairs of asset and day of the plan, and assets without days, for progress.
        seconds: estimated time of the whole backfill; None where it is not known.
        console: the terminal.
        signals: what Ctrl-C and SIGTERM request.
    """

    home: Path
    number: int
    instance: "dg.DagsterInstance"
    graph: Any
    deployment: "Deployment"
    goal: "Goal"
    days_per_run: int
    total: int
    seconds: float | None
    console: Console
    signals: Signals
    failures: dict[str, AssetFailure] = field(default_factory=dict)
    failed: set[Any] = field(default_factory=set)  # days and assets that were tried in vain
    refused: set[Any] = field(default_factory=set)  # of these, days that failed their contract
    tries: Counter[Any] = field(default_factory=Counter)
    made: int = 0
    spent_s: float = 0.0
    failed_runs: int = 0
    is_waiting: bool = False

    def note(self, kind: str, **facts: Any) -> None:
        """Adds an entry to the journal."""
        append_entry(journal_path(self.home, self.number), kind, **facts)

    def work(self) -> str:
        """Makes what is left; returns the state: done, failed, paused, cancelled, or `reload`."""
        from resources.materializations.staleness import Staleness
        from schedules.backfill_goal import todo_of

        code, last = code_signature(), None
        while True:
            started = time.perf_counter()
            staleness = Staleness(self.instance, self.graph, self.deployment)
            if last is not None:
                self._judge(staleness, last)
            todo = todo_of(staleness, self.goal, but=self.failed | self.refused)
            if (state := self._state_before(todo, code)) is not None:
                return state
            planned = self._next(staleness, todo)
            look_s = time.perf_counter() - started
            last = None if planned is None else self._execute(planned, todo, look_s=look_s)

    def _state_before(self, todo: "Todo", code: str) -> str | None:
        """The state in which the session ends now; None while there is more to make."""
        if not todo.cells and not todo.once:
            return kinds.FAILED if self.failed else kinds.DONE
        if self.failed_runs >= FAILED_IN_A_ROW:
            return kinds.FAILED
        wanted = requested(self.home, self.number)
        if wanted == CANCEL:
            return kinds.CANCELLED
        if wanted == PAUSE or self.signals.wants_pause:
            return kinds.PAUSED
        return RELOAD if code_signature() != code else None

    def _next(self, staleness: Any, todo: "Todo") -> "PlannedRun | None":
        """The first run that makes nothing that another run is making; None after a wait where there is none."""
        from schedules.backfill_busy import being_made
        from schedules.backfill_runs import in_runs, touches
        from schedules.backfills import startable
        from sinet_pipelines.cli.orchestrator import end_killed_runs

        runs = in_runs(staleness, todo, days_per_run=self.days_per_run)
        busy = being_made(self.instance, self.graph)
        may_start = startable(runs, self.graph)
        for run in runs:
            if (run is runs[0] or run in may_start) and not touches(run, busy):
                self.is_waiting = False
                return run
        if not self.is_waiting:
            self.console.print("waits for a run of another process that makes the same days")
            self.is_waiting = True
        end_killed_runs(self.instance)  # a dead one would never end
        self.signals.wait(WAIT_S)
        return None

    def _execute(self, planned: "PlannedRun", todo: "Todo", *, look_s: float) -> "Tried":
        """Executes one run and records what it took."""
        from resources.materializations.past_runs import names_of_steps, placed, read_run, written_bytes
        from schedules.backfill_runs import cells_of
        from sinet_pipelines.backfills.history import AMOUNTS, SECONDS, TABLE_BYTES
        from sinet_pipelines.cli.orchestrator import create_run, execute

        cells = cells_of(planned, todo)
        run, job = create_run(self.instance, _Tagged(planned.keys, {**planned.tags, BACKFILL_TAG: str(self.number)}))
        made = {key.to_user_string(): [day.isoformat() for day in sorted(cells.get(key, ()))] for key in planned.keys}
        self.note(kinds.RUN_STARTED, run_id=run.run_id, assets=made)
        self.console.print(f"run {run.run_id[:8]}: {words_of(planned, cells)}{self._left()}")
        before = written_bytes(self.graph, self.deployment, sorted(cells))
        names = {key.to_user_string(): AssetProgress(key.to_user_string()) for key in sorted(planned.keys)}
        steps = {key.to_python_identifier(): key.to_user_string() for key in planned.keys}
        with watched(self.instance, run.run_id, RunProgress(names, steps), self.console):
            self._undisturbed(lambda: execute(self.instance, run, job))
        (ended,) = self.instance.get_run_records(_of(run.run_id))
        places = placed(self.graph, self.deployment)
        taken = read_run(self.instance, ended, names_of_steps(self.graph), places, is_whole=True)
        amounts: dict[str, float | None] = {name: taken.total(name) for name in AMOUNTS}
        amounts[SECONDS] = taken.total(SECONDS) + look_s
        after = written_bytes(self.graph, self.deployment, sorted(cells))
        amounts[TABLE_BYTES] = None if before is None or after is None else after - before
        status = ended.dagster_run.status.value
        self.note(kinds.RUN_ENDED, run_id=run.run_id, status=status, assets=made, amounts=amounts)
        self.spent_s += amounts[SECONDS] or 0.0
        found = failures_of(self.instance, run.run_id, steps)
        self.failures |= {one.asset: one for one in found}
        is_success = status == "SUCCESS" or (bool(found) and all(one.is_refusal for one in found))
        self.failed_runs = 0 if is_success else self.failed_runs + 1
        return Tried(run.run_id, planned.keys, cells, is_success)

    def _judge(self, staleness: Any, tried: "Tried") -> None:
        """Finds what the last run was to make and did not.

        What a failed run left, and a day that failed its contract, is not tried again in this session. What a
        successful run left is stale again, since its inputs changed meanwhile: it is tried again, but not for ever.
        """
        from resources.keys import CONTRACT_CHECK
        from resources.materializations.day_log import refused_by
        from schedules.backfill_goal import todo_of

        left, refused = todo_of(staleness, self.goal), refused_by(self.instance, CONTRACT_CHECK, [tried.run_id])
        for key, days in tried.cells.items():
            for day in sorted(days):
                self.tries[key, day] += 1
                if (key, day) in refused:
                    self.refused.add((key, day))
                elif day not in left.cells.get(key, ()):
                    self.made += day in staleness.made(key)
                elif not tried.is_success or self.tries[key, day] >= MOST_TRIES:
                    self.failed.add((key, day))
        for key in sorted(tried.keys.difference(tried.cells)):
            if key in left.once:
                self.failed.add(key)
            else:
                self.made += 1

    def refusals(self) -> set[Any]:
        """The days that a run of this backfill refused and no later run made; runs of earlier processes count, too."""
        from resources.keys import CONTRACT_CHECK
        from resources.materializations.day_log import refused_by

        entries = read_entries(journal_path(self.home, self.number))
        runs = [entry["run_id"] for entry in entries if entry["kind"] == kinds.RUN_STARTED]
        return {*refused_by(self.instance, CONTRACT_CHECK, runs)} - self.failed

    def _undisturbed(self, work: Callable[[], None]) -> None:
        """Does the work in another thread: Dagster would end a run at a signal that the main thread receives."""
        with ThreadPoolExecutor(1) as pool:
            future = pool.submit(work)
            while not future.done():
                wait([future], timeout=0.2)
            future.result()

    def _left(self) -> str:
        """Progress: how much of the plan is made, and the time that is left: at the pace so far, or as estimated."""
        rest = max(0, self.total - self.made)
        left_s = self.spent_s / self.made * rest if self.made else self.seconds
        pace = "" if left_s is None else f", about {left_s:.0f} s left"
        return f" ({self.made} of {self.total} made{pace})"


@dataclass(frozen=True)
class Tried:
    """What an ended run was to make.

    Attributes:
        run_id: of the run.
        keys: its assets.
        cells: the days of each asset with days.
        is_success: whether the run succeeded, or failed only because days failed their contract.
    """

    run_id: str
    keys: frozenset[Any]
    cells: Mapping[Any, frozenset[date]]
    is_success: bool


@dataclass(frozen=True)
class _Tagged:
    """A planned run with further tags."""

    keys: frozenset[Any]
    tags: Mapping[str, str]


def words_of(run: "PlannedRun", cells: Mapping[Any, frozenset[date]]) -> str:
    """What a run makes, in a few words."""
    days = frozenset[date]().union(*cells.values())
    when = f", {counted(len(days), 'day')} from {min(days)} to {max(days)}" if days else ""
    return f"{counted(len(run.keys), 'asset')}{when}"


def code_signature() -> str:
    """A text that changes with every file of the entered checkout's code."""
    project = Path(os.environ["SINET_PROJECT"])
    lines = []
    for name in CODE:
        for folder, inner, files in os.walk(project / name, followlinks=True):
            inner[:] = [one for one in inner if one != "__pycache__"]
            states = ((path, path.stat()) for path in (Path(folder) / one for one in files) if path.suffix == ".py")
            lines += [f"{path} {state.st_size} {state.st_mtime_ns}" for path, state in states]
    return "\n".join(sorted(lines))


def _of(run_id: str) -> "dg.RunsFilter":
    import dagster as dg

    return dg.RunsFilter(run_ids=[run_id])
