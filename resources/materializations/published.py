"""The data that regions publish about their landing zones and raw tables, for readers outside the region.

On one machine this process acts for all regions: it publishes a region's part just before that part is read. Where the
regions run apart (`SINET_EXECUTOR=regions`), their own steps publish, and this module only reads. Nothing here imports
Dagster, so that `sinet status` does not need it.
"""

import hashlib
import os
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from functools import cached_property
from itertools import chain
from pathlib import Path

import polars as pl

from resources.deployment import Deployment
from resources.materializations.region_files import files_below, files_outside
from resources.materializations.zones import Zones
from sinet_pipelines import applications
from sinet_pipelines.applications.application import Application, parse_key
from sinet_pipelines.errors import StorageError
from sinet_pipelines.ingestion.landing import LandingZone
from sinet_pipelines.ingestion.misplaced import misplaced_in_region, misplaced_outside, unknown_regions
from sinet_pipelines.ingestion.reading_time import ReadingTime
from sinet_pipelines.ingestion.record import read_first_days
from sinet_pipelines.ingestion.scan import UnusedFile
from sinet_pipelines.ingestion.scan_store import misplaced_in_store
from sinet_pipelines.ingestion.zone_entries import EVENTS
from sinet_pipelines.ingestion.zone_state import ZoneState
from sinet_pipelines.monitoring.publication import (
    Digest,
    RegionView,
    code_of_publishing,
    is_confined,
    publish,
    read_digest,
)
from sinet_pipelines.monitoring.published import Publication, read_publication
from sinet_pipelines.monitoring.row_account import DayCounts, count_days, read_counts
from sinet_pipelines.schemas.contract import AnyTable, Contract
from sinet_pipelines.schemas.publication import REGION_DIGESTS
from sinet_pipelines.storage.cache import read_cache, write_cache
from sinet_pipelines.storage.health import TableHealth
from sinet_pipelines.storage.layout import LANDING, PARTS, table_uri
from sinet_pipelines.storage.listing import age_of, listing
from sinet_pipelines.storage.objects import open_objects
from sinet_pipelines.storage.roots import access_options, region_folder, root_of
from sinet_pipelines.storage.tables import TableStore, tables_of

SEEN_FILE = "cache/published.json"  # in a home: what was there when a region's part was published last
DAYS_FILE = "cache/days.json"  # in a home: what was found of the days of landing zones
ROUNDS = 3  # of a region in which something lands while it is published; the next observation continues


@dataclass(frozen=True)
class Published:
    """The published data of the regions of a home; each region is read once.

    Attributes:
        deployment: home, regions, and whether these run apart.
        reading: where this process publishes, the time in which it reads new drops, with a share for each landing zone;
            rows are then not counted. None for no limit.
        zones: the states of the landing zones, if they are known already.
    """

    deployment: Deployment
    reading: ReadingTime | None = field(default=None, compare=False)
    zones: Zones | None = field(default=None, repr=False, compare=False)
    _found: dict[tuple[str, str], Publication | None] = field(default_factory=dict, repr=False, compare=False)
    _left: dict[tuple[str, str], Sequence[str]] = field(default_factory=dict, repr=False, compare=False)

    @property
    def home(self) -> Path:
        """The home."""
        return self.deployment.home

    @cached_property
    def applications(self) -> Mapping[str, Application]:
        """The applications by name."""
        return {one.name: one for one in applications.load_applications()}

    def landed(self, path: Sequence[str]) -> list[date]:
        """The days on which something landed for the application of an asset of a region, by the asset's key."""
        name = parse_key(path)
        return sorted(self.of(name.region or "", name.application).days)

    @property
    def left(self) -> Mapping[tuple[str, str], Sequence[str]]:
        """By region and application, the folders with files that were not read in time, of the parts read so far."""
        return {place: folders for place, folders in self._left.items() if folders}

    @property
    def landing(self) -> Sequence[Application]:
        """The applications that land rows."""
        return [one for one in self.applications.values() if one.landed is not None]

    def of(self, region: str, application: str) -> Publication:
        """The published data of a region and application; empty where there are none or their table is damaged."""
        return self._read(region, application) or Publication()

    def is_missing(self, region: str, application: str) -> bool:
        """Whether no published data, or not all digests of the application, can be read."""
        if self._read(region, application) is None:
            return True
        digests = self.applications[application].digests
        return any(read_digest(self.tables(region, application), one.contract) is None for one in digests)

    def digest(self, region: str, application: str, digest: Digest) -> pl.DataFrame | None:
        """The rows of an application's digest; None where there are none or their source is damaged."""
        if self.of(region, application).is_damaged(*digest.of):
            return None
        return read_digest(self.tables(region, application), digest.contract)

    def is_published(self, application: str, table: AnyTable) -> bool:
        """Whether the state of a table is published because the table itself may not leave its region."""
        known = self.applications.get(application)
        return known is not None and known.landed is not None and is_confined(table)

    def health(self, region: str, application: str, table: AnyTable) -> TableHealth:
        """The published state of a region's table; empty for a table that the region does not have."""
        if (known := self.of(region, application).tables.get(table.name)) is not None:
            return known
        uri = table_uri(root_of(self.home, region).uri, application, table)
        return TableHealth(Path(uri.replace("://", ":/")))

    def tables(self, region: str, application: str) -> TableStore:
        """The tables of an application in a region, of which those of class `feature` and `model` may be read."""
        return tables_of(self.home, region, application)

    def unused(self, region: str, application: str) -> tuple[UnusedFile, ...]:
        """The unused files of a landing zone, and files of the home that are in no application's landing zone."""
        own = [one for one in self.of(region, application).unused if one.application]
        return tuple(dict.fromkeys((*own, *self.misplaced)))

    @cached_property
    def misplaced(self) -> tuple[UnusedFile, ...]:
        """Files in a folder that is no region's or no application's landing zone."""
        pairs = [(region, one.name) for region in self.deployment.inventory.names for one in self.landing]
        found = [file for pair in pairs for file in self.of(*pair).unused if not file.application]
        return tuple(dict.fromkeys((*found, *_misplaced_outside(self.deployment, self.applications))))

    def _read(self, region: str, application: str) -> Publication | None:
        one = self.applications.get(application)
        if one is None or one.landed is None:
            return None
        if (region, application) not in self._found:
            if self.deployment.is_one_machine:
                places = len(self.deployment.inventory.names) * len(self.landing)
                share = self.reading.share(places) if self.reading is not None else None
                self._left[region, application] = publish_if_changed(
                    self.deployment, self.applications, region, application, reading=share, zones=self.zones
                )
            try:
                self._found[region, application] = read_publication(self.tables(region, application), region)
            except StorageError:  # no credentials at the region's store: as a region that published nothing
                self._found[region, application] = None
        return self._found[region, application]


def published_tables(application: Application) -> list[Contract]:
    """The tables that a region publishes of the application."""
    return [REGION_DIGESTS, *(digest.contract for digest in application.digests)]


# functions of a process that runs in a region, or acts for it


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


def publish_all(deployment: Deployment) -> None:
    """Publishes the changes of every region, where this process acts for all of them; else does nothing."""
    published = Published(deployment)
    for region in deployment.inventory.names if deployment.is_one_machine else ():
        for one in published.landing:
            publish_if_changed(deployment, published.applications, region, one.name)


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


def _misplaced_outside(deployment: Deployment, known: Mapping[str, Application]) -> Iterator[UnusedFile]:
    if deployment.is_one_machine:
        yield from misplaced_outside(deployment.home, known, deployment.inventory.names)


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
