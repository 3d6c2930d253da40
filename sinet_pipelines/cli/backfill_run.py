"""`sinet backfill run` and `resume`: hold the home, execute a session, and report truth beside estimate."""

import os
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil
from rich.console import Console

from sinet_pipelines.backfills import record as kinds
from sinet_pipelines.backfills.journal import (
    append_entry,
    find_number,
    forget_request,
    journal_path,
    next_number,
    numbers_of,
    read_entries,
)
from sinet_pipelines.backfills.order import BackfillOrder
from sinet_pipelines.backfills.record import BackfillRecord, record_of
from sinet_pipelines.cli.backfill_planning import Planned, open_home, plan_of
from sinet_pipelines.cli.backfill_session import RELOAD, Session
from sinet_pipelines.cli.backfill_signals import handled
from sinet_pipelines.cli.home import current_home, find_project, held
from sinet_pipelines.cli.retain import remove_unneeded
from sinet_pipelines.errors import BusyError, UsageError
from sinet_pipelines.storage.locks import RUN_LOCK, holder

if TYPE_CHECKING:
    import dagster as dg


@dataclass(frozen=True)
class _Outcome:
    """How a session ended: its state, the backfill's number, and whether only contracts failed."""

    state: str
    number: int | None
    exit_code: int = 0


def begin(order: BackfillOrder, *, home: Path | None, project: Path | None, as_json: bool) -> int:
    """Plans a backfill, writes its journal and executes it; returns the exit code.

    Raises:
        UsageError: the order does not fit the home.
        BusyError: another run or backfill is in progress in the home.
    """
    root, folder = find_project(project), current_home(home)

    def start(instance: "dg.DagsterInstance", console: Console) -> _Outcome:
        _observe(instance, console)
        planned = plan_of(order, instance, folder)
        for sentence in planned.notes:
            console.print(sentence)
        if not planned.plan.runs:
            return _Outcome(kinds.DONE, None)
        number = next_number(folder)
        forget_request(folder, number)
        path = journal_path(folder, number)
        append_entry(path, kinds.BEGUN, home=str(folder), goal=_goal_facts(order, planned), **_process())
        append_entry(path, kinds.PLANNED, code=planned.code, **_plan_facts(planned))
        console.print(f"backfill {number}: {planned.summary}")
        return _execute(folder, number, planned, instance, console)

    return _finish(_held_session(root, folder, start), folder, as_json=as_json)


def resume(number: int | None, *, home: Path | None, project: Path | None, as_json: bool) -> int:
    """Continues a backfill; returns the exit code.

    Raises:
        UsageError: it is done or cancelled, or belongs to the home that this one is a copy of.
        BusyError: another run or backfill is in progress in the home.
    """
    root, folder = find_project(project), current_home(home)
    found = find_number(folder, number)

    def start(instance: "dg.DagsterInstance", console: Console) -> _Outcome:
        record = record_of(found, read_entries(journal_path(folder, found)))
        require_resumable(record, folder)
        if record.process != tuple(_process()[name] for name in ("pid", "process_started")):
            forget_request(folder, found)  # else this process took over changed code, and the request is newer
        _observe(instance, console)
        planned = plan_of(_order_of(record), instance, folder, before=record)
        path = journal_path(folder, found)
        append_entry(path, kinds.RESUMED, **_process())
        for sentence in planned.notes:
            console.print(sentence)
        if changed := sorted(name for name, code in planned.code.items() if record.code.get(name, code) != code):
            append_entry(path, kinds.REPLANNED, code=planned.code, changed=changed)
            named = ", ".join(changed[:3]) + (f" and {len(changed) - 3} more" if len(changed) > 3 else "")
            console.print(f"the code of {named} changed since; what is left was planned anew, with days of older code")
        console.print(f"backfill {found} continues: {planned.summary}")
        return _execute(folder, found, planned, instance, console)

    return _finish(_held_session(root, folder, start), folder, as_json=as_json)


def _observe(instance: "dg.DagsterInstance", console: Console) -> None:
    """Observes the landing zones where the regions run apart, as `sinet run` does before its first plan."""
    from sinet_pipelines.cli.orchestrator import load_definitions
    from sinet_pipelines.cli.run import observe

    observe(instance, load_definitions().resolve_asset_graph(), console)


def require_resumable(record: BackfillRecord, home: Path) -> None:
    """Checks that there is something to continue.

    Raises:
        UsageError: there is not.
    """
    again = f"`sinet backfill run '{record.goal['selection']}'` begins another one and makes only what is missing"
    if not record.is_of(home):
        raise UsageError(
            f"backfill {record.number} belongs to the home {record.home}, of which {home} is a copy; {again}"
        )
    if record.state in kinds.ENDED:
        raise UsageError(f"backfill {record.number} is {record.state}; {again}")


def _held_session(root: Path, folder: Path, start: Any) -> _Outcome:
    """Runs a session while the home's lock is held."""
    with _held(folder), open_home(root, folder, is_writer=True) as (instance, console):
        outcome = start(instance, console)
        if outcome.number is not None and outcome.state != RELOAD:
            remove_unneeded(folder)
        return outcome


@contextmanager
def _held(folder: Path) -> Iterator[None]:
    """The home's lock; where a backfill holds it, the message names that.

    Raises:
        BusyError: another process holds it.
    """
    with ExitStack() as stack:
        try:
            stack.enter_context(held(folder))
        except BusyError as error:
            process = holder(folder / RUN_LOCK)
            for number in reversed(numbers_of(folder)):
                record = record_of(number, read_entries(journal_path(folder, number)))
                if record.state == "running" and str(record.process[0]) == process:
                    what = f"backfill {number} (process {process}) is in progress in {folder}"
                    raise BusyError(f"{what}; wait for it, or `sinet backfill pause {number}`") from error
            raise
        yield


def _execute(folder: Path, number: int, planned: Planned, instance: "dg.DagsterInstance", console: Console) -> _Outcome:
    with handled(console) as signals:
        session = Session(
            home=folder,
            number=number,
            instance=instance,
            graph=planned.graph,
            deployment=planned.deployment,
            goal=planned.goal,
            days_per_run=planned.plan.split.days_per_run,
            total=planned.plan.todo.count + len(planned.plan.todo.once),
            seconds=planned.plan.estimates["seconds"].value,
            console=console,
            signals=signals,
        )
        state = session.work()
    all_refused = set() if state == RELOAD else session.refusals()
    if state == kinds.PAUSED:
        session.note(kinds.PAUSED)
    elif state == kinds.CANCELLED:
        session.note(kinds.CANCELLED)
    elif state != RELOAD:
        failed, refused = _by_asset(session.failed), _by_asset(all_refused)
        as_planned = is_as_planned(read_entries(journal_path(folder, number))) and not failed
        session.note(kinds.FINISHED, state=state, failed=failed, refused=refused, as_planned=as_planned)
    if state != RELOAD:
        forget_request(folder, number)
    for failure in session.failures.values():
        console.print(f"{failure.asset} failed: {failure.reason}")
    code = 3 if state == kinds.FAILED else int(bool(all_refused))
    return _Outcome(state, number, code)


def is_as_planned(entries: Sequence[Mapping[str, Any]]) -> bool:
    """Whether the runs made exactly what was planned, each day once, without a killed run."""
    planned: dict[str, list[str]] = next((one["assets"] for one in entries if one["kind"] == kinds.PLANNED), {})
    started = [entry for entry in entries if entry["kind"] == kinds.RUN_STARTED]
    ended = [entry for entry in entries if entry["kind"] == kinds.RUN_ENDED]
    made: dict[str, list[str]] = {}
    for entry in ended:
        for asset, days in entry["assets"].items():
            made.setdefault(asset, []).extend(days)
    return len(started) == len(ended) and {name: sorted(days) for name, days in made.items()} == planned


def _finish(outcome: _Outcome, folder: Path, *, as_json: bool) -> int:
    """Prints the report; where the code changed, a new process continues the backfill."""
    from sinet_pipelines.cli.backfill_pages import report

    if outcome.state == RELOAD:
        print("sinet: the code of the checkout changed; a new process continues the backfill", file=sys.stderr)
        sys.stderr.flush()
        options = ["--home", str(folder), *(["--json"] if as_json else [])]
        words = ["-m", "sinet_pipelines.cli", "backfill", "resume", str(outcome.number), *options]
        os.execv(sys.executable, [sys.executable, *words])  # noqa: S606  # the same interpreter, no shell
    report(folder, outcome.number, as_json=as_json)
    return outcome.exit_code


def _process() -> dict[str, Any]:
    process = psutil.Process()
    return {"pid": process.pid, "process_started": round(process.create_time(), 2), "started_at_s": time.time()}


def _goal_facts(order: BackfillOrder, planned: Planned) -> dict[str, Any]:
    goal = planned.goal
    return {
        "selection": order.selection,
        "assets": sorted(key.to_user_string() for key in goal.keys),
        "days": None if goal.days is None else [day.isoformat() for day in goal.days],
        "redo_after": goal.redo_after,
        "days_per_run": planned.plan.split.days_per_run,
        "left_out": [day.isoformat() for day in planned.plan.left_out],
    }


def _plan_facts(planned: Planned) -> dict[str, Any]:
    todo = planned.plan.todo
    assets = {key.to_user_string(): [day.isoformat() for day in sorted(days)] for key, days in todo.cells.items()}
    return {
        "assets": {**assets, **{key.to_user_string(): [] for key in sorted(todo.once)}},
        "runs": len(planned.plan.runs),
        "estimates": {name: asdict(found) for name, found in planned.plan.estimates.items()},
    }


def _order_of(record: BackfillRecord) -> BackfillOrder:
    """The order of a backfill as it was begun: its days do not move with the calendar."""
    days = record.goal["days"]
    span = None if days is None else (date.fromisoformat(days[0]), date.fromisoformat(days[1]))
    return BackfillOrder(record.goal["selection"], span, days_per_run=record.goal["days_per_run"])


def _by_asset(tried: set[Any]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for one in tried:
        key, day = one if isinstance(one, tuple) else (one, None)
        found.setdefault(key.to_user_string(), []).extend([] if day is None else [day.isoformat()])
    return {name: sorted(days) for name, days in sorted(found.items())}
