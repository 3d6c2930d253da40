"""What a region is made of: its agreements, storage tiers, links to other regions, and its cluster."""

import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from enum import StrEnum

from sinet_pipelines.errors import RegistryError
from sinet_pipelines.figures import Figure

PRIORITIES = ("low", "normal", "high")
LONGEST_LINGER_S = 300  # a pod that waits holds what it asked for


@dataclass(frozen=True)
class Agreement:
    """Leave for one table of class `sequence` to go from its region to another, for one purpose, until a day.

    Attributes:
        table: the table that may travel.
        to: the region it may go to.
        purpose: what it may be used for there.
        until: the last day of the agreement.
    """

    table: str
    to: str
    purpose: str
    until: date

    def __post_init__(self) -> None:
        if not isinstance(self.until, date):
            raise RegistryError(
                f"the agreement on {self.table} to {self.to} has no end ({self.until!r}); say until when"
            )
        if not (self.table and self.to and self.purpose):
            raise RegistryError(f"an agreement names table, to and purpose, and this one does not: {self}")


class TierKind(StrEnum):
    """How a step reaches what is stored."""

    PARALLEL_FILES = "parallel-file-system"  # a claim that every pod of the region mounts
    LOCAL_NVME = "local-nvme"  # scratch of the pod's own node, gone with the pod
    OBJECT_STORE = "object-store"  # an S3 endpoint; nothing is mounted


@dataclass(frozen=True)
class StorageTier:
    """One kind of storage that a region has.

    Attributes:
        kind: how a step reaches it.
        where: name of the claim, of the storage class of the node's disks, or the endpoint's address.
        read_gib_per_s: what one pod reads.
        usd_per_gib_month: price of keeping.
        mount_path: where a pod sees it; empty for an object store.
        secret: of the object store's keys in the cluster; empty for none.
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
            raise RegistryError(f"{self.kind} at {self.where} is mounted at {self.mount_path!r}; give {wanted}")


@dataclass(frozen=True)
class Link:
    """The way from a region to another.

    Attributes:
        to: the other region.
        usd_per_gib: price of egress.
        gbit_per_s: bandwidth that a transfer gets.
        latency_ms: of a round trip.
    """

    to: str
    usd_per_gib: Figure
    gbit_per_s: Figure
    latency_ms: Figure


class ServingTarget(StrEnum):
    """What a model server of a region is."""

    PROCESS = "process"  # of the machine that starts it, as without clusters
    DEPLOYMENT = "deployment"  # a Deployment and a Service
    KSERVE = "kserve"  # an InferenceService, which KServe turns into these


SERVICE_TYPES = ("ClusterIP", "LoadBalancer")


@dataclass(frozen=True)
class Serving:
    """How a region's cluster serves models, where steps run in clusters; on one machine a server is a process.

    Attributes:
        target: what a server is there.
        address: root under which all regions reach the endpoint, `https://models.west.example`; empty for the address
            of the load balancer, or the Service's own name, which only its own cluster resolves.
        service_type: `ClusterIP`, or `LoadBalancer` for an address of its own.
        http_port: of the Service and the servers.
        grpc_port: likewise.
        replicas: servers at once.
        cpu_millicores: that a server asks for.
        cpu_limit_millicores: that it gets at most.
        memory_mib: that it asks for and gets at most.
        service_account: as which the step runs that applies it; no other step has rights of the API.
        progress_s: a rollout that makes no progress for so long has failed.
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
            raise RegistryError(f"serving.address is {self.address!r}; give a root like https://models.west.example")
        if self.service_type not in SERVICE_TYPES:
            raise RegistryError(f"service_type is {self.service_type!r}; allowed are {', '.join(SERVICE_TYPES)}")
        ports = (self.http_port, self.grpc_port)
        if not all(1024 <= port <= 65535 for port in ports) or ports[0] == ports[1]:
            raise RegistryError(f"http_port and grpc_port are {ports}; give two different ones from 1024 to 65535")
        if min(self.replicas, self.cpu_millicores, self.memory_mib, self.progress_s) < 1:
            raise RegistryError("serving with no replica, core, memory or time; give whole numbers of 1 or more")
        if self.cpu_limit_millicores < self.cpu_millicores:
            found = f"cpu_limit_millicores is {self.cpu_limit_millicores}, below the {self.cpu_millicores} asked for"
            raise RegistryError(f"{found}; raise it")
        if not self.service_account:
            raise RegistryError("serving without service_account; name the one that may apply Deployments and Services")


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
    """The Kubernetes cluster of a region and how steps stand in it.

    Attributes:
        kubeconfig_context: of the cluster in the operator's kubeconfig.
        kubeconfig_file: where the context is; empty for the client's own default (`$KUBECONFIG`, `~/.kube/config`).
        namespace: of the steps.
        service_account: as which steps run.
        run_as_user: number of the user and group as which pods run; never root, as Pod Security "restricted" wants it.
        image: of the steps, in the region's own registry.
        run_service_account: as which runs, webserver and daemon are, and whoever starts runs in this cluster.
        runs_dagster: Dagster itself stands here; one region's alone.
        image_pull_policy: as Kubernetes spells it.
        image_pull_secrets: names.
        env_secrets: secrets whose entries are variables of a step.
        env_config_maps: the same, of config maps.
        env: variables of a step.
        instance_config_map: the config map with `dagster.yaml` of run pods, webserver and daemon.
        step_instance_config_map: the same of steps, without run launcher and run monitoring: a step's pod has no token.
            Empty: a step opens the instance of its run, by the arguments of its worker.
        dagster_home: where it is mounted.
        queue: the Kueue LocalQueue; empty where the cluster has no Kueue.
        priority_classes: the PriorityClass of pods for each priority.
        workload_priority_classes: Kueue's for each priority.
        node_labels: of all nodes of the region.
        node_cpu_millicores: of the largest node.
        node_memory_mib: of the largest node.
        nodes: how many nodes of each kind of hardware there are, for Kueue's quotas; one of a kind that is not named.
        quota: a ResourceQuota of the namespace, `requests.cpu: "64"`; empty for none.
        default_limits: of a container that has none, `memory: 1Gi`; empty for none.
        files_gib: size of the claim of the parallel file system.
        files_storage_class: its storage class; empty for the cluster's default. It must be one that many nodes mount.
        egress_ports: TCP ports that pods may reach anywhere: object stores, APIs of the clusters, the database.
        capacity_label: the label that says whether a node is reserved or spot.
        spot_taint: the key of the taint of spot nodes.
        serving: how models are served in it.
        linger_s: how many seconds the worker of a small step waits for another one to execute; 0: a pod for each step.
        small_hours: what a small step takes at most, by its needs; it runs on `cpu`.
        small_cpu_millicores: what it needs at most.
        small_memory_mib: what it needs at most.
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
    linger_s: float = 20.0  # about what a new pod costs: so waiting costs at most twice what knowing would
    small_hours: float = 1.0
    small_cpu_millicores: int = 2000
    small_memory_mib: int = 4096

    def __post_init__(self) -> None:
        if not self.kubeconfig_context or not self.namespace:
            raise RegistryError("a cluster without kubeconfig_context or namespace; steps would go to whichever is set")
        self._require_names()
        self._require_spelling()
        for classes in (self.priority_classes, self.workload_priority_classes):
            if missing := set(PRIORITIES).difference(classes):
                raise RegistryError(
                    f"a cluster without a priority class for {', '.join(sorted(missing))}; name one each"
                )
        if not 1 <= self.run_as_user < 2**31:
            raise RegistryError(f"pods run as user {self.run_as_user}; give a number from 1 to 2147483647, 0 is root")
        for amounts in (self.quota, self.default_limits):
            if wrong := [f"{name}: {said}" for name, said in amounts.items() if not _QUANTITY.fullmatch(said)]:
                raise RegistryError(f"{', '.join(wrong)} is no amount; give one as Kubernetes spells it: 500m, 64, 1Gi")
        if not all(1 <= port <= 65_535 for port in self.egress_ports):
            raise RegistryError(f"egress_ports are {self.egress_ports}; give ports from 1 to 65535")
        if min(self.files_gib, *self.nodes.values(), 1) < 1:
            raise RegistryError("a cluster with files_gib or nodes below 1; give whole numbers of 1 or more")
        if min(self.node_cpu_millicores, self.node_memory_mib) < 1:
            raise RegistryError("a cluster whose largest node has no cores or no memory; give millicores and MiB")
        if not 0 <= self.linger_s <= LONGEST_LINGER_S:
            raise RegistryError(
                f"linger_s of a cluster is {self.linger_s:g}; allowed is 0 (a pod for each step) to {LONGEST_LINGER_S}"
            )

    def kubectl(self, *, namespace: str = "") -> str:
        """How a command for this cluster begins, as a shell takes it.

        Args:
            namespace: that the command is about; empty for the whole cluster.

        >>> Cluster("prod east").kubectl(namespace="sinet")
        "kubectl --context 'prod east' -n sinet"
        """
        inside = f" -n {shlex.quote(namespace)}" if namespace else ""
        return f"kubectl --context {shlex.quote(self.kubeconfig_context)}{inside}"

    def _require_names(self) -> None:
        """Refuses names that Kubernetes does not take: objects, scripts and printed commands have them as they are."""
        if not _LABEL.fullmatch(self.namespace):
            allowed = "small letters, digits and '-', at most 63"
            raise RegistryError(f"the namespace of a cluster is {self.namespace[:80]!r}; allowed are {allowed}")
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
                raise RegistryError(f"{field_name} of a cluster has {wrong[0][:80]!r}; allowed are {allowed}")

    def _require_spelling(self) -> None:
        """Refuses an image, labels and variables that Kubernetes would refuse at each step anew."""
        if self.image_pull_policy not in _PULL_POLICIES:
            allowed = ", ".join(_PULL_POLICIES)
            raise RegistryError(f"image_pull_policy is {self.image_pull_policy!r}; allowed are {allowed}")
        if not self.image or any(mark.isspace() for mark in self.image):
            raise RegistryError(f"image is {self.image!r}; name one without blanks, registry.example/sinet:0.1.0")
        if not _LABEL_VALUE.fullmatch(self.queue):
            raise RegistryError(
                f"queue is {self.queue[:80]!r}; it is a label of each Job, so give at most 63 characters"
            )
        for name, value in self.node_labels.items():
            if not _LABEL_NAME.fullmatch(name) or not _LABEL_VALUE.fullmatch(value):
                allowed = "at most 63 letters, digits, . _ and -, the name with an optional prefix/"
                raise RegistryError(f"node_labels has {name[:80]!r}: {value[:80]!r}; allowed are {allowed}")
        if wrong := [name[:80] for name in self.env if not _VARIABLE.fullmatch(name)]:
            raise RegistryError(f"env has {wrong[0]!r}; a variable has letters, digits, _ . and -, no digit first")
