"""Brings a whole fleet into a home's landing zones: its record, its rows, its failures, and truth last of all."""

from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from pathlib import Path

import polars as pl

from sinet_pipelines.ingestion.cmapss import CmapssSubset
from sinet_pipelines.ingestion.drops import columns_of
from sinet_pipelines.ingestion.events import EventKind
from sinet_pipelines.ingestion.fleet import Fleet, PlantedFault, write_fleet
from sinet_pipelines.ingestion.founding import Wish, fleet_for
from sinet_pipelines.ingestion.inspection import read_bytes
from sinet_pipelines.ingestion.landing import LandingZone
from sinet_pipelines.ingestion.layout import DayRows, lay_out
from sinet_pipelines.regions import REGIONS
from sinet_pipelines.storage.files import write_whole

_NAMES = frozenset(region.name for region in REGIONS)
Plant = Callable[[Sequence[DayRows], Fleet], tuple[list[DayRows], tuple[PlantedFault, ...]]]


@dataclass(frozen=True)
class LandReport:
    """What a landing put into a home, or found there already.

    Attributes:
        home: the home.
        fleet: its name.
        simulated: whether no real engine is in it.
        subsets: those that this landing was about.
        regions: in which something landed.
        first_day: of the layout, UTC.
        last_day: of the layout; the last row of every live engine is on it.
        rows: rows of the drops, copies included.
        drops: files of rows.
        new_drops: those that were not there before.
        days: days of a region with rows, over all regions.
        failures: events of history engines.
        truth: events about live engines.
        planted: faults put in on purpose.
    """

    home: Path
    fleet: str
    simulated: bool
    subsets: tuple[str, ...]
    regions: tuple[str, ...]
    first_day: date
    last_day: date
    rows: int
    drops: int
    new_drops: int
    days: int
    failures: int
    truth: int
    planted: int


@dataclass(frozen=True)
class _Piece:
    """One file of a landing: what it is of (`EAST/2026-03-01/FD001/0`), its subset, and the file."""

    of: str
    subset: str
    path: Path
    content: bytes
    is_rows: bool = True


def deliver(
    subsets: Sequence[CmapssSubset],
    *,
    home: Path,
    wish: Wish,
    plant: Plant | None = None,
    today: date | None = None,
    restore: bool = True,
) -> LandReport:
    """Lands subsets of one fleet; landing them again changes nothing, and completes a landing that was killed.

    What landed once is known by the fleet's record, so nothing lands twice when the same rows become other bytes: with
    another version of Parquet the file stays, and under a contract with other columns its successor takes its place.

    Args:
        subsets: one or more.
        home: where the fleet lives; a home has one fleet, subsets may be added to it.
        wish: what fleet is asked for.
        plant: puts faults into the days, for a simulated fleet.
        today: the present day, UTC; the clock's by default.
        restore: whether a file of a complete landing that was removed since is put back.

    Raises:
        FleetError: the home has another fleet, or the layout cannot be made.
        UnknownRegionError: rows would land in a region that the registry does not have.
        StorageError: the disk is full; what had landed stays, and landing again goes on.
    """
    longest = max(subset.longest for subset in subsets)
    known = fleet_for(home, wish, longest=longest, today=today or datetime.now(UTC).date())
    fleet = known
    for subset in subsets:
        fleet = fleet.admit(subset.name, subset.digest)
    layouts = {subset.name: lay_out(subset, fleet) for subset in subsets}
    days = [part for layout in layouts.values() for part in layout.days]
    if plant is not None:
        days, planted = plant(days, fleet)
        fleet = replace(fleet, planted=planted)
    failures = {name: layout.failures for name, layout in layouts.items()}
    truth = {name: layout.truth for name, layout in layouts.items()}
    zone = LandingZone(home / "landing")
    done = frozenset(known.subsets) if known.complete else frozenset[str]()
    days = [part for part in days if part.region in _NAMES or part.subset not in done]
    pieces = [
        *_row_pieces(zone, days),
        *_event_pieces(zone, EventKind.FAILURES, failures, done),
        *_event_pieces(zone, EventKind.TRUTH, truth, done),
    ]
    old = {piece.of: path for piece in pieces if (path := _predecessor(piece, known))}
    fresh = [
        piece
        for piece in pieces
        if piece.of in old or _is_to_land(piece, known, is_done=piece.subset in done, restore=restore)
    ]
    there = {piece.of: piece.path.name for piece in pieces if piece.path.exists()}
    names = {**there, **known.landed, **{piece.of: piece.path.name for piece in fresh}}
    fleet = replace(fleet, landed=dict(sorted(names.items())))
    new = {piece.path for piece in fresh if piece.is_rows and piece.of not in there and piece.of not in old}
    if fresh or fleet != known:
        _land(fresh, fleet, before=known, old=old.values(), home=home)
    return LandReport(
        home=home,
        fleet=fleet.name,
        simulated=fleet.simulated,
        subsets=tuple(layouts),
        regions=tuple(region for region in fleet.regions if any(part.region == region for part in days)),
        first_day=fleet.first_day,
        last_day=fleet.last_day,
        rows=sum(part.rows.height for part in days),
        drops=len(days),
        new_drops=len(new),
        days=len({(part.region, part.day) for part in days}),
        failures=_count(failures),
        truth=_count(truth),
        planted=len(fleet.planted),
    )


def _row_pieces(zone: LandingZone, days: Sequence[DayRows]) -> Iterator[_Piece]:
    """The files of rows, in the order of the days; several drops of one day are numbered."""
    numbers = Counter[str]()
    for part in days:
        place = f"{part.region}/{part.day}/{part.subset}"
        file = zone.drop_file(part.region, part.day, name=part.subset, rows=part.rows)
        yield _Piece(f"{place}/{numbers[place]}", part.subset, *file)
        numbers[place] += 1


def _event_pieces(
    zone: LandingZone, kind: EventKind, events: Mapping[str, Mapping[str, pl.DataFrame]], done: Collection[str]
) -> list[_Piece]:
    """The files of events, one a subset and region that has any."""
    return [
        _Piece(
            f"{region}/{kind}/{subset}/0",
            subset,
            *zone.event_file(region, kind, name=subset, events=rows),
            is_rows=False,
        )
        for subset, by_region in events.items()
        for region, rows in by_region.items()
        if rows.height and (region in _NAMES or subset not in done)
    ]


def _land(fresh: Sequence[_Piece], fleet: Fleet, *, before: Fleet, old: Collection[Path], home: Path) -> None:
    """Writes files and the record of them; a kill at any point leaves a record by which the next landing goes on.

    Args:
        fresh: the files.
        fleet: with the names of all files, also of those.
        before: the fleet as it was recorded before.
        old: files whose successors are among the fresh ones.
        home: where the fleet lives.
    """
    if old:
        write_fleet(replace(before, complete=False), home)  # what is removed now and not written yet never landed
        for path in old:
            path.unlink(missing_ok=True)
    write_fleet(replace(fleet, complete=False), home)  # the names before the files
    for piece in fresh:
        write_whole(piece.path, piece.content)
    write_fleet(replace(fleet, complete=True), home)


def _predecessor(piece: _Piece, known: Fleet) -> Path | None:
    """The file that landed for it under a contract with other columns; None where there is none."""
    recorded = known.landed.get(piece.of, piece.path.name)
    path = piece.path.parent / recorded
    if recorded == piece.path.name or not path.is_file():
        return None
    return path if columns_of(read_bytes(path)) != columns_of(piece.content) else None


def _is_to_land(piece: _Piece, known: Fleet, *, is_done: bool, restore: bool) -> bool:
    """Whether the file is to be written: it never landed, was cut short, or was removed and is to be put back.

    Args:
        piece: the file, as the rows and the contract of today make it.
        known: the fleet as it was recorded before.
        is_done: whether all of its subset had landed.
        restore: whether removed files are put back.
    """
    recorded = known.landed.get(piece.of)
    if is_done and (recorded is None or not restore):  # a record of version 0.1.0 names no files
        return False
    if recorded not in (None, piece.path.name) and (piece.path.parent / str(recorded)).exists():
        return False  # the same columns in other bytes, as another version of Parquet writes them
    return not piece.path.exists() or piece.path.stat().st_size != len(piece.content)


def _count(events: Mapping[str, Mapping[str, pl.DataFrame]]) -> int:
    return sum(rows.height for by_region in events.values() for rows in by_region.values())
