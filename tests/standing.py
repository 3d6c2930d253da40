"""An API server that shows what stands in a cluster: manifests go in, and a user sees of them what Roles let it see."""

import json
import ssl
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

VERSION = {
    "gitVersion": "v1.36.0",
    **dict.fromkeys(
        ("major", "minor", "gitCommit", "gitTreeState", "buildDate", "goVersion", "compiler", "platform"), "1"
    ),
}


class Standing:
    """Serves objects on a loopback port until closed.

    Attributes:
        objects: by the path under which the API has each; a test changes them.
        nodes: as `/api/v1/nodes` lists them.
        rules: what the user may do (rules of Roles); None: everything.
        token: the only one that is taken; None: any.
    """

    def __init__(self, *manifests, certificate=None):
        self.objects = {path_of(one): one for one in manifests}
        self.nodes, self.rules, self.token = [], None, None
        self._http = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        if certificate is not None:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(certificate)
            self._http.socket = context.wrap_socket(self._http.socket, server_side=True)
        self.url = f"http{'s' if certificate else ''}://127.0.0.1:{self._http.server_address[1]}"
        self._thread = threading.Thread(target=self._http.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        self._thread.start()

    def close(self):
        self._http.shutdown()
        self._http.server_close()
        self._thread.join()

    def named(self, kind, name):
        """The object of a kind and name."""
        (found,) = [one for one in self.objects.values() if (one["kind"], one["metadata"]["name"]) == (kind, name)]
        return found

    def drop(self, kind, name):
        """Takes an object away."""
        del self.objects[path_of(self.named(kind, name))]

    def may(self, verb, group, resource, subresource=""):
        """Whether the user may do something in the namespace."""
        requested = {"verb": verb, "group": group, "resource": resource, "subresource": subresource}
        return self.rules is None or _permits(self.rules, **requested)

    def rules_of(self, user):
        """The rules of the Roles that are bound to a service account, `system:serviceaccount:<namespace>:<name>`."""
        *_, namespace, name = user.split(":")
        subject = {"kind": "ServiceAccount", "name": name, "namespace": namespace}
        bound = [one for one in self.objects.values() if one["kind"] == "RoleBinding" and subject in one["subjects"]]
        return [rule for one in bound for rule in self.named("Role", one["roleRef"]["name"])["rules"]]

    def answer(self, method, path, body):
        """Status and content of a request."""
        if path.rstrip("/") == "/version":
            return 200, VERSION
        if path.endswith("/selfsubjectaccessreviews"):
            requested = body["spec"]["resourceAttributes"]
            allowed = self.may(
                requested["verb"], requested["group"], requested["resource"], requested.get("subresource", "")
            )
            return 201, {**body, "status": {"allowed": allowed}}
        if path.endswith("/localsubjectaccessreviews"):
            if not self.may("create", "authorization.k8s.io", "localsubjectaccessreviews"):
                return refused(403)
            requested, who = body["spec"]["resourceAttributes"], body["spec"]["user"]
            return 201, {**body, "status": {"allowed": _permits(self.rules_of(who), **requested)}}
        parts = path.strip("/").split("/")
        group = parts[1] if parts[0] == "apis" else ""
        if path == "/api/v1/nodes":
            return (200, {"kind": "NodeList", "items": self.nodes}) if self.may("list", "", "nodes") else refused(403)
        if len(parts) == 2:  # an API group, which everybody may see
            versions = {one["apiVersion"].split("/")[1] for one in self.objects.values() if _group(one) == group}
            return (200, {"preferredVersion": {"version": max(versions)}}) if versions else refused(404)
        if not self.may("get", group, parts[-2]):
            return refused(403)
        return (200, self.objects[path]) if path in self.objects else refused(404)


def _permits(rules, *, verb, group, resource, subresource="", namespace=""):
    what = f"{resource}/{subresource}" if subresource else resource
    return any(verb in rule["verbs"] and group in rule["apiGroups"] and what in rule["resources"] for rule in rules)


def refused(status):
    return status, {"kind": "Status", "status": "Failure", "code": status, "message": f"refused with {status}"}


def _group(one):
    return one["apiVersion"].rpartition("/")[0]


def path_of(one):
    """Where the API has an object."""
    plural = one["kind"].lower() + ("es" if one["kind"].endswith("Class") else "s")
    plural = "networkpolicies" if one["kind"] == "NetworkPolicy" else plural
    root = f"/apis/{one['apiVersion']}" if _group(one) else "/api/v1"
    inside = f"/namespaces/{one['metadata']['namespace']}" if "namespace" in one["metadata"] else ""
    return f"{root}{inside}/{plural}/{one['metadata']['name']}"


def _handler(server):
    class Handler(BaseHTTPRequestHandler):
        def log_message(self, *_):
            """Says nothing."""

        def _serve(self):
            length = int(self.headers.get("Content-Length") or 0)
            body = json.loads(self.rfile.read(length)) if length else {}
            is_known = server.token is None or self.headers.get("Authorization") == f"Bearer {server.token}"
            status, found = server.answer(self.command, urlsplit(self.path).path, body) if is_known else refused(401)
            content = json.dumps(found).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        do_GET = do_POST = _serve

    return Handler
