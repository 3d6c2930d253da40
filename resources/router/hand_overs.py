"""Hand-overs: a step is offered to a running worker through the event log alone.

The router offers a step, and a worker takes it; the router may withdraw the offer. Each side writes first and then
reads. The router yields to a worker that took the step; a worker returns a step whose offer was withdrawn. So a step
never begins twice, in whatever order the event log shows two entries of the same moment.
"""

import uuid
import zlib
from base64 import b64decode, b64encode
from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, cast

from dagster import DagsterEvent, DagsterEventType, DagsterInstance, DagsterRun, MetadataValue

from resources.dagster_private import (
    EngineEventData,
    EventLogCursor,
    KnownExecutionState,
    PlanOrchestrationContext,
    deserialize_value,
    serialize_value,
)
from resources.router.attempts import Attempt, place_metadata
from resources.router.log import OVERLAP, PAGE

ID, STATE, TO, KNOWN, OVER = "hand_over", "hand_over_state", "to_job", "known_state", "no_more_steps"


class State(StrEnum):
    """The latest state of a hand-over in the event log."""

    OFFERED = "offered"
    TAKEN = "taken"
    WITHDRAWN = "withdrawn"
    GIVEN_BACK = "given back"


@dataclass(frozen=True)
class HandOver:
    """A step that is offered to a worker.

    Attributes:
        id: id of this offer.
        step_key: the step.
        known_state: the executor's state of the run that the step's plan needs; packed.
        storage_id: storage id of the offer in the event log.
    """

    id: str
    step_key: str
    known_state: str
    storage_id: int

    def unpacked(self) -> KnownExecutionState:
        """The executor's state of the run."""
        return deserialize_value(zlib.decompress(b64decode(self.known_state)).decode(), KnownExecutionState)


# written and read by the router


def offer(attempt: Attempt, known_state: KnownExecutionState | None, *, after: str) -> None:
    """Records in the event log that an attempt is offered to the worker of its Job.

    Args:
        attempt: has the place and the name of the Job that it is offered to.
        known_state: state of the run.
        after: what the worker does before, as text.
    """
    attempt.hand_over, attempt.offer_id = uuid.uuid4().hex[:16], 0
    packed = b64encode(zlib.compress(serialize_value(known_state or KnownExecutionState()).encode())).decode()
    message = f"Attempt {attempt.number + 1} is offered to the worker of Job {attempt.name} in {attempt.region} {after}"
    entries = {ID: attempt.hand_over, STATE: State.OFFERED.value, TO: attempt.name, KNOWN: packed}
    metadata = {**place_metadata(attempt), **{name: MetadataValue.text(value) for name, value in entries.items()}}
    DagsterEvent.engine_event(attempt.step, message, EngineEventData(metadata=metadata))


def withdraw(attempt: Attempt, why: str) -> None:
    """Records in the event log that the worker may no longer take the step; the caller then reads whether it did."""
    message = f"The worker of Job {attempt.name} may no longer take attempt {attempt.number + 1}: {why}"
    _record(attempt, message, State.WITHDRAWN)


def end_groups(plan: PlanOrchestrationContext) -> None:
    """Signals all waiting workers of the run that there are no more steps."""
    metadata = {OVER: MetadataValue.bool(True)}
    DagsterEvent.engine_event(plan, "No more steps are offered", EngineEventData(metadata=metadata))


def states_of(instance: DagsterInstance, attempt: Attempt) -> set[State]:
    """All states of an attempt's hand-over so far; once the offer was found, the event log is read from there."""
    states = set()
    for storage_id, entries, _ in _hand_overs(
        instance, attempt.run_id, attempt.offer_id - 1 if attempt.offer_id else None
    ):
        if entries.get(ID) == attempt.hand_over:
            attempt.offer_id = attempt.offer_id or storage_id
            states.add(State(entries[STATE]))
    return states


def _record(attempt: Attempt, message: str, state: State) -> None:
    metadata = {ID: MetadataValue.text(attempt.hand_over), STATE: MetadataValue.text(state.value)}
    DagsterEvent.engine_event(attempt.step, message, EngineEventData(metadata=metadata))


# written and read by a worker


@dataclass
class Offers:
    """The offers to one Job, as far as its worker has read the event log.

    Attributes:
        job: the Job.
        read_to: storage id of the last event that was read.
        open: offers that are neither taken nor withdrawn, by id, the oldest first.
        closed: ids of the other offers.
        is_over: whether there will be no more; the end of an earlier run pod does not count for a Job created later.
    """

    job: str
    read_to: int = 0
    open: dict[str, HandOver] = field(default_factory=dict)
    closed: set[str] = field(default_factory=set)
    is_over: bool = False

    def read(self, instance: DagsterInstance, run_id: str) -> None:
        """Reads new events."""
        for storage_id, entries, step_key in _hand_overs(instance, run_id, max(self.read_to - OVERLAP, 0)):
            self.read_to = max(self.read_to, storage_id)
            self.is_over = bool(entries.get(OVER)) or (self.is_over and entries.get("job") != self.job)
            if ID not in entries or entries[ID] in self.closed:
                continue
            if entries[STATE] != State.OFFERED:
                self.open.pop(entries[ID], None)
                self.closed.add(entries[ID])
            elif entries[TO] == self.job and entries[ID] not in self.open:
                self.open[entries[ID]] = HandOver(entries[ID], cast(str, step_key), entries[KNOWN], storage_id)

    def take(self, instance: DagsterInstance, run: DagsterRun) -> HandOver | None:
        """Takes the oldest offered step and returns it; None if there is none."""
        self.read(instance, run.run_id)
        for one in list(self.open.values()):
            self.open.pop(one.id)
            self.closed.add(one.id)
            _report(instance, run, one, State.TAKEN, f"The worker of Job {self.job} takes the step")
            since = _hand_overs(instance, run.run_id, one.storage_id)
            if not any(entries.get(ID) == one.id and entries[STATE] == State.WITHDRAWN for _, entries, _ in since):
                return one
            _report(instance, run, one, State.GIVEN_BACK, f"The worker of Job {self.job} returns the withdrawn step")
        return None


def _report(instance: DagsterInstance, run: DagsterRun, one: HandOver, state: State, message: str) -> None:
    metadata = {ID: MetadataValue.text(one.id), STATE: MetadataValue.text(state.value)}
    instance.report_engine_event(message, run, EngineEventData(metadata=metadata), step_key=one.step_key)


def _hand_overs(
    instance: DagsterInstance, run_id: str, after: int | None
) -> Iterator[tuple[int, dict[str, Any], str | None]]:
    """Engine events after an event of the event log: their storage id, their metadata, their step."""
    cursor = EventLogCursor.from_storage_id(after).to_string() if after else None
    while True:
        page = instance.get_records_for_run(run_id, cursor, DagsterEventType.ENGINE_EVENT, PAGE)
        for record in page.records:
            event = record.event_log_entry.dagster_event
            if event is not None:
                entries = {name: one.value for name, one in event.engine_event_data.metadata.items()}
                yield record.storage_id, entries, event.step_key
        if not page.has_more or page.cursor == cursor:
            return
        cursor = page.cursor
