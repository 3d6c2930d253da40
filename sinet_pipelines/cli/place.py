"""`sinet place`: plans where each asset runs, with reasons, losers and costs; nothing is started or moved."""

import json
import os
import sys
import time
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, Optional

import typer

from sinet_pipelines.errors import UsageError

SHOWN = 8  # names in a message about a name that was not found
SHOWN_UNPLACED = 12  # in the table for people; JSON has all

Asset = Annotated[Optional[str], typer.Argument(metavar="[ASSET]", help="its key, or its last part")]  # noqa: UP045
Without = Annotated[
    Optional[list[str]],  # noqa: UP045
    typer.Option("--without", metavar="REGION", help="put nothing there; also REGION/HARDWARE; repeatable"),
]
PolicyText = Annotated[
    str,
    typer.Option(
        "--policy", help="cheapest, fastest, greenest, closest or weighted (weighted:usd_per_hour=2,usd_per_kg=0.1)"
    ),
]
Home = Annotated[
    Optional[Path],  # noqa: UP045
    typer.Option("--home", help="whose past runs are used; default: the home last run, if there is one"),
]
Start = Annotated[
    Optional[str],  # noqa: UP045
    typer.Option(
        "--start", help="the moment from which latest finishes count, as 2026-11-28T12:00 (UTC); default: now"
    ),
]
Project = Annotated[Optional[Path], typer.Option("--project", help="the checkout; default: this folder or above")]  # noqa: UP045
Json = Annotated[bool, typer.Option("--json", help="print JSON alone")]


def command(
    asset: Asset = None,
    without: Without = None,
    policy: PolicyText = "cheapest",
    home: Home = None,
    project: Project = None,
    start: Start = None,
    as_json: Json = False,
) -> None:
    """Show where each asset would run, why, and at what cost.

    Also shows what other places cost and what has no place. Nothing is started or moved. With --without EAST a region
    counts as lost. Without a home the plan is made from the definitions and default sizes alone.
    """
    facts = read_plan(asset, without=without or [], policy=policy, home=home, project=project, start=start)
    if as_json:
        json.dump(facts, sys.stdout, indent=2)
        sys.stdout.write("\n")
    elif asset is not None:
        _print_asset(facts)
    else:
        _print_plan(facts)


def read_plan(
    asset: str | None,
    *,
    without: list[str],
    policy: str,
    home: Path | None,
    project: Path | None,
    start: str | None = None,
) -> dict[str, Any]:
    """The facts of `sinet place --json`.

    Raises:
        UsageError: no such asset, policy or region, or `start` is no moment.
    """
    from sinet_pipelines.cli.home import find_project, no_fleet
    from sinet_pipelines.placement.partial import plan_what_fits
    from sinet_pipelines.placement.policies import policy_of
    from sinet_pipelines.placement.report import facts_of, plan_facts

    chosen, moment = policy_of(policy), moment_of(start)
    assembly, folder, started = _assembled(find_project(project), home, without, moment)
    name = None if asset is None else _name_of(asset, list(assembly.works))
    assembly, found = plan_what_fits(assembly, chosen)
    facts = plan_facts(assembly, found, without=without, seconds=0.0, asset=name)
    facts |= {
        "home": None if folder is None else str(folder),
        "start": moment.isoformat(),
        "seconds": round(time.perf_counter() - started, 3),
    }
    if folder is None:
        facts["notes"].insert(0, f"no past run was used ({no_fleet(home)}): durations and sizes are declared ones")
    return facts if name is None else facts_of(facts, name)


def moment_of(text: str | None) -> datetime:
    """A moment as ISO 8601, in UTC where it has no offset; now without a text.

    Raises:
        UsageError: the text is no moment.
    """
    if text is None:
        return datetime.now(UTC)
    try:
        found = datetime.fromisoformat(text)
    except ValueError as error:
        raise UsageError(f"--start is {text!r}; write a moment as 2026-11-28T12:00") from error
    return found.replace(tzinfo=UTC) if found.tzinfo is None else found.astimezone(UTC)


def _assembled(root: Path, home: Path | None, without: list[str], start: datetime) -> tuple[Any, Path | None, float]:
    """The problem, the home whose past runs it uses (None without one), and when planning began."""
    from sinet_pipelines.cli.backfill_planning import open_home
    from sinet_pipelines.cli.home import home_if_run
    from sinet_pipelines.cli.orchestrator import be_in, load_definitions

    os.environ["SINET_PROJECT"] = str(root)  # the home is that of this checkout
    folder = home_if_run(home)
    with ExitStack() as stack:
        instance = None
        if folder is None:
            be_in(root)
        else:
            instance, _ = stack.enter_context(open_home(root, folder, is_writer=False))
        from resources.deployment import this_deployment
        from resources.planning import known_of, reads_of, works_of
        from sinet_pipelines.placement.assembly import assemble, require_places

        graph, deployment = load_definitions().resolve_asset_graph(), this_deployment(folder)
        require_places(without, deployment.regions)
        known = None if instance is None else known_of(instance, graph, deployment)
        started = time.perf_counter()
        works = works_of(graph, deployment, known=known, without=without)
        found = assemble(works, reads_of(graph, works), deployment.regions, without=without, start=start)
        return found, folder, started


def _name_of(asset: str, names: list[str]) -> str:
    """The asset of a key, or of a last part that only one asset has.

    Raises:
        UsageError: no asset has it, or several do.
    """
    fitting = [one for one in names if one == asset] or [one for one in names if one.split("/")[-1] == asset]
    if len(fitting) == 1:
        return fitting[0]
    near = sorted(fitting or [one for one in names if asset.split("/")[-1] in one] or names)
    found = f"{asset!r} is the last part of {len(fitting)} assets" if fitting else f"no step makes an asset {asset!r}"
    more = f" and {len(near) - SHOWN} more" if len(near) > SHOWN else ""
    raise UsageError(f"{found}; name one: {', '.join(near[:SHOWN])}{more}")


def _print_plan(facts: dict[str, Any]) -> None:
    from rich.table import Table

    from sinet_pipelines.cli.terminal import Terminal

    console = Terminal()
    table = Table(
        "asset", "region", "hardware", "flavour", "USD", "hours", "CO2 g", "options", box=None, pad_edge=False
    )
    for one in facts["placements"]:
        hardware = f"{one['count']} x {one['hardware']}" if one["count"] else one["hardware"]
        options = 1 + sum(not loser["rule"] for loser in one["losers"])
        numbers = f"{one['cost_usd']:.4f}", f"{one['duration_s'] / 3600:.3f}", f"{one['co2_g']:.1f}", str(options)
        table.add_row(one["asset"], one["region"], hardware, one["flavour"], *numbers)
    if facts["placements"]:
        console.print(table)
    for one in facts["unplaced"][:SHOWN_UNPLACED]:
        console.print(f"no place: {one['asset']}: {one['reason']}", soft_wrap=True)
    if len(facts["unplaced"]) > SHOWN_UNPLACED:
        console.print(f"no place: {len(facts['unplaced']) - SHOWN_UNPLACED} more; --json has all")
    _print_totals(console, facts)


def _print_totals(console: Any, facts: dict[str, Any]) -> None:
    totals = facts["totals"]
    answer = facts["answer"] if not facts["gap"] else f"{facts['answer']}, gap {100 * facts['gap']:.2g} %"
    if not totals:
        console.print(f"{answer}: {'; '.join(facts['because'])}", soft_wrap=True)
        return
    beside = ", ".join(
        f"{name.replace('_', ' ')} ${one['cost_usd']:.4f}{'' if one['is_allowed'] else ' (breaks a rule)'}"
        for name, one in totals["beside"].items()
    )
    console.print(
        f"{facts['policy']}: ${totals['cost_usd']:.4f} (egress ${totals['egress_usd']:.4f}), {totals['co2_g']:.0f} g "
        f"CO2, ends after {totals['finish_s'] / 3600:.2f} h; {answer} by {facts['solver']} in {facts['seconds']:g} s",
        soft_wrap=True,
    )
    console.print(f"beside: {beside}", soft_wrap=True)
    if facts["because"]:
        console.print(f"rules that clash: {'; '.join(facts['because'])}", soft_wrap=True)
    for note in facts["notes"]:
        console.print(note, soft_wrap=True)


def _print_asset(facts: dict[str, Any]) -> None:
    from rich.table import Table

    from sinet_pipelines.cli.terminal import Terminal

    console = Terminal()
    for one in facts["unplaced"]:
        console.print(f"{one['asset']} has no place: {one['reason']}", soft_wrap=True)
    for one in facts["placements"]:
        hardware = f"{one['count']} x {one['hardware']}" if one["count"] else one["hardware"]
        console.print(f"{one['asset']}: {one['region']} on {hardware}, {one['flavour']}", soft_wrap=True)
        console.print(one["reason"], soft_wrap=True)
        console.print(
            f"${one['cost_usd']:.4f} (egress of its data ${one['egress_usd']:.4f}), {one['duration_s']:g} s, transfer "
            f"{one['transfer_s']:g} s, wait {one['wait_s']:g} s, {one['co2_g']:.1f} g CO2",
            soft_wrap=True,
        )
        table = Table("region", "hardware", "flavour", "why not", box=None, pad_edge=False)
        for loser in one["losers"]:
            table.add_row(loser["region"], loser["hardware"], loser["flavour"], loser["reason"])
        console.print(table)
