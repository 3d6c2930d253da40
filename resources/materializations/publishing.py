"""Publishes a region's part of an application where anything of it changed; runs in the region, or acts for it.

A change is found without opening files: by names, sizes and times of the files of the region, the day, and the code.
"""

import hashlib
import os
from collections.abc import Collection, Iterator, Mapping, Sequence
from datetime import UTC, date, datetime
from itertools import chain
from pathlib import Path

from resources.deployment import Deployment
from resources.materializations.region_files import files_below, files_outside
from resources.materializations.zones import Zones
from sinet_pipelines import applications
from sinet_pipelines.applications.application import Application
from sinet_pipelines.ingestion.landing import LandingZone
from sinet_pipelines.ingestion.misplaced import misplaced_in_region, unknown_regions
from sinet_pipelines.ingestion.reading_time import ReadingTime
from sinet_pipelines.ingestion.record import read_first_days
from sinet_pipelines.ingestion.scan import UnusedFile
from sinet_pipelines.ingestion.scan_store import misplaced_in_store
from sinet_pipelines.ingestion.zone_entries import EVENTS
from sinet_pipelines.ingestion.zone_state import ZoneState
from sinet_pipelines.monitoring.publication import RegionView, code_of_publishing, is_confined, publish
from sinet_pipelines.monitoring.published import Publication
from sinet_pipelines.monitoring.row_account import DayCounts, count_days, read_counts
from sinet_pipelines.schemas.contract import Contract
from sinet_pipelines.schemas.publication import REGION_DIGESTS
from sinet_pipelines.storage.cache import read_cache, write_cache
from sinet_pipelines.storage.layout import LANDING, PARTS
from sinet_pipelines.storage.listing import age_of, listing
from sinet_pipelines.storage.objects import open_objects
from sinet_pipelines.storage.roots import access_options, region_folder, root_of
from sinet_pipelines.storage.tables import tables_of

SEEN_FILE = "cache/published.json"  # in a home: what was there when a region's part was published last
DAYS_FILE = "cache/days.json"  # in a home: what was found of the days of landing zones
ROUNDS = 3  # of a region in which something lands while it is published; the next observation continues


def published_tables(application: Application) -> list[Contract]:
    """The tables that a region publishes of the application."""
    return [REGION_DIGESTS, *(digest.contract for digest in application.digests)]


def publish_region(
    deployment: Deployment,
    known: Mapping[str, Application],
    region: str,
    application: str,
    *,
    state: ZoneState | None = None,
    reading: ReadingTime | None = None,
) -> Publication:
    """Publishes a region's part of an application; runs where the region is.

    Args:
        deployment: the region's part of its home is here.
        known: the applications of the deployment by name.
        region: its name.
        application: its name.
        state: as in `RegionView`.
        reading: as in `RegionView`.

    Raises:
        StorageError: the region's storage cannot be written.
    """
    one, home = known[application], deployment.home
    return publish(
        RegionView(
            region,
            LandingZone(home, one.data, deployment.inventory.names),
            tables_of(home, region, application),
            contracts=one.tables,
            digests=one.digests,
            first_day=read_first_days(home).get(application),
            misplaced=tuple(_misplaced(deployment, known, region)),
            state=state,
            cache=home / DAYS_FILE,
            reading=reading,
        )
    )


def publish_if_changed(
    deployment: Deployment,
    known: Mapping[str, Application],
    region: str,
    application: str,
    *,
    reading: ReadingTime | None = None,
    zones: Zones | None = None,
) -> Sequence[str]:
    """Publishes a region's part of an application if anything changed since it was last published.

    Files that land during the publication are seen afterwards, and the part is published again: at once, or where the
    time is limited, by the next call.

    Args:
        deployment: as in `publish_region`.
        known: as in `publish_region`.
        region: as in `publish_region`.
        application: as in `publish_region`.
        reading: the time in which new drops are read; None for no limit.
        zones: as in `Published`.

    Returns:
        The folders with files that were not read, since the time was over: days, `events/<kind>`.
    """
    home, one, name = deployment.home, known[application], f"{region}/{application}"
    path, is_limited = home / SEEN_FILE, reading is not None
    zone = (zones or Zones(deployment)).state(region, application)
    before = _seen(deployment, known, region, one, zone)
    *kept, is_counted = read_cache(path).get(name) or [""]
    if kept == [before, _digest("", *_published_files(home, region, one))] and (is_counted or is_limited):
        return ()
    for _ in range(ROUNDS):
        found = publish_region(deployment, known, region, application, state=zone, reading=reading)
        left = [*(day.isoformat() for day in found.left), *(f"{EVENTS}/{kind}" for kind in found.left_events)]
        if left or found.may_pass:  # the next call publishes again
            return left
        zone = zone if is_limited else Zones(deployment).state(region, application)
        after = _seen(deployment, known, region, one, zone)
        if after == before:
            seen = [after, _digest("", *_published_files(home, region, one)), not is_limited]
            write_cache(path, {**read_cache(path), name: seen})
            return ()
        before = after
    return ()


def landed_files(deployment: Deployment, zones: Zones) -> Iterator[bytes]:
    """Lines that change with any file of the landing zones of a home.

    Of regions that run apart, one line for each published file.
    """
    yield from files_outside(deployment)
    known = [one for one in applications.load_applications() if one.landed is not None]
    for region in deployment.inventory.names:
        if deployment.is_one_machine:
            names = [one.name for one in known]
            yield from (zones.state(region, name).digest.encode() for name in names)
            yield from _beside(region_folder(deployment.home, region), names)
        else:
            yield from chain.from_iterable(_published_files(deployment.home, region, one) for one in known)


def count_outside(deployment: Deployment, application: Application) -> dict[str, dict[date, DayCounts]]:
    """The rows in landing zones of folders that are no region, by folder and day; empty where regions run apart."""
    if not deployment.is_one_machine:
        return {}
    home, regions = deployment.home, deployment.inventory.names
    kept = home / "cache/rows.json"
    unknown = unknown_regions(home, regions)
    known = read_counts(kept)
    before, zone = dict(known), LandingZone(home, application.data, regions, also=frozenset(unknown))
    found = {}
    for name in unknown:
        tables = tables_of(home, name, application.name)
        days = count_days(zone, tables, region=name, known=known)
        found[name] = {day: one.counts for day, one in days.items()}
    if known != before:
        write_cache(kept, known)
    return found


def _misplaced(deployment: Deployment, known: Mapping[str, Application], region: str) -> Iterator[UnusedFile]:
    home = deployment.home
    root = root_of(home, region)
    if root.is_local:
        return misplaced_in_region(home, region, known)
    return misplaced_in_store(open_objects(root.uri, access_options(home, region)), region, known)


def _seen(
    deployment: Deployment, known: Mapping[str, Application], region: str, application: Application, state: ZoneState
) -> str:
    """A text that changes with all published data: files of the region by name, size and time, the day, the code."""
    home = deployment.home
    folder = region_folder(home, region)
    zone = folder / LANDING / application.name
    roots = [(root_of(home, one), region_folder(home, one).resolve()) for one in deployment.inventory.names]
    links = [path.readlink() if path.is_symlink() else path for path in (zone.parent, zone)]
    context = (
        datetime.now(UTC).date(),
        read_first_days(home).get(application.name),
        code_of_publishing(),
        sorted(known),
        roots,
        links,
    )
    tables = (_files_of_table(home, region, application, one) for one in application.tables if is_confined(one))
    return _digest(repr(context), state.digest.encode(), *chain.from_iterable(tables), *_beside(folder, known))


def _beside(root: Path, known: Collection[str]) -> Iterator[bytes]:
    """One line for each file of a region's folder outside its parts and the landing zones of applications."""
    for folder, but in ((root, PARTS), (root / LANDING, known)):
        for path in sorted(folder.glob("[!.]*")):
            if path.name not in but:
                yield os.fsencode(path) + age_of(path.lstat())
                yield from listing(str(path)) if path.is_dir() and not path.is_symlink() else ()


def _published_files(home: Path, region: str, application: Application) -> Iterator[bytes]:
    for table in published_tables(application):
        yield from _files_of_table(home, region, application, table)


def _files_of_table(home: Path, region: str, application: Application, table: Contract) -> Iterator[bytes]:
    return files_below(home, region, f"{table.data_class}/{application.name}/{table.name}")


def _digest(text: str, *lines: bytes) -> str:
    digest = hashlib.sha256(text.encode(errors="surrogateescape"))
    for line in sorted(lines):
        digest.update(line)
    return digest.hexdigest()
