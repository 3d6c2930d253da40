"""What an API server answers: who may, which object is meant, and what becomes of it."""

import copy
import json
import re
from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qs, urlsplit

import yaml

from tests.clusters.access import Request, User, refusal
from tests.clusters.cluster import Cluster
from tests.clusters.objects import RESOURCES, Resource

PATH = re.compile(r"/(?:api|apis/(?P<group>[^/]+))/(?P<version>v[0-9a-z]+)/(?P<rest>.+?)/?$")
VERBS = {"POST": "create", "PUT": "update", "PATCH": "patch", "DELETE": "delete"}
REASONS = {400: "BadRequest", 401: "Unauthorized", 403: "Forbidden", 404: "NotFound", 409: "AlreadyExists"}
REASONS |= {415: "UnsupportedMediaType", 422: "Invalid"}
VERSION = {"major": "1", "minor": "36", "gitVersion": "v1.36.0"}
VERSION |= dict.fromkeys(("gitCommit", "gitTreeState", "buildDate", "goVersion", "compiler", "platform"), "x")
APPLY = "application/apply-patch+yaml"
Answer = tuple[int, Any]


def refused(code: int, message: str, *, reason: str = "") -> dict[str, Any]:
    """A refusal as the API writes it."""
    return {
        "kind": "Status",
        "apiVersion": "v1",
        "metadata": {},
        "status": "Failure",
        "reason": reason or REASONS.get(code, "Unknown"),
        "message": message,
        "code": code,
    }


def answer(cluster: Cluster, user: User, method: str, target: str, *, content: bytes, kind: str) -> Answer:
    """Carries out a request of a user.

    Args:
        cluster: whose API is asked.
        user: by whom.
        method: of HTTP.
        target: path and query.
        content: of the request.
        kind: its media type.
    """
    parts = urlsplit(target)
    query = {name: values[-1] for name, values in parse_qs(parts.query).items()}
    body = yaml.safe_load(content) if kind.startswith(APPLY) else json.loads(content) if content else {}
    with cluster.lock:
        if parts.path.rstrip("/") == "/version":
            return 200, VERSION
        if method == "POST" and parts.path.endswith("/selfsubjectaccessreviews"):
            return 201, _review(cluster, user, body)
        found = PATH.match(parts.path)
        resource, request = _asked(found, method, query) if found else (None, None)
        if found is None or resource is None or request is None:
            return 404, refused(404, "the server could not find the requested resource")
        if not cluster.access.allows(user, request):
            return 403, refused(403, refusal(user, request))
        is_there = not request.namespace or cluster.objects.get("namespaces", "", request.namespace)
        if method == "POST" and not is_there:
            return 404, refused(404, f'namespaces "{request.namespace}" not found')
        version = "/".join(filter(None, (found["group"], found["version"])))
        return _carried_out(cluster, request, query, body, kind=kind, version=version)


def _asked(found: re.Match[str], method: str, query: dict[str, str]) -> tuple[Resource | None, Request | None]:
    """Which resource is asked for, and how, by `[namespaces/NS/]PLURAL[/NAME[/SUBRESOURCE]]`."""
    words, namespace = found["rest"].split("/"), ""
    if words[0] == "namespaces" and len(words) > 2:
        namespace, words = words[1], words[2:]
    resource = RESOURCES.get((found["group"] or "", words[0]))
    if resource is None or len(words) > 3:
        return None, None
    name, subresource = [*words[1:], "", ""][:2]
    read = "get" if name else "list"
    verb = VERBS.get(method, "watch" if query.get("watch") in ("1", "true", "True") else read)
    if method == "DELETE" and not name:
        verb = "deletecollection"
    return resource, Request(verb, resource, subresource, namespace, name)


def _review(cluster: Cluster, user: User, body: dict[str, Any]) -> dict[str, Any]:
    requested = body["spec"].get("resourceAttributes") or {}
    key = (requested.get("group") or "", requested.get("resource", ""))
    resource = RESOURCES.get(key) or Resource(key[1], key[1], key[0])
    names = (requested.get("subresource") or "", requested.get("namespace") or "", requested.get("name") or "")
    is_allowed = cluster.access.allows(user, Request(requested["verb"], resource, *names))
    return {**body, "metadata": {}, "status": {"allowed": is_allowed}}


def _carried_out(
    cluster: Cluster, request: Request, query: dict[str, str], body: Any, *, kind: str, version: str
) -> Answer:
    plural = request.resource.plural
    if plural == "jobs":
        return _jobs(cluster, request, query, body)
    if plural == "pods" and request.verb in ("get", "list", "delete"):
        return _pods(cluster, request, query)
    if plural == "events":
        fields = dict(one.split("=", 1) for one in query.get("fieldSelector", "").split(",") if one)
        items = cluster.events.shown(request.namespace, fields)
        return 200, {"kind": "EventList", "apiVersion": "v1", "metadata": {}, "items": items}
    if plural == "nodes":
        return _nodes(cluster, request)
    return _objects(cluster, request, query, body, kind=kind, version=version)


def _jobs(cluster: Cluster, request: Request, query: dict[str, str], body: Any) -> Answer:
    namespace, name = request.namespace, request.name
    if request.verb == "create":
        job = cluster.create(namespace, body)
        if job is None:
            return 409, refused(409, f'jobs.batch "{body["metadata"]["name"]}" already exists')
        return 201, job.shown(cluster.shown_status(job), cluster.stamp)
    if not name:
        chosen = _by_labels(query.get("labelSelector", ""))
        jobs = [job for job in cluster.jobs.values() if namespace in ("", job.namespace)]
        items = [
            job.shown(cluster.shown_status(job), cluster.stamp)
            for job in jobs
            if chosen(job.body["metadata"].get("labels") or {})
        ]
        return 200, {"kind": "JobList", "apiVersion": "batch/v1", "metadata": {}, "items": items}
    found = cluster.jobs.get((namespace, name))
    if found is None:
        return 404, refused(404, f'jobs.batch "{name}" not found')
    if request.verb == "delete":
        requested = (body or {}).get("propagationPolicy") or query.get("propagationPolicy")
        cluster.delete(namespace, name, policy=requested or "Orphan")  # what batch/v1 does unless it is told
        return 200, {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success"}
    if request.verb in ("patch", "update"):
        found.body = _merged(found.body, {key: body[key] for key in ("metadata", "spec") if key in body})
    return 200, found.shown(cluster.shown_status(found), cluster.stamp)


def _pods(cluster: Cluster, request: Request, query: dict[str, str]) -> Answer:
    namespace, name = request.namespace, request.name
    if not name:
        items = cluster.shown_pods(namespace, _by_labels(query.get("labelSelector", "")))
        return 200, {"kind": "PodList", "apiVersion": "v1", "metadata": {}, "items": items}
    pod = cluster.pods.get((namespace, name))
    if pod is None:
        return 404, refused(404, f'pods "{name}" not found')
    if request.verb == "delete":
        cluster.delete_pod(pod)
    if request.subresource != "log":
        return 200, pod.shown(cluster.stamp)
    node = cluster.nodes.get(pod.node)
    if node is not None and node.is_lost:
        address = f"https://{pod.node}:10250/containerLogs/{namespace}/{name}/dagster"
        return 500, refused(500, f'Get "{address}": dial tcp: i/o timeout', reason="InternalError")
    names = [one["name"] for one in (*pod.init_containers, *pod.spec.get("containers", ()))] + list(pod.beside)
    if pod.beside and "container" not in query:
        return 400, refused(400, f"a container name must be specified for pod {name}, choose one of: {names}")
    if not pod.log and pod.process is None:
        wanted = query.get("container", "dagster")
        return 400, refused(400, f'container "{wanted}" in pod "{name}" is waiting to start: ContainerCreating')
    text = pod.process.log() if pod.process is not None and pod.is_live else pod.log
    return 200, "\n".join(text.splitlines()[-int(query.get("tailLines", "1000000")) :])


def _nodes(cluster: Cluster, request: Request) -> Answer:
    site = cluster.site
    shown = [node.shown(cluster.now(), cluster.stamp) for node in cluster.nodes.values()]
    if site.allocatable:
        labels = site.node_labels or [{}] * len(site.allocatable)
        shown = [
            {"metadata": {"name": f"node-{at}", "labels": has}, "status": {"allocatable": amounts}}
            for at, (amounts, has) in enumerate(zip(site.allocatable, labels, strict=True))
        ]
    if not request.name:
        return 200, {"kind": "NodeList", "apiVersion": "v1", "metadata": {}, "items": shown}
    found = next((one for one in shown if one["metadata"]["name"] == request.name), None)
    return (200, found) if found else (404, refused(404, f'nodes "{request.name}" not found'))


def _objects(
    cluster: Cluster, request: Request, query: dict[str, str], body: Any, *, kind: str, version: str
) -> Answer:
    """Objects that are kept as they are sent; a controller may write their status."""
    objects, resource = cluster.objects, request.resource
    namespace, name = request.namespace, request.name or ((body or {}).get("metadata") or {}).get("name", "")
    known = {"apiVersion": version, "kind": resource.kind}
    if request.verb == "list":
        chosen = _by_labels(query.get("labelSelector", ""))
        found = objects.list(resource.plural, namespace or None)
        items = [{**known, **one} for one in found if chosen(one["metadata"].get("labels") or {})]
        return 200, {"kind": f"{resource.kind}List", "apiVersion": version, "metadata": {}, "items": items}
    before = objects.get(resource.plural, namespace, name)
    if request.verb == "create" and before is not None:
        return 409, refused(409, f'{resource.words} "{name}" already exists')
    is_apply = kind.startswith(APPLY)
    if before is None and request.verb != "create" and not (is_apply and request.verb == "patch"):
        return 404, refused(404, f'{resource.words} "{name}" not found')
    if is_apply and "fieldManager" not in query:
        return 400, refused(400, "PatchOptions.meta.k8s.io is invalid: fieldManager: Required value")
    if request.verb == "get":
        return 200, {**known, **(before or {})}
    if request.verb == "delete":
        objects.delete(resource.plural, namespace, name)
        return 200, {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success"}
    kept = _merged(before or {}, body) if request.verb == "patch" else copy.deepcopy(body)
    generation = ((before or {}).get("metadata") or {}).get("generation", 0)
    is_changed = (before or {}).get("spec") != kept.get("spec")
    kept.setdefault("metadata", {})["generation"] = generation + 1 if is_changed else max(generation, 1)
    kept["metadata"].setdefault("creationTimestamp", cluster.stamp)
    status = 200 if before is not None else 201
    return status, {**known, **objects.put(resource.plural, namespace, name, {**known, **kept})}


def _merged(before: Any, patch: Any) -> Any:
    """A body with a patch over it: maps are merged, None takes a key away, everything else is replaced."""
    if not isinstance(before, dict) or not isinstance(patch, dict):
        return copy.deepcopy(patch)
    merged = dict(before)
    for key, value in patch.items():
        if value is None:
            merged.pop(key, None)
        else:
            merged[key] = _merged(before.get(key), value)
    return merged


def _by_labels(selector: str) -> Callable[[dict[str, str]], bool]:
    """Whether labels are chosen by a selector of equalities and `in` alone."""
    wanted = [one for one in re.split(r",(?![^(]*\))", selector) if one]

    def holds(labels: dict[str, str], one: str) -> bool:
        if found := re.fullmatch(r"\s*(\S+) in \(([^)]*)\)\s*", one):
            return labels.get(found[1]) in [value.strip() for value in found[2].split(",")]
        if "!=" in one:
            key, value = one.split("!=")
            return labels.get(key) != value
        key, is_equal, value = one.replace("==", "=").partition("=")
        return labels.get(key) == value if is_equal else key in labels

    return lambda labels: all(holds(labels, one) for one in wanted)
