"""An API server of a cluster in memory: speaks to the real client over a socket.

Its gate decides for each request whether it is answered, refused, or lost on the way there or back.
"""

import base64
import json
import socket
import ssl
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import yaml

from tests.clusters.access import OPERATOR, OPERATOR_TOKEN, User
from tests.clusters.cluster import Cluster
from tests.clusters.objects import Site
from tests.clusters.routes import answer, refused

__all__ = ["ApiServer", "Site", "Trouble", "write_kubeconfig"]
ROUTER = 'User "router" cannot create resource "jobs" in API group "batch" in the namespace "sinet"'
HANDSHAKE_S = 30.0  # for a client that connects and says nothing
WORDS = {
    400: ("BadRequest", "bad request"),
    401: ("Unauthorized", "Unauthorized"),
    403: ("Forbidden", f"jobs.batch is forbidden: {ROUTER}"),
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


class ApiServer:
    """Serves a cluster on a loopback port until closed.

    Args:
        cluster: what it serves.
        gate: what goes wrong with a request, by its method and path; None for nothing.
        certificate: a file with its certificate and key; without one it speaks plain HTTP.
    """

    def __init__(
        self,
        cluster: Cluster,
        *,
        gate: Callable[[str, str], Trouble | None] | None = None,
        certificate: Path | None = None,
    ) -> None:
        self.cluster = cluster
        self.gate = gate or (lambda method, path: None)
        self.token: str | None = None  # the only one that it takes; None: those that the cluster knows
        self.requests: list[tuple[str, str]] = []
        self.certificate = certificate
        self._http = _Quick(("127.0.0.1", 0), _handler(self))
        self.port = int(self._http.server_address[1])
        if certificate is not None:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(certificate)
            self._http.tls = context
        self.url = f"http{'s' if certificate else ''}://127.0.0.1:{self.port}"
        self._thread = threading.Thread(target=self._http.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        self._thread.start()

    @property
    def site(self) -> Site:
        """What an operator has set up in its cluster."""
        return self.cluster.site

    def present(self, certificate: Path) -> None:
        """Shows another certificate from now on; who is connected has to connect anew."""
        if certificate == self.certificate:
            return
        self.certificate = certificate
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate)
        self._http.tls = context

    def user_of(self, authorization: str | None) -> User | None:
        """The user of a request; None for a token that is not valid here."""
        if self.token is not None:
            return OPERATOR if authorization == f"Bearer {self.token}" else None
        return self.cluster.access.user_of(authorization)

    def close(self) -> None:
        """Stops listening."""
        self._http.shutdown()
        self._http.server_close()
        self._thread.join()

    def __enter__(self) -> "ApiServer":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def write_kubeconfig(
    path: Path, servers: Mapping[str, str], *, token: str = OPERATOR_TOKEN, authority: Path | None = None
) -> Path:
    """A kubeconfig with a context for each address.

    Args:
        path: of the file.
        servers: address by context.
        token: of the user of all of them; by default one who may do everything.
        authority: the certificate that the servers' are signed with.
    """
    trusted = {"certificate-authority-data": base64.b64encode(authority.read_bytes()).decode()} if authority else {}
    path.write_text(
        yaml.safe_dump(
            {
                "apiVersion": "v1",
                "kind": "Config",
                "clusters": [{"name": name, "cluster": {"server": url, **trusted}} for name, url in servers.items()],
                "users": [{"name": "router", "user": {"token": token}}],
                "contexts": [{"name": n, "context": {"cluster": n, "user": "router"}} for n in servers],
            }
        )
    )
    return path


class _Quick(ThreadingHTTPServer):
    daemon_threads = True
    tls: ssl.SSLContext | None = None

    def finish_request(self, request: Any, client_address: Any) -> None:
        """Serves a connection in its own thread, where also its handshake is made."""
        if self.tls is None:
            super().finish_request(request, client_address)
            return
        request.settimeout(HANDSHAKE_S)
        with self.tls.wrap_socket(request, server_side=True) as secured:
            secured.settimeout(None)
            super().finish_request(secured, client_address)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that goes away, or does not trust the certificate, is no error here."""


def _handler(server: ApiServer) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        wbufsize = -1

        def setup(self) -> None:
            self._certificate = server.certificate
            self.request.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            super().setup()

        def log_message(self, *_: Any) -> None:
            """Logs nothing."""

        def _serve(self) -> None:
            length = int(self.headers.get("Content-Length") or 0)
            self._content = self.rfile.read(length) if length else b""
            if self._certificate != server.certificate:
                self.close_connection = True
                return
            path = self.path.partition("?")[0]
            server.requests.append((self.command, path))
            trouble = server.gate(self.command, path)
            user = server.user_of(self.headers.get("Authorization"))
            if user is None:
                trouble = Trouble(status=401)
            if trouble is None:
                self._answer(*self._take_effect(user))
            elif trouble.status:
                if trouble.is_done:
                    self._take_effect(user)
                reason, words = WORDS.get(trouble.status, ("Unknown", "refused"))
                self._answer(trouble.status, refused(trouble.status, words, reason=reason))
            else:
                self._lose(trouble, user)

        def _take_effect(self, user: User | None) -> tuple[int, Any]:
            kind = self.headers.get("Content-Type") or ""
            return answer(server.cluster, user or OPERATOR, self.command, self.path, content=self._content, kind=kind)

        def _lose(self, trouble: Trouble, user: User | None) -> None:
            cluster = server.cluster
            if trouble.after_s is not None:
                cluster.later.append((cluster.now() + trouble.after_s, lambda: self._take_effect(user)))
            elif trouble.is_done:
                self._take_effect(user)
            if trouble.hang_s:
                threading.Event().wait(trouble.hang_s)
            self.close_connection = True
            self.connection.shutdown(socket.SHUT_RDWR)

        def _answer(self, status: int, found: Any) -> None:
            is_text = isinstance(found, str)
            content = found.encode() if is_text else json.dumps(found).encode()
            self.send_response(status)
            self.send_header("Content-Type", "text/plain" if is_text else "application/json")
            self.send_header("Content-Length", str(len(content)))
            if status == 429:
                self.send_header("Retry-After", "3")
            self.end_headers()
            self.wfile.write(content)
            self.wfile.flush()

        do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = _serve

    return Handler
