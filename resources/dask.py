"""Where the steps of a region compute features: in their own process, or on Dask workers of the region."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict

from resources.reads import this_step
from sinet_pipelines.errors import ResidencyError
from sinet_pipelines.features.in_parts import IN_PROCESS, PartMap
from sinet_pipelines.inventory.dask import DaskCluster, DaskKind
from sinet_pipelines.inventory.regions import Region


def dask_entry(region: Region) -> str:
    """The Dask workers of a region's row as JSON, for its resource; empty where steps compute features themselves."""
    if region.dask is None:
        return ""
    return json.dumps({"namespace": region.cluster.namespace, **asdict(region.dask)})


@contextmanager
def dask_parts(region: str, entry: str) -> Iterator[PartMap]:
    """What computes parts of a region's rows; the first part imports Dask, and local workers end with the block.

    Args:
        region: name of the region.
        entry: its `dask_entry`.

    Raises:
        ResidencyError: the step in progress is of another region, whose rows these workers may not receive.
    """
    if not entry:
        yield IN_PROCESS
        return
    reads = this_step()
    if reads is not None and reads.region != region:
        raise ResidencyError(
            f"a step of {reads.region} would send rows to the Dask workers of {region}, which compute only rows of "
            f"their own region; use the workers of {reads.region}"
        )
    from sinet_pipelines.features.dask_workers import DaskWorkers

    found = json.loads(entry)
    namespace = found.pop("namespace")
    with DaskWorkers(DaskCluster(**{**found, "kind": DaskKind(found["kind"])}), region, namespace) as workers:
        yield workers
