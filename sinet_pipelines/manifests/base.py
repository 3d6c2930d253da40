"""The objects of every region's namespace: accounts, rights, settings, claims, priorities, quotas, network policies."""

from typing import Any
from urllib.parse import urlsplit

from sinet_pipelines.deployment.cluster.rights import rules as rights_of_endpoints
from sinet_pipelines.inventory.regions import Region
from sinet_pipelines.inventory.sites import ServingTarget, TierKind
from sinet_pipelines.manifests.objects import Object, made
from sinet_pipelines.manifests.rights import Rule, run_rules
from sinet_pipelines.placement.bindings import INSTANCE_FILE

RBAC = "rbac.authorization.k8s.io"
PRIORITY_VALUES = {"low": 1_000, "normal": 10_000, "high": 100_000}  # far below the priorities of the system
DNS_PORT = 53


def namespace(region: Region) -> list[Object]:
    """The namespace, which admits only pods that satisfy Pod Security "restricted"."""
    levels = {
        f"pod-security.kubernetes.io/{mode}{part}": value
        for mode in ("enforce", "audit", "warn")
        for part, value in (("", "restricted"), ("-version", "latest"))
    }
    return [made("v1", "Namespace", region.cluster.namespace, labels=levels)]


def accounts(region: Region) -> list[Object]:
    """The service accounts of steps, of runs and of the endpoint's step, with the rights of each."""
    cluster = region.cluster
    at = cluster.namespace
    token = f"{cluster.run_service_account}-token"
    owner = {"kubernetes.io/service-account.name": cluster.run_service_account}
    return [
        made("v1", "ServiceAccount", cluster.service_account, namespace=at, automountServiceAccountToken=False),
        made("v1", "ServiceAccount", cluster.run_service_account, namespace=at, automountServiceAccountToken=False),
        *_role(at, cluster.run_service_account, run_rules(region)),
        *_deployer(region),
        # the cluster writes the token into it, and kubeconfig.sh copies it to Dagster's cluster; delete it to revoke
        made("v1", "Secret", token, namespace=at, annotations=owner, type="kubernetes.io/service-account-token"),
    ]


def _deployer(region: Region) -> list[Object]:
    """The account of the one step that deploys an endpoint; empty where servers are processes."""
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
    """The config maps that a step's pod uses.

    Args:
        region: the region.
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
    """The claim of the region's file system, which pods on several nodes mount at the same time."""
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
    """The priority classes of pods; they belong to the whole cluster."""
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
        # requests, too: a server adds them, and each apply would remove them
        limit = {"type": "Container", "default": dict(amounts), "defaultRequest": dict(amounts)}
        found.append(made("v1", "LimitRange", "sinet", namespace=cluster.namespace, spec={"limits": [limit]}))
    return found


def network(region: Region) -> list[Object]:
    """Network policies that deny all connections from and to pods except the necessary ones."""
    cluster = region.cluster
    own: Object = {"podSelector": {}}  # the pods of this namespace
    names = [{"port": DNS_PORT, "protocol": protocol} for protocol in ("UDP", "TCP")]
    ports = sorted({*cluster.egress_ports, *_serving_ports(region), *region.online_store.ports, *_dask_ports(region)})
    out = [{"port": port, "protocol": "TCP"} for port in ports]
    serves = [{"port": port, "protocol": "TCP"} for port in _serving_ports(region)]
    return [
        _policy(region, "default-deny", {}, policyTypes=["Ingress", "Egress"]),
        # DNS, the database, the APIs of the clusters, object stores and endpoints: by port, because addresses change
        _policy(
            region, "allow-egress", {}, policyTypes=["Egress"], egress=[{"ports": names}, {"ports": out}, {"to": [own]}]
        ),
        _policy(region, "allow-namespace", {}, policyTypes=["Ingress"], ingress=[{"from": [own]}]),
        _policy(
            region,
            "allow-requests-to-endpoints",
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


def _dask_ports(region: Region) -> list[int]:
    """The port of a Dask scheduler that runs elsewhere; one of the namespace needs no rule."""
    port = urlsplit(region.dask.address).port if region.dask is not None else None
    return [port] if port else []


def runtime_classes(region: Region) -> list[str]:
    """Runtime classes that the region's hardware needs; its device operators create them, not these manifests."""
    return sorted({kind.runtime_class for kind in region.kinds if kind.runtime_class})
