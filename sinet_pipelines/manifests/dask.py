"""The Dask workers of a region's cluster: a DaskCluster of Dask's operator, its autoscaler, and the operator's access.

Scheduler and workers have the image of the steps, no token, and no volume but their certificates and a folder for
caches. They are in the region's namespace, in which pods may connect to each other.
"""

from typing import Any

from sinet_pipelines.inventory.dask import (
    PORT,
    TARGET_DURATION,
    TLS_FILES,
    DaskCluster,
    DaskKind,
    scheduler_address,
    worker_resource,
)
from sinet_pipelines.inventory.regions import Region
from sinet_pipelines.manifests.objects import Object, camel_case, made
from sinet_pipelines.placement.bindings import (
    DASK_TLS,
    HOME,
    HOME_PATH,
    check_needs,
    container_security,
    pod_security,
)
from sinet_pipelines.placement.needs import Needs

API = "kubernetes.dask.org/v1"
CLUSTER_LABEL, COMPONENT_LABEL = "dask.org/cluster-name", "dask.org/component"
OPERATOR_NAMESPACE = "dask-operator"  # of its Helm chart's instructions
HTTP_PORT = 8787
SCHEDULER_CPU, LEAST_SCHEDULER_MIB = 500, 2048
PART_MIB = 20  # the bytes of 40,000 rows of telemetry, 9 MB, twice while they pass through the scheduler
PARTS_IN_FLIGHT = 2 * 3  # of a worker: two of each step, and three steps at the same time
WORKER_CPU = 1000  # a part is computed by one thread
HEALTH = {"httpGet": {"path": "/health", "port": HTTP_PORT}, "periodSeconds": 10}
#: The operator asks the scheduler for the number of workers at a route that Dask does not serve by default.
ROUTES = '["distributed.http.scheduler.api","distributed.http.health"]'


def dask_workers(region: Region) -> list[Object]:
    """The objects of the region's Dask workers; empty where they are not of kind `kubernetes`.

    Raises:
        NeedsError: no node of the region has the memory of a worker, or that of the scheduler of so many workers.
    """
    dask = region.dask
    if dask is None or dask.kind is not DaskKind.KUBERNETES:
        return []
    for cpu, memory_mib in ((WORKER_CPU, dask.worker_memory_mib), (SCHEDULER_CPU, _scheduler_mib(dask))):
        check_needs(region, region.kind("cpu"), Needs(cpu_millicores=cpu, memory_mib=memory_mib))
    namespace = region.cluster.namespace
    spec = {
        "worker": {"replicas": dask.min_workers, "spec": _worker(region, dask)},
        "scheduler": {"spec": _scheduler(region, dask), "service": _service(dask)},
    }
    bounds = {"cluster": dask.name, "minimum": dask.min_workers, "maximum": dask.max_workers}
    return [
        made(API, "DaskCluster", dask.name, namespace=namespace, spec=spec),
        made(API, "DaskAutoscaler", dask.name, namespace=namespace, spec=bounds),
        made("networking.k8s.io/v1", "NetworkPolicy", f"{dask.name}-operator", namespace=namespace, spec=_access(dask)),
    ]


def notes(region: Region) -> list[str]:
    """What an operator prepares for the Dask workers of a region, as parts of a sentence."""
    dask = region.dask
    if dask is None or dask.kind is not DaskKind.KUBERNETES:
        return []
    files = " ".join(f"--from-file={name}" for name in TLS_FILES)
    kubectl = region.cluster.kubectl(namespace=region.cluster.namespace)
    return [
        f"Dask's operator in the namespace {OPERATOR_NAMESPACE}, and `{kubectl} create secret generic "
        f"{dask.tls_secret} {files}`, with a certificate authority that no other region and nothing else uses"
    ]


def _worker(region: Region, dask: DaskCluster) -> Object:
    address = scheduler_address(dask, namespace=region.cluster.namespace)
    command = ["dask", "worker", address, "--name", "$(DASK_WORKER_NAME)", "--nthreads", "1", "--no-nanny"]
    command += ["--memory-limit", f"{dask.worker_memory_mib}MiB", "--local-directory", HOME_PATH]
    command += ["--resources", f"{worker_resource(region.name)}=1", *_tls(dask)]
    env = {
        "POLARS_MAX_THREADS": "1",
        "DASK_DISTRIBUTED__WORKER__MEMORY__TARGET": "False",  # no row is stored on a disk
        "DASK_DISTRIBUTED__WORKER__MEMORY__SPILL": "False",
        "DASK_DISTRIBUTED__WORKER__MEMORY__PAUSE": "False",  # else it would hardly ever continue; the kernel ends it
    }
    return _pod(region, dask, "worker", command, env=env, cpu=WORKER_CPU, memory_mib=dask.worker_memory_mib)


def _scheduler(region: Region, dask: DaskCluster) -> Object:
    command = ["dask", "scheduler", "--protocol", "tls", "--port", str(PORT), "--dashboard-address", f":{HTTP_PORT}"]
    env = {
        "DASK_DISTRIBUTED__SCHEDULER__HTTP__ROUTES": ROUTES,
        "DASK_DISTRIBUTED__ADAPTIVE__TARGET_DURATION": TARGET_DURATION,
    }
    pod = _pod(
        region, dask, "scheduler", [*command, *_tls(dask)], env=env, cpu=SCHEDULER_CPU, memory_mib=_scheduler_mib(dask)
    )
    ports = [{"name": "tcp-comm", "containerPort": PORT}, {"name": "http-dashboard", "containerPort": HTTP_PORT}]
    pod["containers"][0] |= {"ports": ports, "readinessProbe": HEALTH, "livenessProbe": HEALTH}
    return pod


def _scheduler_mib(dask: DaskCluster) -> int:
    """Memory of the scheduler, which holds the parts in flight."""
    return max(LEAST_SCHEDULER_MIB, 512 + dask.max_workers * PARTS_IN_FLIGHT * PART_MIB)


def _pod(
    region: Region, dask: DaskCluster, name: str, command: list[str], *, env: dict[str, str], cpu: int, memory_mib: int
) -> Object:
    cluster, hardware = region.cluster, region.kind("cpu")
    amounts = {"cpu": f"{cpu}m", "memory": f"{memory_mib}Mi"}
    pulls = [{"name": one} for one in cluster.image_pull_secrets]
    container: dict[str, Any] = {
        "name": name,
        "image": cluster.image,
        "imagePullPolicy": cluster.image_pull_policy,
        "args": command,
        "env": [{"name": key, "value": value} for key, value in {"HOME": HOME_PATH, **env}.items()],
        "resources": {"requests": dict(amounts), "limits": dict(amounts)},
        "securityContext": camel_case(container_security()),
        "volumeMounts": [
            {"name": HOME, "mountPath": HOME_PATH},
            {"name": DASK_TLS, "mountPath": dask.tls_folder, "readOnly": True},
        ],
    }
    return {
        "nodeSelector": {**cluster.node_labels, **hardware.node_labels},
        "priorityClassName": cluster.priority_classes["normal"],
        "automountServiceAccountToken": False,
        "securityContext": camel_case(pod_security(cluster.run_as_user)),
        **({"imagePullSecrets": pulls} if pulls else {}),
        "containers": [container],
        "volumes": [{"name": HOME, "emptyDir": {}}, {"name": DASK_TLS, "secret": {"secretName": dask.tls_secret}}],
    }


def _service(dask: DaskCluster) -> Object:
    ports = [("tcp-comm", PORT), ("http-dashboard", HTTP_PORT)]
    return {
        "type": "ClusterIP",
        "selector": _labels(dask),
        "ports": [{"name": name, "port": port, "targetPort": name, "protocol": "TCP"} for name, port in ports],
    }


def _access(dask: DaskCluster) -> Object:
    """Lets the namespace of the operator connect to the scheduler's HTTP port, where it reads the number of workers.

    The port requires no certificate. It also lists the workers, and can end them; no row can be read or sent there.
    """
    operator = {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": OPERATOR_NAMESPACE}}}
    return {
        "podSelector": {"matchLabels": _labels(dask)},
        "policyTypes": ["Ingress"],
        "ingress": [{"from": [operator], "ports": [{"port": HTTP_PORT, "protocol": "TCP"}]}],
    }


def _labels(dask: DaskCluster) -> dict[str, str]:
    return {CLUSTER_LABEL: dask.name, COMPONENT_LABEL: "scheduler"}


def _tls(dask: DaskCluster) -> list[str]:
    """The options with the certificates of both commands."""
    options = zip(("--tls-ca-file", "--tls-cert", "--tls-key"), TLS_FILES, strict=True)
    return [part for option, file in options for part in (option, f"{dask.tls_folder.rstrip('/')}/{file}")]
