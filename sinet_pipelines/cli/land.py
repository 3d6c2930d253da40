"""`sinet land`: a folder of real data, or the simulated fleet, into the landing zones as dated drops."""

import json
import sys
from collections.abc import Sequence
from dataclasses import asdict
from datetime import date, datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Optional

import typer

from sinet_pipelines.errors import SourceError
from sinet_pipelines.words import counted

if TYPE_CHECKING:
    from sinet_pipelines.ingestion.delivery import LandReport

FORMATS = ("cmapss",)
SIMULATED = "simulated"

Folder = Annotated[Path, typer.Argument(metavar="DIR", help="a folder in the format")]
Format = Annotated[str, typer.Option("--format", help="of the folder: cmapss")]
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
    form: Format = FORMATS[0],
    subset: Subsets = None,
    cycles_per_day: Pace = None,
    first_day: FirstDay = None,
    home: Home = None,
    as_json: Json = False,
) -> None:
    """Put a folder of real data into the landing zones.

    As dated drops: history, live engines, then the truth.
    """
    from sinet_pipelines.cli.home import held, home_of, make_home

    if form not in FORMATS:
        raise SourceError(f"no format {form!r} (allowed: {', '.join(FORMATS)}); give one of them with --format")
    if not folder.is_dir():
        raise SourceError(f"no folder {folder}; name one with train_FD001.txt, test_FD001.txt and RUL_FD001.txt")
    place = make_home(home or home_of(folder))
    with held(place):
        report = land_folder(
            folder,
            home=place,
            subsets=subset or (),
            cycles_per_day=cycles_per_day,
            first_day=first_day and first_day.date(),
        )
    if as_json:
        sys.stdout.write(json.dumps(asdict(report), default=str, indent=2) + "\n")
    else:
        _print(report)


def land_folder(
    folder: Path,
    *,
    home: Path,
    subsets: Sequence[str] = (),
    cycles_per_day: int | None = None,
    first_day: date | None = None,
    today: date | None = None,
    restore: bool = True,
) -> "LandReport":
    """Lands a folder in C-MAPSS format; landing it again changes nothing.

    Args:
        folder: with train_, test_ and RUL_ files.
        home: where the fleet lives; a home has one fleet, subsets may be added to it.
        subsets: those to land, all of the folder by default.
        cycles_per_day: 30 or more; 40 by default, or what the home's fleet has.
        first_day: day 0 of the layout; by default the one that makes yesterday the last, or the home's.
        today: the present day, UTC; the clock's by default.
        restore: whether files that landed and were removed since are put back.

    Raises:
        SourceError: the folder or a file cannot be read as C-MAPSS.
        FleetError: the home has another fleet, or the layout cannot be made.
        StorageError: the disk is full; what had landed stays, and landing again goes on.
    """
    from sinet_pipelines.ingestion.cmapss import find_subsets, read_cmapss
    from sinet_pipelines.ingestion.delivery import deliver
    from sinet_pipelines.ingestion.founding import Wish

    read = [read_cmapss(folder, name) for name in dict.fromkeys(subsets or find_subsets(folder))]
    wish = Wish(folder.resolve().name, False, cycles_per_day=cycles_per_day, first_day=first_day)
    return deliver(read, home=home, wish=wish, today=today, restore=restore)


def land_simulated(
    home: Path,
    *,
    history_engines: int = 120,
    live_engines: int = 60,
    seed: int = 0,
    regimes: int = 6,
    with_faults: bool = True,
    cycles_per_day: int | None = None,
    first_day: date | None = None,
    today: date | None = None,
    restore: bool = True,
) -> "LandReport":
    """Lands the simulated fleet, faults planted in it; landing it again changes nothing.

    Args:
        home: where the fleet lives.
        history_engines: engines run to failure.
        live_engines: engines still running.
        seed: of the fleet, its layout and its faults.
        regimes: operating points, 1 to 6.
        with_faults: whether faults are planted.
        cycles_per_day: as for `land_folder`.
        first_day: as for `land_folder`.
        today: as for `land_folder`.
        restore: as for `land_folder`.

    Raises:
        FleetError, StorageError: as for `land_folder`.
    """
    from sinet_pipelines.ingestion.delivery import deliver
    from sinet_pipelines.ingestion.faults import plant_faults
    from sinet_pipelines.ingestion.founding import Wish
    from sinet_pipelines.ingestion.simulator import simulate_fleet

    subset = simulate_fleet(history_engines=history_engines, live_engines=live_engines, seed=seed, regimes=regimes)
    wish = Wish(SIMULATED, True, seed=seed, cycles_per_day=cycles_per_day, first_day=first_day)
    plant = partial(plant_faults, seed=seed) if with_faults else None
    return deliver([subset], home=home, wish=wish, plant=plant, today=today, restore=restore)


def _print(report: "LandReport") -> None:
    from sinet_pipelines.cli.terminal import Terminal

    console = Terminal()
    kind = " (simulated)" if report.simulated else ""
    console.print(f"fleet {report.fleet}{kind} in {report.home}: {', '.join(report.subsets)}", soft_wrap=True)
    console.print(f"{counted(report.rows, 'row')} in {counted(report.drops, 'drop')}, {report.new_drops} of them new")
    console.print(f"{report.first_day} to {report.last_day} in {', '.join(report.regions)}")
    console.print(f"{report.failures} failures, truth about {report.truth} live engines")
