"""`east`, `west`, `null_island`: each region's tables, blobs and landing zones as one resource."""

from contextlib import AbstractContextManager
from functools import partial
from pathlib import Path

import dagster as dg

from resources.dask import dask_entry, dask_parts
from resources.deployment import RESOURCE, Deployment
from resources.reads import StepReads, WatchedBlobs, WatchedLanding, WatchedTables, step_application, this_step
from resources.writes import RecordingBlobs
from sinet_pipelines.applications import load_applications
from sinet_pipelines.applications.application import by_name
from sinet_pipelines.errors import ContractError, InventoryError, ResidencyError, UsageError
from sinet_pipelines.features.in_parts import PartMap
from sinet_pipelines.ingestion.landing import LandingZone
from sinet_pipelines.storage.blobs import BlobStore, blobs_of
from sinet_pipelines.storage.objects import Objects, open_objects
from sinet_pipelines.storage.roots import Stores, access_options, root_of, settle_roots
from sinet_pipelines.storage.tables import TableStore, tables_of


class RegionResource(dg.ConfigurableResource):
    """The storage of one region; a step reads and writes a region only through this resource.

    Reads by a step of another region are counted (`resources/reads.py`).

    Attributes:
        name: the region.
        role: the region's role, for the resource page.
        hardware: ids of the kinds on site, as text for the resource page.
        home: the home of the deployment.
        regions: names of all regions of the deployment.
        application: the application whose tables, refs and drops are used; empty for that of the step in progress.
        own_region: the region of a step's own pod; empty on one machine.
        dask: the Dask workers of the region, as text; empty where its steps compute features themselves.
    """

    name: str
    role: str
    hardware: str
    home: str
    regions: list[str]
    application: str = ""
    own_region: str = ""
    dask: str = ""

    @property
    def root(self) -> str:
        """Where the region keeps its data: a folder, or a prefix of a bucket."""
        return root_of(Path(self.home), self.name).uri

    @property
    def tables(self) -> TableStore:
        """The region's Delta tables."""
        reads = this_step()
        tables = tables_of(Path(self.home), self.name, self._application, reader=self._reader(reads))
        if reads is None or reads.region == self.name:
            return tables
        return WatchedTables(
            tables.root, tables.application, tables.storage_options, seen=partial(reads.seen, self.name)
        )

    @property
    def blobs(self) -> BlobStore:
        """The region's content-addressed blobs."""
        reads = this_step()
        blobs = blobs_of(Path(self.home), self.name, self._application, reader=self._reader(reads))
        if reads is None:
            return blobs
        place, objects = (blobs.root, blobs.application), blobs.objects
        if reads.region == self.name:
            return RecordingBlobs(*place, objects=objects, region=self.name, writes=reads.writes)
        return WatchedBlobs(*place, objects=objects, seen=partial(reads.seen, self.name))

    @property
    def landing(self) -> LandingZone:
        """The landing zones of the application in all regions of the home."""
        home, reads = Path(self.home), this_step()
        applications = by_name(load_applications())
        if self._application not in applications:
            raise ContractError(
                f"no application {self._application!r} (known: {', '.join(applications)}); add it to the list of them"
            )
        data, regions = applications[self._application].data, tuple(self.regions)
        stores = Stores(home, (self.own_region or None) if reads is None else reads.region)
        if reads is None:
            return LandingZone(home, data, regions, stores=stores)
        return WatchedLanding(home, data, regions, stores=stores, reads=reads)

    @property
    def pages(self) -> Objects:
        """Objects under the region's root: pages with samples of its rows, which only steps of the region write.

        Raises:
            ResidencyError: the step in progress is of another region.
        """
        reads, home = this_step(), Path(self.home)
        if reads is not None and reads.region != self.name:
            raise ResidencyError(
                f"a step of {reads.region} opens pages of {self.name}, which have raw rows and are for steps of that "
                f"region; run the step in {self.name}"
            )
        return open_objects(self.root, access_options(home, self.name, reader=self._reader(reads)))

    def parts(self) -> AbstractContextManager[PartMap]:
        """What computes features of the region's rows part by part, for a `with` block.

        Raises:
            ResidencyError: the region has Dask workers, and the step in progress is of another region.
        """
        return dask_parts(self.name, self.dask)

    def of(self, application: str) -> "RegionResource":
        """The same region with the tables, refs and drops of this application."""
        return RegionResource(
            name=self.name,
            role=self.role,
            hardware=self.hardware,
            home=self.home,
            regions=self.regions,
            application=application,
            own_region=self.own_region,
            dask=self.dask,
        )

    def _reader(self, reads: StepReads | None) -> str | None:
        """The region as which this one's store is opened: that of the step, or of the pod.

        Raises:
            ResidencyError: the region has a store, and no edge of the step comes from it.
        """
        if reads is None:
            return self.own_region or None
        if not root_of(Path(self.home), self.name).is_local:
            reads.require_edge_from(self.name)
        return reads.region

    @property
    def _application(self) -> str:
        """The application whose data are used.

        Raises:
            UsageError: no step of an application is in progress, and no application was named.
        """
        found = self.application or step_application()
        if not found:
            raise UsageError(
                f"no step is in progress, so no application's part of {self.name} is meant; name it by `of(...)`"
            )
        return found


RESERVED = (RESOURCE, "feature_store", "tracking", "registry", "serving")  # keys of other resources


def region_resources(deployment: Deployment) -> dict[str, RegionResource]:
    """One resource for each region of the inventory, under the region's key.

    Raises:
        InventoryError: a region has the name of another resource, or two roots overlap.
    """
    if taken := sorted(region.name for region in deployment.regions if region.key in RESERVED):
        raise InventoryError(f"{', '.join(taken)} is the name of another resource, in small letters; rename the region")
    settle_roots(deployment.home, deployment.regions)
    return {
        region.key: RegionResource(
            name=region.name,
            role=region.role,
            hardware=", ".join(region.hardware),
            home=str(deployment.home),
            regions=list(deployment.inventory.names),
            own_region=deployment.settings.region or "",
            dask=dask_entry(region),
        )
        for region in deployment.regions
    }
