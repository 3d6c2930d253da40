"""One HTTP connection to a model server: what goes out and comes back, and every failure as an error of the house."""

import json
from collections.abc import Mapping
from http.client import HTTPConnection, HTTPException, HTTPResponse, HTTPSConnection
from typing import Any
from urllib.parse import urlsplit

from sinet_pipelines.errors import ModelNotFoundError, ServingError, SinetError, UsageError

HEADER_LENGTH = "Inference-Header-Content-Length"


class UnreachableError(ServingError):
    """Nothing listens, or the connection ended before an answer came: asking again is safe."""


def connect(url: str, timeout_s: float) -> HTTPConnection:
    """A connection to the server at this root, opened by the first exchange.

    Raises:
        UsageError: the text is no root of a server.
    """
    root = urlsplit(url)
    try:
        host, port = root.hostname, root.port
    except ValueError:
        host, port = None, None
    if root.scheme not in ("http", "https") or not host or root.path.strip("/"):
        raise UsageError(f"{url!r} is no root of a server; give one like http://127.0.0.1:8000")
    kind = HTTPSConnection if root.scheme == "https" else HTTPConnection
    return kind(host, port, timeout=timeout_s)


def exchange(
    connection: HTTPConnection, url: str, method: str, path: str, body: bytes = b"", headers: Mapping[str, str] = {}
) -> tuple[HTTPResponse, bytes]:
    """Sends one request and reads its whole response.

    Raises:
        UnreachableError: nothing listens, or the connection ended before an answer.
        ServingError: no answer came in time.
    """
    try:
        connection.request(method, path, body or None, dict(headers))
        response = connection.getresponse()
        return response, response.read()
    except TimeoutError as error:
        raise ServingError(
            f"{url} did not answer within {connection.timeout} s; ask again or look at its log"
        ) from error
    except (OSError, HTTPException) as error:
        raise UnreachableError(
            f"no model server answers at {url} ({error or type(error).__name__}); "
            "start one with `sinet run` or `sinet serve`"
        ) from error


def read_json(url: str, response: HTTPResponse, content: bytes) -> Any:
    """The JSON of a good answer.

    Raises:
        UsageError: the server refused what was sent.
        ModelNotFoundError: the server has no such model or version.
        ServingError: it failed, or does not speak the protocol.
    """
    length = response.headers.get(HEADER_LENGTH)
    try:
        said = json.loads(content[: int(length)] if length is not None else content)
    except ValueError as error:
        raise foreign(url, f"status {response.status}") from error
    if response.status == 200:
        return said
    sentence = said.get("error") if isinstance(said, dict) else None
    kinds: dict[int, type[SinetError]] = {400: UsageError, 404: ModelNotFoundError, 413: UsageError}
    raise kinds.get(response.status, ServingError)(f"{url} answered {response.status}: {sentence}")


def foreign(url: str, found: object) -> ServingError:
    """The error of an answer that no server of the protocol would give."""
    return ServingError(f"{url} answered in no words of the protocol ({found}); is it a model server?")
