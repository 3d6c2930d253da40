"""`dask` of a region: where its steps compute features; in their own process, or on Dask workers of the region."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict

import dagster as dg

from resources.reads import this_step
from sinet_pipelines.errors import ResidencyError
from sinet_pipelines.features.in_parts import IN_PROCESS, PartMap
from sinet_pipelines.inventory.dask import DaskCluster, DaskKind
from sinet_pipelines.inventory.regions import Region


class DaskResource(dg.ConfigurableResource):
    """The Dask workers of one region; the first step that uses them imports Dask.

    Attributes:
        region: the region.
        namespace: namespace of its cluster.
        cluster: the region's entry `dask` of the inventory as JSON; empty where steps compute themselves.
    """

    region: str = ""
    namespace: str = ""
    cluster: str = ""

    @contextmanager
    def parts(self) -> Iterator[PartMap]:
        """What computes parts of the region's rows; workers of this step end with the block.

        Raises:
            ResidencyError: the step in progress is of another region, whose rows these workers may not receive.
        """
        reads = this_step()
        if reads is not None and self.cluster and reads.region != self.region:
            raise ResidencyError(
                f"a step of {reads.region} would send rows to the Dask workers of {self.region}, which compute only "
                f"rows of their own region; use the workers of {reads.region}"
            )
        if not self.cluster:
            yield IN_PROCESS
            return
        from sinet_pipelines.features.dask_workers import DaskWorkers

        with DaskWorkers(read_cluster(self.cluster), self.region, self.namespace) as workers:
            yield workers


def dask_resource(region: Region) -> DaskResource:
    """The Dask workers of a region, as its row declares them."""
    cluster = json.dumps(asdict(region.dask)) if region.dask is not None else ""
    return DaskResource(region=region.name, namespace=region.cluster.namespace, cluster=cluster)


def read_cluster(text: str) -> DaskCluster:
    """The declaration of a region's Dask workers from JSON."""
    found = json.loads(text)
    return DaskCluster(**{**found, "kind": DaskKind(found["kind"])})
