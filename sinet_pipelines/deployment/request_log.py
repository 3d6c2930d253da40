"""Logs each request as a line of JSON in a rotated file; of rejected requests it logs a limited number a second.

Lines are collected in memory and written about once a second, so that logging adds only a microsecond to a request.
"""

import sys
import time
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import orjson

LOG_FILE = "requests.log"
ROTATE_BYTES = 10 * 1024**2
KEPT_FILES = 3  # rotated files beside the current one
REJECTED_A_SECOND = 20  # lines of rejected requests; the others are counted in one line
PENDING_LINES = 20_000  # limit of lines in memory between two writes; further requests are not logged


class RequestLog:
    """The log of the requests of one server.

    Attributes:
        path: the file; None for stdout, as in containers.
    """

    def __init__(self, path: Path | None) -> None:
        self.path = path
        self._pending: list[tuple[Any, ...]] = []
        self._second = 0
        self._rejected_in_second = 0
        self._left_out: Counter[int | str] = Counter()

    def add(
        self, transport: str, name: str, status: int | str, seconds: float, *, model: str = "", version: str = ""
    ) -> None:
        """Adds a request to the pending lines.

        Args:
            transport: `http` or `grpc`.
            name: method and path of HTTP, or method of gRPC.
            status: HTTP status, or name of the gRPC status.
            seconds: time from the headers of the request to its response.
            model: name of the requested model; empty for none.
            version: number of the version that predicted; empty for none.
        """
        now = time.time()
        if status not in (200, "OK") and not self._may_log(int(now)):
            self._left_out[status] += 1
            return
        if len(self._pending) < PENDING_LINES:
            self._pending.append((now, transport, name, status, seconds, model, version))

    def write(self) -> None:
        """Writes the pending lines, and rotates the file where it is too large.

        Raises:
            OSError: the file cannot be written.
        """
        lines = [_line(*entry) for entry in self._pending]
        if self._left_out:
            counts = {str(status): count for status, count in sorted(self._left_out.items(), key=str)}
            lines.append(orjson.dumps({"at": _instant(time.time()), "not_listed": counts}) + b"\n")
        self._pending.clear()
        self._left_out.clear()
        if not lines:
            return
        if self.path is None:
            sys.stdout.buffer.write(b"".join(lines))
            sys.stdout.buffer.flush()
            return
        self._rotate()
        with self.path.open("ab") as file:
            file.write(b"".join(lines))

    def _may_log(self, second: int) -> bool:
        if second != self._second:
            self._second, self._rejected_in_second = second, 0
        self._rejected_in_second += 1
        return self._rejected_in_second <= REJECTED_A_SECOND

    def _rotate(self) -> None:
        if self.path is None or not self.path.exists() or self.path.stat().st_size < ROTATE_BYTES:
            return
        numbered = [self.path, *(self.path.with_name(f"{self.path.name}.{n}") for n in range(1, KEPT_FILES + 1))]
        for older, newer in zip(reversed(numbered), reversed(numbered[:-1]), strict=False):
            if newer.exists():
                newer.replace(older)


def _line(at: float, transport: str, name: str, status: int | str, seconds: float, model: str, version: str) -> bytes:
    entry = {
        "at": _instant(at),
        "transport": transport,
        "request": name,
        "status": status,
        "ms": round(seconds * 1000, 3),
        "model": model,
        "version": version,
    }
    return orjson.dumps({key: value for key, value in entry.items() if value != ""}) + b"\n"


def _instant(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds")
