"""Bodies of HTTP requests: read within limits of one and of all, and inflated where they came compressed."""

import zlib
from collections.abc import Awaitable, Callable
from typing import Any

from sinet_pipelines.errors import UsageError

BODY_LIMIT_BYTES = 32 * 1024**2  # of one, inflated; 1,024 rows are 4 MB raw and about 20 MB as JSON
ALL_BODIES_BYTES = 256 * 1024**2  # of all that are being read at once
FREE_BYTES = 128 * 1024  # of each one that counts to no budget, so that short requests are always read
ENCODINGS = b"gzip, deflate, identity"
_WINDOW_BITS = {"gzip": 31, "x-gzip": 31, "deflate": 15}

Headers = list[tuple[bytes, bytes]]
Receive = Callable[[], Awaitable[dict[str, Any]]]


class TooLargeError(UsageError):
    """A body, or what it inflates to, passes the limit."""


class UnknownEncodingError(UsageError):
    """A body came in an encoding that is not read."""


class CrowdedError(UsageError):
    """The bodies that are being read take all the memory that they may."""


class ClientGoneError(UsageError):
    """The client ended the connection inside its body."""


class BodyReader:
    """Reads bodies; all of them together take no more than a budget."""

    def __init__(self, budget_bytes: int = ALL_BODIES_BYTES) -> None:
        self._free_bytes = budget_bytes

    async def read(self, headers: Headers, receive: Receive) -> bytes:
        """The whole body, as it came.

        Raises:
            TooLargeError: it is larger than `BODY_LIMIT_BYTES`.
            CrowdedError: other bodies take all the memory.
            ClientGoneError: it ended before it was whole.
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
    """The body without its content encoding.

    Raises:
        UnknownEncodingError: it is another than gzip and deflate.
        TooLargeError: it inflates to more than `BODY_LIMIT_BYTES`.
        UsageError: it is no such stream, or is cut off.
    """
    encoding = header(headers, b"content-encoding")
    name = encoding.strip().lower().decode("latin-1") if encoding is not None else "identity"
    if name in ("identity", ""):
        return body
    if name not in _WINDOW_BITS:
        raise UnknownEncodingError(
            f"content-encoding {name[:20]!r} is not read here (allowed: {ENCODINGS.decode()}); send the body as it is"
        )
    try:
        return _inflate(body, _WINDOW_BITS[name])
    except zlib.error as error:
        if name == "deflate":  # some clients send the bare stream
            try:
                return _inflate(body, -15)
            except zlib.error:
                pass
        raise UsageError(f"the body is no {name} stream ({error}); compress it again") from error


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
        raise UsageError("the compressed body is cut off, or something follows it; send one whole stream")
    return content


def _too_large() -> TooLargeError:
    return TooLargeError(f"the body is larger than {BODY_LIMIT_BYTES} bytes; send the rows in parts")
