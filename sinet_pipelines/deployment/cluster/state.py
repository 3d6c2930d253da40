"""Reads the state of an endpoint in its cluster: readiness, version, and differences from what was applied."""

from dataclasses import dataclass
from typing import Any

from sinet_pipelines.deployment.client import get_json
from sinet_pipelines.deployment.cluster import reading, rights
from sinet_pipelines.deployment.cluster.api import ClusterApi, connect
from sinet_pipelines.deployment.cluster.record import ClusterEndpoint
from sinet_pipelines.deployment.cluster.wanted import SHA256, VERSION, selector
from sinet_pipelines.errors import ClusterError, SinetError, UnknownRegionError
from sinet_pipelines.inventory.regions import Inventory
from sinet_pipelines.inventory.sites import ServingTarget


@dataclass(frozen=True)
class EndpointState:
    """The state of an endpoint.

    Attributes:
        is_ready: whether it responds to requests.
        is_known: whether the state could be read, from the cluster or from the endpoint's address.
        version: the ready version, or several, separated by commas; the recorded version where none is ready.
        sha256: SHA-256 of the version's graph; empty where it is unknown or several versions are ready.
        reason: how the state differs from what was applied; empty where it does not.
    """

    is_ready: bool
    is_known: bool
    version: str
    sha256: str
    reason: str


def state_of(record: ClusterEndpoint, *, inventory: Inventory, own_region: str | None = None) -> EndpointState:
    """The state of a recorded endpoint, from its cluster, or from its address where the cluster cannot be read.

    Args:
        record: record of the endpoint.
        inventory: the inventory; where the endpoint's region was removed from it, the address is used.
        own_region: the region of the pod of this process; None on a person's machine.
    """
    try:
        region = inventory.region(record.region)
    except UnknownRegionError as error:
        return _by_address(record, str(error))
    try:
        return read_state(connect(region, own_region=own_region), record)
    except SinetError as error:
        lacks_right = isinstance(error, ClusterError) and error.status == 403
        what_to_do = f"; {rights.cure(region, region.cluster.run_service_account)}" if lacks_right else ""
        return _by_address(record, f"{error}{what_to_do}")


def read_state(api: ClusterApi, record: ClusterEndpoint) -> EndpointState:
    """The state of a recorded endpoint, from its cluster.

    Raises:
        ClusterError: the API rejects a request or does not respond.
    """
    seen = api.get(record.kind, record.object)
    where = f"{record.kind} {record.object} in namespace {record.namespace} of {record.region}"
    if seen is None:
        reason = f"{where} is gone: it, or its namespace, was deleted"
        return EndpointState(False, True, record.version, record.sha256, reason)
    pods = api.pods(selector(record.model))
    ready = [pod for pod in pods if reading.is_pod_ready(pod)]
    versions = reading.ready_versions(ready)
    version = ", ".join(versions) or record.version
    hashes = {pod["metadata"].get("annotations", {}).get(SHA256, "") for pod in ready}
    sha256 = hashes.pop() if len(hashes) == 1 else "" if hashes else record.sha256
    faults = _faults(api, record, seen, pods)
    is_ready = bool(ready) and not any(fault.startswith("Service ") for fault in faults)
    return EndpointState(is_ready, True, version, sha256, "; ".join(faults))


def _faults(api: ClusterApi, record: ClusterEndpoint, seen: reading.Seen, pods: list[dict[str, Any]]) -> list[str]:
    """The differences of the cluster's objects from what was applied, one text each."""
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
    if editors := reading.edited_by(seen):
        faults.append(f"{record.kind} {record.object} was edited by {', '.join(editors)}")
    if (version := seen["metadata"].get("labels", {}).get(VERSION)) != record.version:
        applied = f"version {record.version} was applied last"
        faults.append(f"{record.kind} {record.object} is of version {version}, but {applied}")
    return faults


def _by_address(record: ClusterEndpoint, why: str) -> EndpointState:
    """The state from the endpoint's address; `why` is the reason why its cluster was not read."""
    try:
        metadata = get_json(record.url, f"/v2/models/{record.model}")
        versions = [str(version) for version in metadata.get("versions", [])]
    except SinetError as error:
        return EndpointState(False, False, record.version, record.sha256, f"{why}; and {error}")
    is_recorded = versions == [record.version]
    return EndpointState(
        True, True, ", ".join(versions), record.sha256 if is_recorded else "", f"cluster not read: {why}"
    )
