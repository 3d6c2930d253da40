"""Finds from the event log whether an attempt began, and whether it wrote its final event.

The event log, not the cluster, decides what a step did; the cluster only explains why there are no more events.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from dagster import DagsterEvent, DagsterEventType, DagsterInstance

from resources.dagster_private import DagsterExecutionInterruptedError

BEGIN_EVENTS = {DagsterEventType.STEP_WORKER_STARTED, DagsterEventType.STEP_START, DagsterEventType.STEP_RESTARTED}
FINAL_EVENTS = {DagsterEventType.STEP_SUCCESS, DagsterEventType.STEP_FAILURE}
STATE_EVENTS = {*BEGIN_EVENTS, *FINAL_EVENTS, DagsterEventType.STEP_UP_FOR_RETRY, DagsterEventType.STEP_WORKER_STARTING}
READ_EVENTS = {*STATE_EVENTS, DagsterEventType.ENGINE_EVENT}  # and where an attempt went


@dataclass(frozen=True)
class Verdict:
    """The state of one attempt in the event log.

    Attributes:
        has_begun: whether a worker of this attempt has written an event.
        has_ended: whether the step or this attempt has its final event.
    """

    has_begun: bool
    has_ended: bool


def verdict(instance: DagsterInstance, run_id: str, step_key: str, *, attempt: int) -> Verdict:
    """The state of an attempt (0 is the first) in the event log."""
    entries = instance.all_logs(run_id, of_type=STATE_EVENTS)
    events = (entry.dagster_event for entry in entries if entry.dagster_event is not None)
    return verdict_of((event for event in events if event.step_key == step_key), attempt=attempt)


def verdict_of(events: Iterable[DagsterEvent], *, attempt: int) -> Verdict:
    """The state of an attempt in a step's events.

    A retry separates one attempt from the next, if an attempt was in progress. An event that is repeated, or that comes
    late from a worker that was given up, does not count.
    """
    retries, is_under_way, has_begun, has_ended = 0, False, False, False
    for event in events:
        if event.event_type is DagsterEventType.STEP_WORKER_STARTING:
            is_under_way = True
        elif event.event_type is DagsterEventType.STEP_UP_FOR_RETRY:
            retries += is_under_way
            is_under_way = False
        elif event.event_type in FINAL_EVENTS:
            has_ended = has_ended or is_under_way
        elif retries == attempt and event.event_type in BEGIN_EVENTS:
            has_begun = True
    return Verdict(has_begun, has_ended or retries > attempt)


def is_interruption(event: DagsterEvent) -> bool:
    """Whether a step's final event is that its worker received SIGTERM."""
    if event.event_type is DagsterEventType.STEP_FAILURE:
        error = event.step_failure_data.error
    elif event.event_type is DagsterEventType.STEP_UP_FOR_RETRY:
        error = event.step_retry_data.error
    else:
        return False
    while error is not None and error.cls_name != DagsterExecutionInterruptedError.__name__:
        error = error.cause  # a retry contains the error that caused it
    return error is not None
