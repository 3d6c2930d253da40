"""`sinet land`: puts a folder of real data into the landing zones of the applications that read its format."""

import json
import sys
from dataclasses import asdict, replace
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Optional

import typer

from sinet_pipelines.errors import SourceError
from sinet_pipelines.words import counted

if TYPE_CHECKING:
    from sinet_pipelines.ingestion.delivery import LandReport, Source

Folder = Annotated[Path, typer.Argument(metavar="DIR", help="a folder in a format that an application reads")]
Format = Annotated[Optional[str], typer.Option("--format", help="of the folder; default: the one recognised")]  # noqa: UP045
Subsets = Annotated[Optional[list[str]], typer.Option("--subset", help="FD001, ...; default: all in the folder")]  # noqa: UP045
Pace = Annotated[Optional[int], typer.Option("--cycles-per-day", help="30 or more; default 40")]  # noqa: UP045
FirstDay = Annotated[
    Optional[datetime],  # noqa: UP045
    typer.Option("--first-day", formats=["%Y-%m-%d"], help="default: the one that makes yesterday the last day"),
]
Home = Annotated[Optional[Path], typer.Option("--home", help="default: .sinet/<name of the folder>, as of `sinet run`")]  # noqa: UP045
Json = Annotated[bool, typer.Option("--json", help="print JSON alone")]


def command(
    folder: Folder,
    form: Format = None,
    subset: Subsets = None,
    cycles_per_day: Pace = None,
    first_day: FirstDay = None,
    home: Home = None,
    as_json: Json = False,
) -> None:
    """Put a folder of real data into the landing zones.

    The data become dated drops and events of each application that reads the format.
    """
    from sinet_pipelines.cli.home import held, home_of, make_home
    from sinet_pipelines.ingestion.delivery import Order, recognising
    from sinet_pipelines.inventory.regions import this_inventory
    from sinet_pipelines.storage.roots import settle_roots

    known = sources()
    if not folder.is_dir():
        formats = "; ".join(f"{name}: {words}" for one in known.values() for name, words in one.formats.items())
        raise SourceError(f"no folder {folder}; name one in a format that is read ({formats})")
    recognised = recognising(known, folder, form=form)
    place, inventory = make_home(home or home_of(folder)), this_inventory()
    order = Order(
        place,
        folder,
        subsets=tuple(subset or ()),
        first_day=first_day.date() if first_day else None,
        cycles_per_day=cycles_per_day,
        regions=inventory.names,
    )
    with held(place):
        settle_roots(place, inventory.regions)  # rows land where the inventory places their region
        reports = [known[name].deliver(replace(order, form=found)) for name, found in recognised.items()]
    if as_json:
        sys.stdout.write(json.dumps([asdict(one) for one in reports], default=str, indent=2) + "\n")
        return
    for report in reports:
        _print(report)


def sources() -> "dict[str, Source]":
    """The sources of the applications that have one, by application."""
    from sinet_pipelines.applications import load_applications

    return {one.name: one.source for one in load_applications() if one.source is not None}


def _print(report: "LandReport") -> None:
    from sinet_pipelines.cli.terminal import Terminal

    console = Terminal()
    kind = " (simulated)" if report.simulated else ""
    subsets = f": {', '.join(report.subsets)}" if report.subsets else ""
    console.print(f"{report.application} from {report.name}{kind} in {report.home}{subsets}", soft_wrap=True)
    console.print(f"{counted(report.rows, 'row')} in {counted(report.drops, 'drop')}, {report.new_drops} of them new")
    console.print(f"{report.first_day} to {report.last_day} in {', '.join(report.regions)}")
    if report.events:
        console.print("events: " + ", ".join(f"{count} {kind}" for kind, count in report.events.items()))
