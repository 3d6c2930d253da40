"""The Open Inference Protocol v2 over HTTP: a raw ASGI application over a catalogue of models.

    GET  /v2, /v2/health/live, /v2/health/ready
    GET  /v2/models/<model>[/versions/<version>][/ready | /config]
    POST /v2/models/<model>[/versions/<version>]/infer
    POST /v2/repository/index, /v2/repository/models/<model>/load | /unload

Errors are `{"error": ...}`: 400 what was sent is wrong or a published model is broken, 403 a browser's page asks,
404 no such model or path, 405 another method, 413 too much. No framework and no validation library: a request costs its
parsing and nothing more.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from concurrent.futures import Executor
from dataclasses import asdict
from functools import partial
from typing import Any

import orjson

from sinet_pipelines.deployment import metadata
from sinet_pipelines.deployment.catalogue import Catalogue
from sinet_pipelines.deployment.protocol import HEADER_LENGTH, RequestReader, write_response
from sinet_pipelines.errors import ModelNotFoundError, ServingError, UsageError

BODY_LIMIT_BYTES = 32 * 1024**2  # 1,024 rows are 4 MB raw and about 20 MB as JSON
INLINE_BYTES = 128 * 1024  # up to 34 raw rows answer in about a millisecond; longer work leaves the loop to others

Headers = list[tuple[bytes, bytes]]
Response = tuple[int, Headers, bytes]
Scope = dict[str, Any]
Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]
Answer = Callable[[Headers, bytes], Response]

_JSON = (b"content-type", b"application/json")
_BINARY = (b"content-type", b"application/octet-stream")


class HttpApplication:
    """ASGI: what this server answers over HTTP."""

    def __init__(self, catalogue: Catalogue, *, token: str, workers: Executor) -> None:
        self._catalogue = catalogue
        self._token = token
        self._workers = workers
        self._reader = RequestReader()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Reads one request, answers it."""
        body = await _read_body(scope["headers"], receive)
        if body is None:
            response = _error(413, f"the body is larger than {BODY_LIMIT_BYTES} bytes; send the rows in parts")
        else:
            response = await self._answer(scope, body)
        status, headers, content = response
        headers.append((b"content-length", b"%d" % len(content)))
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": content})

    async def _answer(self, scope: Scope, body: bytes) -> Response:
        path = scope["path"]
        if len(body) <= INLINE_BYTES and not path.startswith("/v2/repository/models/"):
            return self.answer(scope["method"], path, scope["headers"], body)
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._workers, self.answer, scope["method"], path, scope["headers"], body)

    def answer(self, method: str, path: str, headers: Headers, body: bytes) -> Response:
        """The response to a whole request; every mistake of the client's is a response too."""
        for name, value in headers:
            if name == b"origin":  # only browsers send it, for pages that are not ours: we serve none
                return _error(
                    403, f"requests of the page {value[:80].decode('latin-1')} are refused; ask without a browser"
                )
        route = self._route(path.rstrip("/").split("/")[1:])
        if route is None:
            return _error(404, f"no path {path[:80]!r}; the paths are those of the Open Inference Protocol v2")
        allowed, answer = route
        if method != allowed:
            response = _error(405, f"{method[:20]} is not answered at this path (allowed: {allowed})")
            response[1].append((b"allow", allowed.encode()))
            return response
        try:
            return answer(headers, body)
        except ModelNotFoundError as error:
            return _error(404, str(error))
        except (UsageError, ServingError) as error:
            return _error(400, str(error))

    def _route(self, parts: list[str]) -> tuple[str, Answer] | None:
        """The method a path takes and what answers there."""
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
        return None

    def _model_route(self, model: str, rest: list[str]) -> tuple[str, Answer] | None:
        version = None
        if rest[:1] == ["versions"] and len(rest) > 1:
            version, rest = rest[1], rest[2:]
        answers = {(): metadata.describe_model, ("ready",): metadata.model_ready, ("config",): metadata.model_config}
        describe = answers.get(tuple(rest))
        if describe is None:
            return None
        return "GET", lambda *_: _ok(describe(self._catalogue, model, version))

    def _infer(self, name: str, version: str | None, headers: Headers, body: bytes) -> Response:
        model = self._catalogue.find(name, version)
        _check_encoding(headers)
        question, inputs = self._reader.read(model, body, _header(headers, HEADER_LENGTH))
        answers = model.run(inputs, outputs=[name for name, _ in question.outputs])
        content, header_length = write_response(model, question, answers)
        if header_length is None:
            return 200, [_JSON], content
        return 200, [_BINARY, (HEADER_LENGTH, b"%d" % header_length)], content

    def _ready(self, *_: object) -> Response:
        ready = self._catalogue.is_ready
        # the token lets a starter know its own child from whoever else may have come to this port
        return _json(200 if ready else 400, {"ready": ready, "instance": self._token})

    def _index(self, _: Headers, body: bytes) -> Response:
        only_ready = _object(body).get("ready", False) is True
        return _ok([asdict(entry) for entry in self._catalogue.index(only_ready=only_ready)])

    def _load(self, model: str, _: Headers, body: bytes) -> Response:
        if _object(body).get("parameters"):
            raise UsageError("a load takes no parameters here; publish the model into the repository and load it")
        self._catalogue.load(model)
        return _ok({})

    def _unload(self, model: str, _: Headers, body: bytes) -> Response:
        _object(body)
        self._catalogue.unload(model)
        return _ok({})


async def _read_body(headers: Headers, receive: Receive) -> bytes | None:
    """The whole body; None where it passes the limit."""
    declared = _header(headers, b"content-length")
    if declared is not None and declared.isdigit() and int(declared[:20]) > BODY_LIMIT_BYTES:
        return None
    message = await receive()
    if not message.get("more_body", False):
        return message.get("body", b"")
    body = bytearray(message.get("body", b""))
    while message.get("more_body", False):
        message = await receive()
        body += message.get("body", b"")
        if len(body) > BODY_LIMIT_BYTES:
            return None
    return bytes(body)


def _header(headers: Iterable[tuple[bytes, bytes]], name: bytes) -> bytes | None:
    for key, value in headers:
        if key == name:
            return value
    return None


def _check_encoding(headers: Headers) -> None:
    encoding = _header(headers, b"content-encoding")
    if encoding is not None and encoding.lower() != b"identity":
        raise UsageError(
            f"content-encoding {encoding[:20].decode('latin-1')!r} is not read here; send the body as it is"
        )


def _object(body: bytes) -> dict[str, Any]:
    """The JSON object of a body that may be empty."""
    try:
        said = orjson.loads(body) if body else {}
    except orjson.JSONDecodeError as error:
        raise UsageError(f"the body is no JSON: {error}; send a JSON object or nothing") from error
    if not isinstance(said, dict):
        raise UsageError("the body is no JSON object; send one or nothing")
    return said


def _ok(said: Any) -> Response:
    return _json(200, said)


def _error(status: int, sentence: str) -> Response:
    return _json(status, {"error": sentence})


def _json(status: int, said: Any) -> Response:
    return status, [_JSON], orjson.dumps(said)
