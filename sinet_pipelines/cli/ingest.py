"""`sinet ingest`: stores the messages of a broker's stream in a region, exactly once, and lands their rows as drops."""

import gc
import json
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from hashlib import blake2b
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Annotated, Any, Optional

import typer

from sinet_pipelines.errors import BusyError, SourceError, UsageError
from sinet_pipelines.words import counted

if TYPE_CHECKING:
    from sinet_pipelines.applications.application import Application
    from sinet_pipelines.ingestion.landed import LandedData
    from sinet_pipelines.ingestion.streams.ingester import Ingester
    from sinet_pipelines.ingestion.streams.source import Client, StreamSource
    from sinet_pipelines.inventory.regions import Inventory

REPORT_S = 5.0

Url = Annotated[
    str,
    typer.Argument(
        metavar="URL", help="mqtt://HOST/TOPIC, nats://HOST/STREAM, kafka://HOST/TOPIC or pulsar://HOST/TOPIC"
    ),
]
Region = Annotated[str, typer.Option("--region", help="where the rows belong")]
ApplicationName = Annotated[str, typer.Option("--application", help="whose rows they are")]
Home = Annotated[Optional[Path], typer.Option("--home", help="default: the home last run")]  # noqa: UP045
Options = Annotated[
    Optional[Path],  # noqa: UP045
    typer.Option("--options", help="a JSON file with the client's options, for example user and password"),
]
Name = Annotated[str, typer.Option("--name", help="name of the stream in the table; default: that at the broker")]
BatchRows = Annotated[int, typer.Option("--batch-rows", min=1, help="of one commit")]
BatchSeconds = Annotated[float, typer.Option("--batch-seconds", min=0.0, help="until received rows are stored")]
LandSeconds = Annotated[float, typer.Option("--land-seconds", min=0.0, help="between two drops of the stored rows")]
Idle = Annotated[Optional[float], typer.Option("--idle", help="end after so many seconds without a message")]  # noqa: UP045
Wait = Annotated[float, typer.Option("--wait", min=0.0, help="seconds to wait for another `sinet ingest` to end")]
Json = Annotated[bool, typer.Option("--json", help="print JSON alone")]


def command(
    url: Url,
    region: Region,
    application: ApplicationName,
    home: Home = None,
    options: Options = None,
    name: Name = "",
    batch_rows: BatchRows = 50_000,
    batch_seconds: BatchSeconds = 1.0,
    land_seconds: LandSeconds = 10.0,
    idle: Idle = None,
    wait: Wait = 0.0,
    as_json: Json = False,
) -> None:
    """Store the messages of a stream and land their rows as drops.

    Each message is stored exactly once in the table landed_stream of the region, also when this command is killed. It
    runs until it is stopped by SIGTERM or Ctrl-C.
    """
    from sinet_pipelines.ingestion.landing import LandingZone
    from sinet_pipelines.ingestion.streams.ingester import Ingester, Limits
    from sinet_pipelines.ingestion.streams.rotation import Options as OptionsFile
    from sinet_pipelines.ingestion.streams.rotation import run_with_rotation
    from sinet_pipelines.ingestion.streams.source import open_source, parse_url, read_options
    from sinet_pipelines.ingestion.streams.stream_tables import StreamTables
    from sinet_pipelines.inventory.regions import this_inventory
    from sinet_pipelines.storage.tables import tables_of

    address, inventory = parse_url(url), this_inventory()
    known = inventory.region(region).name
    place, data = home_and_data(home, application, inventory)

    def connect() -> "StreamSource":
        return open_source(address, _client(known, application, url, options=read_options(options), name=name))

    watched, source = OptionsFile(options), connect()  # the file may change after it was read, and not before
    limits = Limits(rows=batch_rows, seconds=batch_seconds, land_s=land_seconds)
    with _alone(place, known, application, wait_s=wait), _stops() as stop:
        started = time.monotonic()
        tables = StreamTables(tables_of(place, known, application), data)
        zone = LandingZone(place, data, inventory.names)
        ingester = Ingester(source, tables, zone=zone, region=known, limits=limits)
        gc.freeze()  # messages are many objects: each collection would visit those of all modules too
        run_with_rotation(
            ingester,
            watched,
            connect,
            stop=lambda: bool(stop),
            idle_s=idle,
            report=_Report(ingester),
            notify=lambda text: _terminal().print(f"{source.name}: {text}", soft_wrap=True),
        )
        summary = {
            "home": str(place),
            "source": source.name,
            "region": known,
            "application": application,
            **_totals(ingester),
            "expired": ingester.expired,
            "loss": ingester.loss,
            "unmerged": ingester.unmerged,
            "offsets": {str(partition): offset for partition, offset in ingester.positions.items()},
            "seconds": round(time.monotonic() - started, 3),
        }
    if as_json:
        sys.stdout.write(json.dumps(summary, indent=2) + "\n")
    else:
        _print(summary)


def _client(region: str, application: str, url: str, *, options: dict[str, Any], name: str) -> "Client":
    from sinet_pipelines.ingestion.streams.source import Client

    # each stream has a session of its own at the broker: a session keeps the topics of all its subscriptions
    stream = blake2b(_spelled_alike(url).encode(), digest_size=4).hexdigest()
    return Client(f"sinet-{region}-{application}-{stream}", options, stream=name)


def _spelled_alike(url: str) -> str:
    """The same text for all URLs of one topic of Pulsar, whose broker keeps all messages for each subscription.

    >>> _spelled_alike("pulsar+ssl://broker-2/public/default/mills") == _spelled_alike("pulsar://broker-1/mills")
    True
    """
    from sinet_pipelines.ingestion.streams.source import parse_url

    address = parse_url(url)
    return f"pulsar/{address.stream.removeprefix('public/default/')}" if address.scheme.startswith("pulsar") else url


def home_and_data(home: Path | None, name: str, inventory: "Inventory") -> "tuple[Path, LandedData]":
    """The home and the landed data of the application.

    Raises:
        UsageError: there is no such application, or the home has no record that the application needs.
    """
    from sinet_pipelines.applications import load_applications
    from sinet_pipelines.cli.home import current_home, make_home
    from sinet_pipelines.storage.roots import settle_roots

    known = {one.name: one for one in load_applications() if one.landed is not None}
    if name not in known:
        raise UsageError(f"no application {name!r} lands rows (known: {', '.join(known)}); name one of them")
    _require_record(home or current_home(), known[name])
    place = current_home() if home is None else make_home(home)
    settle_roots(place, inventory.regions)  # rows land where the inventory places their region
    data = known[name].landed
    assert data is not None
    return place, data


def _require_record(home: Path, application: "Application") -> None:
    """Rejects a home in which the first landing of the application must come from its own source."""
    from sinet_pipelines.ingestion.record import Record, read_record

    source = application.source
    if source is None or source.parse is Record.of or read_record(home, application.name, source.parse) is not None:
        return
    raise SourceError(
        f"{application.name} landed nothing in {home} yet; `sinet run` or `sinet land` with the same --home lays out "
        "its first rows, then `sinet ingest` and `sinet pull` continue them"
    )


@contextmanager
def _alone(home: Path, region: str, application: str, *, wait_s: float) -> Iterator[None]:
    """Holds the lock of the table; its writer must be alone."""
    from sinet_pipelines.storage import locks

    path = home / f"ingest-{region}-{application}.lock"
    with ExitStack() as stack:
        try:
            stack.enter_context(locks.held(path, wait_s=wait_s))
        except BusyError as error:
            raise BusyError(
                f"another `sinet ingest` (process {locks.holder(path)}) stores streams of {region}/{application} in "
                f"{home}; end it, or wait for it with --wait SECONDS"
            ) from error
        yield


@contextmanager
def _stops() -> Iterator[list[int]]:
    """Within this context, the first SIGTERM or SIGINT is added to the yielded list; a second one interrupts."""
    received: list[int] = []

    def note(number: int, _: FrameType | None) -> None:
        if received:
            raise KeyboardInterrupt
        received.append(number)

    before = {number: signal.signal(number, note) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield received
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


class _Report:
    """Prints a line of progress to stderr now and then, and at once when the broker goes away or comes back."""

    def __init__(self, ingester: "Ingester") -> None:
        self._ingester = ingester
        self._at, self._rows, self._problem = time.monotonic(), 0, ""
        self._faults = ["", ""]

    def __call__(self) -> None:
        before, self._faults = self._faults, [self._ingester.loss, self._ingester.unmerged]
        for fault in self._faults:
            if fault and fault not in before:
                _terminal().print(f"{self._ingester.source.name}: {fault}", soft_wrap=True)
        now, rows, problem = time.monotonic(), self._ingester.totals.rows, self._ingester.source.problem
        if bool(problem) == bool(self._problem) and now - self._at < REPORT_S:
            return
        if problem or self._problem or rows != self._rows:
            _terminal().print(self._line(rows, rows_per_s=(rows - self._rows) / max(now - self._at, 1e-3)))
        self._at, self._rows, self._problem = now, rows, problem

    def _line(self, rows: int, *, rows_per_s: float) -> str:
        totals = self._ingester.totals
        letters = f", {counted(totals.dead_letters, 'dead letter')}" if totals.dead_letters else ""
        away = f"; waiting for the broker: {self._ingester.source.problem}" if self._ingester.source.problem else ""
        return f"{self._ingester.source.name}: {counted(rows, 'row')} ({rows_per_s:,.0f} per second){letters}{away}"


def _terminal() -> Any:
    from sinet_pipelines.cli.terminal import Terminal

    return Terminal(sys.stderr)


def _totals(ingester: "Ingester") -> dict[str, Any]:
    totals = ingester.totals
    return {
        "messages": totals.messages,
        "rows": totals.rows,
        "dead_letters": totals.dead_letters,
        "repeated": totals.repeated,
        "batches": totals.batches,
        "drops": totals.drops,
        "unknown_columns": sorted(totals.unknown),
    }


def _print(found: dict[str, Any]) -> None:
    from sinet_pipelines.cli.terminal import Terminal

    console = Terminal()
    rows = f"{counted(found['rows'], 'row')} of {counted(found['messages'], 'message')}"
    console.print(f"{found['source']}: {rows} in {found['region']}/{found['application']}", soft_wrap=True)
    console.print(f"{counted(found['batches'], 'batch', 'batches')}, {counted(found['drops'], 'new drop')}")
    if found["dead_letters"]:
        console.print(f"{counted(found['dead_letters'], 'dead letter')}: see the table dead_letters of the region")
    if found["unknown_columns"]:
        console.print(f"ignored columns: {', '.join(found['unknown_columns'])[:1000]}", soft_wrap=True)
    if found["expired"]:
        console.print(f"{counted(found['expired'], 'message')} had expired at the broker before this read")
    for name in ("loss", "unmerged"):
        if found[name]:
            console.print(found[name], soft_wrap=True)
