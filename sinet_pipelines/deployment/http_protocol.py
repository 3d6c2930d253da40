"""HTTP connections with limits that uvicorn lacks: size of the headers, time of a request, number of connections.

Without these limits one client could use up memory and connections for all others: by a header line of 300 MB, by forty
incomplete bodies, or by more connections than the process may open files. A rejected client receives the reason before
its connection is closed.
"""

import time
from collections.abc import Callable, Iterable
from typing import Any

import httptools
import orjson
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

HEAD_LIMIT_BYTES = 64 * 1024  # request line and headers; a client of the protocol sends about 300
HEAD_S = 10.0  # time limit of request line and headers, from their first byte
BODY_PAUSE_S = 10.0  # longest time between two parts of a body
BODY_S = 60.0  # time limit of a whole body: 32 MB at 0.5 MB a second
FIRST_BYTE_S = 65.0  # time limit for the first byte of a connection, equal to that of an idle one

Report = Callable[[int, str], None]


class BoundedHttpProtocol(HttpToolsProtocol):
    """One HTTP connection with limits; `sweep` checks the time limits of all connections.

    Attributes:
        limit_connections: largest number of open connections; further ones get status 503.
        head_s: time limit of request line and headers, in seconds.
        body_pause_s: longest time between two parts of a body, in seconds.
        body_s: time limit of a whole body, in seconds.
        report: called with status and message for each request that is rejected here, for the log.
    """

    limit_connections: int = 1000
    head_s: float = HEAD_S
    body_pause_s: float = BODY_PAUSE_S
    body_s: float = BODY_S
    report: Report = staticmethod(lambda status, sentence: None)

    def connection_made(self, transport: Any) -> None:
        """Accepts the connection, or rejects it where there are too many."""
        super().connection_made(transport)
        self._phase, self._since, self._last = "new", time.monotonic(), time.monotonic()
        self._head_bytes = 0
        self._rejected = False
        if len(self.connections) > self.limit_connections:
            self._reject(503, f"{self.limit_connections} connections are open already; try again", "retry-after: 1")

    def data_received(self, data: bytes) -> None:
        """Passes received bytes to the parser while the connection is within its limits."""
        if self._rejected:
            return
        self._last = time.monotonic()
        self._unset_keepalive_if_required()
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            return  # a client that offers to switch protocols (such as to h2c) gets its response over HTTP/1.1
        except httptools.HttpParserError:
            if not self._rejected:
                self._reject(400, "this is not an HTTP request; send HTTP/1.1")
        else:
            if self._phase == "head":
                self._head_bytes += len(data)
                self._check_head()

    def on_message_begin(self) -> None:
        """Starts the time limit of the headers."""
        super().on_message_begin()
        self._phase, self._since, self._head_bytes = "head", time.monotonic(), 0

    def on_headers_complete(self) -> None:
        """Starts the handling of the request, unless its headers are too long."""
        self._head_bytes = len(self.url) + sum(len(name) + len(value) for name, value in self.headers)
        if self._check_head():
            self._phase, self._since = "body", time.monotonic()
            super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        """Passes a part of the body on, unless the request was rejected."""
        if not self._rejected:
            super().on_body(body)

    def on_message_complete(self) -> None:
        """Marks the request as complete."""
        self._phase = "whole"
        if not self._rejected:
            super().on_message_complete()

    def eof_received(self) -> bool | None:
        """Handles that the client sends no more: it still receives the response that it waits for."""
        if self._phase == "whole" and self.cycle is not None and not self.cycle.response_complete:
            self.cycle.keep_alive = False
            return True
        return None

    def connection_lost(self, exc: Exception | None) -> None:
        """Handles that the client or the server closed the connection."""
        self._phase = "whole"
        super().connection_lost(exc)

    @property
    def is_idle(self) -> bool:
        """Whether no request is in progress."""
        return self._phase in ("new", "whole") and (self.cycle is None or self.cycle.response_complete)

    def end_if_slow(self, now: float) -> None:
        """Closes the connection where its first byte or its request exceeds a time limit.

        Args:
            now: the present time of `time.monotonic`, in seconds.
        """
        if self.transport.is_closing():
            return
        if self._rejected and now - self._since > 1.0:
            self.transport.abort()
        elif self._phase == "new" and now - self._since > FIRST_BYTE_S:
            self.transport.close()
        elif self._phase == "head" and now - self._since > self.head_s:
            self._reject(408, f"the request's head took more than {self.head_s:g} s; send it at once")
        elif self._phase == "body" and self.cycle is not None and self.cycle.response_complete:
            if now - self._since > self.body_s:
                self.transport.close()  # the rest of a body after its response, as of one that was too large
        elif self._phase == "body" and (now - self._last > self.body_pause_s or now - self._since > self.body_s):
            self._reject(408, f"the body paused for {self.body_pause_s:g} s or took {self.body_s:g} s; send it at once")

    def _check_head(self) -> bool:
        if self._head_bytes > HEAD_LIMIT_BYTES:
            self._reject(431, f"the head is larger than {HEAD_LIMIT_BYTES} bytes; send fewer or shorter headers")
        return not self._rejected

    def _reject(self, status: int, sentence: str, *headers: str) -> None:
        """Sends an error response, unless another response has begun, and reads no more from this connection."""
        has_begun = self.cycle is not None and self.cycle.response_started and not self.cycle.response_complete
        self._rejected, self._phase, self._since = True, "rejected", time.monotonic()
        self.report(status, sentence)
        if self.cycle is not None and not self.cycle.response_complete:
            self.cycle.disconnected = True  # ends the function that reads the body
            self.cycle.message_event.set()
        if has_begun:
            self.transport.close()
            return
        content = orjson.dumps({"error": sentence})
        head = "\r\n".join(
            ("content-type: application/json", f"content-length: {len(content)}", "connection: close", *headers)
        )
        self.transport.write(STATUS_LINE[status] + head.encode() + b"\r\n\r\n" + content)
        is_flood = len(self.connections) > self.limit_connections * 5 // 4  # close at once, before files run out
        if self.transport.can_write_eof() and not is_flood:
            self.transport.write_eof()  # later bytes are discarded until `sweep` closes it
        else:
            self.transport.close()


def sweep(connections: Iterable[Any]) -> None:
    """Closes the connections that exceed a time limit; call it about once a second."""
    now = time.monotonic()
    for connection in list(connections):
        connection.end_if_slow(now)
