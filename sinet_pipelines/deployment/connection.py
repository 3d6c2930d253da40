"""Sends requests to a model server over one HTTP connection, and turns failures into the platform's errors."""

import json
from collections.abc import Mapping
from http.client import HTTPConnection, HTTPException, HTTPResponse, HTTPSConnection
from typing import Any
from urllib.parse import urlsplit

from sinet_pipelines.errors import ModelNotFoundError, ServingError, SinetError, UsageError

HEADER_LENGTH = "Inference-Header-Content-Length"


class UnreachableError(ServingError):
    """No server is at this address, or the connection ended before a response. The request can be repeated."""


def connect(url: str, timeout_s: float) -> HTTPConnection:
    """A connection to the server at this root; the first exchange opens it.

    Args:
        url: root of the server, such as `http://127.0.0.1:8000`.
        timeout_s: time limit in seconds of each read and write.

    Raises:
        UsageError: the text is not the root of a server.
    """
    root = urlsplit(url)
    try:
        host, port = root.hostname, root.port
    except ValueError:
        host, port = None, None
    if root.scheme not in ("http", "https") or not host or root.path.strip("/"):
        raise UsageError(f"{url!r} is not the root of a server; pass one like http://127.0.0.1:8000")
    kind = HTTPSConnection if root.scheme == "https" else HTTPConnection
    return kind(host, port, timeout=timeout_s)


def exchange(
    connection: HTTPConnection, url: str, method: str, path: str, body: bytes = b"", headers: Mapping[str, str] = {}
) -> tuple[HTTPResponse, bytes]:
    """Sends one request and reads its whole response.

    Raises:
        UnreachableError: no server is at this address, or the connection ended before a response.
        ServingError: there was no response within the time limit of the connection.
    """
    try:
        connection.request(method, path, body or None, dict(headers))
        response = connection.getresponse()
        return response, response.read()
    except TimeoutError as error:
        raise ServingError(
            f"{url} did not respond within {connection.timeout} s; repeat the request or look at its log"
        ) from error
    except (OSError, HTTPException) as error:
        raise UnreachableError(
            f"no model server responds at {url} ({error or type(error).__name__}); "
            "start one with `sinet run` or `sinet serve`"
        ) from error


def read_json(url: str, response: HTTPResponse, content: bytes) -> Any:
    """The parsed JSON of a successful response.

    Raises:
        UsageError: the server rejected the request.
        ModelNotFoundError: the server has no such model or version.
        ServingError: the server failed, or is not a server of this protocol.
    """
    length = response.headers.get(HEADER_LENGTH)
    try:
        decoded = json.loads(content[: int(length)] if length is not None else content)
    except ValueError as error:
        raise not_of_protocol(url, f"status {response.status}") from error
    if response.status == 200:
        return decoded
    sentence = decoded.get("error") if isinstance(decoded, dict) else None
    kinds: dict[int, type[SinetError]] = {400: UsageError, 404: ModelNotFoundError, 413: UsageError}
    raise kinds.get(response.status, ServingError)(f"{url} returned {response.status}: {sentence}")


def not_of_protocol(url: str, found: object) -> ServingError:
    """The error for a response that a server of the protocol does not return."""
    return ServingError(f"the response of {url} is not of the protocol ({found}); check that it is a model server")
