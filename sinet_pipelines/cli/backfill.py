"""`sinet backfill`: plans a backfill with its cost, runs it with a journal, and continues after a pause or a kill."""

import sys
from pathlib import Path
from typing import Annotated, Optional

import typer

from sinet_pipelines.backfills.order import BackfillOrder

commands = typer.Typer(
    help="Make past days of assets, with a plan and a journal.",
    no_args_is_help=True,
)

Selection = Annotated[
    str, typer.Argument(metavar="SELECTION", help="Dagster's syntax: group:features, 'key:\"EAST/*\"', KEY+")
]
Number = Annotated[Optional[int], typer.Argument(metavar="[ID]", help="of a backfill; default: the last one")]  # noqa: UP045
Days = Annotated[Optional[str], typer.Option("--days", metavar="A:B", help="first and last day, both included")]  # noqa: UP045
All = Annotated[bool, typer.Option("--all", help="also make days again that are up to date")]
Usd = Annotated[Optional[float], typer.Option("--budget-usd", help="make the newest days that cost at most this")]  # noqa: UP045
Minutes = Annotated[Optional[float], typer.Option("--budget-minutes", help="make the newest days that take this")]  # noqa: UP045
PerRun = Annotated[Optional[int], typer.Option("--days-per-run", help="default: the estimated best")]  # noqa: UP045
Home = Annotated[Optional[Path], typer.Option("--home", help="default: the home last run")]  # noqa: UP045
Project = Annotated[Optional[Path], typer.Option("--project", help="the checkout; default: this folder or above")]  # noqa: UP045
Json = Annotated[bool, typer.Option("--json", help="print JSON alone")]


@commands.command()
def plan(
    selection: Selection,
    days: Days = None,
    redo: All = False,
    budget_usd: Usd = None,
    budget_minutes: Minutes = None,
    days_per_run: PerRun = None,
    home: Home = None,
    project: Project = None,
    as_json: Json = False,
) -> None:
    """Show runs, time, cost and database growth of a backfill; starts nothing.

    By default only days that are missing, failed, late, or made from older code or inputs.
    """
    from sinet_pipelines.cli.backfill_pages import show_plan

    order = BackfillOrder.read(
        selection,
        days=days,
        redo=redo,
        budget_usd=budget_usd,
        budget_minutes=budget_minutes,
        days_per_run=days_per_run,
    )
    show_plan(order, home=home, project=project, as_json=as_json)


@commands.command()
def run(
    selection: Selection,
    days: Days = None,
    redo: All = False,
    budget_usd: Usd = None,
    budget_minutes: Minutes = None,
    days_per_run: PerRun = None,
    home: Home = None,
    project: Project = None,
    as_json: Json = False,
) -> None:
    """Make the days of a plan, the newest first, with a journal in the home.

    Ctrl-C and SIGTERM pause it after the run in progress. It can be resumed after a kill.
    """
    from sinet_pipelines.cli.backfill_run import begin

    order = BackfillOrder.read(
        selection,
        days=days,
        redo=redo,
        budget_usd=budget_usd,
        budget_minutes=budget_minutes,
        days_per_run=days_per_run,
    )
    sys.exit(begin(order, home=home, project=project, as_json=as_json))


@commands.command()
def resume(number: Number = None, home: Home = None, project: Project = None, as_json: Json = False) -> None:
    """Continue a backfill that was paused, killed or failed: only what failed or was not made."""
    from sinet_pipelines.cli.backfill_run import resume as continue_backfill

    sys.exit(continue_backfill(number, home=home, project=project, as_json=as_json))


@commands.command()
def pause(number: Number = None, home: Home = None, as_json: Json = False) -> None:
    """Pause a running backfill after its run in progress."""
    from sinet_pipelines.cli.backfill_pages import request_of

    request_of(number, "pause", home=home, as_json=as_json)


@commands.command()
def cancel(number: Number = None, home: Home = None, as_json: Json = False) -> None:
    """End a backfill for good after its run in progress; days that are made stay made."""
    from sinet_pipelines.cli.backfill_pages import request_of

    request_of(number, "cancel", home=home, as_json=as_json)


@commands.command("list")
def list_all(home: Home = None, as_json: Json = False) -> None:
    """List the backfills of a home, and how often their intervals held the truth."""
    from sinet_pipelines.cli.backfill_pages import show_list

    show_list(home=home, as_json=as_json)


@commands.command()
def show(number: Number = None, home: Home = None, as_json: Json = False) -> None:
    """Show one backfill: what it makes, its runs, and truth beside estimate."""
    from sinet_pipelines.cli.backfill_pages import show_one

    show_one(number, home=home, as_json=as_json)
