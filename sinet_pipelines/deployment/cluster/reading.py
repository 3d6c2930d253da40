"""Reads the state of an endpoint from objects of the API: progress of a rollout, ready versions, causes of failures."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from sinet_pipelines.deployment.cluster.api import MANAGER
from sinet_pipelines.deployment.cluster.wanted import VERSION

Seen = Mapping[str, Any]

STARTING = frozenset({"ContainerCreating", "PodInitializing"})  # waiting reasons of a container that starts normally
CONTROLLERS = frozenset({MANAGER, "kube-controller-manager", "manager"})  # `manager` is KServe's
FINAL = frozenset({"InvalidImageName", "ErrImageNeverPull"})  # waiting reasons that never end by themselves
RESTARTS = 3  # of one container, after which its start has finally failed


@dataclass(frozen=True)
class Progress:
    """The progress of a rollout.

    Attributes:
        is_done: whether every pod has the applied template and is available, and no older pod is left.
        failure: why it will not succeed; empty where it may succeed.
        words: short description of the state.
    """

    is_done: bool
    failure: str
    words: str


def deployment_progress(seen: Seen) -> Progress:
    """The progress of a Deployment's rollout."""
    status, wanted = seen.get("status", {}), int(seen["spec"].get("replicas", 1))
    if status.get("observedGeneration", 0) < seen["metadata"]["generation"]:
        return Progress(False, "", "its controller has not processed it yet")
    conditions = {one["type"]: one for one in status.get("conditions", [])}
    progressing, failed = conditions.get("Progressing", {}), conditions.get("ReplicaFailure", {})
    updated, replicas = status.get("updatedReplicas", 0), status.get("replicas", 0)
    available = status.get("availableReplicas", 0)
    words = f"{updated} of {wanted} pods are of this version, {available} are available, {replicas - updated} are older"
    if updated == wanted == replicas and available >= wanted:
        return Progress(True, "", words)
    if progressing.get("status") == "False":
        return Progress(False, f"{progressing.get('reason')}: {progressing.get('message')}", words)
    if failed.get("status") == "True":
        words = f"{failed.get('reason')}: {failed.get('message')}"
    return Progress(False, "", words)


def kserve_progress(seen: Seen) -> Progress:
    """The progress of an InferenceService's rollout, from its condition Ready for the applied generation."""
    status = seen.get("status", {})
    if status.get("observedGeneration", 0) < seen["metadata"]["generation"]:
        return Progress(False, "", "KServe's controller has not processed it yet")
    conditions = {one["type"]: one for one in status.get("conditions", [])}
    ready = conditions.get("Ready", {})
    words = ready.get("message") or ready.get("reason") or "not Ready"
    return Progress(ready.get("status") == "True", "", words)


def is_autoscaled(seen: Seen) -> bool:
    """Whether an autoscaler has set the number of servers, by the field manager of the subresource `scale`."""
    return any(
        entry.get("manager") == "kube-controller-manager"
        and entry.get("subresource") == "scale"
        and "f:replicas" in entry.get("fieldsV1", {}).get("f:spec", {})
        for entry in seen["metadata"].get("managedFields", [])
    )


def is_pod_ready(pod: Seen) -> bool:
    """Whether a Service sends requests to the pod: it is ready and not being deleted."""
    conditions = {one["type"]: one["status"] for one in pod.get("status", {}).get("conditions", [])}
    return conditions.get("Ready") == "True" and "deletionTimestamp" not in pod["metadata"]


def ready_versions(pods: Iterable[Seen]) -> tuple[str, ...]:
    """The versions of the ready pods, sorted by number."""
    found = {pod["metadata"].get("labels", {}).get(VERSION, "") for pod in pods if is_pod_ready(pod)}
    return tuple(sorted(found - {""}, key=lambda version: (len(version), version)))


def trouble_of(pod: Seen) -> str:
    """Why a pod is not ready, by the cluster's messages; empty where it is ready or starting normally."""
    status = pod.get("status", {})
    for condition in status.get("conditions", []):
        if condition["type"] == "PodScheduled" and condition["status"] == "False":
            return f"{condition.get('reason')}: {condition.get('message')}"
    for container in _containers(status):
        ended = _last_end(container)
        waiting = container.get("state", {}).get("waiting", {})
        reason = waiting.get("reason", "")
        if reason and reason not in STARTING:
            words = ended or waiting.get("message", "")
            return f"{container['name']} is in {reason}" + (f" ({words})" if words else "")
        if ended and not container.get("ready"):
            return f"{container['name']} ended ({ended})"
    return f"{status['reason']}: {status.get('message', '')}" if status.get("reason") else ""


def has_finally_failed(pod: Seen) -> bool:
    """Whether a pod will not become ready: a container restarted three times, or its image can never be pulled."""
    containers = _containers(pod.get("status", {}))
    reasons = {one.get("state", {}).get("waiting", {}).get("reason", "") for one in containers}
    return bool(reasons & FINAL) or any(
        one.get("restartCount", 0) >= RESTARTS and not one.get("ready") for one in containers
    )


def edited_by(seen: Seen) -> tuple[str, ...]:
    """The field managers of manual changes of an object's spec: all but those of the platform and of controllers."""
    return tuple(
        sorted(
            {
                str(entry["manager"])
                for entry in seen["metadata"].get("managedFields", [])
                if entry["manager"] not in CONTROLLERS
                and entry.get("subresource", "") != "status"
                and "f:spec" in entry.get("fieldsV1", {})
            }
        )
    )


def _containers(status: Seen) -> list[Seen]:
    return [*status.get("initContainerStatuses", []), *status.get("containerStatuses", [])]


def _last_end(container: Seen) -> str:
    """How a container last failed: its exit code and its last line of output; empty where it did not fail."""
    ends = [container.get(when, {}).get("terminated", {}) for when in ("state", "lastState")]
    ended = next((end for end in ends if end.get("exitCode")), None)
    if ended is None:
        return ""
    lines = [line.strip() for line in str(ended.get("message", "")).splitlines() if line.strip()]
    why = lines[-1] if lines else ended.get("reason", "")
    return f"code {ended['exitCode']}: {why}"[:500]
