"""Sets a cluster up for a region as docs/clusters.md says: everything that the region's steps name is there."""

from typing import Any

from sinet_pipelines.deployment.cluster.rights import rules
from sinet_pipelines.inventory.regions import Region
from sinet_pipelines.inventory.sites import TierKind
from sinet_pipelines.manifests.rights import RUNS
from tests.clusters.access import service_account
from tests.clusters.cluster import Cluster
from tests.clusters.nodes import Node
from tests.inventory import get_hardware

RUNNER, DEPLOYER, STEP_INSTANCE = "sinet-run", "sinet-deploy", "dagster-step-instance"
RUNNER_TOKEN = "of whoever starts runs"  # noqa: S105 - in tests


def furnish(cluster: Cluster, region: Region, *, settings: dict[str, str] | None = None, instance: str = "") -> None:
    """Sets up a cluster for a region's steps.

    Args:
        cluster: the cluster.
        region: whose row says the names.
        settings: the variables of the config map that every step gets.
        instance: the text of `dagster.yaml`.
    """
    row, objects = region.cluster, cluster.objects
    namespace = row.namespace
    objects.put("namespaces", "", namespace, objects.get("namespaces", "", namespace))
    for account in (row.service_account, RUNNER, DEPLOYER):
        objects.put("serviceaccounts", namespace, account)
    grant(cluster, namespace, RUNNER, (*RUNS, *rules(row.serving, only_looks=True)))
    grant(cluster, namespace, DEPLOYER, rules(row.serving))
    cluster.access.admit(RUNNER_TOKEN, service_account(namespace, RUNNER))
    for name in row.env_config_maps:
        objects.put("configmaps", namespace, name, {"data": dict(settings or {})})
    for name in filter(None, (row.instance_config_map, row.step_instance_config_map)):
        objects.put("configmaps", namespace, name, {"data": {"dagster.yaml": instance}})
    for name in (*row.env_secrets, *row.image_pull_secrets):
        objects.put("secrets", namespace, name)
    for tier in region.storage:
        if tier.kind is TierKind.PARALLEL_FILES:
            objects.put("persistentvolumeclaims", namespace, tier.where, {"status": {"phase": "Bound"}})
        elif tier.kind is TierKind.LOCAL_NVME:
            objects.put("storageclasses", "", tier.where)
        elif tier.secret:
            objects.put("secrets", namespace, tier.secret)
    for name in row.priority_classes.values():
        objects.put("priorityclasses", "", name, {"value": 1})
    for name in row.workload_priority_classes.values():
        objects.put("workloadpriorityclasses", "", name, {"value": 1})
    if row.queue:
        objects.put("localqueues", namespace, row.queue)
    cluster.nodes = dict(_nodes(region, objects))


def grant(cluster: Cluster, namespace: str, account: str, rules: Any) -> None:
    """Gives a service account a Role of its own name."""
    cluster.objects.put("roles", namespace, account, {"rules": [dict(rule) for rule in rules]})
    subject = {"kind": "ServiceAccount", "name": account, "namespace": namespace}
    role = {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": account}
    cluster.objects.put("rolebindings", namespace, account, {"subjects": [subject], "roleRef": role})


def enforce_restricted(cluster: Cluster, namespace: str) -> None:
    """Lets the namespace take only pods that satisfy Pod Security `restricted`."""
    labels = {"pod-security.kubernetes.io/enforce": "restricted"}
    cluster.objects.put("namespaces", "", namespace, {"metadata": {"labels": labels}})


def _nodes(region: Region, objects: Any) -> Any:
    """Two nodes of each kind of hardware that the region has."""
    row = region.cluster
    for kind in map(get_hardware, region.hardware):
        labels = {**row.node_labels, **kind.node_labels, row.capacity_label: "reserved"}
        devices = {} if kind.is_cpu else {kind.resource_name: str(kind.devices_per_node)}
        taints = [{"key": kind.taint, "effect": "NoSchedule"}] if kind.taint else []
        if kind.runtime_class:
            objects.put("runtimeclasses", "", kind.runtime_class, {"handler": kind.runtime_class})
        for at in (1, 2):
            node = Node(f"{region.name.lower().replace('_', '-')}-{kind.id}-{at}", labels, taints=list(taints))
            node.allocatable |= devices
            yield node.name, node
