"""Every endpoint of a home, whatever serves it: a process of this machine, or its region's cluster."""

from pathlib import Path
from typing import Any

from sinet_pipelines.deployment import process
from sinet_pipelines.deployment.cluster.record import ClusterEndpoint, recorded
from sinet_pipelines.deployment.environment import own_region


def endpoints(home: Path) -> list[dict[str, Any]]:
    """Every endpoint of a home, as `sinet status` prints them.

    `ready` is asked of the server itself, or of its cluster. An endpoint of a cluster also says its `target`, its
    `reason` (what is not as it was applied) and whether that is `known`.
    """
    return [*process.endpoints(home), *(describe(record) for record in recorded(home).values())]


def describe(record: ClusterEndpoint) -> dict[str, Any]:
    """An endpoint of a cluster in the words of `sinet status`."""
    from sinet_pipelines.deployment.cluster.standing import standing_of

    found = standing_of(record, own_region=own_region())
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
