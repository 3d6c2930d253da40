"""Decides in Dagster's daemon which sensors need no evaluation, since nothing changed that they read.

An evaluation costs about 60 ms of CPU in three processes: it writes a tick, and passes through the proxy to the code
server. Comparing files and the newest event with those before the last evaluation costs about a millisecond. Stores are
not listed here: sensors of a home with a region on a store are evaluated at their interval.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from sinet_pipelines.deployment.changes import FULL_LOOK_S, Reads, print_of, valid_until
from sinet_pipelines.errors import SinetError
from sinet_pipelines.storage.roots import stored_roots

SAME_S = 1.0  # sensors of one loop of the daemon share a comparison
SHARE = 100  # a comparison that took a second is used for so many seconds: it takes a per cent of a core
ONE_LOOP_S = 4.0  # the daemon's next loop, after 5 s, compares again: a drop is noticed within 5 s
TWO_LOOPS_S = 9.0  # the loop after it compares again: a drop is noticed within 10 s, whatever that costs
BRIEF_S = 0.05  # of a comparison, with which a loop takes a per cent of a core: some 10,000 files
EVENTS_S = 120.0  # longest rest of a sensor that reads events: its evaluation decides whether its own state expired


@dataclass(frozen=True)
class Evaluated:
    """The last evaluation of a sensor, as the daemon's database has it.

    Attributes:
        started_at: when it started, seconds after 1970; None where there was none.
        ended_well: whether it ended without an error.
        cursor: the sensor's cursor.
    """

    started_at: float | None
    ended_well: bool
    cursor: str | None


@dataclass(frozen=True)
class _Since:
    """The loaded sensor, its cursor and the state of what it reads, and since when all of these are the same."""

    sensor: object
    cursor: str | None
    print: str
    at: float


@dataclass(frozen=True)
class _Compared:
    """A state of the files and events, when it was read, and until when it is used again (monotonic clock)."""

    print: str
    at: float
    until_s: float


class Resting:
    """The sensors of a home, and since when nothing changed that they read."""

    def __init__(self, home: Path) -> None:
        self._home = home
        self._since: dict[str, _Since] = {}
        self._compared: dict[Reads, _Compared] = {}

    def rests(
        self, sensor: object, *, name: str, reads: str | None, last: Evaluated, newest_event: Callable[[], int | None]
    ) -> bool:
        """Whether a sensor needs no evaluation now.

        Args:
            sensor: the loaded sensor; another object of the same name is that of newer code.
            name: identifies the sensor.
            reads: value of its tag `AFTER`; None for a sensor that is evaluated at its interval.
            last: its last evaluation.
            newest_event: returns the id of the newest record of the event log.
        """
        if reads is None or reads not in set(Reads):
            return False
        if reads != Reads.EVENTS and time.time() >= valid_until(last.cursor):
            return False  # it has something to do, or waits for what no comparison shows
        try:
            if reads == Reads.LANDING_ZONES and stored_roots(self._home):
                return False
            now = self._compare(Reads(reads), newest_event)
        except SinetError:
            return False  # the evaluation reports it
        since = self._since.get(name)
        if since is None or since.sensor is not sensor or (since.cursor, since.print) != (last.cursor, now.print):
            self._since[name] = _Since(sensor, last.cursor, now.print, now.at)
            return False
        if last.started_at is None or not last.ended_well or last.started_at <= since.at:
            return False
        until = last.started_at + EVENTS_S if reads == Reads.EVENTS else valid_until(last.cursor)
        return until - FULL_LOOK_S <= time.time() < until  # a clock that was set back ends the rest, too

    def _compare(self, reads: Reads, newest_event: Callable[[], int | None]) -> _Compared:
        known = self._compared.get(reads)
        if known is not None and time.monotonic() < known.until_s:
            return known
        started = time.monotonic()
        found = print_of(self._home, reads, newest_event())
        ended = time.monotonic()
        took = ended - started
        again_s = min(max(SAME_S, SHARE * took), ONE_LOOP_S) if took <= BRIEF_S else TWO_LOOPS_S
        # the time after the listing: an evaluation that started later has seen all that is in it
        self._compared[reads] = _Compared(found, time.time(), ended + again_s)
        return self._compared[reads]
