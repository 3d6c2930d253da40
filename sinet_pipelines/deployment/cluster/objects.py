"""The Kubernetes objects of an endpoint: a Deployment, a Service and a PodDisruptionBudget."""

from typing import Any

from sinet_pipelines.deployment.cluster.pods import pod_template
from sinet_pipelines.deployment.cluster.wanted import Wanted, annotations, labels, object_name, selector
from sinet_pipelines.inventory.regions import Region

KEPT_REPLICA_SETS = 5  # of former versions, to which `kubectl rollout undo` or a new apply can return


def service(region: Region, wanted: Wanted) -> dict[str, Any]:
    """The Service of an endpoint, equal for every version."""
    serving = region.cluster.serving
    ports = (("http", serving.http_port), ("grpc", serving.grpc_port))
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": _metadata(region, wanted, is_versioned=False),
        "spec": {
            "type": serving.service_type,
            "selector": selector(wanted.model),
            "ports": [{"name": name, "port": port, "targetPort": name, "protocol": "TCP"} for name, port in ports],
        },
    }


def deployment(
    region: Region, wanted: Wanted, *, hosts: str, attempt: int = 1, is_autoscaled: bool = False
) -> dict[str, Any]:
    """The Deployment of an endpoint: a server of the new version is ready before one of the old version ends.

    Args:
        region: the region of the endpoint.
        wanted: the version to serve.
        hosts: host names that the server accepts, separated by commas.
        attempt: number of the attempt at this version; another number than in the cluster makes new pods.
        is_autoscaled: whether an autoscaler sets the number of servers; then the manifest leaves it out.

    Raises:
        ServingError: the region has no storage that a pod can mount.
    """
    serving = region.cluster.serving
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": _metadata(region, wanted),
        "spec": {
            **({} if is_autoscaled else {"replicas": serving.replicas}),
            "paused": False,  # stated, so that a rollout that a person has paused continues
            "revisionHistoryLimit": KEPT_REPLICA_SETS,
            "progressDeadlineSeconds": serving.progress_s,
            "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": 0, "maxSurge": 1}},
            "selector": {"matchLabels": selector(wanted.model)},
            "template": pod_template(region, wanted, hosts=hosts, attempt=attempt),
        },
    }


def disruption_budget(region: Region, wanted: Wanted) -> dict[str, Any]:
    """The PodDisruptionBudget with which a drain of nodes stops one server at a time."""
    return {
        "apiVersion": "policy/v1",
        "kind": "PodDisruptionBudget",
        "metadata": _metadata(region, wanted, is_versioned=False),
        "spec": {"maxUnavailable": 1, "selector": {"matchLabels": selector(wanted.model)}},
    }


def _metadata(region: Region, wanted: Wanted, *, is_versioned: bool = True) -> dict[str, Any]:
    metadata: dict[str, Any] = {"name": object_name(wanted.model), "namespace": region.cluster.namespace}
    if is_versioned:
        return {**metadata, "labels": labels(region, wanted), "annotations": annotations(wanted)}
    stable = {**selector(wanted.model), "app.kubernetes.io/managed-by": "sinet", "sinet.ai/region": region.name}
    return {**metadata, "labels": stable}
