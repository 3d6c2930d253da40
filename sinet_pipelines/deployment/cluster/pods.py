"""The pods of an endpoint: an init container that stages the model, and a server that mounts only the staged model.

The pods satisfy Pod Security "restricted". All functions are pure: equal arguments give equal manifests, so that a
repeated apply causes no rollout.
"""

from typing import Any

from sinet_pipelines.deployment.cluster.wanted import Wanted, annotations, labels, selector
from sinet_pipelines.deployment.endpoint import ServerOptions
from sinet_pipelines.deployment.environment import SERVER_VARIABLES
from sinet_pipelines.deployment.stage import StageOptions
from sinet_pipelines.errors import ServingError
from sinet_pipelines.inventory.regions import Region
from sinet_pipelines.inventory.sites import StorageTier, TierKind

SERVED = "served"  # name of the volume with the staged model repository
FOLDER = f"/{SERVED}"
SERVER, STAGE = "server", "stage"
STAGE_MEMORY_MIB = 1024  # for the check of the graph by ONNX Runtime; the init container ends before the server starts
LEAVE_S = 5  # before SIGTERM: then Services and proxies send no new connections to the server
GRACE_S = 30  # more than the sum of `LEAVE_S`, 3 s to close connections and 10 s for requests in progress
START_S = 120  # time limit; a graph loads in half a second, but a node with much load is slow
_PROBED = {"timeoutSeconds": 5, "periodSeconds": 2}


def pod_template(region: Region, wanted: Wanted, *, hosts: str, attempt: int = 1) -> dict[str, Any]:
    """The template of an endpoint's pods.

    Args:
        region: the region of the endpoint.
        wanted: the version to serve.
        hosts: host names that the server accepts, separated by commas.
        attempt: number of the attempt at this version.

    Raises:
        ServingError: the region has no storage that a pod can mount.
    """
    return {
        "metadata": {"labels": labels(region, wanted), "annotations": annotations(wanted, attempt=attempt)},
        "spec": pod_spec(region, wanted, hosts=hosts),
    }


def pod_spec(region: Region, wanted: Wanted, *, hosts: str, server: str = SERVER) -> dict[str, Any]:
    """The pod spec of an endpoint.

    Args:
        region: the region of the endpoint.
        wanted: the version to serve.
        hosts: host names that the server accepts, separated by commas.
        server: name of the server's container.

    Raises:
        ServingError: the region has no storage that a pod can mount.
    """
    cluster, cpu = region.cluster, region.kind("cpu")
    tier = _files(region)
    spec: dict[str, Any] = {
        "serviceAccountName": cluster.service_account,
        "automountServiceAccountToken": False,  # a server makes no request to the cluster's API
        "enableServiceLinks": False,
        "priorityClassName": cluster.priority_classes["high"],  # a step can wait for a node, a request cannot
        "terminationGracePeriodSeconds": GRACE_S,
        "nodeSelector": {**cluster.node_labels, **cpu.node_labels},
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": cluster.run_as_user,  # the user of steps, whose files the init container reads
            "runAsGroup": cluster.run_as_user,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "initContainers": [_stage(region, wanted, tier)],
        "containers": [_server(region, wanted, hosts=hosts, name=server)],
        "volumes": [
            {"name": SERVED, "emptyDir": {"sizeLimit": "2Gi"}},
            {"name": tier.kind.value, "persistentVolumeClaim": {"claimName": tier.where}},
        ],
    }
    if cluster.image_pull_secrets:
        spec["imagePullSecrets"] = [{"name": name} for name in cluster.image_pull_secrets]
    if cluster.serving.replicas > 1:
        spec["topologySpreadConstraints"] = [_spread(wanted)]
    return spec


def _files(region: Region) -> StorageTier:
    tier = region.tier(TierKind.PARALLEL_FILES)
    if tier is None:
        has = ", ".join(one.kind for one in region.storage) or "none"
        raise ServingError(
            f"{region.name} has no storage from which an endpoint's pod can stage its model (needed: "
            f"{TierKind.PARALLEL_FILES}, found: {has}); add one to its row, or serve with target: process"
        )
    return tier


def _stage(region: Region, wanted: Wanted, tier: StorageTier) -> dict[str, Any]:
    options = StageOptions(
        home=wanted.home,
        region=region.name,
        model=wanted.model,
        version=wanted.version,
        sha256=wanted.sha256,
        sample=wanted.sample,
        to=FOLDER,
    )
    return {
        **_container(region, STAGE, "sinet_pipelines.deployment.stage", options.arguments()),
        "env": [*_variables(), {"name": "TMPDIR", "value": FOLDER}],
        "resources": _resources("100m", "1", STAGE_MEMORY_MIB),
        "volumeMounts": [
            {"name": SERVED, "mountPath": FOLDER},
            {"name": tier.kind.value, "mountPath": tier.mount_path, "readOnly": True},
        ],
    }


def _server(region: Region, wanted: Wanted, *, hosts: str, name: str) -> dict[str, Any]:
    serving = region.cluster.serving
    options = ServerOptions(
        repository=FOLDER,
        model=wanted.model,
        version=wanted.version,
        sha256=wanted.sha256,
        host="0.0.0.0",  # noqa: S104 - all addresses of the pod
        port=serving.http_port,
        grpc_port=serving.grpc_port,
        name=wanted.model,
        region=region.name,
        hosts=hosts,
    )
    ready = f"/v2/models/{wanted.model}/versions/{wanted.version}/ready"
    return {
        **_container(region, name, "sinet_pipelines.deployment.server", options.arguments()),
        "env": _variables(),
        "resources": _resources(
            _cores(serving.cpu_millicores), _cores(serving.cpu_limit_millicores), serving.memory_mib
        ),
        "ports": [
            {"name": "http", "containerPort": serving.http_port, "protocol": "TCP"},
            {"name": "grpc", "containerPort": serving.grpc_port, "protocol": "TCP"},
        ],
        "volumeMounts": [{"name": SERVED, "mountPath": FOLDER, "readOnly": True}],
        "startupProbe": {**_probe(ready), **_PROBED, "failureThreshold": START_S // _PROBED["periodSeconds"]},
        "readinessProbe": {**_probe(ready), **_PROBED, "failureThreshold": 3},
        "livenessProbe": {**_probe("/v2/health/live"), "timeoutSeconds": 5, "periodSeconds": 10, "failureThreshold": 3},
        "lifecycle": {"preStop": {"sleep": {"seconds": LEAVE_S}}},
    }


def _container(region: Region, name: str, module: str, arguments: list[str]) -> dict[str, Any]:
    cluster = region.cluster
    return {
        "name": name,
        "image": cluster.image,
        "imagePullPolicy": cluster.image_pull_policy,
        "command": ["python", "-P", "-m", module],
        "args": arguments,
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        },
        "terminationMessagePolicy": "FallbackToLogsOnError",  # the pod's status then contains the error
    }


def _variables() -> list[dict[str, str]]:
    more = {"HOME": FOLDER, "PYTHONDONTWRITEBYTECODE": "1"}  # no other folder can be writable
    return [{"name": name, "value": value} for name, value in sorted({**SERVER_VARIABLES, **more}.items())]


def _probe(path: str) -> dict[str, Any]:
    """An HTTP probe. The kubelet connects to the pod's address, so the probe states a host name that servers accept."""
    return {"httpGet": {"path": path, "port": "http", "httpHeaders": [{"name": "Host", "value": "localhost"}]}}


def _resources(cpu: str, cpu_limit: str, memory_mib: int) -> dict[str, Any]:
    memory = f"{memory_mib}Mi"
    return {"requests": {"cpu": cpu, "memory": memory}, "limits": {"cpu": cpu_limit, "memory": memory}}


def _cores(millicores: int) -> str:
    """A number of cores as the API server writes it; another spelling would look like a manual change.

    >>> _cores(250), _cores(2000)
    ('250m', '2')
    """
    return str(millicores // 1000) if millicores % 1000 == 0 else f"{millicores}m"


def _spread(wanted: Wanted) -> dict[str, Any]:
    return {
        "maxSkew": 1,
        "topologyKey": "kubernetes.io/hostname",
        "whenUnsatisfiable": "ScheduleAnyway",
        "labelSelector": {"matchLabels": selector(wanted.model)},
    }
