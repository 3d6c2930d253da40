"""Prints what `sinet backfill` shows: a plan, the list of backfills, one backfill, the report at its end."""

import json
import sys
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil
from rich.table import Table

from sinet_pipelines.backfills import record as kinds
from sinet_pipelines.backfills.estimates import NOMINAL, Estimate
from sinet_pipelines.backfills.history import MEASURES
from sinet_pipelines.backfills.journal import (
    CANCEL,
    append_entry,
    find_number,
    journal_path,
    journals,
    read_entries,
    request,
)
from sinet_pipelines.backfills.order import BackfillOrder
from sinet_pipelines.backfills.record import BackfillRecord, coverage, record_of
from sinet_pipelines.cli.home import current_home, find_project, held
from sinet_pipelines.cli.terminal import Terminal
from sinet_pipelines.errors import UsageError
from sinet_pipelines.storage.locks import RUN_LOCK, holder, is_held
from sinet_pipelines.words import counted

if TYPE_CHECKING:
    from sinet_pipelines.cli.backfill_planning import Planned

TITLES = {"seconds": "time", "cost_usd": "cost", "event_log_bytes": "event log", "table_bytes": "tables"}
LONG_S = 600  # shown in minutes from here on
UNITS = (("GB", 1e9), ("MB", 1e6), ("kB", 1e3))
NOTHING = "nothing to do: no selected day is missing, failed, late or of older code or inputs"
INTERRUPTED = "interrupted"  # the state of a backfill whose process was killed


def show_plan(order: BackfillOrder, *, home: Path | None, project: Path | None, as_json: bool) -> None:
    """Prints the plan of a backfill, as tables or as JSON for other programs."""
    from sinet_pipelines.cli.backfill_planning import open_home, plan_of

    root, folder = find_project(project), current_home(home)
    with open_home(root, folder, is_writer=False) as (instance, _):
        planned = plan_of(order, instance, folder)
        facts = plan_facts(planned, order, folder)
    records = [record_of(number, entries) for number, entries in journals(folder)]
    facts["coverage"] = _held(records)
    if as_json:
        _print_json(facts)
        return
    console = Terminal()
    console.print(f"home {folder}  {order.selection}")
    for sentence in planned.notes:
        console.print(sentence, soft_wrap=True)
    if not planned.plan.runs:
        console.print(NOTHING)
        return
    console.print(planned.summary, soft_wrap=True)
    console.print(f"max_partitions_per_run {facts['max_partitions_per_run']}: {facts['reason']}", soft_wrap=True)
    console.print(_plan_table(facts))
    _print_coverage(console, records, is_plan=True)


def plan_facts(planned: "Planned", order: BackfillOrder, home: Path) -> dict[str, Any]:
    """The facts of `sinet backfill plan --json`."""
    plan, planner, todo = planned.plan, planned.planner, planned.plan.todo
    days = planned.goal.days
    return {
        "home": str(home),
        "selection": order.selection,
        "assets": sorted(key.to_user_string() for key in planned.goal.keys),
        "days": None if days is None else [day.isoformat() for day in days],
        "all": order.redo,
        "runs": len(plan.runs),
        "day_partitions": todo.count,
        "once": sorted(key.to_user_string() for key in todo.once),
        "max_partitions_per_run": plan.split.days_per_run,
        "reason": plan.split.reason,
        "past_runs": plan.past_runs,
        "nominal": NOMINAL,
        "estimates": {name: asdict(found) for name, found in plan.estimates.items()},
        "regions": _regions(planned),
        "cells": {
            key.to_user_string(): [day.isoformat() for day in sorted(cells)] for key, cells in todo.cells.items()
        },
        "order": [_run_facts(run) for run in plan.runs],
        "left_out": [day.isoformat() for day in plan.left_out],
        "refused": {key.to_user_string(): [str(day) for day in sorted(found)] for key, found in todo.refused.items()},
        "waiting": {key.to_user_string(): [str(day) for day in sorted(found)] for key, found in todo.waiting.items()},
        "look_s": planner.look_s,
        "notes": list(planned.notes),
    }


def _run_facts(run: Any) -> dict[str, Any]:
    days = None if run.days is None else [day.isoformat() for day in run.days]
    return {"assets": sorted(key.to_user_string() for key in run.keys), "days": days}


def _regions(planned: "Planned") -> list[dict[str, Any]]:
    plan, planner, found = planned.plan, planned.planner, []
    for region, estimates in planner.regions(plan).items():
        runs = [run for run in plan.runs if any(planner.region(key.to_user_string()) == region for key in run.keys)]
        keys = sorted(key for run in runs for key in run.keys if planner.region(key.to_user_string()) == region)
        names = list(dict.fromkeys(key.to_user_string() for key in keys))
        found.append(
            {
                "region": region,
                "hardware": sorted({planner.places[name].hardware for name in names if name in planner.places}),
                "runs": len(runs),
                "day_partitions": sum(len(plan.todo.cells.get(key, ())) for key in dict.fromkeys(keys)),
                "assets": names,
                "estimates": {name: asdict(one) for name, one in estimates.items()},
            }
        )
    return found


def show_list(*, home: Path | None, as_json: bool) -> None:
    """Prints the backfills of a home, and how often their intervals held the truth."""
    folder = current_home(home)
    records = [record_of(number, entries) for number, entries in journals(folder)]
    if as_json:
        facts = [_facts(one, folder) for one in records]
        _print_json({"home": str(folder), "backfills": facts, "coverage": _held(records)})
        return
    console = Terminal()
    table = Table("backfill", "state", "begun", "selection", "runs", box=None, pad_edge=False)
    for one in records:
        begun = one.begun_at[:19].replace("T", " ")
        table.add_row(str(one.number), state_of(one, folder), begun, one.goal["selection"], str(len(one.runs)))
    console.print(table if records else "no backfill was begun in this home")
    _print_coverage(console, records)


def show_one(number: int | None, *, home: Path | None, as_json: bool) -> None:
    """Prints one backfill."""
    folder = current_home(home)
    report(folder, find_number(folder, number), as_json=as_json, is_whole=True)


def report(home: Path, number: int | None, *, as_json: bool, is_whole: bool = False) -> None:
    """Prints a backfill's state, its truth beside its estimates, and the coverage so far; None for nothing to do."""
    if number is None:
        if as_json:
            _print_json({"home": str(home), "backfill": None, "state": kinds.DONE, "runs": []})
        else:
            Terminal().print(NOTHING)
        return
    known = {found: record_of(found, entries) for found, entries in journals(home)}
    record = known[number]
    if as_json:
        _print_json({"home": str(home), **_facts(record, home), "coverage": _held(known.values())})
        return
    console = Terminal()
    console.print(f"backfill {number} is {state_of(record, home)}: {record.goal['selection']}", soft_wrap=True)
    for run in record.runs if is_whole else ():
        days = sum(map(len, run["assets"].values()))
        took = f"{run['amounts']['seconds']:.1f} s"
        console.print(f"  run {run['run_id'][:8]} {run['status']}: {counted(days, 'day-partition')}, {took}")
    for word in ("failed", "refused"):
        for asset, days in record.finished.get(word, {}).items():
            console.print(f"  {word}: {asset} {', '.join(days)}", soft_wrap=True)
    if record.state == kinds.PAUSED or state_of(record, home) in (INTERRUPTED, kinds.FAILED):
        console.print(f"`sinet backfill resume {number} --home {home}` makes what is left", soft_wrap=True)
    console.print(_truth_table(record))
    if record.state == kinds.DONE and not record.is_comparable:
        console.print("it made other days than its first plan, so the comparison does not count for the coverage")
    _print_coverage(console, list(known.values()))


def request_of(number: int | None, what: str, *, home: Path | None, as_json: bool) -> None:
    """Requests a pause or a cancellation; a backfill without a process is cancelled at once.

    Raises:
        UsageError: there is nothing to pause or cancel.
        BusyError: another run holds the home.
    """
    folder = current_home(home)
    found = find_number(folder, number)
    record = record_of(found, read_entries(journal_path(folder, found)))
    state = state_of(record, folder)
    if state == "running":
        request(folder, found, what)
        sentence = (
            f"backfill {found} ends its run in progress and is then {'cancelled' if what == CANCEL else 'paused'}"
        )
    elif what == CANCEL and state not in kinds.ENDED:
        with held(folder):
            append_entry(journal_path(folder, found), kinds.CANCELLED)
        sentence = f"backfill {found} is cancelled; what it made stays made"
    else:
        raise UsageError(f"backfill {found} is {state}, so there is nothing to {what}; `sinet backfill list` shows all")
    if as_json:
        _print_json({"backfill": found, "requested": what, "was": state})
    else:
        Terminal().print(sentence, soft_wrap=True)


def state_of(record: BackfillRecord, home: Path) -> str:
    """The state of a backfill now: `running` only while its process is alive and holds the home."""
    if record.state != "running":
        return record.state
    pid, started = record.process
    is_holder = is_held(home / RUN_LOCK) and holder(home / RUN_LOCK) == str(pid)
    try:
        is_same = round(psutil.Process(pid).create_time(), 2) == started
    except psutil.NoSuchProcess:
        is_same = False
    return "running" if is_holder and is_same else INTERRUPTED


def _facts(record: BackfillRecord, home: Path) -> dict[str, Any]:
    return {
        "backfill": record.number,
        "state": state_of(record, home),
        "begun_at": record.begun_at,
        **record.goal,
        "runs": [dict(run) for run in record.runs],
        "failed": record.finished.get("failed", {}),
        "refused": record.finished.get("refused", {}),
        "as_planned": record.is_comparable,
        "estimates": {name: asdict(found) for name, found in record.estimates.items()},
        "truths": dict(record.truths),
    }


def _held(records: Any) -> dict[str, dict[str, int]]:
    return {name: {"held": held_, "of": of} for name, (held_, of) in coverage(records).items()}


def _print_coverage(console: Terminal, records: list[BackfillRecord], *, is_plan: bool = False) -> None:
    found = [f"{TITLES[name]} {inside} of {of}" for name, (inside, of) in coverage(records).items() if of]
    if found:
        console.print(f"intervals of {NOMINAL:.0%} that held the truth so far: {', '.join(found)}", soft_wrap=True)
    elif is_plan:
        console.print(f"intervals are of {NOMINAL:.0%}; no finished backfill of this home has tested one yet")


def _plan_table(facts: Mapping[str, Any]) -> Table:
    table = Table("region", "hardware", "runs", "day-partitions", *TITLES.values(), box=None, pad_edge=False)
    for one in facts["regions"]:
        cells = [shown(name, Estimate(**one["estimates"][name])) for name in MEASURES]
        hardware = ", ".join(one["hardware"])
        table.add_row(one["region"], hardware, str(one["runs"]), str(one["day_partitions"]), *cells)
    total = [shown(name, Estimate(**facts["estimates"][name])) for name in MEASURES]
    table.add_row("all", "", str(facts["runs"]), str(facts["day_partitions"]), *total)
    return table


def _truth_table(record: BackfillRecord) -> Table:
    table = Table("", "estimate", "truth", "", box=None, pad_edge=False)
    for name in (one for one in MEASURES if one in record.estimates):
        estimate = record.estimates[name]
        truth = record.truths.get(name)
        inside = None if truth is None or not record.is_comparable else estimate.holds(truth)
        held_ = "" if inside is None else "inside the interval" if inside else "outside the interval"
        table.add_row(TITLES[name], shown(name, estimate), "-" if truth is None else amount_words(name, truth), held_)
    return table


def shown(name: str, estimate: Estimate) -> str:
    """An estimate with its interval; `not known` where there is none.

    >>> shown("seconds", Estimate(12.0, 9.0, 16.5)), shown("seconds", Estimate(12.0)), shown("cost_usd", Estimate(None))
    ('12.0 s (9.0 to 16.5)', '12.0 s (no interval)', 'not known')
    """
    if estimate.value is None:
        return "not known"
    value = amount_words(name, estimate.value)
    if estimate.lower is None or estimate.upper is None:
        return f"{value} (no interval)" if estimate.value else value
    lower, upper = amount_words(name, estimate.lower), amount_words(name, estimate.upper)
    units = {words.lstrip("$").partition(" ")[2] for words in (value, lower, upper)}
    if len(units) == 1:  # the same unit need not be written three times
        lower, upper = (words.lstrip("$").partition(" ")[0] for words in (lower, upper))
    return f"{value} ({lower} to {upper})"


def amount_words(name: str, value: float) -> str:
    """An amount with its unit.

    >>> amount_words("seconds", 95.2), amount_words("cost_usd", 0.00012345), amount_words("table_bytes", 2_500_000)
    ('95.2 s', '$0.000123', '2.5 MB')
    """
    if name == "seconds":
        return f"{value:.1f} s" if value < LONG_S else f"{value / 60:.0f} min"
    if name == "cost_usd":
        return f"${value:.2f}" if value >= 1 else f"${value:.6f}"
    return next((f"{value / size:.1f} {unit}" for unit, size in UNITS if abs(value) >= size), f"{value:.0f} B")


def _print_json(facts: Mapping[str, Any]) -> None:
    json.dump(facts, sys.stdout, indent=2, default=str)
    sys.stdout.write("\n")
