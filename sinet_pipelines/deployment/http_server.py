"""The Open Inference Protocol v2 over HTTP: a raw ASGI application over a catalogue of models.

    GET  /v2, /v2/health/live, /v2/health/ready
    GET  /v2/models/<model>[/versions/<version>][/ready | /config]
    POST /v2/models/<model>[/versions/<version>]/infer
    POST /v2/repository/index, /v2/repository/models/<model>/load | /unload

HEAD is handled as GET. Bodies may be compressed with gzip or deflate. Models are loaded and unloaded only with the
server's control token (`SINET_SERVE_TOKEN`) as `Authorization: Bearer`.

Errors have the body `{"error": "<one sentence>"}`:

    400  the request is invalid, or a published model is broken
    403  the request comes from a web page or lacks the control token
    404  there is no such model, version or path
    405  the path does not support the method
    413  the body is too large
    415  the encoding of the body is not supported
    421  the request is for another host
    503  too many large bodies are being read

`http_protocol.py` adds 400, 408, 431 and 503 for connections beyond its limits.

There is no framework and no validation library, so that a request takes little more time than its parsing.
"""

import asyncio
import ipaddress
import time
from collections.abc import Awaitable, Callable
from concurrent.futures import Executor
from dataclasses import asdict
from functools import partial
from typing import Any

import orjson

from sinet_pipelines.deployment import metadata
from sinet_pipelines.deployment.bodies import (
    ENCODINGS,
    BodyReader,
    ClientGoneError,
    CrowdedError,
    Headers,
    TooLargeError,
    UnknownEncodingError,
    header,
    inflated,
)
from sinet_pipelines.deployment.catalogue import Catalogue
from sinet_pipelines.deployment.control import ControlRefusedError, require_control
from sinet_pipelines.deployment.protocol import HEADER_LENGTH, RequestReader, write_response
from sinet_pipelines.deployment.request_log import RequestLog
from sinet_pipelines.errors import ModelNotFoundError, ServingError, UsageError

INLINE_BYTES = 128 * 1024  # about 34 raw rows, a millisecond of work; larger requests go to a worker thread

Response = tuple[int, Headers, bytes]
Scope = dict[str, Any]
Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]
Handler = Callable[[Headers, bytes], Response]

_JSON = (b"content-type", b"application/json")
_BINARY = (b"content-type", b"application/octet-stream")
_CLOSE = (b"connection", b"close")
_KNOWN_HOSTS = 64  # limit of cached values of the header Host


class HttpApplication:
    """The ASGI application that serves a catalogue of models.

    Attributes:
        is_draining: set when the server ends. Every response then closes its connection, so that no client sends its
            next request over a connection that is about to close.
    """

    def __init__(
        self,
        catalogue: Catalogue,
        *,
        token: str,
        workers: Executor,
        log: RequestLog | None = None,
        hosts: frozenset[str] = frozenset(),
        control_token: str = "",
    ) -> None:
        """Makes the application.

        Args:
            catalogue: the models to serve.
            token: random text by which the process that started this server identifies it.
            workers: threads for long requests and for loads.
            log: log of requests; None for no log.
            hosts: accepted host names beside loopback; `*` for any.
            control_token: token for loading and unloading models; empty where that is not allowed.
        """
        self._catalogue = catalogue
        self._token = token
        self._workers = workers
        self._log = log
        self._hosts = hosts
        self._control_token = control_token.encode()
        self._known_hosts: set[bytes] = set()
        self._reader = RequestReader()
        self._bodies = BodyReader()
        self.is_draining = False

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handles one HTTP request."""
        started = time.perf_counter()
        try:
            response = await self._respond(scope, await self._bodies.read(scope["headers"], receive))
        except TooLargeError as error:
            response = _error(413, str(error))
        except CrowdedError as error:
            response = _error(503, str(error))
            response[1].append((b"retry-after", b"1"))
        except ClientGoneError as error:
            response = _error(400, str(error))
        status, headers, content = response
        headers.append((b"content-length", b"%d" % len(content)))
        if self.is_draining:
            headers.append(_CLOSE)
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": content})
        if self._log is not None:
            self._log_request(self._log, scope, status, time.perf_counter() - started)

    async def _respond(self, scope: Scope, body: bytes) -> Response:
        path, headers = scope["path"], scope["headers"]
        is_short = len(body) <= INLINE_BYTES and header(headers, b"content-encoding") is None
        if is_short and not path.startswith("/v2/repository/models/"):
            return self.respond(scope["method"], path, headers, body)
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._workers, self.respond, scope["method"], path, headers, body)

    def respond(self, method: str, path: str, headers: Headers, body: bytes) -> Response:
        """The response to a complete request; an invalid request has a response too."""
        for name, value in headers:
            if name == b"origin":  # only browsers send it, for a page of another site; this server has no pages
                page = value[:80].decode("latin-1")
                return _error(403, f"requests of the web page {page} are rejected; do not use a browser")
            if name == b"host" and value not in self._known_hosts and not self._is_ours(value):
                found = value[:80].decode("latin-1")
                return _error(421, f"this is not {found!r} (allowed: {self._host_names()}); use one of those names")
        route = self._route(path.rstrip("/").split("/")[1:])
        if route is None:
            return _error(404, f"no path {path[:80]!r}; the paths are those of the Open Inference Protocol v2")
        allowed, handle = route
        if method != allowed and (method, allowed) != ("HEAD", "GET"):
            methods = "GET, HEAD" if allowed == "GET" else allowed
            response = _error(405, f"{method[:20]} is not allowed at this path (allowed: {methods})")
            response[1].append((b"allow", methods.encode()))
            return response
        try:
            return handle(headers, inflated(headers, body))
        except ModelNotFoundError as error:
            return _error(404, str(error))
        except TooLargeError as error:
            return _error(413, str(error))
        except UnknownEncodingError as error:
            response = _error(415, str(error))
            response[1].append((b"accept-encoding", ENCODINGS))
            return response
        except ControlRefusedError as error:
            return _error(403, str(error))
        except (UsageError, ServingError) as error:
            return _error(400, str(error))

    def _is_ours(self, value: bytes) -> bool:
        """Whether a value of the header Host names this server: loopback or an accepted name, with any port."""
        text = value.decode("latin-1").lower()
        name = text.rpartition(":")[0] if text.rpartition(":")[2].isdigit() and not text.endswith("]") else text
        name = name.strip("[]").rstrip(".")
        try:
            is_ours = ipaddress.ip_address(name).is_loopback
        except ValueError:
            is_ours = name == "localhost"
        is_ours = is_ours or name in self._hosts or "*" in self._hosts
        if is_ours and len(self._known_hosts) < _KNOWN_HOSTS:
            self._known_hosts.add(value)
        return is_ours

    def _host_names(self) -> str:
        return ", ".join(("localhost", "addresses of loopback", *sorted(self._hosts)))

    def _log_request(self, log: RequestLog, scope: Scope, status: int, seconds: float) -> None:
        model = version = ""
        parts = scope["path"].split("/")
        if len(parts) > 3 and parts[2] == "models":
            try:
                served = self._catalogue.find(parts[3], parts[5] if parts[4:5] == ["versions"] else None)
                model, version = served.name, served.version
            except (ModelNotFoundError, IndexError):
                model = parts[3][:80]
        log.add("http", f"{scope['method']} {scope['path'][:120]}", status, seconds, model=model, version=version)

    def _route(self, parts: list[str]) -> tuple[str, Handler] | None:
        """The allowed method and the handler of a path; None for an unknown path."""
        match parts:
            case ["v2", "models", model, "infer"]:
                return "POST", partial(self._infer, model, None)
            case ["v2", "models", model, "versions", version, "infer"]:
                return "POST", partial(self._infer, model, version)
            case ["v2", "models", model, *rest]:
                return self._model_route(model, rest)
            case ["v2", "repository", "index"]:
                return "POST", self._index
            case ["v2", "repository", "models", model, "load" | "unload" as verb]:
                return "POST", partial(self._load if verb == "load" else self._unload, model)
            case ["v2", "health", "live"]:
                return "GET", lambda *_: _ok({"live": True})
            case ["v2", "health", "ready"]:
                return "GET", self._ready
            case ["v2"]:
                return "GET", lambda *_: _ok(metadata.SERVER)
            case []:
                return "GET", self._overview
        return None

    def _model_route(self, model: str, rest: list[str]) -> tuple[str, Handler] | None:
        version = None
        if rest[:1] == ["versions"] and len(rest) > 1:
            version, rest = rest[1], rest[2:]
        readers = {(): metadata.describe_model, ("ready",): metadata.model_ready, ("config",): metadata.model_config}
        describe = readers.get(tuple(rest))
        if describe is None:
            return None
        return "GET", lambda *_: _ok(describe(self._catalogue, model, version))

    def _infer(self, name: str, version: str | None, headers: Headers, body: bytes) -> Response:
        model = self._catalogue.find(name, version)
        request, inputs = self._reader.read(model, body, header(headers, HEADER_LENGTH))
        outputs = model.run(inputs, outputs=[name for name, _ in request.outputs])
        content, header_length = write_response(model, request, outputs)
        if header_length is None:
            return 200, [_JSON], content
        return 200, [_BINARY, (HEADER_LENGTH, b"%d" % header_length)], content

    def _ready(self, *_: object) -> Response:
        ready = self._catalogue.is_ready
        # the token distinguishes this process from another one at the same port
        return _json(200 if ready else 400, {"ready": ready, "instance": self._token})

    def _overview(self, *_: object) -> Response:
        """The models and their paths, for a person who opens the server's address."""
        models = [
            {**asdict(entry), "path": f"/v2/models/{entry.name}/versions/{entry.version}"}
            for entry in self._catalogue.index()
        ]
        paths = ["/v2", "/v2/health/ready", "/v2/health/live"]
        return _ok({**metadata.SERVER, "ready": self._catalogue.is_ready, "models": models, "paths": paths})

    def _index(self, _: Headers, body: bytes) -> Response:
        only_ready = _object(body).get("ready", False) is True
        return _ok([asdict(entry) for entry in self._catalogue.index(only_ready=only_ready)])

    def _load(self, model: str, headers: Headers, body: bytes) -> Response:
        require_control(self._control_token, header(headers, b"authorization"))
        if _object(body).get("parameters"):
            raise UsageError("a load accepts no parameters; publish the model into the repository and load it")
        self._catalogue.load(model)
        return _ok({})

    def _unload(self, model: str, headers: Headers, body: bytes) -> Response:
        require_control(self._control_token, header(headers, b"authorization"))
        _object(body)
        self._catalogue.unload(model)
        return _ok({})


def _object(body: bytes) -> dict[str, Any]:
    """The JSON object in a body; empty for an empty body.

    Raises:
        UsageError: the body is not a JSON object.
    """
    try:
        decoded = orjson.loads(body) if body else {}
    except orjson.JSONDecodeError as error:
        raise UsageError(f"the body is not JSON: {error}; send a JSON object or nothing") from error
    if not isinstance(decoded, dict):
        raise UsageError("the body is not a JSON object; send one or nothing")
    return decoded


def _ok(content: Any) -> Response:
    return _json(200, content)


def _error(status: int, sentence: str) -> Response:
    return _json(status, {"error": sentence})


def _json(status: int, content: Any) -> Response:
    return status, [_JSON], orjson.dumps(content)
