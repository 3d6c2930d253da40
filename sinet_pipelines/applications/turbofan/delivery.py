"""Writes a whole fleet into a home's landing zones: its record, its rows, its failures, and truth last."""

from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from pathlib import Path

import polars as pl

from sinet_pipelines.applications.turbofan.cmapss import CmapssSubset
from sinet_pipelines.applications.turbofan.fleet import Fleet, PlantedFault, write_fleet
from sinet_pipelines.applications.turbofan.fleet_layout import DayRows, lay_out
from sinet_pipelines.applications.turbofan.founding import Wish, fleet_for
from sinet_pipelines.applications.turbofan.landed import FAILURES, TELEMETRY, TRUTH
from sinet_pipelines.ingestion.delivery import LandReport
from sinet_pipelines.ingestion.drops import columns_of
from sinet_pipelines.ingestion.landed import EventKind
from sinet_pipelines.ingestion.landing import LandingZone
from sinet_pipelines.ingestion.zone_file import ZoneFile

Plant = Callable[[Sequence[DayRows], Fleet], tuple[list[DayRows], tuple[PlantedFault, ...]]]


@dataclass(frozen=True)
class _Piece:
    """One file of a landing: its place in the layout (`EAST/2026-03-01/FD001/0`), its subset, and the file."""

    of: str
    subset: str
    file: ZoneFile
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

    The fleet's record lists the landed files, so nothing lands twice when the same rows have other bytes: with another
    version of Parquet the file stays, and under a contract with other columns its successor replaces it.

    Args:
        subsets: one or more.
        home: the home; it has one fleet, to which subsets may be added.
        wish: the requested fleet.
        plant: plants faults in the days of a simulated fleet.
        today: the present day, UTC; read from the clock by default.
        restore: whether a later removed file of a complete landing is written again.

    Raises:
        FleetError: the home has another fleet, or the layout cannot be made.
        UnknownRegionError: rows would land in a region that the inventory does not have.
        StorageError: the disk is full; landed files remain, and landing again continues.
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
    zone = LandingZone(home, TELEMETRY, wish.regions)
    done = frozenset(known.subsets) if known.complete else frozenset[str]()
    days = [part for part in days if part.region in zone.regions or part.subset not in done]
    pieces = [
        *_row_pieces(zone, days),
        *_event_pieces(zone, FAILURES, failures, done),
        *_event_pieces(zone, TRUTH, truth, done),
    ]
    fleet, new = _land_missing(pieces, fleet, known=known, done=done, home=home, restore=restore)
    return LandReport(
        home=home,
        application=TELEMETRY.application,
        name=fleet.name,
        simulated=fleet.simulated,
        subsets=tuple(layouts),
        regions=tuple(region for region in fleet.regions if any(part.region == region for part in days)),
        first_day=fleet.first_day,
        last_day=fleet.last_day,
        rows=sum(part.rows.height for part in days),
        drops=len(days),
        new_drops=new,
        days=len({(part.region, part.day) for part in days}),
        events={FAILURES.name: _count(failures), TRUTH.name: _count(truth)},
        planted=len(fleet.planted),
    )


def _land_missing(
    pieces: Sequence[_Piece], fleet: Fleet, *, known: Fleet, done: Collection[str], home: Path, restore: bool
) -> tuple[Fleet, int]:
    """Lands the files that are missing, or that replace one of another contract.

    Returns the fleet with the names of all landed files, and the number of new drops.
    """
    old = {piece.of: file for piece in pieces if (file := _predecessor(piece, known))}
    fresh = [
        piece
        for piece in pieces
        if piece.of in old or _is_to_land(piece, known, is_done=piece.subset in done, restore=restore)
    ]
    there = {piece.of: piece.file.name for piece in pieces if piece.file.exists()}
    names = {**there, **known.landed, **{piece.of: piece.file.name for piece in fresh}}
    fleet = replace(fleet, landed=dict(sorted(names.items())))
    new = {piece.file.path for piece in fresh if piece.is_rows and piece.of not in there and piece.of not in old}
    if fresh or fleet != known:
        _land(fresh, fleet, before=known, old=old.values(), home=home)
    return fleet, len(new)


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
    """The files of events, one for each subset and region that has any."""
    return [
        _Piece(
            f"{region}/{kind}/{subset}/0",
            subset,
            *zone.event_file(region, kind.name, name=subset, events=rows),
            is_rows=False,
        )
        for subset, by_region in events.items()
        for region, rows in by_region.items()
        if rows.height and (region in zone.regions or subset not in done)
    ]


def _land(fresh: Sequence[_Piece], fleet: Fleet, *, before: Fleet, old: Collection[ZoneFile], home: Path) -> None:
    """Writes files and their record; after a kill at any point, the record lets the next landing continue.

    Args:
        fresh: the files.
        fleet: the fleet with the names of all files, including the fresh ones.
        before: the previously recorded fleet.
        old: files whose successors are among the fresh ones.
        home: the home of the fleet.
    """
    if old:
        write_fleet(replace(before, complete=False), home)  # a removed file counts as not landed
        for file in old:
            file.remove()
    write_fleet(replace(fleet, complete=False), home)  # names are recorded before files are written
    for piece in fresh:
        piece.file.keep(piece.content)
    write_fleet(replace(fleet, complete=True), home)


def _predecessor(piece: _Piece, known: Fleet) -> ZoneFile | None:
    """The file that landed in its place under a contract with other columns; None where there is none."""
    recorded = known.landed.get(piece.of, piece.file.name)
    file = piece.file.beside(recorded)
    if recorded == piece.file.name or not file.exists():
        return None
    return file if columns_of(file.read()) != columns_of(piece.content) else None


def _is_to_land(piece: _Piece, known: Fleet, *, is_done: bool, restore: bool) -> bool:
    """Whether to write the file: it never landed, is incomplete, or was removed and `restore` is set.

    Args:
        piece: the file, made from the rows and the present contract.
        known: the previously recorded fleet.
        is_done: whether its whole subset had landed.
        restore: whether removed files are written again.
    """
    recorded = known.landed.get(piece.of)
    if is_done and (recorded is None or not restore):  # a record of version 0.1.0 has no file names
        return False
    if recorded not in (None, piece.file.name) and piece.file.beside(str(recorded)).exists():
        return False  # the same columns in other bytes, written by another version of Parquet
    return piece.file.size() != len(piece.content)


def _count(events: Mapping[str, Mapping[str, pl.DataFrame]]) -> int:
    return sum(rows.height for by_region in events.values() for rows in by_region.values())
