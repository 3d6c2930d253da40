"""Reads a home and plans a backfill on it: for `sinet backfill plan`, and before the first run of a session."""

import os
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console

from sinet_pipelines.backfills.estimates import NEEDED_RUNS
from sinet_pipelines.backfills.history import SECONDS, TABLE_BYTES, USD
from sinet_pipelines.backfills.order import BackfillOrder
from sinet_pipelines.backfills.record import BackfillRecord
from sinet_pipelines.cli.home import CACHE
from sinet_pipelines.cli.progress import quiet
from sinet_pipelines.words import counted

if TYPE_CHECKING:
    import dagster as dg

    from resources.deployment import Deployment
    from schedules.backfill_goal import Goal
    from schedules.backfill_plan import Budget, Plan, Planner

SHOWN = 3  # assets that a sentence names


@dataclass(frozen=True)
class Planned:
    """A plan with everything that its execution needs.

    Attributes:
        goal: what is to be made.
        plan: its runs and estimates.
        planner: made the plan.
        graph: of the assets.
        deployment: of the home.
        code: code version of each selected asset.
        notes: sentences about what the plan leaves out and what it does not know.
    """

    goal: "Goal"
    plan: "Plan"
    planner: "Planner"
    graph: Any
    deployment: "Deployment"
    code: Mapping[str, str]
    notes: tuple[str, ...]

    @property
    def summary(self) -> str:
        """One line: what is made in how many runs."""
        todo = self.plan.todo
        once = f" and {counted(len(todo.once), 'asset')} without days" if todo.once else ""
        made = f"{counted(todo.count, 'day-partition')} of {counted(len(todo.cells), 'asset')}{once}"
        return f"{made} in {counted(len(self.plan.runs), 'run')}"


@contextmanager
def open_home(root: Path, folder: Path, *, is_writer: bool) -> "Iterator[tuple[dg.DagsterInstance, Console]]":
    """The instance of a home and the terminal; what libraries print goes to the home's log.

    Args:
        root: the checkout.
        folder: the home.
        is_writer: whether this process holds the home's lock: it then repairs databases and ends killed runs.

    Raises:
        StorageError: a database of the home cannot be opened.
    """
    os.environ["SINET_PROJECT"] = str(root)
    from sinet_pipelines.cli.orchestrator import end_killed_runs, enter, opened_instance
    from sinet_pipelines.cli.state_health import mend_state, require_state
    from sinet_pipelines.ingestion.inspection import remembered

    enter(root, folder)
    mended = mend_state(folder) if is_writer else []
    require_state(folder)
    with ExitStack() as stack:
        stack.enter_context(remembered(folder / CACHE / "drops.json"))
        console = stack.enter_context(quiet(folder / "run.log"))
        for sentence in mended:
            console.print(sentence)
        instance = stack.enter_context(opened_instance())
        if is_writer:
            for run_id in end_killed_runs(instance):
                console.print(f"run {run_id[:8]} was killed; what it left is made again")
        yield instance, console


def plan_of(
    order: BackfillOrder, instance: "dg.DagsterInstance", folder: Path, *, before: BackfillRecord | None = None
) -> Planned:
    """The plan of an order.

    Args:
        order: what the user requests.
        instance: of the home.
        folder: the home, entered.
        before: the backfill that this one continues: its assets and its beginning count, not the selection's now.

    Raises:
        UsageError: the order does not fit the home.
    """
    from resources.deployment import this_deployment
    from resources.materializations.staleness import Staleness
    from schedules.backfill_goal import Goal, select, settle_days, todo_of
    from schedules.backfill_plan import Planner
    from sinet_pipelines.cli.orchestrator import load_definitions

    graph, deployment = load_definitions().resolve_asset_graph(), this_deployment()
    started = time.perf_counter()
    staleness = Staleness(instance, graph, deployment)
    if before is None:
        keys = select(graph, order.selection)
        newest = instance.event_log_storage.get_maximum_record_id() or 0
        goal = Goal(keys, settle_days(staleness, keys, order.days), newest if order.redo else None)
    else:
        known = {key.to_user_string(): key for key in graph.get_all_asset_keys()}
        keys = frozenset(known[name] for name in before.goal["assets"] if name in known)
        goal = Goal(keys, order.days, before.goal["redo_after"])
    todo = todo_of(staleness, goal)
    planner = Planner(staleness, time.perf_counter() - started, order.days_per_run)
    plan = planner.plan(todo, budget=_budget(order))
    if plan.left_out:
        goal = Goal(goal.keys, (plan.todo.days[0], plan.todo.days[-1]), goal.redo_after)
    code = {key.to_user_string(): staleness.code(key) for key in sorted(keys)}
    notes = (*_gone(before, keys), *_notes(plan, order, goal))
    return Planned(goal, plan, planner, graph, deployment, code, notes)


def _budget(order: BackfillOrder) -> "Budget | None":
    from schedules.backfill_plan import Budget

    if order.budget_usd is not None:
        return Budget(USD, order.budget_usd, f"{order.budget_usd:g} USD")
    if order.budget_s is not None:
        return Budget(SECONDS, order.budget_s, f"{order.budget_s / 60:g} minutes")
    return None


def _gone(before: BackfillRecord | None, keys: frozenset[Any]) -> Iterator[str]:
    here = {key.to_user_string() for key in keys}
    gone = [name for name in before.goal["assets"] if name not in here] if before is not None else []
    if gone:
        yield f"{_named(gone)} of the backfill no longer exist; they are left out"


def _notes(plan: "Plan", order: BackfillOrder, goal: "Goal") -> Iterator[str]:
    """What a reader of the numbers has to know."""
    todo = plan.todo
    if todo.refused:
        count = sum(map(len, todo.refused.values()))
        names = _named([key.to_user_string() for key in todo.refused])
        yield f"{counted(count, 'day')} of {names} failed the contract and would fail again; --all makes them again"
    if todo.waiting:
        count = sum(map(len, todo.waiting.values()))
        names = _named([key.to_user_string() for key in todo.waiting])
        yield f"{counted(count, 'day')} of {names} wait for upstreams that are not selected; write + before a key"
    if plan.left_out:
        first, last = plan.left_out[0], plan.left_out[-1]
        yield f"the budget leaves out {counted(len(plan.left_out), 'day')}, {first} to {last}"
    if not plan.runs:
        return
    seconds, tables = plan.estimates[SECONDS], plan.estimates[TABLE_BYTES]
    if tables.value is not None and tables.unknown:
        yield f"the total of tables does not count {_named([*tables.unknown])}, of which no day is on this machine"
    unknown = [name for name in seconds.unknown if name]
    if not plan.past_runs:
        yield "this home has no past run; time, cost and events cannot be estimated"
        return
    if unknown:
        yield f"no past run made {_named(unknown)}; the estimates do not count them"
    if seconds.lower is None:
        runs = counted(seconds.runs, "past run")
        yield f"no interval: it takes {NEEDED_RUNS} past runs of these assets to learn one, and {runs} can be compared"


def _named(names: list[str]) -> str:
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return f"{', '.join(names[:SHOWN])}{more}"
