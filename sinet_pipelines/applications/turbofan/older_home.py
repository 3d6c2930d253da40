"""Lands the drops and events of a home of version 0.1 again, in a new home; the old home does not change.

Version 0.1 had the landing zones of all regions and the fleet's record in the folder `landing/` of the home.
"""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path

from sinet_pipelines.applications.turbofan.fleet import Fleet, fleet_of, read_fleet, write_fleet
from sinet_pipelines.applications.turbofan.landed import TELEMETRY
from sinet_pipelines.errors import FleetError, SourceError
from sinet_pipelines.ingestion.delivery import LandReport
from sinet_pipelines.ingestion.landing import LandingZone
from sinet_pipelines.storage.files import write_whole
from sinet_pipelines.storage.layout import LANDING, landing_root

_RECORDS = (f"{LANDING}/fleet.json", "fleet.json")


def land_again(old: Path, *, home: Path, regions: Sequence[str]) -> LandReport:
    """Copies every file of the old landing zones into those of a new home, byte by byte, and the fleet's record last.

    A repeated call changes nothing, or completes a copy that was killed.

    Args:
        old: a home of version 0.1.
        home: the new home.
        regions: names of the regions of the new home's deployment.

    Raises:
        SourceError: `old` is not such a home, or its record cannot be read.
        FleetError: the new home has another fleet.
        StorageError: the disk is full; copied files remain, and landing again continues.
    """
    fleet = _old_fleet(old)
    known = read_fleet(home)
    if known not in (None, fleet):
        raise FleetError(f"{home} has a fleet of its own; name a new home with --home")
    new = 0
    for region, source, below in _files(old):
        target = landing_root(home, region, TELEMETRY.application) / below
        if not target.exists() or target.stat().st_size != source.stat().st_size:
            write_whole(target, source.read_bytes())
            new += below.parts[0] != "events"
    write_fleet(fleet, home)
    zone = LandingZone(home, TELEMETRY, tuple(regions))
    landed = [region for region in regions if zone.days(region)]
    drops = {(region, day): zone.drops(region, day) for region in landed for day in zone.days(region)}
    return LandReport(
        home=home,
        application=TELEMETRY.application,
        name=fleet.name,
        simulated=fleet.simulated,
        subsets=tuple(fleet.subsets),
        regions=tuple(landed),
        first_day=fleet.first_day,
        last_day=fleet.last_day,
        rows=sum(drop.rows for found in drops.values() for drop in found),
        drops=sum(len(found) for found in drops.values()),
        new_drops=new,
        days=len(drops),
        events={
            kind.name: sum(zone.read_events(region, kind.name).height for region in landed) for kind in TELEMETRY.events
        },
        planted=len(fleet.planted),
    )


def _old_fleet(old: Path) -> Fleet:
    """The record of the old home, or its copy if the record is damaged."""
    why = "it has no record of a fleet"
    for name in _RECORDS:
        try:
            return fleet_of(json.loads((old / name).read_text()))
        except FileNotFoundError:
            continue
        except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            why = f"its record {old / name} cannot be read ({type(error).__name__}: {error})"
    raise SourceError(f"{old} is no home of version 0.1: {why}; name a folder with landing/fleet.json")


def _files(old: Path) -> Iterator[tuple[str, Path, Path]]:
    """Region, path, and path relative to the region's folder of every complete file of the old zones.

    A region's folder may be a link to another disk; a link in it is followed only within that folder.
    """
    for folder in sorted(path for path in (old / LANDING).iterdir() if path.is_dir()):
        for path in sorted(folder.rglob("*")):
            below = path.relative_to(folder)
            is_own = path.is_file() and path.resolve().is_relative_to(folder.resolve())
            if is_own and not any(part.startswith(".") for part in below.parts):
                yield folder.name, path, below
