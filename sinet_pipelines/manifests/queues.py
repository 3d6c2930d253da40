"""Kueue's objects of a region: its quotas by kind of hardware, and the order of its queue."""

from typing import Any

from sinet_pipelines.inventory.hardware import Hardware
from sinet_pipelines.inventory.regions import Region
from sinet_pipelines.manifests.base import PRIORITY_VALUES
from sinet_pipelines.manifests.objects import Object, made

API = "kueue.x-k8s.io/v1beta1"


def queues(region: Region) -> list[Object]:
    """A flavor for each kind of hardware, the queues, the priorities; empty where the row has no queue.

    A step's node selector and tolerations decide its possible flavors; a flavor has the nodes of its kind.
    """
    cluster = region.cluster
    if not cluster.queue:
        return []
    kinds = list(region.kinds)
    name = f"{cluster.namespace}-{cluster.queue}"
    local = made(API, "LocalQueue", cluster.queue, namespace=cluster.namespace, spec={"clusterQueue": name})
    return [*(_flavor(region, kind) for kind in kinds), _cluster_queue(region, kinds, name), local, *_classes(region)]


def _flavor(region: Region, kind: Hardware) -> Object:
    spec: dict[str, Any] = {"nodeLabels": {**region.cluster.node_labels, **kind.node_labels}}
    if kind.taint:
        spec["nodeTaints"] = [{"key": kind.taint, "value": "present", "effect": "NoSchedule"}]
    return made(API, "ResourceFlavor", _flavor_name(region, kind), spec=spec)


def _flavor_name(region: Region, kind: Hardware) -> str:
    return f"{region.cluster.namespace}-{kind.id}"


def _cluster_queue(region: Region, kinds: list[Hardware], name: str) -> Object:
    counted = list(dict.fromkeys(kind.resource_name for kind in kinds if kind.resource_name))
    covered = ["cpu", "memory", *counted]
    flavors = [
        {
            "name": _flavor_name(region, kind),
            "resources": [{"name": what, "nominalQuota": _quota(region, kind, what)} for what in covered],
        }
        for kind in kinds
    ]
    spec = {
        "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": region.cluster.namespace}},
        "queueingStrategy": "BestEffortFIFO",
        "preemption": {"withinClusterQueue": "LowerPriority"},
        "resourceGroups": [{"coveredResources": covered, "flavors": flavors}],
    }
    return made(API, "ClusterQueue", name, spec=spec)


def _quota(region: Region, kind: Hardware, resource: str) -> str:
    """The total of a resource on the nodes of a kind; of one node where the row has no number of nodes."""
    cluster = region.cluster
    nodes = cluster.nodes.get(kind.id, 1)
    if resource == "cpu":
        return f"{nodes * cluster.node_cpu_millicores}m"
    if resource == "memory":
        return f"{nodes * cluster.node_memory_mib}Mi"
    return str(nodes * kind.devices_per_node if resource == kind.resource_name else 0)


def _classes(region: Region) -> list[Object]:
    return [
        made(API, "WorkloadPriorityClass", name, value=PRIORITY_VALUES[priority], description=f"SINet: {priority}")
        for priority, name in region.cluster.workload_priority_classes.items()
    ]
