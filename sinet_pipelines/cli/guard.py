"""Protects Dagster's UI: rejects requests from pages of other sites and requests under other host names.

Dagster's webserver has no login, and accepts GraphQL mutations by GET, from any origin and under any host name. So any
page in the operator's browser could start or end runs: by the address of an image, by a form, or by a host name that
its owner points at 127.0.0.1 (DNS rebinding). With the guard
- the host must be this machine by its own name or address (`HOSTS`), on any port, so that an SSH tunnel works;
- a request or websocket that names an origin must come from a page of the same host and port;
- GraphQL accepts POST alone; GET shows its page and runs no query;
- no other site may show the pages in a frame, and the pages load nothing from another site.

Programs that are not browsers name no origin; their requests pass.
"""

from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from typing import Any
from urllib.parse import urlsplit

HOSTS = frozenset({"localhost", "127.0.0.1", "::1"})
GRAPHQL = "/graphql"
POLICY = "default-src 'self' 'unsafe-inline' 'unsafe-eval' data: blob:; frame-ancestors 'self'"
CONFINED = ((b"x-frame-options", b"SAMEORIGIN"), (b"content-security-policy", POLICY.encode()))

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Application = Callable[[Message, Receive, Send], Awaitable[None]]


class Guard:
    """An ASGI application that passes accepted requests on and rejects the rest with 403 or 405."""

    def __init__(self, inner: Application) -> None:
        self._inner = inner

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Checks the headers of one request or websocket before the pages receive anything of it."""
        if scope["type"] not in ("http", "websocket"):
            await self._inner(scope, receive, send)
            return
        refusal = judge(scope)
        if refusal is None:
            await self._inner(scope, receive, _confined(send))
        elif scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1008, "reason": refusal[1]})
        else:
            await _refuse(send, *refusal)


def judge(scope: Message) -> tuple[int, str] | None:
    """Status and message of a rejection; None where the request is accepted."""
    headers: Iterable[tuple[bytes, bytes]] = scope["headers"]
    found: dict[str, list[str]] = {"host": [], "origin": [], "accept": []}
    for name, value in headers:
        found.get(name.decode("latin-1").lower(), []).append(value.decode("latin-1"))
    host = found["host"][0] if len(found["host"]) == 1 else ""
    if _name_of(host) not in HOSTS:
        return 403, "rejected: another host name (allowed: localhost, 127.0.0.1, [::1]); open the address of `sinet ui`"
    if any(_netloc_of(origin) != host.lower() for origin in found["origin"]):
        return (
            403,
            f"rejected: a request from another origin (allowed: pages of {_name_of(host)} on this port)",
        )
    is_graphql = scope["path"].rstrip("/").endswith(GRAPHQL)
    shows_page = scope.get("method") == "GET" and any("text/html" in accept for accept in found["accept"])
    if scope["type"] == "http" and is_graphql and scope["method"] != "POST" and not shows_page:
        return 405, "rejected: GraphQL accepts POST alone"
    return None


def _netloc_of(origin: str) -> str | None:
    """Host and port of an origin, in lower case; None where the origin is not a web page (`null`, file, extension)."""
    try:
        parts = urlsplit(origin)
    except ValueError:
        return None
    return parts.netloc.lower() if parts.scheme in ("http", "https") else None


def _name_of(host: str) -> str | None:
    """The name or address in a Host header without its port; None where the header is invalid."""
    try:
        parts = urlsplit(f"//{host}")
        if parts.netloc != host or "@" in host or (parts.port is None and host.endswith(":")):
            return None
        return parts.hostname
    except ValueError:
        return None


def _confined(send: Send) -> Send:
    """The same response with additional headers that isolate the page from other sites."""

    async def confined(message: Message) -> None:
        if message["type"] == "http.response.start":
            message = {**message, "headers": [*message.get("headers", ()), *CONFINED]}
        await send(message)

    return confined


async def _refuse(send: Send, status: int, sentence: str) -> None:
    body = sentence.encode()
    headers = [(b"content-type", b"text/plain; charset=utf-8"), (b"content-length", str(len(body)).encode())]
    headers += [(b"allow", b"POST")] if status == 405 else []
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
