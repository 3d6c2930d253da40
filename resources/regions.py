"""`east`, `west`, `null_island`: each region's tables, blobs and landing zone as one resource."""

from functools import partial
from pathlib import Path

import dagster as dg

from resources.reads import WatchedBlobs, WatchedLanding, WatchedTables, this_step
from resources.writes import RecordingBlobs
from sinet_pipelines.errors import RegistryError
from sinet_pipelines.ingestion.landing import LandingZone
from sinet_pipelines.regions import REGIONS
from sinet_pipelines.storage.blobs import BlobStore
from sinet_pipelines.storage.tables import TableStore


class RegionResource(dg.ConfigurableResource):
    """One region and where its things are; a step reads and writes a region only through its resource.

    What a step of another region reads of it is counted (`resources/reads.py`).

    Attributes:
        name: the region.
        role: what the region is for.
        hardware: ids of the kinds on site, as text for the resource page.
        home: the home whose part of this region it is.
    """

    name: str
    role: str
    hardware: str
    home: str

    @property
    def tables(self) -> TableStore:
        """The region's Delta tables."""
        root, reads = str(Path(self.home) / "tables" / self.name), this_step()
        if reads is None or reads.region == self.name:
            return TableStore(root)
        return WatchedTables(root, seen=partial(reads.seen, self.name))

    @property
    def blobs(self) -> BlobStore:
        """The region's content-addressed blobs."""
        root, reads = Path(self.home) / "blobs" / self.name, this_step()
        if reads is None:
            return BlobStore(root)
        if reads.region == self.name:
            return RecordingBlobs(root, region=self.name, writes=reads.writes)
        return WatchedBlobs(root, seen=partial(reads.seen, self.name))

    @property
    def landing(self) -> LandingZone:
        """The landing zone; all regions' zones stand beside each other in one folder."""
        root, reads = Path(self.home) / "landing", this_step()
        return LandingZone(root) if reads is None else WatchedLanding(root, reads=reads)


RESERVED = ("feature_store", "tracking", "registry", "serving")  # keys of other resources


def region_resources(home: Path) -> dict[str, RegionResource]:
    """One resource a region, made from the regions' rows, under the region's key.

    Raises:
        RegistryError: a region is called like another resource.
    """
    if taken := sorted(region.name for region in REGIONS if region.key in RESERVED):
        raise RegistryError(f"{', '.join(taken)} is the name of another resource, in small letters; rename the region")
    return {
        region.key: RegionResource(
            name=region.name, role=region.role, hardware=", ".join(region.hardware), home=str(home)
        )
        for region in REGIONS
    }
