"""The record of a home's fleet, `landing/fleet.json`: written with the first landing and kept to ever after.

A copy, `fleet.json` in the home itself, replaces it when it is deleted or damaged; a record that can be read, edited by
hand or not, is the one that counts.
"""

import json
import logging
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from datetime import date, timedelta
from pathlib import Path
from typing import Any

from sinet_pipelines.errors import FleetError
from sinet_pipelines.regions import REGIONS
from sinet_pipelines.storage.files import write_whole

_log = logging.getLogger(__name__)

CYCLES_PER_DAY = 40
DAYS = 25


@dataclass(frozen=True)
class PlantedFault:
    """A fault put into a simulated fleet on purpose, so that a test can know what is to be found.

    Attributes:
        kind: what was done: `out_of_range`, `missing_value`, `conflicting_cycle`, `text_in_number`, `other_unit`,
            `exact_copies` or `drift`.
        region: where.
        day: the day it is on, or begins on (`drift`).
        column: the channel, empty where whole rows are meant.
        rows: rows it touches: those to be set aside, repeated or shifted.
        what: in words.
    """

    kind: str
    region: str
    day: date
    column: str
    rows: int
    what: str


@dataclass(frozen=True)
class Fleet:
    """What a home's fleet is and how it is laid out.

    Attributes:
        name: of the folder it was read from, or `simulated`.
        simulated: whether no real engine is in it.
        first_day: day 0 of the layout, UTC.
        cycles_per_day: flight cycles of an engine on one day.
        days: days of the layout; the last row of every live engine is on the last.
        regions: an engine's region is its number modulo these, remainder 1 the first of them.
        seed: of the layout, and of the simulation.
        subsets: SHA-256 of each subset's source by the subset's name.
        planted: faults put in on purpose.
        complete: whether all of it has landed, truth included; false while a landing is at work or was killed.
        landed: the file's name by what it is of (`EAST/2026-03-01/FD001/0`), written before the file itself: a landing
            whose rows have other columns by now knows by it what landed before.
    """

    name: str
    simulated: bool
    first_day: date
    cycles_per_day: int = CYCLES_PER_DAY
    days: int = DAYS
    regions: tuple[str, ...] = tuple(region.name for region in REGIONS)
    seed: int = 0
    subsets: Mapping[str, str] = field(default_factory=dict)
    planted: tuple[PlantedFault, ...] = ()
    complete: bool = False
    landed: Mapping[str, str] = field(default_factory=dict)

    @property
    def last_day(self) -> date:
        """The last day of the layout: *yesterday* when it was landed first."""
        return self.first_day + timedelta(days=self.days - 1)

    @property
    def slots(self) -> int:
        """Cycle slots from the first day's midnight to the end of the last day."""
        return self.days * self.cycles_per_day

    def day(self, number: int) -> date:
        """The date of a day of the layout, counted from 0."""
        return self.first_day + timedelta(days=number)

    def admit(self, subset: str, digest: str) -> "Fleet":
        """The fleet with one subset more.

        Raises:
            FleetError: the fleet has this subset already, read from something else.
        """
        known = self.subsets.get(subset, digest)
        if known != digest:
            raise FleetError(
                f"the fleet {self.name!r} has another {subset} (SHA-256 {known[:12]}..., found {digest[:12]}...); "
                "rows of two fleets never mix: land it with --home into a home of its own"
            )
        return replace(self, subsets=dict(sorted((*self.subsets.items(), (subset, digest)))))


def fleet_file(home: Path) -> Path:
    """Where a home keeps the record of its fleet."""
    return home / "landing" / "fleet.json"


def fleet_copy(home: Path) -> Path:
    """Where a home keeps the copy of the record."""
    return home / "fleet.json"


def has_fleet(home: Path) -> bool:
    """Whether a fleet landed in the home, its record damaged or not."""
    return fleet_file(home).exists() or fleet_copy(home).exists()


def read_fleet(home: Path) -> Fleet | None:
    """The fleet of a home, None where nothing landed yet; a deleted or damaged record is put back from its copy.

    Raises:
        FleetError: the record is damaged, and there is no copy that can be read.
    """
    path, copy = fleet_file(home), fleet_copy(home)
    if not has_fleet(home):
        return None
    try:
        return _read(path)
    except _DamagedError as error:
        try:
            known = _read(copy)
        except _DamagedError:
            days = sorted(day.name for day in path.parent.glob("*/????-??-??"))
            first = f" --first-day {days[0]}" if days else ""
            raise FleetError(
                f"{error}, and {copy} is none either; put its old text back, or remove {path} and land the same data "
                f"again: `sinet run{first}` with the same --home, and the same --data if there was one"
            ) from error
        write_whole(path, copy.read_bytes())
        _log.warning("%s; it was put back from %s", error, copy)
        return known


def read_first_day(home: Path) -> date | None:
    """The first day of a home's fleet, None where nothing landed yet; of a record in which nothing else need hold.

    Raises:
        FleetError: as of `read_fleet`.
    """
    try:
        return date.fromisoformat(json.loads(fleet_file(home).read_text())["first_day"])
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        fleet = read_fleet(home)
        return None if fleet is None else fleet.first_day


def keep_copy(home: Path) -> None:
    """Keeps the copy of the record equal to the record; nothing where that is missing or damaged.

    Raises:
        StorageError: the disk is full or not writable.
    """
    path, copy = fleet_file(home), fleet_copy(home)
    try:
        known = _read(path)
    except FleetError:
        return
    try:
        is_kept = _read(copy) == known
    except FleetError:
        is_kept = False
    if not is_kept:
        write_whole(copy, path.read_bytes())


class _DamagedError(FleetError):
    pass


def _read(path: Path) -> Fleet:
    try:
        return _fleet(json.loads(path.read_text()))
    except FileNotFoundError as error:
        raise _DamagedError(f"{path} is missing") from error
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise _DamagedError(f"{path} is no record of a fleet ({type(error).__name__}: {error})") from error


def write_fleet(fleet: Fleet, home: Path) -> None:
    """Keeps the record, seen whole or not at all.

    Raises:
        StorageError: the disk is full or not writable.
    """
    text = json.dumps(asdict(fleet), default=date.isoformat, indent=1)
    write_whole(fleet_file(home), text.encode())
    keep_copy(home)


def _fleet(record: Mapping[str, Any]) -> Fleet:
    """The fleet of a record; a KeyError, TypeError or ValueError where it is none."""
    planted = tuple(PlantedFault(**{**fault, "day": date.fromisoformat(fault["day"])}) for fault in record["planted"])
    return Fleet(
        name=str(record["name"]),
        simulated=bool(record["simulated"]),
        first_day=date.fromisoformat(record["first_day"]),
        cycles_per_day=int(record["cycles_per_day"]),
        days=int(record["days"]),
        regions=tuple(str(name) for name in record["regions"]),
        seed=int(record["seed"]),
        subsets=dict(record["subsets"]),
        planted=planted,
        complete=bool(record["complete"]),
        landed={str(of): str(name) for of, name in record.get("landed", {}).items()},
    )
