"""Kueue's objects of a region: what it may hand out at once, by kind of hardware, and in which order."""

from typing import Any

from sinet_pipelines.hardware import Hardware, get_hardware
from sinet_pipelines.manifests.base import PRIORITY_VALUES
from sinet_pipelines.manifests.objects import Object, made
from sinet_pipelines.regions import Region

API = "kueue.x-k8s.io/v1beta1"


def queues(region: Region) -> list[Object]:
    """A flavor a kind of hardware, the queues, the priorities; empty where the row has no queue.

    A step's node selector and tolerations decide which flavor it can have; a flavor has the nodes of its kind.
    """
    cluster = region.cluster
    if not cluster.queue:
        return []
    kinds = [get_hardware(name) for name in region.hardware]
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
    """What the nodes of a kind have of a resource; one node where the row does not count them."""
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
