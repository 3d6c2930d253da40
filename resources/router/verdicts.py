"""What the event log says of an attempt: whether it began, whether it said its last word.

The log, not the cluster, decides what a step did; the cluster only explains why it says nothing more.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from dagster import DagsterEvent, DagsterEventType, DagsterInstance
from dagster._core.errors import DagsterExecutionInterruptedError

BEGUN = {DagsterEventType.STEP_WORKER_STARTED, DagsterEventType.STEP_START, DagsterEventType.STEP_RESTARTED}
LAST_WORDS = {DagsterEventType.STEP_SUCCESS, DagsterEventType.STEP_FAILURE}
SAID = {*BEGUN, *LAST_WORDS, DagsterEventType.STEP_UP_FOR_RETRY, DagsterEventType.STEP_WORKER_STARTING}
ASKED = {*SAID, DagsterEventType.ENGINE_EVENT}  # and where an attempt went


@dataclass(frozen=True)
class Verdict:
    """What the log says of one attempt.

    Attributes:
        has_begun: a worker of this attempt has written something.
        has_ended: the step, or this attempt, has said its last word.
    """

    has_begun: bool
    has_ended: bool


def verdict(instance: DagsterInstance, run_id: str, step_key: str, *, attempt: int) -> Verdict:
    """What the log says of an attempt (0 is the first)."""
    entries = instance.all_logs(run_id, of_type=SAID)
    events = (entry.dagster_event for entry in entries if entry.dagster_event is not None)
    return verdict_of((event for event in events if event.step_key == step_key), attempt=attempt)


def verdict_of(events: Iterable[DagsterEvent], *, attempt: int) -> Verdict:
    """What a step's events say of an attempt.

    A retry is what parts one attempt from the next, if an attempt was under way: a word that comes twice, or late
    from a worker that was given up, counts for nothing.
    """
    retries, is_under_way, has_begun, has_ended = 0, False, False, False
    for event in events:
        if event.event_type is DagsterEventType.STEP_WORKER_STARTING:
            is_under_way = True
        elif event.event_type is DagsterEventType.STEP_UP_FOR_RETRY:
            retries += is_under_way
            is_under_way = False
        elif event.event_type in LAST_WORDS:
            has_ended = has_ended or is_under_way
        elif retries == attempt and event.event_type in BEGUN:
            has_begun = True
    return Verdict(has_begun, has_ended or retries > attempt)


def is_interruption(event: DagsterEvent) -> bool:
    """Whether a step's last word is that its worker was asked to end."""
    if event.event_type is DagsterEventType.STEP_FAILURE:
        error = event.step_failure_data.error
    elif event.event_type is DagsterEventType.STEP_UP_FOR_RETRY:
        error = event.step_retry_data.error
    else:
        return False
    while error is not None and error.cls_name != DagsterExecutionInterruptedError.__name__:
        error = error.cause  # a retry wraps what it is for
    return error is not None
