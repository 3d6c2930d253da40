"""Hand-overs: a step that is offered to a worker at work already, told in the event log alone.

The router offers, the worker takes; the router may withdraw. Each writes first and reads then, and yields to the other
where it must: the router to a worker that took, a worker to an offer that was withdrawn, which it gives back. So a step
never begins twice, in whatever order the log shows what both wrote at the same moment.
"""

import uuid
import zlib
from base64 import b64decode, b64encode
from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, cast

from dagster import DagsterEvent, DagsterEventType, DagsterInstance, DagsterRun, MetadataValue
from dagster._core.event_api import EventLogCursor
from dagster._core.events import EngineEventData
from dagster._core.execution.context.system import PlanOrchestrationContext
from dagster._core.execution.plan.state import KnownExecutionState
from dagster._serdes import deserialize_value, serialize_value

from resources.router.attempts import Attempt, place_metadata
from resources.router.fence import OVERLAP, PAGE

ID, STATE, TO, KNOWN, OVER = "hand_over", "hand_over_state", "to_job", "known_state", "no_more_steps"


class State(StrEnum):
    """What the log says last of a hand-over."""

    OFFERED = "offered"
    TAKEN = "taken"
    WITHDRAWN = "withdrawn"
    GIVEN_BACK = "given back"


@dataclass(frozen=True)
class HandOver:
    """A step that is offered to a worker.

    Attributes:
        id: of this offer.
        step_key: the step.
        known_state: what the executor knows of the run, as the step's plan needs it; packed.
        storage_id: where in the log it is offered.
    """

    id: str
    step_key: str
    known_state: str
    storage_id: int

    def unpacked(self) -> KnownExecutionState:
        """What the executor knows of the run."""
        return deserialize_value(zlib.decompress(b64decode(self.known_state)).decode(), KnownExecutionState)


# what the router writes and reads


def offer(attempt: Attempt, known_state: KnownExecutionState | None, *, after: str) -> None:
    """Notes in the log that an attempt is offered to the worker of its Job.

    Args:
        attempt: with the place and the name of the Job that it is offered to.
        known_state: of the run.
        after: what the worker does before, in words.
    """
    attempt.hand_over, attempt.offer_id = uuid.uuid4().hex[:16], 0
    packed = b64encode(zlib.compress(serialize_value(known_state or KnownExecutionState()).encode())).decode()
    message = f"Attempt {attempt.number + 1} is offered to the worker of Job {attempt.name} in {attempt.region} {after}"
    said = {ID: attempt.hand_over, STATE: State.OFFERED.value, TO: attempt.name, KNOWN: packed}
    metadata = {**place_metadata(attempt), **{name: MetadataValue.text(value) for name, value in said.items()}}
    DagsterEvent.engine_event(attempt.step, message, EngineEventData(metadata=metadata))


def withdraw(attempt: Attempt, why: str) -> None:
    """Notes in the log that the worker is to leave the step alone; whether it does is read afterwards."""
    message = f"Attempt {attempt.number + 1} is not to be taken any more by the worker of Job {attempt.name}: {why}"
    _tell(attempt, message, State.WITHDRAWN)


def end_groups(plan: PlanOrchestrationContext) -> None:
    """Tells all workers of the run that wait for a step that there are no more."""
    metadata = {OVER: MetadataValue.bool(True)}
    DagsterEvent.engine_event(plan, "No more steps are offered", EngineEventData(metadata=metadata))


def states_of(instance: DagsterInstance, attempt: Attempt) -> set[State]:
    """All that was said of an attempt's hand-over; the log is read from its offer on, once that was found."""
    states = set()
    for storage_id, said, _ in _told(instance, attempt.run_id, attempt.offer_id - 1 if attempt.offer_id else None):
        if said.get(ID) == attempt.hand_over:
            attempt.offer_id = attempt.offer_id or storage_id
            states.add(State(said[STATE]))
    return states


def _tell(attempt: Attempt, message: str, state: State) -> None:
    said = {ID: MetadataValue.text(attempt.hand_over), STATE: MetadataValue.text(state.value)}
    DagsterEvent.engine_event(attempt.step, message, EngineEventData(metadata=said))


# what a worker reads and writes


@dataclass
class Offers:
    """What is offered to one Job, as far as its worker has read the log.

    Attributes:
        job: the Job.
        read_to: the last event that was read.
        open: offered and neither taken nor withdrawn, the oldest first, by id.
        closed: ids of those that were.
        is_over: there will be no more; the end of an earlier run pod says nothing about a Job that was made since.
    """

    job: str
    read_to: int = 0
    open: dict[str, HandOver] = field(default_factory=dict)
    closed: set[str] = field(default_factory=set)
    is_over: bool = False

    def read(self, instance: DagsterInstance, run_id: str) -> None:
        """Reads what is new."""
        for storage_id, said, step_key in _told(instance, run_id, max(self.read_to - OVERLAP, 0)):
            self.read_to = max(self.read_to, storage_id)
            self.is_over = bool(said.get(OVER)) or (self.is_over and said.get("job") != self.job)
            if ID not in said or said[ID] in self.closed:
                continue
            if said[STATE] != State.OFFERED:
                self.open.pop(said[ID], None)
                self.closed.add(said[ID])
            elif said[TO] == self.job and said[ID] not in self.open:
                self.open[said[ID]] = HandOver(said[ID], cast(str, step_key), said[KNOWN], storage_id)

    def take(self, instance: DagsterInstance, run: DagsterRun) -> HandOver | None:
        """The oldest step that is offered, which is the worker's from now on; None if there is none."""
        self.read(instance, run.run_id)
        for one in list(self.open.values()):
            self.open.pop(one.id)
            self.closed.add(one.id)
            _report(instance, run, one, State.TAKEN, f"The worker of Job {self.job} takes the step")
            since = _told(instance, run.run_id, one.storage_id)
            if not any(said.get(ID) == one.id and said[STATE] == State.WITHDRAWN for _, said, _ in since):
                return one
            _report(instance, run, one, State.GIVEN_BACK, f"The worker of Job {self.job} leaves the step: it came late")
        return None


def _report(instance: DagsterInstance, run: DagsterRun, one: HandOver, state: State, message: str) -> None:
    said = {ID: MetadataValue.text(one.id), STATE: MetadataValue.text(state.value)}
    instance.report_engine_event(message, run, EngineEventData(metadata=said), step_key=one.step_key)


def _told(
    instance: DagsterInstance, run_id: str, after: int | None
) -> Iterator[tuple[int, dict[str, Any], str | None]]:
    """What engine events say after an event of the log: their number, their metadata, their step."""
    cursor = EventLogCursor.from_storage_id(after).to_string() if after else None
    while True:
        page = instance.get_records_for_run(run_id, cursor, DagsterEventType.ENGINE_EVENT, PAGE)
        for record in page.records:
            event = record.event_log_entry.dagster_event
            if event is not None:
                said = {name: one.value for name, one in event.engine_event_data.metadata.items()}
                yield record.storage_id, said, event.step_key
        if not page.has_more or page.cursor == cursor:
            return
        cursor = page.cursor
