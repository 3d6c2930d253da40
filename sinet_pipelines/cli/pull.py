"""`sinet pull`: lands the new rows of a file, folder, store, table or web server in a region, each exactly once."""

import json
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict
from datetime import date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Optional

import typer

from sinet_pipelines.cli.ingest import ApplicationName, Home, Json, Region, home_and_data
from sinet_pipelines.errors import BusyError
from sinet_pipelines.words import counted

if TYPE_CHECKING:
    from sinet_pipelines.ingestion.connectors.pull import Pull
    from sinet_pipelines.ingestion.connectors.source import Source
    from sinet_pipelines.ingestion.landing import LandingZone

REPORT_S = 5.0
SHOWN = 10  # of each list in the summary

Url = Annotated[
    str,
    typer.Argument(
        metavar="URL",
        help="a path, s3://BUCKET/PREFIX, https://HOST/FILE or postgresql://HOST/DB/SCHEMA.TABLE?watermark=C",
    ),
]
Options = Annotated[
    Optional[Path],  # noqa: UP045
    typer.Option("--options", help="a JSON file with credentials and options, which only its owner can read"),
]
Name = Annotated[str, typer.Option("--name", help="name of the source in its state; default: its URL")]
FirstDay = Annotated[
    Optional[datetime],  # noqa: UP045
    typer.Option("--first-day", formats=["%Y-%m-%d"], help="of a new home; default: the earliest day of the rows"),
]
Wait = Annotated[float, typer.Option("--wait", min=0.0, help="seconds to wait for another pull of the source to end")]


def command(
    url: Url,
    region: Region,
    application: ApplicationName,
    home: Home = None,
    options: Options = None,
    name: Name = "",
    first_day: FirstDay = None,
    wait: Wait = 0.0,
    as_json: Json = False,
) -> None:
    """Land the new rows of a source as drops.

    Each row lands exactly once, also when this command is killed. It reads what is new and ends; repeat it by a
    schedule.
    """
    from sinet_pipelines.cli.home import CACHE
    from sinet_pipelines.ingestion.connectors.source import Settings, open_source, read_private_options
    from sinet_pipelines.ingestion.landing import LandingZone
    from sinet_pipelines.inventory.regions import this_inventory

    inventory = this_inventory()
    known = inventory.region(region).name
    private = read_private_options(options)
    place, data = home_and_data(home, application, inventory)
    cache = place / CACHE / "connectors"
    report = _Report()
    settings = Settings(data.drop, private, cache=cache, home=place, name=name, report=report.read)
    source = open_source(url, settings)
    with _alone(place, known, application, source.name, wait_s=wait):
        started = time.monotonic()
        zone = LandingZone(place, data, inventory.names)
        pull = _pull(source, zone, region=known, first_day=first_day.date() if first_day else None, report=report)
        report.pull = pull
        pull.run()
        summary = {
            "home": str(place),
            "source": source.name,
            "region": known,
            "application": application,
            **{key: sorted(value) if isinstance(value, set) else value for key, value in asdict(pull.totals).items()},
            "found": source.notes.parts,
            **{key: value for key, value in asdict(source.notes).items() if key != "parts"},
            "seconds": round(time.monotonic() - started, 3),
        }
    if as_json:
        sys.stdout.write(json.dumps(summary, indent=2) + "\n")
    else:
        _print(summary)


def _pull(
    source: "Source", zone: "LandingZone", *, region: str, first_day: date | None, report: Callable[[], None]
) -> "Pull":
    """The pull of a source into a region of the home."""
    from sinet_pipelines.ingestion.connectors.letters import Letters
    from sinet_pipelines.ingestion.connectors.pull import Pull
    from sinet_pipelines.ingestion.connectors.taken import Taken
    from sinet_pipelines.storage.objects import open_objects
    from sinet_pipelines.storage.roots import access_options, root_of
    from sinet_pipelines.storage.tables import tables_of

    home, application = zone.home, zone.data.application
    objects = open_objects(root_of(home, region).uri, access_options(home, region))
    return Pull(
        source,
        Taken(objects, application, source.name, home=home),
        Letters(tables_of(home, region, application), source.name),
        zone=zone,
        region=region,
        objects=objects,
        first_day=first_day,
        report=report,
    )


@contextmanager
def _alone(home: Path, region: str, application: str, source: str, *, wait_s: float) -> Iterator[None]:
    """Holds the lock of the source; two pulls of one source would land its rows twice."""
    from sinet_pipelines.ingestion.connectors.taken import source_id
    from sinet_pipelines.storage import locks

    path = home / f"pull-{region}-{application}-{source_id(source)}.lock"
    with ExitStack() as stack:
        try:
            stack.enter_context(locks.held(path, wait_s=wait_s))
        except BusyError as error:
            raise BusyError(
                f"another `sinet pull` (process {locks.holder(path)}) takes rows from {source} into "
                f"{region}/{application} of {home}; end it, or wait for it with --wait SECONDS"
            ) from error
        yield


class _Report:
    """Prints a line of progress to stderr now and then."""

    def __init__(self) -> None:
        self.pull: Pull | None = None
        self._at, self._bytes = time.monotonic(), 0

    def read(self, count: int) -> None:
        """Counts bytes of the source that were read."""
        self._bytes += count
        self()

    def __call__(self) -> None:
        from sinet_pipelines.cli.terminal import Terminal

        if self.pull is None or time.monotonic() - self._at < REPORT_S:
            return
        self._at = time.monotonic()
        totals, source = self.pull.totals, self.pull.source
        read = f"{source.notes.parts:,} found, {self._bytes >> 20:,} MiB read"
        Terminal(sys.stderr).print(
            f"{source.name}: {counted(totals.rows, 'row')} in {counted(totals.parts, 'part')} ({read})", soft_wrap=True
        )


def _print(found: dict[str, Any]) -> None:
    from sinet_pipelines.cli.terminal import Terminal

    console = Terminal()
    rows = f"{counted(found['rows'], 'new row')} in {counted(found['drops'], 'drop')}"
    console.print(f"{found['source']}: {rows} of {found['region']}/{found['application']}", soft_wrap=True)
    for line in _lines(found):
        console.print(line, soft_wrap=True)


def _lines(found: dict[str, Any]) -> Iterator[str]:
    """What a person must know beside the number of rows."""
    for key, noun in (("unchanged", "part"), ("repeated", "row")):
        if found[key]:
            yield f"{counted(found[key], noun)} landed before"
    if found["withdrawn"]:
        yield f"{counted(found['withdrawn'], 'drop')} withdrawn: their files at the source were replaced"
    for column, count in found["set_aside"].items():
        yield f"{column}: {counted(count, 'row')} with a value of another type; validation sets them aside"
    for name, reason in list(found["unreadable"].items())[:SHOWN]:
        yield f"not landed: {name}: {reason}"
    if found["dead_letters"]:
        yield f"{counted(found['dead_letters'], 'dead letter')} in the table dead_letters of the region, for example:"
        yield from (f"  {reason}" for reason in found["reasons"])
    for name, reason in list(found["left"].items())[:SHOWN]:
        yield f"not read: {name}: {reason}"
    if len(found["left"]) > SHOWN:
        yield f"and {len(found['left']) - SHOWN:,} more that were not read"
    if found["changed"]:
        yield f"{counted(found['changed'], 'row')} of a known key changed at the source; the rows that landed stay"
    if found["without_watermark"]:
        yield f"{counted(found['without_watermark'], 'row')} without a finite watermark cannot be read; set it"
    if found["before_first_day"]:
        yield (
            f"{counted(found['before_first_day'], 'row')} of days before the first day of the home: `sinet status` "
            "names their files and what to do"
        )
    if found["unknown"]:
        yield f"ignored columns: {', '.join(found['unknown'])[:1000]}"
