"""Logs a line of JSON for every request to a file that is rotated; the number of rejected requests a second is limited.

Lines are kept in memory and written about once a second, so that a request takes a microsecond longer.
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
REFUSED_A_SECOND = 20  # lines of rejected requests; further ones are counted in one line
PENDING_LINES = 20_000  # limit of lines in memory between two writes


class RequestLog:
    """The requests of one server.

    Attributes:
        path: its file; None writes to stdout, for containers.
    """

    def __init__(self, path: Path | None) -> None:
        self.path = path
        self._pending: list[tuple[Any, ...]] = []
        self._second = 0
        self._refused_in_second = 0
        self._left_out: Counter[int | str] = Counter()

    def add(
        self, transport: str, name: str, status: int | str, seconds: float, *, model: str = "", version: str = ""
    ) -> None:
        """Logs a request.

        Args:
            transport: `http` or `grpc`.
            name: method and path, or the name of the call.
            status: HTTP status or gRPC code.
            seconds: from its headers to its response.
            model: the requested model, if there was one.
            version: the version that predicted.
        """
        now = time.time()
        if status not in (200, "OK") and not self._may_note(int(now)):
            self._left_out[status] += 1
            return
        if len(self._pending) < PENDING_LINES:
            self._pending.append((now, transport, name, status, seconds, model, version))

    def write(self) -> None:
        """Writes pending lines."""
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

    def _may_note(self, second: int) -> bool:
        if second != self._second:
            self._second, self._refused_in_second = second, 0
        self._refused_in_second += 1
        return self._refused_in_second <= REFUSED_A_SECOND

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
