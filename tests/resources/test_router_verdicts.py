"""What the log says of an attempt: words that come twice, or late, count for nothing."""

import pytest
from dagster import DagsterEvent, DagsterInstance, job, op
from dagster._core.events import EngineEventData
from dagster._core.execution.plan.objects import StepRetryData, StepSuccessData
from dagster._utils.error import SerializableErrorInfo

from resources.router.verdicts import verdict

STARTING, BEGUN = "STEP_WORKER_STARTING", "STEP_START"
AGAIN, RETRY, SUCCESS = "STEP_RESTARTED", "STEP_UP_FOR_RETRY", "STEP_SUCCESS"


@op
def work():
    """Never runs."""


@job
def some_job():
    work()


@pytest.fixture
def state_after():
    """Writes events of a step, and returns the state of an attempt in the log."""
    with DagsterInstance.ephemeral() as instance:
        run = instance.create_run_for_job(some_job)

        def write(*kinds, attempt):
            for kind in kinds:
                more = {
                    STARTING: EngineEventData(),
                    RETRY: StepRetryData(SerializableErrorInfo("taken away", [], None)),
                    SUCCESS: StepSuccessData(duration_ms=1.0),
                }.get(kind)
                event = DagsterEvent(kind, "some_job", step_key="work", event_specific_data=more)
                instance.report_dagster_event(event, run.run_id)
            found = verdict(instance, run.run_id, "work", attempt=attempt)
            return found.has_begun, found.has_ended

        yield write


def test_a_step_that_is_only_launched_has_written_nothing(state_after):
    assert state_after(STARTING, attempt=0) == (False, False)


def test_a_step_that_begins_and_ends_is_seen_to(state_after):
    assert state_after(STARTING, BEGUN, attempt=0) == (True, False)
    assert state_after(SUCCESS, attempt=0) == (True, True)


def test_a_retry_ends_an_attempt_and_the_next_begins_anew(state_after):
    assert state_after(STARTING, BEGUN, RETRY, attempt=0) == (True, True)
    assert state_after(STARTING, attempt=1) == (False, False)
    assert state_after(AGAIN, attempt=1) == (True, False)


def test_a_retry_that_is_written_twice_ends_one_attempt(state_after):
    # found by the simulation: a worker that was given up told its end as well, and the run waited for ever
    assert state_after(STARTING, BEGUN, RETRY, RETRY, STARTING, attempt=1) == (False, False)
