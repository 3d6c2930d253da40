"""The data that regions publish about their landing zones and raw tables, for readers outside the region.

On one machine this process acts for all regions: it publishes a region's part just before that part is read. Where the
regions run apart (`SINET_EXECUTOR=regions`), their own steps publish, and this module only reads. Nothing here imports
Dagster, so that `sinet status` does not need it.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from functools import cached_property
from pathlib import Path

import polars as pl

from resources.deployment import Deployment
from resources.materializations.publishing import publish_if_changed
from resources.materializations.zones import Zones
from sinet_pipelines import applications
from sinet_pipelines.applications.application import Application, parse_key
from sinet_pipelines.errors import StorageError
from sinet_pipelines.ingestion.misplaced import misplaced_outside
from sinet_pipelines.ingestion.reading_time import ReadingTime
from sinet_pipelines.ingestion.scan import UnusedFile
from sinet_pipelines.monitoring.publication import (
    Digest,
    is_confined,
    read_digest,
)
from sinet_pipelines.monitoring.published import Publication, read_publication
from sinet_pipelines.schemas.contract import AnyTable
from sinet_pipelines.storage.health import TableHealth
from sinet_pipelines.storage.layout import table_uri
from sinet_pipelines.storage.roots import root_of
from sinet_pipelines.storage.tables import TableStore, tables_of


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


def publish_all(deployment: Deployment) -> None:
    """Publishes the changes of every region, where this process acts for all of them; else does nothing."""
    published = Published(deployment)
    for region in deployment.inventory.names if deployment.is_one_machine else ():
        for one in published.landing:
            publish_if_changed(deployment, published.applications, region, one.name)


def _misplaced_outside(deployment: Deployment, known: Mapping[str, Application]) -> Iterator[UnusedFile]:
    if deployment.is_one_machine:
        yield from misplaced_outside(deployment.home, known, deployment.inventory.names)
