"""The fleet of a home: the landed engines and their layout by day; the turbofan part of the record."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from datetime import date, timedelta
from pathlib import Path
from typing import Any

from sinet_pipelines.applications.turbofan.landed import TELEMETRY
from sinet_pipelines.errors import FleetError
from sinet_pipelines.ingestion.record import read_record, write_record

CYCLES_PER_DAY = 40
DAYS = 25


@dataclass(frozen=True)
class PlantedFault:
    """A fault that was planted in a simulated fleet, recorded so that a test can check that it is found.

    Attributes:
        kind: kind of fault: `out_of_range`, `missing_value`, `conflicting_cycle`, `text_in_number`, `other_unit`,
            `exact_copies` or `drift`.
        region: region of the fault.
        day: day of the fault, or its first day (`drift`).
        column: the channel; empty for whole rows.
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
class Fleet:
    """The fleet of a home and its layout.

    Attributes:
        name: name of the source folder, or `simulated`.
        simulated: whether all engines are simulated.
        first_day: day 0 of the layout, UTC.
        cycles_per_day: flight cycles of an engine on one day.
        days: days of the layout; the last row of every live engine is on the last.
        regions: an engine's region is its number modulo these, remainder 1 the first of them.
        seed: seed of the layout and of the simulation.
        subsets: SHA-256 of each subset's source by the subset's name.
        planted: the planted faults.
        complete: whether everything has landed, including truth; false during a landing and after a killed one.
        landed: name of each file by its place in the layout (`EAST/2026-03-01/FD001/0`), written before the file
            itself: with it, a landing whose rows have other columns finds the earlier files.
    """

    name: str
    simulated: bool
    first_day: date
    cycles_per_day: int = CYCLES_PER_DAY
    days: int = DAYS
    regions: tuple[str, ...] = field(kw_only=True)
    seed: int = 0
    subsets: Mapping[str, str] = field(default_factory=dict)
    planted: tuple[PlantedFault, ...] = ()
    complete: bool = False
    landed: Mapping[str, str] = field(default_factory=dict)

    @property
    def last_day(self) -> date:
        """The last day of the layout: *yesterday* at the first landing."""
        return self.first_day + timedelta(days=self.days - 1)

    @property
    def slots(self) -> int:
        """Cycle slots from the first day's midnight to the end of the last day."""
        return self.days * self.cycles_per_day

    def day(self, number: int) -> date:
        """The date of a day of the layout, counted from 0."""
        return self.first_day + timedelta(days=number)

    def admit(self, subset: str, digest: str) -> "Fleet":
        """The fleet with one more subset.

        Raises:
            FleetError: the fleet has this subset already, from another source.
        """
        known = self.subsets.get(subset, digest)
        if known != digest:
            raise FleetError(
                f"the fleet {self.name!r} has another {subset} (SHA-256 {known[:12]}..., found {digest[:12]}...); "
                "rows of two fleets never mix: land it with --home into a home of its own"
            )
        return replace(self, subsets=dict(sorted((*self.subsets.items(), (subset, digest)))))


def read_fleet(home: Path) -> Fleet | None:
    """The fleet of a home, None where nothing landed yet; a deleted or damaged record is restored from its copy.

    Raises:
        FleetError: the record is damaged, and there is no copy that can be read.
    """
    return read_record(home, TELEMETRY.application, fleet_of)


def write_fleet(fleet: Fleet, home: Path) -> None:
    """Writes the record atomically.

    Raises:
        StorageError: the disk is full or not writable.
    """
    write_record(home, TELEMETRY.application, asdict(fleet), fleet_of)


def fleet_of(fields: Mapping[str, Any]) -> Fleet:
    """The fleet of a record's fields; raises KeyError, TypeError or ValueError for invalid fields."""
    planted = tuple(PlantedFault(**{**fault, "day": date.fromisoformat(fault["day"])}) for fault in fields["planted"])
    return Fleet(
        name=str(fields["name"]),
        simulated=bool(fields["simulated"]),
        first_day=date.fromisoformat(fields["first_day"]),
        cycles_per_day=int(fields["cycles_per_day"]),
        days=int(fields["days"]),
        regions=tuple(str(name) for name in fields["regions"]),
        seed=int(fields["seed"]),
        subsets=dict(fields["subsets"]),
        planted=planted,
        complete=bool(fields["complete"]),
        landed={str(of): str(name) for of, name in fields.get("landed", {}).items()},
    )
