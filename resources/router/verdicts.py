"""What the event log says of an attempt: whether it began, whether it said its last word.

The log, not the cluster, decides what a step did; the cluster only explains why it says nothing more.
"""

from dataclasses import dataclass

from dagster import DagsterEventType, DagsterInstance

BEGUN = {DagsterEventType.STEP_WORKER_STARTED, DagsterEventType.STEP_START, DagsterEventType.STEP_RESTARTED}
LAST_WORDS = {DagsterEventType.STEP_SUCCESS, DagsterEventType.STEP_FAILURE}


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
    """What the log says of an attempt (0 is the first).

    A retry is what parts one attempt from the next, if an attempt was under way: a word that comes twice, or late
    from a worker that was given up, counts for nothing.
    """
    asked = {*BEGUN, *LAST_WORDS, DagsterEventType.STEP_UP_FOR_RETRY, DagsterEventType.STEP_WORKER_STARTING}
    retries, is_under_way, has_begun, has_ended = 0, False, False, False
    for entry in instance.all_logs(run_id, of_type=asked):
        event = entry.dagster_event
        if event is None or event.step_key != step_key:
            continue
        if event.event_type is DagsterEventType.STEP_WORKER_STARTING:
            is_under_way = True
        elif event.event_type is DagsterEventType.STEP_UP_FOR_RETRY:
            retries += is_under_way
            is_under_way = False
        elif event.event_type in LAST_WORDS:
            has_ended = has_ended or is_under_way
        elif retries == attempt:
            has_begun = True
    return Verdict(has_begun, has_ended or retries > attempt)
