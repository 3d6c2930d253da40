"""What every region's namespace has: accounts and rights, settings, claims, priorities, quotas, network policies."""

from typing import Any

from sinet_pipelines.deployment.cluster.rights import rules as rights_of_endpoints
from sinet_pipelines.hardware import get_hardware
from sinet_pipelines.manifests.objects import Object, made
from sinet_pipelines.manifests.rights import LAUNCHES, RUNS, Rule
from sinet_pipelines.placement.bindings import INSTANCE_FILE
from sinet_pipelines.regions import Region
from sinet_pipelines.sites import ServingTarget, TierKind

RBAC = "rbac.authorization.k8s.io"
PRIORITY_VALUES = {"low": 1_000, "normal": 10_000, "high": 100_000}  # far below what the system itself runs with
DNS_PORT = 53


def namespace(region: Region) -> list[Object]:
    """The namespace, which admits what satisfies Pod Security "restricted" alone."""
    levels = {
        f"pod-security.kubernetes.io/{mode}{part}": value
        for mode in ("enforce", "audit", "warn")
        for part, value in (("", "restricted"), ("-version", "latest"))
    }
    return [made("v1", "Namespace", region.cluster.namespace, labels=levels)]


def accounts(region: Region) -> list[Object]:
    """The service accounts of steps, of runs and of the endpoint's step, with exactly what each may do."""
    cluster = region.cluster
    at = cluster.namespace
    looks = [rule for rule in rights_of_endpoints(cluster.serving, only_looks=True) if rule not in RUNS]
    may_run = [*RUNS, *(LAUNCHES if cluster.runs_dagster else ()), *looks]
    token = f"{cluster.run_service_account}-token"
    owner = {"kubernetes.io/service-account.name": cluster.run_service_account}
    return [
        made("v1", "ServiceAccount", cluster.service_account, namespace=at, automountServiceAccountToken=False),
        made("v1", "ServiceAccount", cluster.run_service_account, namespace=at, automountServiceAccountToken=False),
        *_role(at, cluster.run_service_account, may_run),
        *_deployer(region),
        # the cluster fills it with the token that kubeconfig.sh hands to Dagster's cluster; to revoke it, delete it
        made("v1", "Secret", token, namespace=at, annotations=owner, type="kubernetes.io/service-account-token"),
    ]


def _deployer(region: Region) -> list[Object]:
    """The account of the one step that applies an endpoint; none where servers are processes."""
    serving, at = region.cluster.serving, region.cluster.namespace
    if serving.target is ServingTarget.PROCESS:
        return []
    account = made("v1", "ServiceAccount", serving.service_account, namespace=at, automountServiceAccountToken=False)
    return [account, *_role(at, serving.service_account, rights_of_endpoints(serving))]


def _role(at: str, name: str, rules: "list[Rule]") -> list[Object]:
    subject = {"kind": "ServiceAccount", "name": name, "namespace": at}
    return [
        made(f"{RBAC}/v1", "Role", name, namespace=at, rules=rules),
        made(
            f"{RBAC}/v1",
            "RoleBinding",
            name,
            namespace=at,
            roleRef={"apiGroup": RBAC, "kind": "Role", "name": name},
            subjects=[subject],
        ),
    ]


def settings(region: Region, *, step_instance: str) -> list[Object]:
    """The config maps that a step's pod names.

    Args:
        region: whose.
        step_instance: text of the instance file of steps.
    """
    cluster, files = region.cluster, region.tier(TierKind.PARALLEL_FILES)
    data = {"SINET_EXECUTOR": "regions", "SINET_REGION": region.name}
    if files is not None:
        data["SINET_HOME"] = files.mount_path
    found = [
        made("v1", "ConfigMap", name, namespace=cluster.namespace, data=data) for name in cluster.env_config_maps[:1]
    ]
    if cluster.step_instance_config_map:
        files_of = {INSTANCE_FILE: step_instance}
        found.append(
            made("v1", "ConfigMap", cluster.step_instance_config_map, namespace=cluster.namespace, data=files_of)
        )
    return found


def claims(region: Region) -> list[Object]:
    """The claim of the region's file system, which pods of several nodes mount at once."""
    cluster, files = region.cluster, region.tier(TierKind.PARALLEL_FILES)
    if files is None:
        return []
    spec: dict[str, Any] = {
        "accessModes": ["ReadWriteMany"],
        "resources": {"requests": {"storage": f"{cluster.files_gib}Gi"}},
    }
    if cluster.files_storage_class:
        spec["storageClassName"] = cluster.files_storage_class
    return [made("v1", "PersistentVolumeClaim", files.where, namespace=cluster.namespace, spec=spec)]


def priorities(region: Region) -> list[Object]:
    """The priority classes of pods; they are the whole cluster's."""
    return [
        made(
            "scheduling.k8s.io/v1",
            "PriorityClass",
            name,
            value=PRIORITY_VALUES[priority],
            description=f"SINet: pods of {priority} priority",
        )
        for priority, name in region.cluster.priority_classes.items()
    ]


def limits(region: Region) -> list[Object]:
    """A quota and default limits, where the row has them."""
    cluster, found = region.cluster, []
    if cluster.quota:
        spec = {"hard": dict(cluster.quota)}
        found.append(made("v1", "ResourceQuota", "sinet", namespace=cluster.namespace, spec=spec))
    if cluster.default_limits:
        amounts = cluster.default_limits
        # requests as well: a server writes them in, and each apply would take them out
        limit = {"type": "Container", "default": dict(amounts), "defaultRequest": dict(amounts)}
        found.append(made("v1", "LimitRange", "sinet", namespace=cluster.namespace, spec={"limits": [limit]}))
    return found


def network(region: Region) -> list[Object]:
    """Nobody talks to a pod and no pod talks to anybody, but for what is needed."""
    cluster = region.cluster
    own: Object = {"podSelector": {}}  # the pods of this namespace
    names = [{"port": DNS_PORT, "protocol": protocol} for protocol in ("UDP", "TCP")]
    out = [{"port": port, "protocol": "TCP"} for port in sorted({*cluster.egress_ports, *_serving_ports(region)})]
    serves = [{"port": port, "protocol": "TCP"} for port in _serving_ports(region)]
    return [
        _policy(region, "default-deny", {}, policyTypes=["Ingress", "Egress"]),
        # names, the database, the APIs of the clusters, object stores and endpoints: by port, for addresses change
        _policy(region, "go-out", {}, policyTypes=["Egress"], egress=[{"ports": names}, {"ports": out}, {"to": [own]}]),
        _policy(region, "within", {}, policyTypes=["Ingress"], ingress=[{"from": [own]}]),
        _policy(
            region,
            "ask-endpoints",
            {"app.kubernetes.io/name": "sinet-endpoint"},
            policyTypes=["Ingress"],
            ingress=[{"ports": serves}],
        ),
    ]


def _policy(region: Region, name: str, selects: dict[str, str], **spec: Any) -> Object:
    selector: dict[str, Any] = {"matchLabels": selects} if selects else {}
    body = {"podSelector": selector, **spec}
    return made("networking.k8s.io/v1", "NetworkPolicy", name, namespace=region.cluster.namespace, spec=body)


def _serving_ports(region: Region) -> tuple[int, ...]:
    return (region.cluster.serving.http_port, region.cluster.serving.grpc_port)


def runtime_classes(region: Region) -> list[str]:
    """Names that the region's hardware needs and that its device operators bring; none is made here."""
    return sorted({kind.runtime_class for kind in map(get_hardware, region.hardware) if kind.runtime_class})
