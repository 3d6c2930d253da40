"""Ctrl-C and SIGTERM during a backfill: a pause after the run in progress; the second one ends the process at once."""

import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import FrameType

from rich.console import Console

ENDED = 3  # exit code of a process that a second signal ended
STEP_S = 0.1


@dataclass
class Signals:
    """What signals requested so far."""

    console: Console
    _received: list[int] = field(default_factory=list)

    @property
    def wants_pause(self) -> bool:
        """Whether a signal came."""
        return bool(self._received)

    def wait(self, seconds: float) -> None:
        """Waits; a signal ends the wait."""
        deadline = time.monotonic() + seconds
        while not self._received and time.monotonic() < deadline:
            time.sleep(STEP_S)

    def take(self, number: int, _: FrameType | None = None) -> None:
        """Handles a signal.

        The second one ends the process without its usual end, which would wait for the run. The run then counts as
        killed, and `sinet backfill resume` makes its days.
        """
        self._received.append(number)
        if len(self._received) > 1:
            self.console.show_cursor()
            os._exit(ENDED)
        self.console.print("pauses after the run in progress; once more ends it at once, and `resume` makes it again")


@contextmanager
def handled(console: Console) -> Iterator[Signals]:
    """Handles both signals while the body of the `with` block runs; in another than the main thread, neither."""
    signals = Signals(console)
    if threading.current_thread() is not threading.main_thread():
        yield signals
        return
    before = {number: signal.signal(number, signals.take) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield signals
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
