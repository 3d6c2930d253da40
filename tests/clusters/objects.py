"""What a cluster's API server keeps beside Jobs, pods and events: bodies by kind, namespace and name."""

import copy
import uuid
from collections.abc import Iterable, Iterator, MutableSet
from dataclasses import dataclass, field
from typing import Any

Body = dict[str, Any]


@dataclass(frozen=True)
class Resource:
    """A kind of object, and where the API has it.

    Attributes:
        plural: as it stands in a path.
        kind: as it stands in a body.
        group: the API group; "" for the core.
        is_namespaced: whether its objects lie in namespaces.
    """

    plural: str
    kind: str
    group: str = ""
    is_namespaced: bool = True

    @property
    def words(self) -> str:
        """As the API names it in its messages: `jobs.batch`."""
        return f"{self.plural}.{self.group}" if self.group else self.plural


_RBAC, _KUEUE = "rbac.authorization.k8s.io", "kueue.x-k8s.io"
RESOURCES = {
    (resource.group, resource.plural): resource
    for resource in (
        Resource("namespaces", "Namespace", is_namespaced=False),
        Resource("nodes", "Node", is_namespaced=False),
        Resource("persistentvolumes", "PersistentVolume", is_namespaced=False),
        Resource("configmaps", "ConfigMap"),
        Resource("endpoints", "Endpoints"),
        Resource("events", "Event"),
        Resource("limitranges", "LimitRange"),
        Resource("persistentvolumeclaims", "PersistentVolumeClaim"),
        Resource("pods", "Pod"),
        Resource("resourcequotas", "ResourceQuota"),
        Resource("secrets", "Secret"),
        Resource("serviceaccounts", "ServiceAccount"),
        Resource("services", "Service"),
        Resource("deployments", "Deployment", "apps"),
        Resource("replicasets", "ReplicaSet", "apps"),
        Resource("horizontalpodautoscalers", "HorizontalPodAutoscaler", "autoscaling"),
        Resource("jobs", "Job", "batch"),
        Resource("leases", "Lease", "coordination.k8s.io"),
        Resource("endpointslices", "EndpointSlice", "discovery.k8s.io"),
        Resource("networkpolicies", "NetworkPolicy", "networking.k8s.io"),
        Resource("runtimeclasses", "RuntimeClass", "node.k8s.io", is_namespaced=False),
        Resource("poddisruptionbudgets", "PodDisruptionBudget", "policy"),
        Resource("roles", "Role", _RBAC),
        Resource("rolebindings", "RoleBinding", _RBAC),
        Resource("clusterroles", "ClusterRole", _RBAC, is_namespaced=False),
        Resource("clusterrolebindings", "ClusterRoleBinding", _RBAC, is_namespaced=False),
        Resource("priorityclasses", "PriorityClass", "scheduling.k8s.io", is_namespaced=False),
        Resource("inferenceservices", "InferenceService", "serving.kserve.io"),
        Resource("storageclasses", "StorageClass", "storage.k8s.io", is_namespaced=False),
        Resource("localqueues", "LocalQueue", _KUEUE),
        Resource("clusterqueues", "ClusterQueue", _KUEUE, is_namespaced=False),
        Resource("resourceflavors", "ResourceFlavor", _KUEUE, is_namespaced=False),
        Resource("workloadpriorityclasses", "WorkloadPriorityClass", _KUEUE, is_namespaced=False),
    )
}
_BY_KIND = {resource.kind: resource for resource in RESOURCES.values()}


class Objects:
    """Bodies by plural, namespace ("" where the kind has none) and name; each namespace has its default account."""

    def __init__(self, *namespaces: str) -> None:
        self._kept: dict[tuple[str, str, str], Body] = {}
        self._version = 1
        for name in ("default", *namespaces):
            self.put("namespaces", "", name)

    def get(self, plural: str, namespace: str, name: str) -> Body | None:
        """The body as it is kept, None where there is none; who changes it puts it back."""
        return self._kept.get((plural, namespace, name))

    def list(self, plural: str, namespace: str | None = None) -> list[Body]:
        """All bodies of a kind, of one namespace or of all."""
        return [body for (kind, where, _), body in self._kept.items() if kind == plural and namespace in (None, where)]

    def put(self, plural: str, namespace: str, name: str, body: Body | None = None) -> Body:
        """Keeps a body under its name; a namespace gets its default service account, as the controller makes it."""
        before = self.get(plural, namespace, name)
        kept = copy.deepcopy(body) if body is not None else {}
        metadata = kept.setdefault("metadata", {})
        metadata["name"] = name
        if namespace:
            metadata["namespace"] = namespace
        self._version += 1
        metadata["uid"] = before["metadata"]["uid"] if before else metadata.get("uid") or str(uuid.uuid4())
        metadata["resourceVersion"] = str(self._version)
        self._kept[(plural, namespace, name)] = kept
        if plural == "namespaces" and before is None:
            self.put("serviceaccounts", name, "default")
        return kept

    def add(self, body: Body, *, namespace: str = "") -> Body:
        """Keeps a manifest; its namespace is its own, else the one given."""
        resource, metadata = _BY_KIND[body["kind"]], body["metadata"]
        where = metadata.get("namespace", namespace) if resource.is_namespaced else ""
        return self.put(resource.plural, where, metadata["name"], body)

    def delete(self, plural: str, namespace: str, name: str) -> Body | None:
        """Forgets a body and returns it; None where there was none."""
        return self._kept.pop((plural, namespace, name), None)


class Names(MutableSet[Any]):
    """The names of a kind as a set: (namespace, name), or the name alone where the kind has no namespace."""

    def __init__(self, objects: Objects, plural: str, *, is_namespaced: bool = True) -> None:
        self._objects, self._plural, self._is_namespaced = objects, plural, is_namespaced

    def _key(self, one: Any) -> tuple[str, str]:
        return one if self._is_namespaced else ("", one)

    def __contains__(self, one: object) -> bool:
        return self._objects.get(self._plural, *self._key(one)) is not None

    def __iter__(self) -> Iterator[Any]:
        for body in self._objects.list(self._plural):
            metadata = body["metadata"]
            yield (metadata["namespace"], metadata["name"]) if self._is_namespaced else metadata["name"]

    def __len__(self) -> int:
        return len(self._objects.list(self._plural))

    def add(self, value: Any) -> None:
        """Keeps an object without any content."""
        if value not in self:
            self._objects.put(self._plural, *self._key(value))

    def discard(self, value: Any) -> None:
        """Forgets it."""
        self._objects.delete(self._plural, *self._key(value))

    def update(self, values: Iterable[Any]) -> None:
        """Adds all of them."""
        for value in list(values):
            self.add(value)


@dataclass
class Site:
    """What an operator has set up in a cluster, by name alone, and what its user may not do."""

    objects: Objects
    allocatable: list[dict[str, str]] = field(default_factory=list)  # of nodes, where these stand for the cluster's
    node_labels: list[dict[str, str]] = field(default_factory=list)
    denied: set[tuple[str, str]] = field(default_factory=set)  # (verb, resource)

    def __post_init__(self) -> None:
        self.namespaces = Names(self.objects, "namespaces", is_namespaced=False)
        self.service_accounts = Names(self.objects, "serviceaccounts")
        self.queues = Names(self.objects, "localqueues")
        self.secrets = Names(self.objects, "secrets")
        self.config_maps = Names(self.objects, "configmaps")
        self.claims = Names(self.objects, "persistentvolumeclaims")
        self.priority_classes = Names(self.objects, "priorityclasses", is_namespaced=False)
