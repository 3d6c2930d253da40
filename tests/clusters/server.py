"""An API server of a cluster in memory: speaks Jobs, pods, logs and access reviews over a socket to the real client.

Its gate decides for each request whether it is answered, refused, or lost on the way there or back.
"""

import json
import re
import socket
import ssl
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import yaml

from tests.clusters.cluster import Cluster, Job

WORDS = {
    400: ("BadRequest", "bad request"),
    401: ("Unauthorized", "Unauthorized"),
    403: ("Forbidden", 'jobs.batch is forbidden: User "router" cannot do that'),
    404: ("NotFound", "not found"),
    409: ("Conflict", "the object has been modified; try again"),
    410: ("Expired", "too old resource version"),
    429: ("TooManyRequests", "too many requests, please try again later"),
    500: ("InternalError", "etcdserver: request timed out"),
    503: ("ServiceUnavailable", "apiserver not ready"),
}


@dataclass(frozen=True)
class Trouble:
    """What goes wrong with one request.

    Attributes:
        status: it is refused with this status; 0: no answer comes.
        is_done: it takes effect all the same.
        after_s: it takes effect so much later.
        hang_s: the connection stays open so long (of real time) before it breaks.
    """

    status: int = 0
    is_done: bool = False
    after_s: float | None = None
    hang_s: float = 0.0


@dataclass
class Site:
    """What an operator has set up in a cluster, as far as `sinet doctor` asks."""

    namespaces: set[str] = field(default_factory=set)
    service_accounts: set[tuple[str, str]] = field(default_factory=set)
    queues: set[tuple[str, str]] = field(default_factory=set)
    secrets: set[tuple[str, str]] = field(default_factory=set)
    config_maps: set[tuple[str, str]] = field(default_factory=set)
    claims: set[tuple[str, str]] = field(default_factory=set)
    priority_classes: set[str] = field(default_factory=set)
    allocatable: list[dict[str, str]] = field(default_factory=list)
    node_labels: list[dict[str, str]] = field(default_factory=list)
    denied: set[tuple[str, str]] = field(default_factory=set)  # (verb, resource)


class ApiServer:
    """Serves a cluster on a loopback port until closed."""

    def __init__(
        self,
        cluster: Cluster,
        *,
        gate: Callable[[str, str], Trouble | None] | None = None,
        certificate: Path | None = None,
    ) -> None:
        self.cluster, self.site = cluster, Site()
        self.gate = gate or (lambda method, path: None)
        self.token: str | None = None  # the only one that it takes; None: any
        self.requests: list[tuple[str, str]] = []
        self._http = _Quick(("127.0.0.1", 0), _handler(self))
        if certificate is not None:  # with its key
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(certificate)
            self._http.socket = context.wrap_socket(self._http.socket, server_side=True)
        self.url = f"http{'s' if certificate else ''}://127.0.0.1:{self._http.server_address[1]}"
        self._thread = threading.Thread(target=self._http.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._http.shutdown()
        self._http.server_close()
        self._thread.join()

    def __enter__(self) -> "ApiServer":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def write_kubeconfig(path: Path, servers: dict[str, str]) -> Path:
    """A kubeconfig with a context for each address."""
    path.write_text(
        yaml.safe_dump(
            {
                "apiVersion": "v1",
                "kind": "Config",
                "clusters": [{"name": name, "cluster": {"server": url}} for name, url in servers.items()],
                "users": [{"name": "router", "user": {"token": "secret"}}],
                "contexts": [{"name": n, "context": {"cluster": n, "user": "router"}} for n in servers],
            }
        )
    )
    return path


class _Quick(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that goes away is no error here."""


def _handler(server: ApiServer) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        wbufsize = -1

        def setup(self) -> None:
            self.request.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            super().setup()

        def log_message(self, *_: Any) -> None:
            """Says nothing."""

        def _serve(self) -> None:
            length = int(self.headers.get("Content-Length") or 0)
            body = json.loads(self.rfile.read(length)) if length else {}
            path = urlsplit(self.path).path
            server.requests.append((self.command, path))
            trouble = server.gate(self.command, path)
            if server.token is not None and self.headers.get("Authorization") != f"Bearer {server.token}":
                trouble = Trouble(status=401)
            if trouble is None:
                self._answer(*_route(server, self.command, self.path, body))
            elif trouble.status:
                if trouble.is_done:
                    _route(server, self.command, self.path, body)
                self._answer(trouble.status, _status(trouble.status))
            else:
                self._lose(trouble, body)

        def _lose(self, trouble: Trouble, body: Any) -> None:
            cluster = server.cluster
            if trouble.after_s is not None:
                due = cluster.now() + trouble.after_s
                method, path = self.command, self.path
                cluster.later.append((due, lambda: _route(server, method, path, body)))
            elif trouble.is_done:
                _route(server, self.command, self.path, body)
            if trouble.hang_s:
                threading.Event().wait(trouble.hang_s)
            self.close_connection = True
            self.connection.shutdown(socket.SHUT_RDWR)

        def _answer(self, status: int, said: Any) -> None:
            is_text = isinstance(said, str)
            content = said.encode() if is_text else json.dumps(said).encode()
            self.send_response(status)
            self.send_header("Content-Type", "text/plain" if is_text else "application/json")
            self.send_header("Content-Length", str(len(content)))
            if status == 429:
                self.send_header("Retry-After", "3")
            self.end_headers()
            self.wfile.write(content)
            self.wfile.flush()

        do_GET = do_POST = do_DELETE = _serve

    return Handler


JOBS = re.compile(r"/apis/batch/v1/namespaces/([^/]+)/jobs(?:/([^/]+))?(?:/status)?$")
PODS = re.compile(r"/api/v1/namespaces/([^/]+)/pods(?:/([^/]+))?(/log)?$")
EVENTS = re.compile(r"/api/v1/namespaces/([^/]+)/events$")
NAMED = re.compile(r"/(?:api/v1|apis/kueue\.x-k8s\.io/v1beta\d)/namespaces/([^/]+)/([a-z]+)/([^/]+)$")


def _route(server: ApiServer, method: str, target: str, body: Any) -> tuple[int, Any]:
    parts = urlsplit(target)
    query = {name: values[-1] for name, values in parse_qs(parts.query).items()}
    with server.cluster.lock:
        if found := JOBS.match(parts.path):
            return _jobs(server.cluster, method, found[1], found[2], body)
        if found := PODS.match(parts.path):
            return _pods(server.cluster, found[1], found[2], bool(found[3]), query)
        if found := EVENTS.match(parts.path):
            return 200, _events(server.cluster, found[1], query.get("fieldSelector", ""))
        return _site(server.site, method, parts.path, body)


def _jobs(cluster: Cluster, method: str, namespace: str, name: str | None, body: Any) -> tuple[int, Any]:
    if method == "POST":
        job = cluster.create(namespace, body)
        return (
            (201, _shown(cluster, job))
            if job
            else (409, _status(409, f'jobs.batch "{body["metadata"]["name"]}" already exists'))
        )
    if name is None:
        items = [_shown(cluster, job) for job in cluster.jobs.values() if job.namespace == namespace]
        return 200, {"kind": "JobList", "apiVersion": "batch/v1", "metadata": {}, "items": items}
    job = cluster.delete(namespace, name) if method == "DELETE" else cluster.jobs.get((namespace, name))
    if job is None:
        return 404, _status(404, f'jobs.batch "{name}" not found')
    return 200, {"kind": "Status", "status": "Success"} if method == "DELETE" else _shown(cluster, job)


def _shown(cluster: Cluster, job: Job) -> dict[str, Any]:
    metadata = {**job.body["metadata"], "namespace": job.namespace, "creationTimestamp": cluster.stamp, "uid": job.name}
    if job.is_deleted:
        metadata["deletionTimestamp"] = cluster.stamp
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": metadata,
        "spec": job.body["spec"],
        "status": cluster.shown_status(job),
    }


def _pods(cluster: Cluster, namespace: str, name: str | None, is_log: bool, query: dict[str, str]) -> tuple[int, Any]:
    if name is None:
        job = query.get("labelSelector", "").removeprefix("job-name=")
        return 200, {"kind": "PodList", "apiVersion": "v1", "metadata": {}, "items": cluster.shown_pods(namespace, job)}
    pod = cluster.pods.get((namespace, name))
    if pod is None:
        return 404, _status(404, f'pods "{name}" not found')
    if not is_log:
        return 200, pod.shown(cluster.stamp)
    if pod.beside and "container" not in query:
        return 400, _status(400, f"a container name must be specified for pod {name}")
    text = pod.process.log() if pod.process is not None and pod.is_live else pod.log
    lines = text.splitlines()[-int(query.get("tailLines", "1000000")) :]
    return 200, "\n".join(lines)


def _events(cluster: Cluster, namespace: str, selector: str) -> dict[str, Any]:
    asked = dict(one.split("=", 1) for one in selector.split(","))
    known = [(where, "Pod", pod, why, message, "Normal") for where, pod, why, message in cluster.events]
    known += [(*warning, "Warning") for warning in cluster.warnings]
    known += [(*event, "Normal") for event in cluster.normal]
    items = []
    for at, (where, kind, name, why, message, severity) in enumerate(known):
        has = {"involvedObject.kind": kind, "involvedObject.name": name, "reason": why}
        if where == namespace and all(has[what] == value for what, value in asked.items()):
            items.append(
                {
                    "metadata": {"name": f"{name}.{at}", "namespace": where},
                    "involvedObject": {"kind": kind, "name": name},
                    "reason": why,
                    "message": message,
                    "type": severity,
                    "lastTimestamp": f"2026-01-01T00:{at // 60 % 60:02d}:{at % 60:02d}Z",
                }
            )
    return {"kind": "EventList", "apiVersion": "v1", "metadata": {}, "items": items}


def _site(site: Site, method: str, path: str, body: Any) -> tuple[int, Any]:
    if path.rstrip("/") == "/version":
        return 200, {
            "major": "1",
            "minor": "36",
            "gitVersion": "v1.36.0",
            **dict.fromkeys(("gitCommit", "gitTreeState", "buildDate", "goVersion", "compiler", "platform"), "x"),
        }
    if method == "POST" and path.endswith("/selfsubjectaccessreviews"):
        asked = body["spec"]["resourceAttributes"]
        resource = "/".join(filter(None, [asked["resource"], asked.get("subresource")]))
        return 201, {**body, "status": {"allowed": (asked["verb"], resource) not in site.denied}}
    if path == "/api/v1/nodes":
        nodes = [
            {
                "metadata": {"name": f"node-{at}", "labels": labels},
                "status": {"allocatable": allocatable},
            }
            for at, (allocatable, labels) in enumerate(
                zip(site.allocatable, site.node_labels or [{}] * len(site.allocatable), strict=True)
            )
        ]
        return 200, {"kind": "NodeList", "apiVersion": "v1", "metadata": {}, "items": nodes}
    if path.startswith("/api/v1/namespaces/") and path.count("/") == 4:
        return _named(path.rsplit("/", 1)[1] in site.namespaces, path)
    if path.startswith("/apis/scheduling.k8s.io/v1/priorityclasses/"):
        return _named(path.rsplit("/", 1)[1] in site.priority_classes, path, value=1)
    if found := NAMED.match(path):
        known = {
            "serviceaccounts": site.service_accounts,
            "localqueues": site.queues,
            "secrets": site.secrets,
            "configmaps": site.config_maps,
            "persistentvolumeclaims": site.claims,
        }
        return _named((found[1], found[3]) in known.get(found[2], set()), path)
    return 404, _status(404, f"the server could not find {path}")


def _named(is_there: bool, path: str, **more: Any) -> tuple[int, Any]:
    name = path.rsplit("/", 1)[1]
    if not is_there:
        return 404, _status(404, f'"{name}" not found')
    return 200, {"metadata": {"name": name}, **more}


def _status(code: int, message: str = "") -> dict[str, Any]:
    reason, words = WORDS.get(code, ("Unknown", "refused"))
    return {
        "kind": "Status",
        "apiVersion": "v1",
        "status": "Failure",
        "reason": reason,
        "message": message or words,
        "code": code,
    }
