"""Applies an endpoint to its region's cluster and waits until it is ready. An apply may be repeated.

The present servers continue until the new ones are ready, so after a failed rollout the former version still serves. An
apply of the former version returns to it: its ReplicaSet still exists, so its pods start at once.
"""

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from sinet_pipelines.deployment.cluster import kserve, objects, reading, rights
from sinet_pipelines.deployment.cluster.api import ClusterApi
from sinet_pipelines.deployment.cluster.record import ClusterEndpoint, write_record
from sinet_pipelines.deployment.cluster.wanted import (
    ATTEMPT,
    VERSION,
    Wanted,
    host_names,
    object_name,
    selector,
    service_host,
)
from sinet_pipelines.deployment.endpoint import LOCK_FILE
from sinet_pipelines.errors import ClusterError, ServingError
from sinet_pipelines.inventory.sites import ServingTarget
from sinet_pipelines.storage.commits import before_commit
from sinet_pipelines.storage.locks import held

ProgressOf = Callable[[Mapping[str, Any]], reading.Progress]


@dataclass(frozen=True)
class Patience:
    """Time limits in seconds.

    Attributes:
        poll_s: between two polls.
        settle_s: within which a failing pod may recover, for example when its image becomes available.
        address_s: within which a load balancer must assign an address.
        unreachable_s: for which the API may stop responding during a rollout.
        slack_s: in addition to the cluster's own deadline of a rollout.
    """

    poll_s: float = 1.0
    settle_s: float = 120.0
    address_s: float = 300.0
    unreachable_s: float = 120.0
    slack_s: float = 60.0


PATIENCE = Patience()


def ensure_endpoint(folder: Path, api: ClusterApi, wanted: Wanted, *, patience: Patience = PATIENCE) -> ClusterEndpoint:
    """Applies the endpoint; returns its record once every server of the version is ready.

    Args:
        folder: folder of the endpoint in the home, created if necessary; its lock is held during the rollout.
        api: API of the region's cluster.
        wanted: the version to serve.
        patience: time limits.

    Raises:
        ServingError: the rollout fails; the message has the cause, and the version that still serves.
        ClusterError: the API rejects a request, or does not respond.
        BusyError: another process holds the lock for too long.
    """
    folder.mkdir(parents=True, exist_ok=True)
    serving = api.region.cluster.serving
    with held(folder / LOCK_FILE, wait_s=serving.progress_s + patience.slack_s), _naming_missing_right(api):
        if serving.target is ServingTarget.KSERVE:
            attempt = _attempt(api, wanted, "InferenceService", reading.kserve_progress)
            applied = _apply(api, kserve.inference_service(api.region, wanted, attempt=attempt), patience)
            seen = _await(api, wanted, applied, reading.kserve_progress, patience)
            root = serving.address or _kserve_root(api, wanted, seen)
        else:
            root, applied = _apply_deployment(api, wanted, patience)
            seen = _await(api, wanted, applied, reading.deployment_progress, patience)
        endpoint = _described(api, wanted, root.rstrip("/"), generation=seen["metadata"]["generation"])
        before_commit()
        write_record(folder, endpoint)
    return endpoint


@contextmanager
def _naming_missing_right(api: ClusterApi) -> Iterator[None]:
    """Adds to the error of a rejected read (403) how to grant the right; errors of `_apply` have this already.

    Raises:
        ClusterError: the error with the cure.
    """
    try:
        yield
    except ClusterError as error:
        if error.status != 403 or isinstance(error.__cause__, ClusterError):
            raise
        what_to_do = rights.cure(api.region, api.region.cluster.serving.service_account)
        raise ClusterError(
            f"the endpoint of {api.region.name} could not be read: {error}; {what_to_do}",
            status=error.status,
            is_final=error.is_final,
        ) from error


def _apply_deployment(api: ClusterApi, wanted: Wanted, patience: Patience) -> tuple[str, dict[str, Any]]:
    """Applies the Service, then the Deployment, whose servers accept its name; returns root and Deployment."""
    region = api.region
    _apply(api, objects.service(region, wanted), patience)
    root = _service_root(api, wanted, patience)
    if region.cluster.serving.replicas > 1:
        _apply(api, objects.disruption_budget(region, wanted), patience)
    hosts = host_names(region, wanted.model, address=root)
    attempt = _attempt(api, wanted, "Deployment", reading.deployment_progress)
    live = api.get("Deployment", object_name(wanted.model))
    scaled = live is not None and reading.is_autoscaled(live)
    manifest = objects.deployment(region, wanted, hosts=hosts, attempt=attempt, is_autoscaled=scaled)
    return root, _apply(api, manifest, patience)


def _attempt(api: ClusterApi, wanted: Wanted, kind: str, progress_of: ProgressOf) -> int:
    """The number of the attempt at this version: that in the cluster, or one more after a failed attempt.

    When the cause of a failure is repaired, Kubernetes retries the failed pods only after minutes. Another number makes
    new pods at once.
    """
    live = api.get(kind, object_name(wanted.model))
    if live is None or live["metadata"].get("labels", {}).get(VERSION) != wanted.version:
        return 1
    spec = live["spec"]
    metadata = spec["predictor"] if kind == "InferenceService" else spec["template"]["metadata"]
    attempt = str(metadata.get("annotations", {}).get(ATTEMPT, "1"))
    number = int(attempt) if attempt.isdigit() else 1
    progress = progress_of(live)
    if progress.is_done:
        return number
    pods = api.pods({**selector(wanted.model), VERSION: wanted.version})
    has_failed = bool(progress.failure) or any(reading.trouble_of(pod) for pod in pods)
    return number + 1 if has_failed else number


def _apply(api: ClusterApi, wanted: Mapping[str, Any], patience: Patience = PATIENCE) -> dict[str, Any]:
    """Applies an object and returns it; repeats the call after temporary errors, such as a conflict of writers.

    Raises:
        ClusterError: the API rejects the object, or does not respond for too long; the message has the cure.
    """
    deadline = time.monotonic() + patience.unreachable_s
    while True:
        before_commit()
        try:
            return api.apply(wanted)
        except ClusterError as error:
            if not error.is_final and time.monotonic() < deadline:
                time.sleep(patience.poll_s)
                continue
            raise ClusterError(
                f"{wanted['kind']} {wanted['metadata']['name']} of {api.region.name} could not be applied: {error}; "
                f"{_cure(api, wanted, error)}",
                status=error.status,
                is_final=error.is_final,
            ) from error


def _cure(api: ClusterApi, wanted: Mapping[str, Any], error: ClusterError) -> str:
    """What to do about an object that was not applied, from the status and the message of the error."""
    cluster, kind, name = api.region.cluster, wanted["kind"], wanted["metadata"]["name"]
    at = cluster.kubectl()
    show = f"{at} -n {cluster.namespace} get {kind.lower()} {name} -o yaml"
    if "exceeded quota" in str(error):
        return f"raise the ResourceQuota of {cluster.namespace}, or remove what is not needed there"
    if "being terminated" in str(error):
        return f"wait until namespace {cluster.namespace} is gone, and apply the rendered manifests again"
    cures = {
        403: rights.cure(api.region, cluster.serving.service_account),
        404: f"check that the namespace exists (`{at} create namespace {cluster.namespace}`)"
        + (" and that KServe is installed" if kind == "InferenceService" else ""),
        422: f"find what differs (`{show}`), or delete the object: the next run applies it again",
    }
    return cures.get(error.status, "materialise the endpoint again once it responds")


def _service_root(api: ClusterApi, wanted: Wanted, patience: Patience) -> str:
    """The root of the endpoint for all regions: from the row, from the load balancer, or with the Service's host name.

    Raises:
        ServingError: the load balancer assigns no address in time.
    """
    serving, name = api.region.cluster.serving, object_name(wanted.model)
    if serving.address:
        return serving.address
    if serving.service_type != "LoadBalancer":
        return f"http://{service_host(api.region, wanted.model)}:{serving.http_port}"
    deadline = time.monotonic() + patience.address_s
    while True:
        seen = api.get("Service", name) or {}
        for ingress in seen.get("status", {}).get("loadBalancer", {}).get("ingress", []):
            host = ingress.get("hostname") or ingress["ip"]
            return f"http://{f'[{host}]' if ':' in host else host}:{serving.http_port}"
        if time.monotonic() > deadline:
            why = api.warning("Service", name) or "no event gives a reason"
            raise ServingError(
                f"Service {name} of {api.region.name} got no address of a load balancer within "
                f"{patience.address_s:.0f} s ({why}); check the load balancer, or set serving.address in the row"
            )
        time.sleep(patience.poll_s)


def _kserve_root(api: ClusterApi, wanted: Wanted, seen: Mapping[str, Any]) -> str:
    status = seen["status"]
    root = status.get("url") or status.get("address", {}).get("url")
    return root or f"http://{service_host(api.region, wanted.model)}"


def _await(
    api: ClusterApi,
    wanted: Wanted,
    applied: Mapping[str, Any],
    progress_of: ProgressOf,
    patience: Patience,
) -> dict[str, Any]:
    """Waits until the rollout is done; returns the object.

    Raises:
        ServingError: the rollout fails, or the object is deleted.
        ClusterError: the API rejects a request, or does not respond for too long.
    """
    kind, name = applied["kind"], applied["metadata"]["name"]
    deadline = time.monotonic() + api.region.cluster.serving.progress_s + patience.slack_s
    silent_since: float | None = None
    troubled_since: float | None = None
    while True:
        now = time.monotonic()
        try:
            seen = api.get(kind, name)
            pods = api.pods({**selector(wanted.model), VERSION: wanted.version})
        except ClusterError as error:
            silent_since = now if silent_since is None else silent_since
            if error.is_final or now - silent_since > patience.unreachable_s:
                raise
            time.sleep(patience.poll_s)
            continue
        silent_since = None
        if seen is None:
            found = f"{kind} {name} of {api.region.name} was deleted while it was rolled out"
            raise ServingError(f"{found}; materialise the endpoint again")
        progress = progress_of(seen)
        if progress.is_done:
            return seen
        trouble = next((pod for pod in pods if reading.trouble_of(pod)), None)
        is_final = any(reading.has_finally_failed(pod) for pod in pods)
        troubled_since = now if trouble and troubled_since is None else troubled_since if trouble else None
        is_stuck = troubled_since is not None and now - troubled_since > patience.settle_s
        if progress.failure or is_final or is_stuck or now > deadline:
            raise _failed(api, wanted, progress, trouble, kind=kind)
        time.sleep(patience.poll_s)


def _failed(
    api: ClusterApi, wanted: Wanted, progress: reading.Progress, pod: Mapping[str, Any] | None, *, kind: str
) -> ServingError:
    """The error of a failed rollout: the cluster's messages, the version that serves, and a command for details."""
    region, name = api.region, object_name(wanted.model)
    causes = [progress.failure or progress.words]
    if pod is not None:
        pod_name = pod["metadata"]["name"]
        causes.append(f"pod {pod_name}: {reading.trouble_of(pod)}")
        causes.append(api.warning("Pod", pod_name))
    else:
        causes.append(api.warning(kind, name))
    at = region.cluster.kubectl(namespace=region.cluster.namespace)
    return ServingError(
        f"{kind} {name} of {region.name} did not become ready with version {wanted.version} "
        f"({'; '.join(filter(None, causes))}); {_served_version(api, wanted)}; correct that and materialise the "
        f"endpoint again (details: `{at} describe pods -l app.kubernetes.io/instance={name}`)"
    )


def _served_version(api: ClusterApi, wanted: Wanted) -> str:
    """A text with the version that serves now."""
    try:
        served = reading.ready_versions(api.pods(selector(wanted.model)))
    except ClusterError as error:  # it must not hide the failure of the rollout
        return f"the version that serves is unknown ({error})"
    return f"version {', '.join(served)} still serves" if served else "no version serves"


def _described(api: ClusterApi, wanted: Wanted, root: str, *, generation: int) -> ClusterEndpoint:
    region, target = api.region, api.region.cluster.serving.target
    grpc = "" if target is ServingTarget.KSERVE else f"{urlsplit(root).hostname}:{region.cluster.serving.grpc_port}"
    return ClusterEndpoint(
        name=wanted.model,
        region=region.name,
        target=target.value,
        namespace=region.cluster.namespace,
        object=object_name(wanted.model),
        url=root,
        grpc=grpc,
        model=wanted.model,
        version=wanted.version,
        sha256=wanted.sha256,
        generation=generation,
    )
