"""Decides whether an attempt of a step may still commit: of several workers of a step only the newest one may.

A worker may run beside the next attempt if its launch was never confirmed or its node was lost. A worker of a cancelled
run may be out of the run's reach. So a worker reads the event log before each commit and each event that it writes. A
newer launch, or an end of its attempt or run, closes the fence; then it writes nothing more. Milliseconds remain
between the check and the commit. What two workers write in that time is equal, and the router ignores the late event.
"""

import logging
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from dagster import DagsterEvent, DagsterEventType, DagsterInstance, DagsterRunStatus, EventLogEntry, MetadataValue

from resources.dagster_private import EngineEventData, EventLogCursor
from resources.router.log import OVERLAP, PAGE
from resources.router.verdicts import BEGIN_EVENTS, FINAL_EVENTS, READ_EVENTS, is_interruption, verdict_of
from sinet_pipelines.storage.commits import CommitRefusedError, commits_checked

JOB_VARIABLE = "SINET_STEP_JOB"  # environment variable of a pod: the name of its Job
TERMINATED, WITHDRAWN, OUT_OF_MEMORY = (
    "terminated",
    "withdrawn",
    "out of memory",
)  # keys of metadata in engine events: the number of an attempt
FRESH_S = 0.2  # a step over a range of days writes many materialisations in sequence
DATA_EVENTS = frozenset(
    {
        DagsterEventType.ASSET_MATERIALIZATION,
        DagsterEventType.ASSET_OBSERVATION,
        DagsterEventType.ASSET_CHECK_EVALUATION,
    }
)
FAILURE_EVENTS = frozenset({DagsterEventType.STEP_FAILURE, DagsterEventType.STEP_UP_FOR_RETRY})
CHECKED_EVENTS = DATA_EVENTS | FAILURE_EVENTS | BEGIN_EVENTS | FINAL_EVENTS | {DagsterEventType.STEP_OUTPUT}


@dataclass
class Fence:
    """The fence of one attempt of a step, in its worker.

    Attributes:
        instance: the instance whose event log is read.
        run_id: id of the run.
        step_key: the step.
        attempt: 0 is the first.
        job: name of its Job; empty beside the run.
        is_terminating: whether the process received SIGTERM.
        closed: why it may write no more; empty while it may.
        is_through: whether the attempt has written its final event.
        has_lost_a_process: whether the kernel killed a process of the pod for memory since the attempt began.
        is_out_of_memory: whether it fails after that; the router then decides on the next attempt's memory.
        is_interrupted: whether it ends after SIGTERM; the router then records the reason.
    """

    instance: DagsterInstance
    run_id: str
    step_key: str
    attempt: int
    job: str = ""
    is_terminating: Callable[[], bool] = lambda: False
    closed: str = ""
    is_through: bool = False
    is_interrupted: bool = False
    has_lost_a_process: Callable[[], bool] = lambda: False
    is_out_of_memory: bool = False
    _events: dict[int, DagsterEvent] = field(default_factory=dict)
    _cursor: str | None = None
    _checked_at: float = float("-inf")
    _lock: threading.RLock = field(default_factory=threading.RLock)

    def require_open(self) -> None:
        """Checks that the attempt may commit.

        Raises:
            CommitRefusedError: it may not.
        """
        if self.check():
            raise CommitRefusedError(self.closed)

    def check(self, *, within_s: float = 0.0) -> str:
        """Why the attempt may write no more; empty while it may.

        Args:
            within_s: a cached result of this age in seconds is used.
        """
        with self._lock:
            if not self.closed and time.monotonic() - self._checked_at >= within_s:
                self.closed, self._checked_at = self._why(), time.monotonic()
            return self.closed

    def passed(self, entry: EventLogEntry) -> EventLogEntry | None:
        """The entry to write to the event log for an entry of the worker: itself, a replacement, or None."""
        event = entry.dagster_event
        if self.closed:
            return None
        if event is None or event.event_type not in CHECKED_EVENTS or event.step_key != self.step_key:
            return entry
        if self.check(within_s=FRESH_S if event.event_type in DATA_EVENTS else 0.0):
            return None
        if event.event_type in FAILURE_EVENTS and (self.is_terminating() or is_interruption(event)):
            self.is_interrupted = True
            message = f"Attempt {self.attempt + 1} received SIGTERM and ends; the router finds the reason and continues"
            return self._left_to_the_router(entry, TERMINATED, message)
        if event.event_type in FAILURE_EVENTS and self.has_lost_a_process():
            self.is_out_of_memory = True
            message = f"Attempt {self.attempt + 1} fails after the kernel killed a process of its pod for memory"
            return self._left_to_the_router(entry, OUT_OF_MEMORY, message)
        self.is_through = self.is_through or event.event_type in FINAL_EVENTS | FAILURE_EVENTS
        return entry

    def _left_to_the_router(self, entry: EventLogEntry, what: str, message: str) -> EventLogEntry:
        """Replaces a failure that is not the step's own by an entry that leaves the next attempt to the router."""
        event = entry.dagster_event
        assert event is not None
        noted = DagsterEvent(
            DagsterEventType.ENGINE_EVENT.value,
            event.job_name,
            step_key=self.step_key,
            event_specific_data=EngineEventData(metadata={what: MetadataValue.int(self.attempt)}),
            message=message,
        )
        return entry._replace(dagster_event=noted, level=logging.INFO)

    def _why(self) -> str:
        run = self.instance.get_run_by_id(self.run_id)
        if run is None:
            return "its run is deleted"
        if run.is_finished or run.status is DagsterRunStatus.CANCELING:
            return f"its run is {run.status.value}"
        events = self._read()
        newest: Any = None
        for event in events:
            noted = event.engine_event_data.metadata if event.is_engine_event else {}
            newest = noted["job"].value if "job" in noted else newest
            if WITHDRAWN in noted and noted[WITHDRAWN].value == self.attempt:
                return "the router has withdrawn it"
        if self.job and newest not in (None, self.job):
            return f"Job {newest} was launched after it"
        if verdict_of(events, attempt=self.attempt).has_ended:
            return "the event log has its end"
        return ""

    def _read(self) -> list[DagsterEvent]:
        """The events about launches and ends of the step so far, in order of time."""
        while True:
            found = self.instance.get_records_for_run(self.run_id, cursor=self._cursor, of_type=READ_EVENTS, limit=PAGE)
            for record in found.records:
                event = record.event_log_entry.dagster_event
                if event is not None and event.step_key == self.step_key:
                    self._events[record.storage_id] = event
            if not found.has_more:
                break
            self._cursor = found.cursor
        if found.records:
            last = found.records[-1].storage_id
            self._cursor = EventLogCursor.from_storage_id(max(0, last - OVERLAP)).to_string()
        return [self._events[number] for number in sorted(self._events)]


@contextmanager
def fenced(fence: Fence) -> Iterator[None]:
    """Within the body, everything that this process commits and writes to the instance's event log passes the fence."""
    instance = fence.instance
    write = instance.handle_new_event

    def write_what_passes(event: EventLogEntry, **more: Any) -> None:
        passed = fence.passed(event)
        if passed is not None:
            write(passed, **more)

    vars(instance)["handle_new_event"] = write_what_passes  # the only method that writes to the event log
    try:
        with commits_checked(fence.require_open):
            yield
    finally:
        del vars(instance)["handle_new_event"]
        if fence.closed:
            message = f"attempt {fence.attempt + 1} of {fence.step_key} ends without a final event: {fence.closed}"
            sys.stderr.write(message + "\n")
