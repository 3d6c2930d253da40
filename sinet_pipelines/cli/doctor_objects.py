"""Checks a region's cluster for `sinet doctor`: whether the objects that pods name exist and have the right content.

The list of objects is that of `sinet render --deploy`; a test applies what that writes and runs these checks.
"""

import base64
from collections.abc import Iterator
from typing import Any

from sinet_pipelines.cli.doctor_api import DoctorApi
from sinet_pipelines.cli.finding import Finding
from sinet_pipelines.errors import first_line
from sinet_pipelines.inventory.sites import ServingTarget, TierKind
from sinet_pipelines.manifests.base import runtime_classes
from sinet_pipelines.manifests.control import KUBECONFIG_KEY, KUBECONFIG_SECRET
from sinet_pipelines.manifests.queues import API as KUEUE
from sinet_pipelines.manifests.scripts import DATABASE_KEY, SCHEME
from sinet_pipelines.manifests.streams import OPTIONS_KEY
from sinet_pipelines.placement.bindings import INSTANCE_FILE

PULLS = "kubernetes.io/dockerconfigjson"
ENFORCES = "pod-security.kubernetes.io/enforce"
NEEDS_A_TOKEN = ("run_launcher", "run_monitoring")


def object_findings(api: DoctorApi) -> Iterator[Finding]:
    """One finding for each object that a pod of the region names."""
    yield _namespace(api)
    yield from _accounts(api)
    yield from _config_maps(api)
    yield from _secrets(api)
    yield from _storage(api)
    yield from _classes(api)
    if api.region.cluster.queue:
        yield _queue(api)


def _apply(api: DoctorApi) -> str:
    return f"{api.kubectl} apply -k DIR/{api.region.key} (`sinet render --deploy DIR` writes it)"


def _inside(api: DoctorApi, kind: str, name: str) -> str:
    return f"/api/v1/namespaces/{api.region.cluster.namespace}/{kind}/{name}"


def _namespace(api: DoctorApi) -> Finding:
    at = api.region.cluster.namespace

    def judge(found: dict[str, Any]) -> Finding:
        if found.get("status", {}).get("phase") == "Terminating":
            cure = f"{api.kubectl} get namespace {at} -o yaml shows why; once it is deleted, {_apply(api)}"
            return Finding("", False, f"{at} is being deleted and accepts no new objects", cure)
        level = (found["metadata"].get("labels") or {}).get(ENFORCES)
        admits = f"enforces Pod Security {level!r}" if level else "enforces no level of Pod Security"
        return Finding("", True, f"{at}, {admits}; pods satisfy all of them")

    return api.there("namespace", f"/api/v1/namespaces/{at}", f"{api.kubectl} create namespace {at}", judge=judge)


def _accounts(api: DoctorApi) -> Iterator[Finding]:
    cluster = api.region.cluster
    names = [cluster.service_account, *([cluster.run_service_account] if cluster.runs_dagster else [])]
    if cluster.serving.target is not ServingTarget.PROCESS:
        names.append(cluster.serving.service_account)
    for name in names:
        cure = f"{api.kubectl} -n {cluster.namespace} create serviceaccount {name}, or {_apply(api)}"
        yield api.there(f"service account {name}", _inside(api, "serviceaccounts", name), cure)


def _config_maps(api: DoctorApi) -> Iterator[Finding]:
    cluster = api.region.cluster
    for name in cluster.env_config_maps:
        yield api.there(f"config map {name}", _inside(api, "configmaps", name), _apply(api))
    if name := cluster.step_instance_config_map:
        yield api.there(f"config map {name}", _inside(api, "configmaps", name), _apply(api), judge=_of_steps)
    if cluster.runs_dagster and (name := cluster.instance_config_map):
        yield api.there(f"config map {name}", _inside(api, "configmaps", name), _apply(api), judge=_has_instance)


def _has_instance(found: dict[str, Any]) -> Finding | None:
    keys = sorted(found.get("data") or {})
    if INSTANCE_FILE in keys:
        return None
    return Finding("", False, f"has no key {INSTANCE_FILE} (it has: {', '.join(keys) or 'none'})", "rename its key")


def _of_steps(found: dict[str, Any]) -> Finding | None:
    """Checks that the instance of steps needs no token: a step's pod has none, so such an instance stops every step."""
    import yaml

    if missing := _has_instance(found):
        return missing
    try:
        content = yaml.safe_load(found["data"][INSTANCE_FILE])
    except yaml.YAMLError as error:
        return Finding("", False, f"{INSTANCE_FILE} is not YAML: {first_line(error)}", "use deploy/dagster-step.yaml")
    named = [part for part in NEEDS_A_TOKEN if isinstance(content, dict) and content.get(part)]
    if not named:
        return None
    cure = "use deploy/dagster-step.yaml: a step's pod has no token, and this instance needs one"
    return Finding("", False, f"has {', '.join(named)}", cure)


def _secrets(api: DoctorApi) -> Iterator[Finding]:
    cluster, at = api.region.cluster, api.region.cluster.namespace
    for place, name in enumerate(cluster.env_secrets):
        judge = _has_database if place == 0 else None
        yield api.there(f"secret {name}", _inside(api, "secrets", name), "DIR/secrets.sh FILE fills it", judge=judge)
    if cluster.runs_dagster:
        path = _inside(api, "secrets", KUBECONFIG_SECRET)
        yield api.there(f"secret {KUBECONFIG_SECRET}", path, "DIR/kubeconfig.sh makes it", judge=_has_kubeconfig)
    for name in cluster.image_pull_secrets:
        made = f"{api.kubectl} -n {at} create secret docker-registry {name} --from-file=.dockerconfigjson=FILE"
        yield api.there(f"secret {name}", _inside(api, "secrets", name), made, judge=_pulls(made))
    for name in sorted({one.options_secret for one in api.region.streams if one.options_secret}):
        made = f"{api.kubectl} -n {at} create secret generic {name} --from-file={OPTIONS_KEY}=FILE"
        yield api.there(f"secret {name}", _inside(api, "secrets", name), made, judge=_has_options)


def _has_database(found: dict[str, Any]) -> Finding | None:
    """Checks the scheme of the URL alone; no part of the URL is shown."""
    keys = found.get("data") or {}
    if DATABASE_KEY not in keys:
        has = f"has no key {DATABASE_KEY} (it has: {', '.join(sorted(keys)) or 'none'})"
        return Finding("", False, has, "DIR/secrets.sh FILE fills it")
    fault = scheme_fault(base64.b64decode(keys[DATABASE_KEY]).decode(errors="replace"))
    cure = f"start the URL with {SCHEME}, which Dagster's storage expects"
    return Finding("", False, f"{DATABASE_KEY} {fault}", cure) if fault else None


def scheme_fault(url: str) -> str:
    """What is wrong with the scheme of the database's URL, without any other part of the URL; empty where it is right.

    >>> scheme_fault("postgres://sinet:secret@db/dagster")
    'starts with postgres://'
    """
    scheme, parted, _ = url.partition("://")
    if f"{scheme}{parted}" == SCHEME:
        return ""
    return f"starts with {scheme}://" if parted and scheme.replace("+", "").isalnum() else "has no scheme"


def _has_kubeconfig(found: dict[str, Any]) -> Finding | None:
    keys = sorted(found.get("data") or {})
    if KUBECONFIG_KEY in keys:
        return None
    return Finding(
        "", False, f"has no key {KUBECONFIG_KEY} (it has: {', '.join(keys) or 'none'})", "run DIR/kubeconfig.sh"
    )


def _has_options(found: dict[str, Any]) -> Finding | None:
    keys = sorted(found.get("data") or {})
    if OPTIONS_KEY in keys:
        return None
    return Finding("", False, f"has no key {OPTIONS_KEY} (it has: {', '.join(keys) or 'none'})", "rename its key")


def _pulls(cure: str) -> Any:
    def judge(found: dict[str, Any]) -> Finding | None:
        kind = found.get("type", "Opaque")
        return None if kind == PULLS else Finding("", False, f"is of type {kind}, but image pulls need {PULLS}", cure)

    return judge


def _storage(api: DoctorApi) -> Iterator[Finding]:
    files, scratch = (api.region.tier(kind) for kind in (TierKind.PARALLEL_FILES, TierKind.LOCAL_NVME))
    if files is not None:
        path = _inside(api, "persistentvolumeclaims", files.where)
        yield api.there(f"claim {files.where}", path, _apply(api), judge=_can_be_mounted)
    if scratch is not None:  # the class of the volume for files need not exist: a volume made by hand only names it
        name = scratch.where
        cure = f"install its provisioner, or name another class in the storage of {api.region.name}'s row"
        yield api.there(f"storage class {name}", f"/apis/storage.k8s.io/v1/storageclasses/{name}", cure)


def _can_be_mounted(found: dict[str, Any]) -> Finding | None:
    modes, phase = found.get("spec", {}).get("accessModes", []), found.get("status", {}).get("phase", "Pending")
    if "ReadWriteMany" not in modes:
        cure = "make it of a storage class that many nodes may mount (ReadWriteMany)"
        return Finding("", False, f"can be mounted only as {', '.join(modes) or 'nothing'}", cure)
    if phase == "Pending":
        return Finding("", None, "unknown: Pending, until a pod mounts it or a volume is provided")
    if phase == "Bound":
        return None
    return Finding("", False, f"is {phase}", "its volume is lost: restore it, or delete the claim")


def _classes(api: DoctorApi) -> Iterator[Finding]:
    for name in sorted(set(api.region.cluster.priority_classes.values())):
        path = f"/apis/scheduling.k8s.io/v1/priorityclasses/{name}"
        yield api.there(f"priority class {name}", path, f"{api.kubectl} create priorityclass {name} --value=...")
    for name in runtime_classes(api.region):
        path = f"/apis/node.k8s.io/v1/runtimeclasses/{name}"
        cure = "install the operator of the devices, or set `runtime_class: ''` of the hardware"
        yield api.there(f"runtime class {name}", path, cure)


def _queue(api: DoctorApi) -> Finding:
    """The LocalQueue of the region; a cluster without Kueue has none, and its steps start without a queue."""
    from kubernetes.client import ApiException

    cluster = api.region.cluster
    what, group = f"local queue {cluster.queue}", KUEUE.split("/")[0]
    try:
        version = api.get(f"/apis/{group}")["preferredVersion"]["version"]
    except ApiException as error:
        if error.status == 404:
            found = "this cluster has no Kueue: steps start without a queue"
            return Finding(f"{api.region.name} {what}", True, found)
        version = KUEUE.split("/")[1]
    path = f"/apis/{group}/{version}/namespaces/{cluster.namespace}/localqueues/{cluster.queue}"
    return api.there(what, path, f"{api.kubectl} apply -k DIR/{api.region.key}/kueue, which makes the LocalQueue")
