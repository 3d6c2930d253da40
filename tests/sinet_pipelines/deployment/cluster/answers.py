"""An API that gives prepared answers over HTTP: objects as they were applied, with the status that a test gives them.

What a cluster does with what is applied is in `tests/clusters`; here are the moments that are hard to meet.
"""

import json
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import yaml

Body = dict[str, Any]


class Api:
    """Objects by plural and name, pods and events; `on_get` happens before each look, as a controller does."""

    def __init__(self) -> None:
        self.objects: dict[tuple[str, str], Body] = {}
        self.pods: list[Body] = []
        self.events: list[Body] = []
        self.refusals: dict[str, int] = {}  # plural -> status
        self.words = "refused"
        self.on_get: Callable[[], None] = lambda: None
        self.requests: list[tuple[str, str, dict[str, list[str]], str]] = []
        self._http = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self._http.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._http.server_address[1]}"
        self._thread = threading.Thread(target=self._http.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._http.shutdown()
        self._http.server_close()
        self._thread.join()

    def answer(self, method: str, plural: str, name: str | None, body: Body | None) -> tuple[int, Body]:
        if plural in self.refusals:
            return self.refusals[plural], {"kind": "Status", "message": self.words}
        if method == "PATCH" and body is not None and name is not None:
            return 200, self._apply((plural, name), body)
        self.on_get()
        if name is None:
            return 200, {"items": self.events if plural == "events" else self.pods}
        found = self.objects.get((plural, name))
        return (200, found) if found else (404, {"kind": "Status", "message": f'{plural} "{name}" not found'})

    def _apply(self, key: tuple[str, str], body: Body) -> Body:
        before = self.objects.get(key)
        generation = before["metadata"]["generation"] if before else 0
        kept = {one: before.get(one) for one in ("status",)} if before else {"status": {}}
        if before is None or before["spec"] != body["spec"]:
            generation += 1
        self.objects[key] = {**body, **kept, "metadata": {**body["metadata"], "generation": generation}}
        return self.objects[key]

    def roll_out(self) -> None:
        """Every Deployment is done, with a ready pod of its template each."""
        for (plural, name), body in list(self.objects.items()):
            if plural == "deployments":
                count = body["spec"]["replicas"]
                body["status"] = status(body, updated=count, replicas=count, available=count)
                self.pods = [ready_pod(body["spec"]["template"], f"{name}-{at}") for at in range(count)]


def status(body: Body, *, updated: int, replicas: int, available: int, **conditions: tuple[str, str, str]) -> Body:
    """The status of a Deployment whose controller has seen it; conditions as type=(status, reason, message)."""
    return {
        "observedGeneration": body["metadata"]["generation"],
        "updatedReplicas": updated,
        "replicas": replicas,
        "availableReplicas": available,
        "conditions": [
            {"type": kind, "status": is_so, "reason": reason, "message": message}
            for kind, (is_so, reason, message) in conditions.items()
        ],
    }


def ready_pod(template: Body, name: str) -> Body:
    """A pod of a template that answers."""
    ready = {"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]}
    return {"metadata": {**template["metadata"], "name": name}, "status": ready}


def waiting_pod(
    template: Body, name: str, *, reason: str, restarts: int = 0, message: str = "", last: str = ""
) -> Body:
    """A pod of a template whose init container waits, after it ended with `last` as its log."""
    container: Body = {
        "name": "stage",
        "ready": False,
        "restartCount": restarts,
        "state": {"waiting": {"reason": reason, "message": message}},
    }
    if last:
        container["lastState"] = {"terminated": {"exitCode": 3, "reason": "Error", "message": last}}
    unready = {"phase": "Pending", "conditions": [{"type": "Ready", "status": "False"}]}
    return {
        "metadata": {**template["metadata"], "name": name},
        "status": {**unready, "initContainerStatuses": [container]},
    }


def kubeconfig(path: Path, url: str, context: str) -> Path:
    """A kubeconfig with one context."""
    values = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": context, "cluster": {"server": url}}],
        "users": [{"name": "operator", "user": {"token": "secret"}}],
        "contexts": [{"name": context, "context": {"cluster": context, "user": "operator"}}],
    }
    path.write_text(yaml.safe_dump(values))
    return path


def _handler(api: Api) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *_: Any) -> None:
            """Says nothing."""

        def _serve(self) -> None:
            content = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            parts = urlsplit(self.path)
            after = parts.path.partition("/namespaces/sinet/")[2].split("/")
            query = parse_qs(parts.query)
            api.requests.append((self.command, parts.path, query, self.headers.get("Content-Type", "")))
            name = after[1] if len(after) > 1 else None
            code, parsed = api.answer(self.command, after[0], name, json.loads(content) if content else None)
            answer = json.dumps(parsed).encode()
            self.send_response(code)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        do_GET = do_PATCH = _serve

    return Handler
