"""HTTP connections with limits that uvicorn lacks: the size of a head, the time of a request, how many are open.

Without them one client holds memory and time of all others: a header line of 300 MB, forty half-sent bodies, or more
connections than the process may have files. A refused client is told why before its connection ends.
"""

import time
from collections.abc import Callable, Iterable
from typing import Any

import httptools
import orjson
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

HEAD_LIMIT_BYTES = 64 * 1024  # request line and headers; a client of the protocol sends about 300
HEAD_S = 10.0  # for a whole head, from its first byte
BODY_PAUSE_S = 10.0  # without one byte of a body
BODY_S = 60.0  # for a whole body: 32 MB at 0.5 MB a second
FIRST_BYTE_S = 65.0  # of a connection that has sent nothing yet, as long as an idle one is kept

Report = Callable[[int, str], None]


class BoundedHttpProtocol(HttpToolsProtocol):
    """One connection; `sweep` looks at all of them.

    Attributes:
        limit_connections: how many may be open at once; those beyond are answered 503.
        head_s: for a whole head.
        body_pause_s: without one byte of a body.
        body_s: for a whole body.
        report: called with status and sentence for each request that is refused here; the application logs its own.
    """

    limit_connections: int = 1000
    head_s: float = HEAD_S
    body_pause_s: float = BODY_PAUSE_S
    body_s: float = BODY_S
    report: Report = staticmethod(lambda status, sentence: None)

    def connection_made(self, transport: Any) -> None:
        """Takes the connection, or refuses it where there are too many."""
        super().connection_made(transport)
        self._phase, self._since, self._last = "new", time.monotonic(), time.monotonic()
        self._head_bytes = 0
        self._refused = False
        if len(self.connections) > self.limit_connections:
            self._refuse(503, f"{self.limit_connections} connections are open already; try again", "retry-after: 1")

    def data_received(self, data: bytes) -> None:
        """Feeds the parser, while the limits hold."""
        if self._refused:
            return
        self._last = time.monotonic()
        self._unset_keepalive_if_required()
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            return  # a client that offers another protocol (h2c, say) gets its answer in this one
        except httptools.HttpParserError:
            if not self._refused:
                self._refuse(400, "this is no HTTP request; send HTTP/1.1")
        else:
            if self._phase == "head":
                self._head_bytes += len(data)
                self._check_head()

    def on_message_begin(self) -> None:
        """A head begins."""
        super().on_message_begin()
        self._phase, self._since, self._head_bytes = "head", time.monotonic(), 0

    def on_headers_complete(self) -> None:
        """A head is there: its request is answered, unless it is too long."""
        self._head_bytes = len(self.url) + sum(len(name) + len(value) for name, value in self.headers)
        if self._check_head():
            self._phase, self._since = "body", time.monotonic()
            super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        """A part of a body."""
        if not self._refused:
            super().on_body(body)

    def on_message_complete(self) -> None:
        """A request is whole."""
        self._phase = "whole"
        if not self._refused:
            super().on_message_complete()

    def eof_received(self) -> bool | None:
        """The client sends no more; one that waits for its answer gets it."""
        if self._phase == "whole" and self.cycle is not None and not self.cycle.response_complete:
            self.cycle.keep_alive = False
            return True
        return None

    def connection_lost(self, exc: Exception | None) -> None:
        """The client, or we, ended it."""
        self._phase = "whole"
        super().connection_lost(exc)

    @property
    def is_idle(self) -> bool:
        """Whether no request is under way."""
        return self._phase in ("new", "whole") and (self.cycle is None or self.cycle.response_complete)

    def end_if_slow(self, now: float) -> None:
        """Ends the connection where its request, or its first byte, takes too long."""
        if self.transport.is_closing():
            return
        if self._refused and now - self._since > 1.0:
            self.transport.abort()
        elif self._phase == "new" and now - self._since > FIRST_BYTE_S:
            self.transport.close()
        elif self._phase == "head" and now - self._since > self.head_s:
            self._refuse(408, f"the request's head took more than {self.head_s:g} s; send it at once")
        elif self._phase == "body" and self.cycle is not None and self.cycle.response_complete:
            if now - self._since > self.body_s:
                self.transport.close()  # answered already: the rest of a body that was too large
        elif self._phase == "body" and (now - self._last > self.body_pause_s or now - self._since > self.body_s):
            self._refuse(408, f"the body paused for {self.body_pause_s:g} s or took {self.body_s:g} s; send it at once")

    def _check_head(self) -> bool:
        if self._head_bytes > HEAD_LIMIT_BYTES:
            self._refuse(431, f"the head is larger than {HEAD_LIMIT_BYTES} bytes; send fewer or shorter headers")
        return not self._refused

    def _refuse(self, status: int, sentence: str, *headers: str) -> None:
        """Answers with a sentence, unless an answer has begun, and reads no more of this connection."""
        has_answered = self.cycle is not None and self.cycle.response_started and not self.cycle.response_complete
        self._refused, self._phase, self._since = True, "refused", time.monotonic()
        self.report(status, sentence)
        if self.cycle is not None and not self.cycle.response_complete:
            self.cycle.disconnected = True  # whoever reads its body lets go of it
            self.cycle.message_event.set()
        if has_answered:
            self.transport.close()
            return
        content = orjson.dumps({"error": sentence})
        head = "\r\n".join(
            ("content-type: application/json", f"content-length: {len(content)}", "connection: close", *headers)
        )
        self.transport.write(STATUS_LINE[status] + head.encode() + b"\r\n\r\n" + content)
        is_flood = len(self.connections) > self.limit_connections * 5 // 4  # files run out: no time to linger
        if self.transport.can_write_eof() and not is_flood:
            self.transport.write_eof()  # the answer first; what still comes is thrown away until `sweep` ends it
        else:
            self.transport.close()


def sweep(connections: Iterable[Any]) -> None:
    """Ends the connections whose requests take too long; called about once a second."""
    now = time.monotonic()
    for connection in list(connections):
        connection.end_if_slow(now)
