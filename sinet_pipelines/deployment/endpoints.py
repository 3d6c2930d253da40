"""Lists all endpoints of a home: processes on this machine, and objects in the clusters of regions."""

from pathlib import Path
from typing import Any

from sinet_pipelines.deployment import process
from sinet_pipelines.deployment.cluster.record import ClusterEndpoint, recorded
from sinet_pipelines.deployment.environment import own_region


def endpoints(home: Path) -> list[dict[str, Any]]:
    """Every endpoint of a home in the JSON form of `sinet status`.

    `ready` is read from the server itself, or from its cluster. An endpoint in a cluster also has its `target`, a
    `reason` (how its state differs from what was applied) and `known` (whether its state could be read).
    """
    return [*process.endpoints(home), *(describe(record) for record in recorded(home).values())]


def describe(record: ClusterEndpoint) -> dict[str, Any]:
    """An endpoint in a cluster in the JSON form of `sinet status`."""
    from sinet_pipelines.deployment.cluster.state import state_of
    from sinet_pipelines.inventory.regions import this_inventory

    found = state_of(record, inventory=this_inventory(), own_region=own_region())
    return {
        "name": record.name,
        "region": record.region,
        "url": record.url,
        "grpc": record.grpc,
        "model": record.model,
        "version": found.version,
        "ready": found.is_ready,
        "target": record.target,
        "reason": found.reason,
        "known": found.is_known,
    }
