"""`sinet doctor` on Dask workers: schedulers respond with workers of their regions, local workers have memory.

Regions whose schedulers accept the certificates of one authority are a fault: Dask compares no names of hosts.
"""

import importlib.util
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from sinet_pipelines.cli.finding import Finding
from sinet_pipelines.errors import SinetError
from sinet_pipelines.inventory.dask import TLS_FILES, DaskCluster, DaskKind
from sinet_pipelines.inventory.regions import Region

WAIT_S = 5.0  # for a first worker; a step waits longer
NEEDED = ("distributed", "cryptography")


def dask_findings(regions: Sequence[Region]) -> list[Finding]:
    """What the Dask workers of some regions lack.

    Args:
        regions: of the inventory; one whose steps compute features themselves has no finding.
    """
    having = [(region, region.dask) for region in regions if region.dask is not None]
    local = sum(_most_mib(dask) for _, dask in having if dask.kind is DaskKind.LOCAL)
    found = [_finding(region, dask, local_mib=local) for region, dask in having]
    return found + _shared_authorities({region.name: dask for region, dask in having})


def _shared_authorities(clusters: Mapping[str, DaskCluster]) -> list[Finding]:
    """A fault for each two regions with one `ca.crt`; folders that cannot be read from here are left out."""
    of: dict[bytes, str] = {}
    found = []
    for region, cluster in clusters.items():
        if not cluster.tls_folder:
            continue
        try:
            authority = Path(cluster.tls_folder, TLS_FILES[0]).read_bytes().strip()
        except OSError:  # the finding of the scheduler names the file
            continue
        if other := of.get(authority):
            name, cure = f"dask of {other} and {region}", "give each region a certificate authority of its own"
            shared = "their ca.crt are equal, so the workers of one region can connect to the scheduler of the other"
            found.append(Finding(name, False, shared, cure))
        of.setdefault(authority, region)
    return found


def _most_mib(cluster: DaskCluster) -> int:
    return cluster.max_workers * cluster.worker_memory_mib


def _finding(region: Region, cluster: DaskCluster, *, local_mib: int) -> Finding:
    name = f"dask of {region.name}"
    if missing := [one for one in NEEDED if importlib.util.find_spec(one) is None]:
        return Finding(name, False, f"{', '.join(missing)} missing", "run `make run`")
    return _local(name, cluster, local_mib) if cluster.kind is DaskKind.LOCAL else _remote(name, region, cluster)


def _local(name: str, cluster: DaskCluster, all_mib: int) -> Finding:
    from distributed.system import memory_limit

    has = memory_limit() >> 20
    found = f"up to {cluster.max_workers} local workers of {cluster.worker_memory_mib} MiB"
    if all_mib > _most_mib(cluster):
        found += f", and {all_mib} MiB for those of all regions"
    found += f"; {has} MiB may be used here"
    if all_mib <= has:
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
