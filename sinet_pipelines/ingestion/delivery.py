"""Brings a whole fleet into a home's landing zones: its record, its rows, its failures, and truth last of all."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from pathlib import Path

import polars as pl

from sinet_pipelines.ingestion.cmapss import CmapssSubset
from sinet_pipelines.ingestion.events import EventKind
from sinet_pipelines.ingestion.fleet import Fleet, PlantedFault, write_fleet
from sinet_pipelines.ingestion.founding import Wish, fleet_for
from sinet_pipelines.ingestion.landing import LandingZone
from sinet_pipelines.ingestion.layout import DayRows, lay_out

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


def deliver(
    subsets: Sequence[CmapssSubset], *, home: Path, wish: Wish, plant: Plant | None = None, today: date | None = None
) -> LandReport:
    """Lands subsets of one fleet; landing them again changes nothing, and completes a landing that was killed.

    Args:
        subsets: one or more.
        home: where the fleet lives; a home has one fleet, subsets may be added to it.
        wish: what fleet is asked for.
        plant: puts faults into the days, for a simulated fleet.
        today: the present day, UTC; the clock's by default.

    Raises:
        FleetError: the home has another fleet, or the layout cannot be made.
        StorageError: the disk is full; what had landed stays, and landing again goes on.
    """
    longest = max(subset.longest for subset in subsets)
    fleet = fleet_for(home, wish, longest=longest, today=today or datetime.now(UTC).date())
    for subset in subsets:
        fleet = fleet.admit(subset.name, subset.digest)
    layouts = {subset.name: lay_out(subset, fleet) for subset in subsets}
    days = [part for layout in layouts.values() for part in layout.days]
    if plant is not None:
        days, planted = plant(days, fleet)
        fleet = replace(fleet, planted=planted)
    zone = LandingZone(home / "landing")
    write_fleet(replace(fleet, complete=False), home)
    before = set(zone.root.glob("*/*/*.parquet"))
    landed = [zone.land(part.region, part.day, name=part.subset, rows=part.rows) for part in days]
    failures = _land_events(zone, EventKind.FAILURES, {name: layout.failures for name, layout in layouts.items()})
    truth = _land_events(zone, EventKind.TRUTH, {name: layout.truth for name, layout in layouts.items()})
    write_fleet(replace(fleet, complete=True), home)
    return LandReport(
        home=home,
        fleet=fleet.name,
        simulated=fleet.simulated,
        subsets=tuple(layouts),
        regions=tuple(region for region in fleet.regions if any(part.region == region for part in days)),
        first_day=fleet.first_day,
        last_day=fleet.last_day,
        rows=sum(part.rows.height for part in days),
        drops=len(landed),
        new_drops=len(set(landed) - before),
        days=len({(part.region, part.day) for part in days}),
        failures=failures,
        truth=truth,
        planted=len(fleet.planted),
    )


def _land_events(zone: LandingZone, kind: EventKind, events: Mapping[str, Mapping[str, pl.DataFrame]]) -> int:
    """Lands events by subset and region; how many there are."""
    for subset, by_region in events.items():
        for region, rows in by_region.items():
            zone.land_events(region, kind, name=subset, events=rows)
    return sum(rows.height for by_region in events.values() for rows in by_region.values())
