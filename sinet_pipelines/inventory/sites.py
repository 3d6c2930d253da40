"""The parts of a region: its agreements, storage tiers, links to other regions, and its cluster."""

import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from enum import StrEnum

from sinet_pipelines.errors import InventoryError
from sinet_pipelines.inventory.figures import Figure

PRIORITIES = ("low", "normal", "high")
LONGEST_LINGER_S = 300  # a waiting pod occupies its requested resources


@dataclass(frozen=True)
class Agreement:
    """Permission to move one table of class `sequence` from its region to another, for one purpose, until a day.

    Attributes:
        table: the table that may be moved.
        to: the receiving region.
        purpose: the allowed use in that region.
        until: the last day of the agreement.
    """

    table: str
    to: str
    purpose: str
    until: date

    def __post_init__(self) -> None:
        if not isinstance(self.until, date):
            raise InventoryError(
                f"the agreement on {self.table} to {self.to} has no end ({self.until!r}); add its last day as `until`"
            )
        if not (self.table and self.to and self.purpose):
            raise InventoryError(f"an agreement names table, to and purpose, and this one does not: {self}")


class TierKind(StrEnum):
    """How a step accesses stored data."""

    PARALLEL_FILES = "parallel-file-system"  # a volume claim that every pod of the region mounts
    LOCAL_NVME = "local-nvme"  # scratch space of the pod's node, deleted with the pod
    OBJECT_STORE = "object-store"  # an S3 endpoint; nothing is mounted


@dataclass(frozen=True)
class StorageTier:
    """One kind of storage that a region has.

    Attributes:
        kind: how a step accesses it.
        where: name of the claim, of the storage class of the node's disks, or the endpoint's address.
        read_gib_per_s: read bandwidth of one pod.
        usd_per_gib_month: price of storage.
        mount_path: its path in a pod; empty for an object store.
        secret: the Secret with the object store's keys in the cluster; empty for none.
    """

    kind: TierKind
    where: str
    read_gib_per_s: Figure
    usd_per_gib_month: Figure
    mount_path: str = ""
    secret: str = ""

    def __post_init__(self) -> None:
        is_mounted = self.kind is not TierKind.OBJECT_STORE
        if is_mounted != self.mount_path.startswith("/"):
            wanted = "an absolute mount_path" if is_mounted else "no mount_path"
            raise InventoryError(f"{self.kind} at {self.where} is mounted at {self.mount_path!r}; give {wanted}")


@dataclass(frozen=True)
class Link:
    """The network link from a region to another.

    Attributes:
        to: the other region.
        usd_per_gib: price of egress.
        gbit_per_s: bandwidth of a transfer.
        latency_ms: round-trip time.
    """

    to: str
    usd_per_gib: Figure
    gbit_per_s: Figure
    latency_ms: Figure


@dataclass(frozen=True)
class TeamQuota:
    """How much of a kind of hardware a team may use in a region.

    Attributes:
        team: the team, as in the needs of its steps.
        hardware: id of the kind.
        devices: devices, or cores of `cpu`: the most of one step, and all day; a plan may use their time of one day.
    """

    team: str
    hardware: str
    devices: float

    def __post_init__(self) -> None:
        if not (self.team and self.hardware):
            raise InventoryError(f"a quota names team and hardware, and this one does not: {self}")
        if not 0 <= self.devices < float("inf"):
            raise InventoryError(f"the quota of {self.team} is {self.devices:g} {self.hardware}; give 0 or more")


class ServingTarget(StrEnum):
    """The form of a model server of a region."""

    PROCESS = "process"  # a process of the machine that starts it, for a home without clusters
    DEPLOYMENT = "deployment"  # a Deployment and a Service
    KSERVE = "kserve"  # an InferenceService, from which KServe makes these


SERVICE_TYPES = ("ClusterIP", "LoadBalancer")


@dataclass(frozen=True)
class Serving:
    """How a region's cluster serves models, where steps run in clusters; on one machine a server is a process.

    Attributes:
        target: form of a server.
        address: root under which all regions reach the endpoint, `https://models.west.example`; empty for the address
            of the load balancer, or the Service's own name, which only its own cluster resolves.
        service_type: `ClusterIP`, or `LoadBalancer` for an address of its own.
        http_port: HTTP port of the Service and the servers.
        grpc_port: gRPC port of the Service and the servers.
        replicas: number of servers.
        cpu_millicores: CPU request of a server.
        cpu_limit_millicores: CPU limit of a server.
        memory_mib: memory request and limit of a server.
        service_account: service account of the step that deploys it; no other step has rights of the API.
        progress_s: a rollout without progress for this time has failed.
    """

    target: ServingTarget = ServingTarget.PROCESS
    address: str = ""
    service_type: str = "ClusterIP"
    http_port: int = 8000
    grpc_port: int = 8001
    replicas: int = 1
    cpu_millicores: int = 250
    cpu_limit_millicores: int = 2000
    memory_mib: int = 512
    service_account: str = "sinet-deploy"
    progress_s: int = 600

    def __post_init__(self) -> None:
        if self.address and not _ROOT.fullmatch(self.address):
            raise InventoryError(f"serving.address is {self.address!r}; give a root like https://models.west.example")
        if self.service_type not in SERVICE_TYPES:
            raise InventoryError(f"service_type is {self.service_type!r}; allowed are {', '.join(SERVICE_TYPES)}")
        ports = (self.http_port, self.grpc_port)
        if not all(1024 <= port <= 65535 for port in ports) or ports[0] == ports[1]:
            raise InventoryError(f"http_port and grpc_port are {ports}; give two different ones from 1024 to 65535")
        if min(self.replicas, self.cpu_millicores, self.memory_mib, self.progress_s) < 1:
            raise InventoryError("serving with no replica, core, memory or time; give whole numbers of 1 or more")
        if self.cpu_limit_millicores < self.cpu_millicores:
            found = f"cpu_limit_millicores is {self.cpu_limit_millicores}, below the {self.cpu_millicores} requested"
            raise InventoryError(f"{found}; raise it")
        if not self.service_account:
            raise InventoryError(
                "serving without service_account; name the one that may apply Deployments and Services"
            )


_ROOT = re.compile(r"https?://([a-z0-9.-]+|\[[0-9a-f:]+\])(:[0-9]{1,5})?/?", re.IGNORECASE)
_SERVING = Serving()


_LABEL = re.compile("[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")
_NAME = re.compile("[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?")
_LABEL_VALUE = re.compile(r"([A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?)?")
_LABEL_NAME = re.compile(r"([a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?/)?[A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?")
_VARIABLE = re.compile(r"[A-Za-z_.-][A-Za-z0-9_.-]*")
_PULL_POLICIES = ("IfNotPresent", "Always", "Never")
_QUANTITY = re.compile(r"[0-9]+(\.[0-9]+)?(m|k|M|G|T|P|E|Ki|Mi|Gi|Ti|Pi|Ei)?")


def _by_priority() -> dict[str, str]:
    return {priority: f"sinet-{priority}" for priority in PRIORITIES}


@dataclass(frozen=True)
class Cluster:
    """The Kubernetes cluster of a region and the configuration of its pods.

    Attributes:
        kubeconfig_context: context of the cluster in the operator's kubeconfig.
        kubeconfig_file: file with the context; empty for the client's default (`$KUBECONFIG`, `~/.kube/config`).
        namespace: namespace of the steps.
        service_account: service account of the steps.
        run_as_user: number of the user and group of pods; never root, as Pod Security "restricted" requires.
        image: image of the steps, in the region's own image registry.
        run_service_account: service account of runs, webserver, daemon, and of all that start runs in this cluster.
        runs_dagster: whether Dagster itself runs here; only in one region.
        image_pull_policy: a policy of Kubernetes.
        image_pull_secrets: names of secrets.
        env_secrets: secrets whose entries are environment variables of a step.
        env_config_maps: config maps whose entries are environment variables of a step.
        env: environment variables of a step.
        instance_config_map: the config map with `dagster.yaml` of run pods, webserver and daemon.
        step_instance_config_map: the same for steps, without run launcher and run monitoring, since a step's pod has
            no token. If empty, a step opens the instance of its run from the arguments of its worker.
        dagster_home: its mount path.
        queue: the Kueue LocalQueue; empty where the cluster has no Kueue.
        priority_classes: the PriorityClass of pods for each priority.
        workload_priority_classes: Kueue's for each priority.
        node_labels: labels of all nodes of the region.
        node_cpu_millicores: CPU of the largest node.
        node_memory_mib: memory of the largest node.
        nodes: number of nodes of each kind of hardware, for Kueue's quotas; one by default.
        quota: a ResourceQuota of the namespace, `requests.cpu: "64"`; empty for none.
        default_limits: limits of a container without its own, `memory: 1Gi`; empty for none.
        files_gib: size of the claim of the parallel file system.
        files_storage_class: its storage class, which many nodes can mount; empty for the cluster's default.
        egress_ports: TCP ports that pods may connect to at any address: object stores, cluster APIs, the database.
        capacity_label: the label with the value reserved or spot of a node.
        spot_taint: the key of the taint of spot nodes.
        serving: how models are served in it.
        linger_s: seconds that the worker of a small step waits for the next step; 0 for one pod per step.
        small_hours: longest duration of a small step according to its needs; it runs on `cpu`.
        small_cpu_millicores: largest CPU need of a small step.
        small_memory_mib: largest memory need of a small step.
    """

    kubeconfig_context: str
    kubeconfig_file: str = ""
    namespace: str = "sinet"
    service_account: str = "sinet-step"
    run_service_account: str = "sinet-run"
    runs_dagster: bool = False
    run_as_user: int = 10_001
    image: str = "sinet/pipelines:0.1.0"
    image_pull_policy: str = "IfNotPresent"
    image_pull_secrets: tuple[str, ...] = ()
    env_secrets: tuple[str, ...] = ("sinet-secrets",)
    env_config_maps: tuple[str, ...] = ("sinet-settings",)
    env: Mapping[str, str] = field(default_factory=dict, hash=False)
    instance_config_map: str = "dagster-instance"
    step_instance_config_map: str = "dagster-step-instance"
    dagster_home: str = "/opt/dagster/dagster_home"
    queue: str = "sinet"
    priority_classes: Mapping[str, str] = field(default_factory=_by_priority, hash=False)
    workload_priority_classes: Mapping[str, str] = field(default_factory=_by_priority, hash=False)
    node_labels: Mapping[str, str] = field(default_factory=dict, hash=False)
    node_cpu_millicores: int = 64_000
    node_memory_mib: int = 512 * 1024
    nodes: Mapping[str, int] = field(default_factory=dict, hash=False)
    quota: Mapping[str, str] = field(default_factory=dict, hash=False)
    default_limits: Mapping[str, str] = field(default_factory=dict, hash=False)
    files_gib: int = 500
    files_storage_class: str = ""
    egress_ports: tuple[int, ...] = (443, 5432, 6443)
    capacity_label: str = "sinet.ai/capacity"
    spot_taint: str = "sinet.ai/spot"
    serving: Serving = _SERVING
    linger_s: float = 20.0  # about the cost of a new pod, so waiting costs at most twice the optimum
    small_hours: float = 1.0
    small_cpu_millicores: int = 2000
    small_memory_mib: int = 4096

    def __post_init__(self) -> None:
        if not self.kubeconfig_context or not self.namespace:
            raise InventoryError(
                "a cluster without kubeconfig_context or namespace; steps would go to whichever is set"
            )
        self._require_names()
        self._require_spelling()
        for classes in (self.priority_classes, self.workload_priority_classes):
            if missing := set(PRIORITIES).difference(classes):
                raise InventoryError(
                    f"a cluster without a priority class for {', '.join(sorted(missing))}; name one each"
                )
        if not 1 <= self.run_as_user < 2**31:
            raise InventoryError(f"pods run as user {self.run_as_user}; give a number from 1 to 2147483647, 0 is root")
        for amounts in (self.quota, self.default_limits):
            if wrong := [f"{name}: {amount}" for name, amount in amounts.items() if not _QUANTITY.fullmatch(amount)]:
                raise InventoryError(
                    f"{', '.join(wrong)} is no amount; give one as Kubernetes spells it: 500m, 64, 1Gi"
                )
        if not all(1 <= port <= 65_535 for port in self.egress_ports):
            raise InventoryError(f"egress_ports are {self.egress_ports}; give ports from 1 to 65535")
        if min(self.files_gib, *self.nodes.values(), 1) < 1:
            raise InventoryError("a cluster with files_gib or nodes below 1; give whole numbers of 1 or more")
        if min(self.node_cpu_millicores, self.node_memory_mib) < 1:
            raise InventoryError("a cluster whose largest node has no cores or no memory; give millicores and MiB")
        if not 0 <= self.linger_s <= LONGEST_LINGER_S:
            raise InventoryError(
                f"linger_s of a cluster is {self.linger_s:g}; allowed is 0 (a pod for each step) to {LONGEST_LINGER_S}"
            )

    def kubectl(self, *, namespace: str = "") -> str:
        """The beginning of a shell command for this cluster.

        Args:
            namespace: namespace of the command; empty for the whole cluster.

        >>> Cluster("prod east").kubectl(namespace="sinet")
        "kubectl --context 'prod east' -n sinet"
        """
        inside = f" -n {shlex.quote(namespace)}" if namespace else ""
        return f"kubectl --context {shlex.quote(self.kubeconfig_context)}{inside}"

    def _require_names(self) -> None:
        """Rejects names that Kubernetes rejects, since objects, scripts and printed commands use them unchanged."""
        if not _LABEL.fullmatch(self.namespace):
            allowed = "small letters, digits and '-', at most 63"
            raise InventoryError(f"the namespace of a cluster is {self.namespace[:80]!r}; allowed are {allowed}")
        fields = {
            "service_account": (self.service_account,),
            "run_service_account": (self.run_service_account,),
            "image_pull_secrets": self.image_pull_secrets,
            "env_secrets": self.env_secrets,
            "env_config_maps": self.env_config_maps,
            "instance_config_map": (self.instance_config_map,),
            "step_instance_config_map": (self.step_instance_config_map,),
            "queue": (self.queue,),
            "priority_classes": tuple(self.priority_classes.values()),
            "workload_priority_classes": tuple(self.workload_priority_classes.values()),
            "files_storage_class": (self.files_storage_class,),
            "serving.service_account": (self.serving.service_account,),
        }
        for field_name, names in fields.items():
            if wrong := [name for name in names if name and not _NAME.fullmatch(name)]:
                allowed = "small letters, digits, '-' and '.', at most 253"
                raise InventoryError(f"{field_name} of a cluster has {wrong[0][:80]!r}; allowed are {allowed}")

    def _require_spelling(self) -> None:
        """Rejects an image, labels and variables that Kubernetes would reject at each step."""
        if self.image_pull_policy not in _PULL_POLICIES:
            allowed = ", ".join(_PULL_POLICIES)
            raise InventoryError(f"image_pull_policy is {self.image_pull_policy!r}; allowed are {allowed}")
        if not self.image or any(mark.isspace() for mark in self.image):
            raise InventoryError(f"image is {self.image!r}; name one without blanks, registry.example/sinet:0.1.0")
        if not _LABEL_VALUE.fullmatch(self.queue):
            raise InventoryError(
                f"queue is {self.queue[:80]!r}; it is a label of each Job, so give at most 63 characters"
            )
        for name, value in self.node_labels.items():
            if not _LABEL_NAME.fullmatch(name) or not _LABEL_VALUE.fullmatch(value):
                allowed = "at most 63 letters, digits, . _ and -, the name with an optional prefix/"
                raise InventoryError(f"node_labels has {name[:80]!r}: {value[:80]!r}; allowed are {allowed}")
        if wrong := [name[:80] for name in self.env if not _VARIABLE.fullmatch(name)]:
            raise InventoryError(f"env has {wrong[0]!r}; a variable has letters, digits, _ . and -, no digit first")
