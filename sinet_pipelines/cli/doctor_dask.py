"""`sinet doctor` on Dask workers: a scheduler responds and has workers of its region, local workers have memory."""

import importlib.util
from collections.abc import Sequence
from dataclasses import replace

import psutil

from sinet_pipelines.cli.finding import Finding
from sinet_pipelines.errors import SinetError
from sinet_pipelines.inventory.dask import DaskCluster, DaskKind
from sinet_pipelines.inventory.regions import Region

WAIT_S = 5.0  # for a first worker; a step waits longer
NEEDED = ("distributed", "cryptography")


def dask_findings(regions: Sequence[Region]) -> list[Finding]:
    """What the Dask workers of some regions lack.

    Args:
        regions: of the inventory; one whose steps compute features themselves has no finding.
    """
    return [_finding(region, region.dask) for region in regions if region.dask is not None]


def _finding(region: Region, cluster: DaskCluster) -> Finding:
    name = f"dask of {region.name}"
    if missing := [one for one in NEEDED if importlib.util.find_spec(one) is None]:
        return Finding(name, False, f"{', '.join(missing)} missing", "run `make run`")
    return _local(name, cluster) if cluster.kind is DaskKind.LOCAL else _remote(name, region, cluster)


def _local(name: str, cluster: DaskCluster) -> Finding:
    wanted = cluster.max_workers * cluster.worker_memory_mib
    has = psutil.virtual_memory().total >> 20
    found = f"up to {cluster.max_workers} local workers of {cluster.worker_memory_mib} MiB; the machine has {has} MiB"
    if wanted <= has:
        return Finding(name, True, found)
    return Finding(name, False, found, "lower max_workers or worker_memory_mib in inventory.yaml")


def _remote(name: str, region: Region, cluster: DaskCluster) -> Finding:
    from sinet_pipelines.features.dask_workers import DaskWorkers

    brief = replace(cluster, wait_s=min(WAIT_S, cluster.wait_s))
    try:
        with DaskWorkers(brief, region.name, region.cluster.namespace) as connected:
            workers = connected.workers()
    except SinetError as error:
        # the service of a DaskCluster has a name inside of its Kubernetes cluster alone
        return Finding(name, None if cluster.kind is DaskKind.KUBERNETES else False, str(error))
    parts = int(sum(workers.values()))
    return Finding(name, True, f"{len(workers)} workers of {region.name}, which compute {parts} parts at once")
