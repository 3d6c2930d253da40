"""Writes process records into a home's landing zones: the production record first, then drops by day, then outcomes."""

import hashlib
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from pathlib import Path

import polars as pl

from sinet_pipelines.applications.milling.landed import OUTCOMES, RECORDS
from sinet_pipelines.applications.milling.layout import DayRows, lay_out
from sinet_pipelines.applications.milling.planted_faults import plant_faults
from sinet_pipelines.applications.milling.production import (
    Production,
    production_for,
    write_production,
)
from sinet_pipelines.applications.milling.reader import ProcessRecords, read_records
from sinet_pipelines.applications.milling.simulator import simulate_records
from sinet_pipelines.ingestion.delivery import LandReport
from sinet_pipelines.ingestion.landing import LandingZone
from sinet_pipelines.ingestion.zone_file import ZoneFile

SIMULATED = "simulated"
SIMULATED_RECORDS = 6000  # about 200 failures: enough for nested folds, few enough for a fast complete run
_NAME = "records"  # prefix of the names of files
_ANY_DAY = date.min


@dataclass(frozen=True)
class _Piece:
    """One file of a landing: its place in the layout (`EAST/2026-03-01/0`), and the file."""

    of: str
    file: ZoneFile
    content: bytes
    is_rows: bool


def land_folder(
    folder: Path,
    *,
    home: Path,
    regions: Sequence[str],
    first_day: date | None = None,
    today: date | None = None,
    restore: bool = True,
) -> LandReport:
    """Lands the AI4I 2020 table of a folder; landing it again changes nothing.

    Args:
        folder: folder with `ai4i2020.csv`.
        home: the home; it has one source of records.
        regions: names of the regions of the deployment; new records are laid out in these.
        first_day: day 0 of the layout; by default that of the home, or the day that makes yesterday the last.
        today: the present day, UTC; read from the clock by default.
        restore: whether files that landed and were later removed are written again.

    Raises:
        SourceError: the table cannot be read.
        FleetError: the home has other records, or the layout cannot be made.
        StorageError: the disk is full; landed files remain, and landing again continues.
    """
    records = read_records(folder)
    of_folder = (folder.resolve().name, False, _ANY_DAY, records.digest, records.rows.height)
    wanted = Production(*of_folder, regions=tuple(regions))
    return _deliver(records, wanted, home=home, first_day=first_day, today=today, restore=restore)


def land_simulated(
    home: Path,
    *,
    regions: Sequence[str],
    records: int = SIMULATED_RECORDS,
    seed: int = 0,
    with_faults: bool = True,
    first_day: date | None = None,
    today: date | None = None,
    restore: bool = True,
) -> LandReport:
    """Lands simulated records with planted faults; landing them again changes nothing.

    Args:
        home: as for `land_folder`.
        regions: as for `land_folder`.
        records: number of products.
        seed: seed of the simulation and the faults.
        with_faults: whether faults are planted.
        first_day: as for `land_folder`.
        today: as for `land_folder`.
        restore: as for `land_folder`.

    Raises:
        SourceError, FleetError, StorageError: as for `land_folder`.
    """
    made_from = f"milling 1, {records} records, seed {seed}, faults {with_faults}"
    made = ProcessRecords(simulate_records(records=records, seed=seed), hashlib.sha256(made_from.encode()).hexdigest())
    wanted = Production(SIMULATED, True, _ANY_DAY, made.digest, records, seed=seed, regions=tuple(regions))
    return _deliver(made, wanted, home=home, first_day=first_day, today=today, restore=restore, with_faults=with_faults)


def _deliver(
    records: ProcessRecords,
    wanted: Production,
    *,
    home: Path,
    first_day: date | None,
    today: date | None,
    restore: bool,
    with_faults: bool = False,
) -> LandReport:
    known = production_for(home, wanted, first_day=first_day, today=today or datetime.now(UTC).date())
    layout = lay_out(records.rows, known)
    days, planted = plant_faults(layout.days, known) if with_faults else (list(layout.days), ())
    zone = LandingZone(home, RECORDS, wanted.regions)
    pieces = [*_row_pieces(zone, days), *_event_pieces(zone, layout.outcomes)]
    fresh = [piece for piece in pieces if _is_to_land(piece, known, restore=restore)]
    new = [piece for piece in fresh if piece.is_rows and piece.of not in known.landed]
    names = {**known.landed, **{piece.of: piece.file.name for piece in fresh}}
    production = replace(known, planted=planted, landed=dict(sorted(names.items())))
    if fresh or not known.complete:
        _land(fresh, production, home=home)
    return LandReport(
        home=home,
        application=RECORDS.application,
        name=known.name,
        simulated=known.simulated,
        subsets=(),
        regions=tuple(layout.outcomes),
        first_day=known.first_day,
        last_day=known.last_day,
        rows=sum(part.rows.height for part in days),
        drops=len(days),
        new_drops=len(new),
        days=len({(part.region, part.day) for part in days}),
        events={OUTCOMES.name: sum(rows.height for rows in layout.outcomes.values())},
        planted=len(planted),
    )


def _row_pieces(zone: LandingZone, days: Sequence[DayRows]) -> Iterator[_Piece]:
    """The files of rows, in the order of the days; several drops of one day are numbered."""
    numbers = Counter[str]()
    for part in days:
        place = f"{part.region}/{part.day}"
        yield _Piece(
            f"{place}/{numbers[place]}", *zone.drop_file(part.region, part.day, name=_NAME, rows=part.rows), True
        )
        numbers[place] += 1


def _event_pieces(zone: LandingZone, outcomes: Mapping[str, pl.DataFrame]) -> Iterator[_Piece]:
    for region, rows in outcomes.items():
        file = zone.event_file(region, OUTCOMES.name, name=_NAME, events=rows)
        yield _Piece(f"{region}/{OUTCOMES}/0", *file, False)


def _is_to_land(piece: _Piece, known: Production, *, restore: bool) -> bool:
    """Whether to write the file: it never landed, is incomplete, or was removed and `restore` is set."""
    recorded = known.landed.get(piece.of)
    if recorded is None:
        return not known.complete
    file = piece.file.beside(recorded)
    if known.complete and not restore:
        return False
    size = file.size()
    return size is None or (file == piece.file and size != len(piece.content))


def _land(fresh: Sequence[_Piece], production: Production, *, home: Path) -> None:
    """Writes files and their record; after a kill at any point, the record lets the next landing continue."""
    write_production(replace(production, complete=False), home)  # names are recorded before files are written
    for piece in fresh:
        piece.file.keep(piece.content)
    write_production(replace(production, complete=True), home)
