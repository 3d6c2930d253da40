"""How an endpoint stands in its cluster, whoever changed it there: ready or not, which version, and what is wrong."""

from dataclasses import dataclass
from typing import Any

from sinet_pipelines.deployment.client import get_json
from sinet_pipelines.deployment.cluster import reading
from sinet_pipelines.deployment.cluster.api import ClusterApi, connect
from sinet_pipelines.deployment.cluster.record import ClusterEndpoint
from sinet_pipelines.deployment.cluster.wanted import SHA256, VERSION, selector
from sinet_pipelines.errors import SinetError
from sinet_pipelines.regions import get_region
from sinet_pipelines.sites import ServingTarget


@dataclass(frozen=True)
class Standing:
    """How an endpoint stands.

    Attributes:
        is_ready: whether it answers.
        is_known: whether its cluster, or its address, has said so; else nothing is known of it.
        version: that answers; of several, all of them; the recorded one where none does.
        sha256: of the version's graph; empty where several versions answer.
        reason: what is not as it was applied, in a sentence; empty where all is.
    """

    is_ready: bool
    is_known: bool
    version: str
    sha256: str
    reason: str


def standing_of(record: ClusterEndpoint, *, own_region: str | None = None) -> Standing:
    """How a recorded endpoint stands, asked of its cluster, or of its own address where the cluster may not be asked.

    Args:
        record: what the home recorded.
        own_region: the region whose pod this process runs in; None on a person's machine.
    """
    try:
        return look(connect(get_region(record.region), own_region=own_region), record)
    except SinetError as error:
        return _by_address(record, str(error))


def look(api: ClusterApi, record: ClusterEndpoint) -> Standing:
    """How an endpoint stands in its cluster.

    Raises:
        ClusterError: the API refuses or does not answer.
    """
    seen = api.get(record.kind, record.object)
    where = f"{record.kind} {record.object} in namespace {record.namespace} of {record.region}"
    if seen is None:
        reason = f"{where} is gone: it, or its namespace, was deleted"
        return Standing(False, True, record.version, record.sha256, reason)
    pods = api.pods(selector(record.model))
    ready = [pod for pod in pods if reading.is_pod_ready(pod)]
    versions = reading.ready_versions(ready)
    version = ", ".join(versions) or record.version
    hashes = {pod["metadata"].get("annotations", {}).get(SHA256, "") for pod in ready}
    sha256 = hashes.pop() if len(hashes) == 1 else "" if hashes else record.sha256
    faults = _faults(api, record, seen, pods)
    is_ready = bool(ready) and not any(fault.startswith("Service ") for fault in faults)
    return Standing(is_ready, True, version, sha256, "; ".join(faults))


def _faults(api: ClusterApi, record: ClusterEndpoint, seen: reading.Seen, pods: list[dict[str, Any]]) -> list[str]:
    """What is not as it was applied."""
    faults = []
    if record.target == ServingTarget.DEPLOYMENT and api.get("Service", record.object) is None:
        faults.append(f"Service {record.object} in namespace {record.namespace} of {record.region} is gone")
    if record.target == ServingTarget.DEPLOYMENT and not seen["spec"].get("replicas", 1):
        faults.append(f"{record.kind} {record.object} was scaled to 0")
    else:
        of = reading.kserve_progress if record.target == ServingTarget.KSERVE else reading.deployment_progress
        progress = of(seen)
        if not progress.is_done:
            faults.append(progress.failure or progress.words)
            trouble = ((pod["metadata"]["name"], reading.trouble_of(pod)) for pod in pods)
            faults.extend(f"pod {name}: {why}" for name, why in trouble if why)
    if hands := reading.edited_by(seen):
        faults.append(f"{record.kind} {record.object} was edited by {', '.join(hands)}")
    if (told := seen["metadata"].get("labels", {}).get(VERSION)) != record.version:
        faults.append(f"{record.kind} {record.object} is of version {told}, applied last was {record.version}")
    return faults


def _by_address(record: ClusterEndpoint, why: str) -> Standing:
    """How it stands by its own word, since the cluster's is not to be had."""
    try:
        said = get_json(record.url, f"/v2/models/{record.model}")
        versions = [str(version) for version in said.get("versions", [])]
    except SinetError as error:
        return Standing(False, False, record.version, record.sha256, f"{why}; and {error}")
    is_recorded = versions == [record.version]
    return Standing(True, True, ", ".join(versions), record.sha256 if is_recorded else "", f"not asked of it: {why}")
