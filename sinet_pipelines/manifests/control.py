"""Dagster itself, in the one cluster that runs it: web server, daemon, code location, and the instance of its runs."""

import copy
from collections.abc import Mapping
from typing import Any

from sinet_pipelines.manifests.objects import PART, Object, as_yaml, camel_case, made
from sinet_pipelines.placement.bindings import HOME_PATH, INSTANCE_FILE, container_security, pod_security
from sinet_pipelines.regions import Region
from sinet_pipelines.sites import Cluster, TierKind

CODE_PORT, WEB_PORT = 4000, 3000
EVERYWHERE = "0.0.0.0"  # noqa: S104 - of a pod, whose namespace lets its own pods in alone
CODE, WEB, DAEMON, WORKSPACE = "sinet-code", "sinet-webserver", "sinet-daemon", "dagster-workspace"
PROJECT = "/opt/sinet"  # where the image has the checkout
KUBECONFIG_SECRET, KUBECONFIG_KEY, KUBECONFIG_FOLDER = "sinet-kubeconfig", "config", "/etc/sinet"
WORKSPACE_FOLDER = "/etc/dagster"
GUARD = ["python", "-m", "resources.pod_guard", "--"]  # ends what a cluster has replaced: `resources/pod_guard.py`
LOST_S = 120  # a pod on a node that is lost is replaced so much later; the guard has ended the old one before


def instance_of_runs(shipped: Mapping[str, Any], region: Region) -> dict[str, Any]:
    """`deploy/dagster.yaml` with the names of the region in which runs run.

    Args:
        shipped: the file's content.
        region: whose cluster runs Dagster.
    """
    said, cluster = copy.deepcopy(dict(shipped)), region.cluster
    config = said["run_launcher"]["config"]
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
    return said


def control(region: Region, *, instance: Mapping[str, Any]) -> list[Object]:
    """What Dagster is made of, beside its database, which is yours.

    Args:
        region: whose cluster runs Dagster.
        instance: `deploy/dagster.yaml`.
    """
    cluster, at = region.cluster, region.cluster.namespace
    said = {INSTANCE_FILE: as_yaml(instance_of_runs(instance, region))}
    server = {"host": CODE, "port": CODE_PORT, "location_name": "sinet"}
    workspace = {"workspace.yaml": as_yaml({"load_from": [{"grpc_server": server}]})}
    in_workspace = ["--workspace", f"{WORKSPACE_FOLDER}/workspace.yaml"]
    code = ["dagster", "api", "grpc", "--host", EVERYWHERE, "--port", str(CODE_PORT), "--location-name", "sinet"]
    code += ["--python-file", f"{PROJECT}/assets/definitions.py", "--attribute", "defs", "--working-directory", PROJECT]
    web = ["dagster-webserver", "--host", EVERYWHERE, "--port", str(WEB_PORT), *in_workspace]
    grpc_health = {"grpc": {"port": CODE_PORT, "service": "DagsterApi"}}
    web_health = {"httpGet": {"path": "/server_info", "port": WEB_PORT}}
    return [
        made("v1", "ConfigMap", cluster.instance_config_map, namespace=at, data=said),
        made("v1", "ConfigMap", WORKSPACE, namespace=at, data=workspace),
        _deployment(region, CODE, code, port=CODE_PORT, health=grpc_health, memory=("2Gi", "6Gi")),
        _service(region, CODE, CODE_PORT),
        _deployment(region, WEB, web, port=WEB_PORT, health=web_health, memory=("1Gi", "2Gi")),
        _service(region, WEB, WEB_PORT),
        _guarded(_deployment(region, DAEMON, ["dagster-daemon", "run", *in_workspace], memory=("1Gi", "2Gi"))),
    ]


def _guarded(deployment: Object) -> Object:
    """The deployment, of whose pods one alone may work: `Recreate` replaces it, and on a lost node it ends itself."""
    pod = deployment["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    container["command"] = [*GUARD, *container["command"]]
    container["env"] += [
        {"name": name, "valueFrom": {"fieldRef": {"apiVersion": "v1", "fieldPath": f"metadata.{field}"}}}
        for name, field in (("POD_NAME", "name"), ("POD_NAMESPACE", "namespace"), ("POD_UID", "uid"))
    ]
    container["terminationMessagePolicy"] = "FallbackToLogsOnError"  # `kubectl describe pod` has the guard's words
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
        "automountServiceAccountToken": True,  # the run launcher asks its own cluster
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
    said = {
        "DAGSTER_HOME": cluster.dagster_home,
        "DAGSTER_CURRENT_IMAGE": cluster.image,  # the code location's word of the image that runs its runs
        "KUBECONFIG": f"{KUBECONFIG_FOLDER}/{KUBECONFIG_KEY}",
        "HOME": HOME_PATH,
        **cluster.env,
    }
    return [{"name": name, "value": value} for name, value in said.items()]


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
