"""Whether an attempt of a step may still change anything: of several workers of a step only the newest commits.

A worker whose launch nobody confirmed, or whose node was lost with it, may be at work beside the next attempt; one
whose run was canceled may be out of its run's reach. So a worker asks the event log before each commit and each word
that it writes: a newer launch, or an end of its attempt or its run, closes the fence, and it writes nothing any more.
Between the question and the commit remain milliseconds; what is then written twice is the same, and the router passes
over the late word.
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
from dagster._core.event_api import EventLogCursor
from dagster._core.events import EngineEventData

from resources.router.verdicts import ASKED, BEGUN, LAST_WORDS, is_interruption, verdict_of
from sinet_pipelines.storage.commits import CommitRefusedError, commits_checked

JOB_VARIABLE = "SINET_STEP_JOB"  # of a pod: the name of its Job
TOLD_TO_END, WITHDRAWN = "told to end", "withdrawn"  # entries of engine events: the number of an attempt
FRESH_S = 0.2  # a ranged step writes many materialisations one after the other
OVERLAP = 100  # events read again: PostgreSQL may show an event later than one with a higher number
PAGE = 1000  # of the log, at a time
SAID_OF_DATA = frozenset(
    {
        DagsterEventType.ASSET_MATERIALIZATION,
        DagsterEventType.ASSET_OBSERVATION,
        DagsterEventType.ASSET_CHECK_EVALUATION,
    }
)
GIVING_UP = frozenset({DagsterEventType.STEP_FAILURE, DagsterEventType.STEP_UP_FOR_RETRY})
WORDS = SAID_OF_DATA | GIVING_UP | BEGUN | LAST_WORDS | {DagsterEventType.STEP_OUTPUT}


@dataclass
class Fence:
    """One attempt of a step, as its own worker sees it.

    Attributes:
        instance: whose event log is asked.
        run_id: of the run.
        step_key: the step.
        attempt: 0 is the first.
        job: name of its Job; empty beside the run.
        is_told_to_end: whether the process was sent SIGTERM.
        closed: why nothing may be written any more; empty while it may.
        is_through: the attempt has written its last word.
        is_interrupted: it ends because it was told to, and leaves the word about that to the router.
    """

    instance: DagsterInstance
    run_id: str
    step_key: str
    attempt: int
    job: str = ""
    is_told_to_end: Callable[[], bool] = lambda: False
    closed: str = ""
    is_through: bool = False
    is_interrupted: bool = False
    _events: dict[int, DagsterEvent] = field(default_factory=dict)
    _cursor: str | None = None
    _asked_at: float = float("-inf")
    _lock: threading.RLock = field(default_factory=threading.RLock)

    def require_open(self) -> None:
        """Nothing, where the attempt may commit.

        Raises:
            CommitRefusedError: it may not.
        """
        if self.ask():
            raise CommitRefusedError(self.closed)

    def ask(self, *, within_s: float = 0.0) -> str:
        """Why nothing may be written any more; empty while it may.

        Args:
            within_s: an answer of so many seconds ago will do.
        """
        with self._lock:
            if not self.closed and time.monotonic() - self._asked_at >= within_s:
                self.closed, self._asked_at = self._why(), time.monotonic()
            return self.closed

    def passed(self, entry: EventLogEntry) -> EventLogEntry | None:
        """What of an entry that the worker writes goes into the log: itself, None, or what stands in its place."""
        event = entry.dagster_event
        if self.closed:
            return None
        if event is None or event.event_type not in WORDS or event.step_key != self.step_key:
            return entry
        if self.ask(within_s=FRESH_S if event.event_type in SAID_OF_DATA else 0.0):
            return None
        if event.event_type in GIVING_UP and (self.is_told_to_end() or is_interruption(event)):
            self.is_interrupted = True
            return self._interrupted(entry)
        self.is_through = self.is_through or event.event_type in LAST_WORDS | GIVING_UP
        return entry

    def _interrupted(self, entry: EventLogEntry) -> EventLogEntry:
        """That the attempt was told to end is no word about the step: the router looks at the cluster and decides."""
        event = entry.dagster_event
        assert event is not None
        noted = DagsterEvent(
            DagsterEventType.ENGINE_EVENT.value,
            event.job_name,
            step_key=self.step_key,
            event_specific_data=EngineEventData(metadata={TOLD_TO_END: MetadataValue.int(self.attempt)}),
            message=f"Attempt {self.attempt + 1} was told to end and ends; the router looks why, and goes on",
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
            return "the log has the end of it"
        return ""

    def _read(self) -> list[DagsterEvent]:
        """The events about launches and ends of the step so far, in their order."""
        while True:
            found = self.instance.get_records_for_run(self.run_id, cursor=self._cursor, of_type=ASKED, limit=PAGE)
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
    """Until left, what this process commits and writes into the log of the instance goes through the fence."""
    instance = fence.instance
    write = instance.handle_new_event

    def write_what_passes(event: EventLogEntry, **more: Any) -> None:
        passed = fence.passed(event)
        if passed is not None:
            write(passed, **more)

    vars(instance)["handle_new_event"] = write_what_passes  # the one method by which anything gets into the log
    try:
        with commits_checked(fence.require_open):
            yield
    finally:
        del vars(instance)["handle_new_event"]
        if fence.closed:
            said = f"attempt {fence.attempt + 1} of {fence.step_key} ends without a word: {fence.closed}"
            sys.stderr.write(said + "\n")
