"""The objects of an endpoint as a cluster takes them: Deployment, Service, and one disruption budget."""

from typing import Any

from sinet_pipelines.deployment.cluster.pods import pod_template
from sinet_pipelines.deployment.cluster.wanted import Wanted, annotations, labels, object_name, selector
from sinet_pipelines.regions import Region

KEPT_REPLICA_SETS = 5  # former versions that `kubectl rollout undo` and a switch back find as they were


def service(region: Region, wanted: Wanted) -> dict[str, Any]:
    """The address of an endpoint; it is the same for every version."""
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
    """The servers of an endpoint: a new version's is ready before one of the old version's ends.

    Args:
        region: where it serves.
        wanted: what it serves.
        hosts: names under which a server may be asked, separated by commas.
        attempt: at this version; a higher one than the cluster's is a rollout of its own, with new pods.
        is_autoscaled: an autoscaler has set how many servers there are, and nothing is said of it.

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
            "paused": False,  # said, so that a rollout that a hand has paused goes on
            "revisionHistoryLimit": KEPT_REPLICA_SETS,
            "progressDeadlineSeconds": serving.progress_s,
            "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": 0, "maxSurge": 1}},
            "selector": {"matchLabels": selector(wanted.model)},
            "template": pod_template(region, wanted, hosts=hosts, attempt=attempt),
        },
    }


def disruption_budget(region: Region, wanted: Wanted) -> dict[str, Any]:
    """That a drain takes one server at a time."""
    return {
        "apiVersion": "policy/v1",
        "kind": "PodDisruptionBudget",
        "metadata": _metadata(region, wanted, is_versioned=False),
        "spec": {"maxUnavailable": 1, "selector": {"matchLabels": selector(wanted.model)}},
    }


def _metadata(region: Region, wanted: Wanted, *, is_versioned: bool = True) -> dict[str, Any]:
    said: dict[str, Any] = {"name": object_name(wanted.model), "namespace": region.cluster.namespace}
    if is_versioned:
        return {**said, "labels": labels(region, wanted), "annotations": annotations(wanted)}
    stable = {**selector(wanted.model), "app.kubernetes.io/managed-by": "sinet", "sinet.ai/region": region.name}
    return {**said, "labels": stable}
