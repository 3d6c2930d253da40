"""Dagster itself, in the one cluster that runs it: web server, daemon, code location, and the instance of its runs."""

import copy
import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Any

from sinet_pipelines.inventory.regions import Region
from sinet_pipelines.inventory.sites import Cluster, TierKind
from sinet_pipelines.manifests.objects import PART, Object, as_yaml, camel_case, made
from sinet_pipelines.placement.bindings import HOME_PATH, INSTANCE_FILE, container_security, pod_security

CODE_PORT, WEB_PORT = 4000, 3000
EVERYWHERE = "0.0.0.0"  # noqa: S104 - of a pod, whose namespace lets its own pods in alone
CODE, WEB, DAEMON, WORKSPACE = "sinet-code", "sinet-webserver", "sinet-daemon", "dagster-workspace"
PROJECT = "/opt/sinet"  # the checkout in the image
KUBECONFIG_SECRET, KUBECONFIG_KEY, KUBECONFIG_FOLDER = "sinet-kubeconfig", "config", "/etc/sinet"
WORKSPACE_FOLDER = "/etc/dagster"
GUARD = ["python", "-m", "resources.pod_guard", "--"]  # ends the process of a replaced pod: `resources/pod_guard.py`
CONFIGURED_BY = "sinet.ai/configuration"  # on pods that read config maps at start, and must restart for new ones
LOST_S = 120  # delay before a pod on a lost node is replaced; the guard ends the old one earlier


def instance_of_runs(shipped: Mapping[str, Any], region: Region) -> dict[str, Any]:
    """`deploy/dagster.yaml` with the names of the region that executes runs.

    Args:
        shipped: the file's content.
        region: the region whose cluster runs Dagster.
    """
    settings, cluster = copy.deepcopy(dict(shipped)), region.cluster
    config = settings["run_launcher"]["config"]
    config |= {
        "job_image": cluster.image,  # of run pods; without it, and without DAGSTER_CURRENT_IMAGE, no run starts
        "image_pull_policy": cluster.image_pull_policy,
        "image_pull_secrets": [{"name": name} for name in cluster.image_pull_secrets],
        "service_account_name": cluster.run_service_account,
        "instance_config_map": cluster.instance_config_map,
        "dagster_home": cluster.dagster_home,
        "env_config_maps": list(cluster.env_config_maps),
        "env_secrets": list(cluster.env_secrets),
        "job_namespace": cluster.namespace,
    }
    pod = config["run_k8s_config"]["pod_spec_config"]
    pod |= {
        "priority_class_name": cluster.priority_classes["high"],
        "security_context": pod_security(cluster.run_as_user),
        "automount_service_account_token": True,
    }
    files = region.tier(TierKind.PARALLEL_FILES)
    mounts = config["run_k8s_config"]["container_config"]["volume_mounts"]
    for one in list(pod["volumes"]):
        if one["name"] == "files":
            pod["volumes"].remove(one)
    for one in list(mounts):
        if one["name"] == "files":
            mounts.remove(one)
    if files is not None:
        pod["volumes"].append({"name": "files", "persistent_volume_claim": {"claim_name": files.where}})
        mounts.append({"name": "files", "mount_path": files.mount_path})
    return settings


def control(region: Region, *, instance: Mapping[str, Any], settings: Sequence[Object] = ()) -> list[Object]:
    """The objects of Dagster without its database, which the user provides.

    Its pods read their config maps at start. An annotation has the digest of these maps, so that applying new ones
    restarts the pods.

    Args:
        region: the region whose cluster runs Dagster.
        instance: `deploy/dagster.yaml`.
        settings: the other config maps of its pods.
    """
    cluster, at = region.cluster, region.cluster.namespace
    data = {INSTANCE_FILE: as_yaml(instance_of_runs(instance, region))}
    server = {"host": CODE, "port": CODE_PORT, "location_name": "sinet"}
    workspace = {"workspace.yaml": as_yaml({"load_from": [{"grpc_server": server}]})}
    in_workspace = ["--workspace", f"{WORKSPACE_FOLDER}/workspace.yaml"]
    code = ["dagster", "api", "grpc", "--host", EVERYWHERE, "--port", str(CODE_PORT), "--location-name", "sinet"]
    code += ["--python-file", f"{PROJECT}/assets/definitions.py", "--attribute", "defs", "--working-directory", PROJECT]
    web = ["dagster-webserver", "--host", EVERYWHERE, "--port", str(WEB_PORT), *in_workspace]
    grpc_health = {"grpc": {"port": CODE_PORT, "service": "DagsterApi"}}
    web_health = {"httpGet": {"path": "/server_info", "port": WEB_PORT}}
    maps = [
        made("v1", "ConfigMap", cluster.instance_config_map, namespace=at, data=data),
        made("v1", "ConfigMap", WORKSPACE, namespace=at, data=workspace),
    ]
    found = [
        *maps,
        _deployment(region, CODE, code, port=CODE_PORT, health=grpc_health, memory=("2Gi", "6Gi")),
        _service(region, CODE, CODE_PORT),
        _deployment(region, WEB, web, port=WEB_PORT, health=web_health, memory=("1Gi", "2Gi")),
        _service(region, WEB, WEB_PORT),
        _guarded(_deployment(region, DAEMON, ["dagster-daemon", "run", *in_workspace], memory=("1Gi", "2Gi"))),
    ]
    digest = _digest([*maps, *settings])
    for one in found:
        if one["kind"] == "Deployment":
            one["spec"]["template"]["metadata"]["annotations"] = {CONFIGURED_BY: digest}
    return found


def _digest(maps: Sequence[Object]) -> str:
    data = {one["metadata"]["name"]: one["data"] for one in maps}
    return hashlib.sha256(json.dumps(data, sort_keys=True).encode()).hexdigest()[:16]


def _guarded(deployment: Object) -> Object:
    """The deployment with only one active pod: `Recreate` replaces it, and on a lost node it ends itself."""
    pod = deployment["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    container["command"] = [*GUARD, *container["command"]]
    container["env"] += [
        {"name": name, "valueFrom": {"fieldRef": {"apiVersion": "v1", "fieldPath": f"metadata.{field}"}}}
        for name, field in (("POD_NAME", "name"), ("POD_NAMESPACE", "namespace"), ("POD_UID", "uid"))
    ]
    container["terminationMessagePolicy"] = "FallbackToLogsOnError"  # `kubectl describe pod` shows the guard's message
    pod["tolerations"] = [
        {"key": f"node.kubernetes.io/{key}", "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": LOST_S}
        for key in ("not-ready", "unreachable")
    ]
    return deployment


def _service(region: Region, name: str, port: int) -> Object:
    spec = {"selector": {PART: name}, "ports": [{"name": "main", "port": port, "targetPort": port}]}
    return made("v1", "Service", name, namespace=region.cluster.namespace, labels={PART: name}, spec=spec)


def _deployment(
    region: Region,
    name: str,
    command: list[str],
    *,
    memory: tuple[str, str],
    port: int | None = None,
    health: Object | None = None,
) -> Object:
    cluster = region.cluster
    container: Object = {
        "name": "dagster",
        "image": cluster.image,
        "imagePullPolicy": cluster.image_pull_policy,
        "command": command,
        "env": _variables(cluster),
        "envFrom": [
            *({"configMapRef": {"name": one}} for one in cluster.env_config_maps),
            *({"secretRef": {"name": one}} for one in cluster.env_secrets),
        ],
        "resources": {
            "requests": {"cpu": "250m", "memory": memory[0]},
            "limits": {"cpu": "2", "memory": memory[1]},
        },
        "securityContext": camel_case(container_security()),
        "volumeMounts": _mounts(region),
    }
    if port is not None and health is not None:
        container["ports"] = [{"name": "main", "containerPort": port}]
        container["startupProbe"] = {**health, "periodSeconds": 5, "failureThreshold": 60}
        container["readinessProbe"] = {**health, "periodSeconds": 10, "timeoutSeconds": 5}
    pod: Object = {
        "serviceAccountName": cluster.run_service_account,
        "automountServiceAccountToken": True,  # the run launcher uses the API of its own cluster
        **({"imagePullSecrets": pulls} if (pulls := [{"name": one} for one in cluster.image_pull_secrets]) else {}),
        "securityContext": camel_case(pod_security(cluster.run_as_user)),
        "containers": [container],
        "volumes": _volumes(region),
    }
    spec = {
        "replicas": 1,
        "strategy": {"type": "Recreate"},  # two daemons would start each run twice
        "selector": {"matchLabels": {PART: name}},
        "template": {"metadata": {"labels": {PART: name}}, "spec": pod},
    }
    return made("apps/v1", "Deployment", name, namespace=cluster.namespace, labels={PART: name}, spec=spec)


def _variables(cluster: Cluster) -> list[Object]:
    variables = {
        "DAGSTER_HOME": cluster.dagster_home,
        "DAGSTER_CURRENT_IMAGE": cluster.image,  # the image of runs of this code location
        "DAGSTER_BACKFILL_RETRY_DEFINITION_CHANGED_ERROR": "1",  # a backfill waits while a code server restarts
        "KUBECONFIG": f"{KUBECONFIG_FOLDER}/{KUBECONFIG_KEY}",
        "HOME": HOME_PATH,
        **cluster.env,
    }
    return [{"name": name, "value": value} for name, value in variables.items()]


def _mounts(region: Region) -> list[Object]:
    home, files = region.cluster.dagster_home, region.tier(TierKind.PARALLEL_FILES)
    return [
        {"name": "instance", "mountPath": f"{home}/{INSTANCE_FILE}", "subPath": INSTANCE_FILE},
        {"name": "workspace", "mountPath": WORKSPACE_FOLDER},
        {"name": "kubeconfig", "mountPath": KUBECONFIG_FOLDER, "readOnly": True},
        {"name": "home", "mountPath": HOME_PATH},
        *([{"name": "files", "mountPath": files.mount_path}] if files else []),
    ]


def _volumes(region: Region) -> list[Object]:
    files = region.tier(TierKind.PARALLEL_FILES)
    return [
        {"name": "instance", "configMap": {"name": region.cluster.instance_config_map}},
        {"name": "workspace", "configMap": {"name": WORKSPACE}},
        {"name": "kubeconfig", "secret": {"secretName": KUBECONFIG_SECRET}},
        {"name": "home", "emptyDir": {}},
        *([{"name": "files", "persistentVolumeClaim": {"claimName": files.where}}] if files else []),
    ]
