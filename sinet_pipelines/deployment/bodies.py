"""Reads bodies of HTTP requests within a size limit for each and a memory budget for all, and decompresses them."""

import zlib
from collections.abc import Awaitable, Callable
from typing import Any

from sinet_pipelines.errors import UsageError

BODY_LIMIT_BYTES = 32 * 1024**2  # of one body, decompressed; 1,024 rows are 4 MB raw and about 20 MB as JSON
ALL_BODIES_BYTES = 256 * 1024**2  # budget of all bodies that are being read
FREE_BYTES = 128 * 1024  # of each body that do not count, so that short requests are always read
ENCODINGS = b"gzip, deflate, identity"
_WINDOW_BITS = {"gzip": 31, "x-gzip": 31, "deflate": 15}

Headers = list[tuple[bytes, bytes]]
Receive = Callable[[], Awaitable[dict[str, Any]]]


class TooLargeError(UsageError):
    """A body, or its decompressed content, is larger than the limit."""


class UnknownEncodingError(UsageError):
    """A body has an unsupported content encoding."""


class CrowdedError(UsageError):
    """The bodies that are being read use the whole memory budget."""


class ClientGoneError(UsageError):
    """The client closed the connection before the end of its body."""


class BodyReader:
    """Reads bodies; those that are being read share one memory budget."""

    def __init__(self, budget_bytes: int = ALL_BODIES_BYTES) -> None:
        self._free_bytes = budget_bytes

    async def read(self, headers: Headers, receive: Receive) -> bytes:
        """Reads a whole body; it may be compressed.

        Args:
            headers: headers of the request.
            receive: the ASGI function that returns the next part.

        Raises:
            TooLargeError: the body is larger than `BODY_LIMIT_BYTES`.
            CrowdedError: other bodies use the whole budget.
            ClientGoneError: the connection ended before the end of the body.
        """
        declared = header(headers, b"content-length")
        if declared is not None and declared.isdigit() and int(declared[:20]) > BODY_LIMIT_BYTES:
            raise _too_large()
        message = await receive()
        if message["type"] == "http.request" and not message["more_body"]:
            return message["body"]
        return await self._read_parts(message, receive)

    async def _read_parts(self, message: dict[str, Any], receive: Receive) -> bytes:
        parts: list[bytes] = []
        size = taken = 0
        try:
            while True:
                if message["type"] != "http.request":
                    raise ClientGoneError("the connection ended inside the body; send it again")
                parts.append(message["body"])
                size += len(parts[-1])
                if size > BODY_LIMIT_BYTES:
                    raise _too_large()
                if not message["more_body"]:
                    return b"".join(parts)
                needed = max(0, size - FREE_BYTES) - taken
                if needed > self._free_bytes:
                    raise CrowdedError("many large requests are being read; send this one again in a second")
                taken, self._free_bytes = taken + needed, self._free_bytes - needed
                message = await receive()
        finally:
            self._free_bytes += taken


def inflated(headers: Headers, body: bytes) -> bytes:
    """The decompressed body.

    Raises:
        UnknownEncodingError: the encoding is neither gzip nor deflate.
        TooLargeError: the decompressed body is larger than `BODY_LIMIT_BYTES`.
        UsageError: the body is not a stream of this encoding, or is incomplete.
    """
    encoding = header(headers, b"content-encoding")
    name = encoding.strip().lower().decode("latin-1") if encoding is not None else "identity"
    if name in ("identity", ""):
        return body
    if name not in _WINDOW_BITS:
        raise UnknownEncodingError(
            f"content-encoding {name[:20]!r} is not supported (allowed: {ENCODINGS.decode()}); send it uncompressed"
        )
    try:
        return _inflate(body, _WINDOW_BITS[name])
    except zlib.error as error:
        if name == "deflate":  # some clients send the raw stream
            try:
                return _inflate(body, -15)
            except zlib.error:
                pass
        raise UsageError(f"the body is not a {name} stream ({error}); compress it again") from error


def header(headers: Headers, name: bytes) -> bytes | None:
    """The first value of a header; None where it is absent."""
    for key, value in headers:
        if key == name:
            return value
    return None


def _inflate(body: bytes, window_bits: int) -> bytes:
    stream = zlib.decompressobj(window_bits)
    content = stream.decompress(body, BODY_LIMIT_BYTES + 1)
    if len(content) > BODY_LIMIT_BYTES:
        raise _too_large()
    if not stream.eof or stream.unused_data:
        raise UsageError("the compressed body is incomplete, or other bytes follow it; send one complete stream")
    return content


def _too_large() -> TooLargeError:
    return TooLargeError(f"the body is larger than {BODY_LIMIT_BYTES} bytes; send the rows in parts")
