"""The record of the data that milling landed in a home: the products, and their layout by day."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import date, timedelta
from pathlib import Path
from typing import Any

from sinet_pipelines.applications.milling.landed import RECORDS
from sinet_pipelines.errors import FleetError
from sinet_pipelines.ingestion.record import read_record, write_record

DAYS = 25  # the same number as turbofan's layout, so that both use one calendar


@dataclass(frozen=True)
class PlantedFault:
    """A fault that was planted in simulated records, recorded so that a test can check that it is found.

    Attributes:
        kind: kind of fault: `out_of_range`, `missing_value`, `text_in_number`, `unknown_type`, `conflicting_record`,
            `other_unit`, `exact_copies` or `drift`.
        region: region of the fault.
        day: day of the fault, or its first day (`drift`).
        column: the column; empty for whole rows.
        rows: number of rows that go to quarantine, are repeated or are shifted.
        what: description.
    """

    kind: str
    region: str
    day: date
    column: str
    rows: int
    what: str


@dataclass(frozen=True)
class Production:
    """The products of a home and their layout.

    Attributes:
        name: name of the source folder, or `simulated`.
        simulated: whether all products are simulated.
        first_day: day 0 of the layout, UTC.
        digest: SHA-256 of the source.
        records: number of products.
        days: number of days of the layout.
        regions: tools are assigned to these in turn, each with its products.
        seed: seed of the simulation and its faults.
        planted: the planted faults.
        complete: whether everything has landed; false during a landing and after a killed one.
        landed: name of each file by its place in the layout (`EAST/2026-03-01/0`), written before the file itself.
    """

    name: str
    simulated: bool
    first_day: date
    digest: str
    records: int = 0
    days: int = DAYS
    regions: tuple[str, ...] = field(kw_only=True)
    seed: int = 0
    planted: tuple[PlantedFault, ...] = ()
    complete: bool = False
    landed: Mapping[str, str] = field(default_factory=dict)

    @property
    def last_day(self) -> date:
        """The last day of the layout."""
        return self.first_day + timedelta(days=self.days - 1)

    def day(self, number: int) -> date:
        """The date of a day of the layout, counted from 0."""
        return self.first_day + timedelta(days=number)


def production_for(home: Path, wanted: Production, *, first_day: date | None, today: date) -> Production:
    """The production of the home, or the wanted one with its first day; nothing is written.

    Args:
        home: the home.
        wanted: the requested production; its first day is ignored.
        first_day: the requested day; None for that of the home, or the day that makes yesterday the last.
        today: the present day, UTC.

    Raises:
        FleetError: the home has other products, or the last day would be in the future.
    """
    known = read_production(home)
    if known is None:
        return _new(wanted, first_day=first_day, today=today)
    pairs = (
        ("name", known.name, wanted.name),
        ("seed", known.seed, wanted.seed),
        ("SHA-256", known.digest[:12], wanted.digest[:12]),
        ("first day", known.first_day, first_day or known.first_day),
    )
    for what, old, new in pairs:
        if new != old:
            raise FleetError(
                f"{home} has milling records ({what}: {old}) and others were requested ({what}: {new}); allowed: one "
                "source a home, laid out once; name another home with --home"
            )
    return known


def _new(wanted: Production, *, first_day: date | None, today: date) -> Production:
    latest = today - timedelta(days=wanted.days)  # yesterday is the last day
    first = first_day or latest
    if first > latest:
        raise FleetError(
            f"from a first day of {first}, {wanted.days} days end on {first + timedelta(days=wanted.days - 1)} "
            f"(allowed: yesterday at the latest, so a first day until {latest}); give an earlier --first-day"
        )
    return Production(**{**_fields(wanted), "first_day": first})


def read_production(home: Path) -> Production | None:
    """The record of a home, None where no product landed yet; a damaged record is restored from its copy.

    Raises:
        FleetError: the record is damaged, and there is no copy that can be read.
    """
    return read_record(home, RECORDS.application, production_of)


def write_production(production: Production, home: Path) -> None:
    """Writes the record atomically.

    Raises:
        StorageError: the disk is full or not writable.
    """
    write_record(home, RECORDS.application, asdict(production), production_of)


def _fields(production: Production) -> dict[str, Any]:
    return {name: getattr(production, name) for name in Production.__dataclass_fields__}


def production_of(fields: Mapping[str, Any]) -> Production:
    """The record of these fields; raises KeyError, TypeError or ValueError for invalid fields."""
    planted = tuple(PlantedFault(**{**fault, "day": date.fromisoformat(fault["day"])}) for fault in fields["planted"])
    return Production(
        name=str(fields["name"]),
        simulated=bool(fields["simulated"]),
        first_day=date.fromisoformat(fields["first_day"]),
        digest=str(fields["digest"]),
        records=int(fields["records"]),
        days=int(fields["days"]),
        regions=tuple(str(name) for name in fields["regions"]),
        seed=int(fields["seed"]),
        planted=planted,
        complete=bool(fields["complete"]),
        landed={str(of): str(name) for of, name in fields["landed"].items()},
    )
