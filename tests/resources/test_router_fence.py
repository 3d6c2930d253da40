"""A worker may commit and write as long as its attempt is the newest of its step and its run wants it."""

import polars as pl
import pyarrow as pa
import pytest
from dagster import DagsterEvent, DagsterEventType, DagsterInstance, MetadataValue, job, op
from dagster._core.events import EngineEventData
from dagster._core.execution.plan.objects import ErrorSource, StepFailureData, StepRetryData, StepSuccessData
from dagster._utils.error import SerializableErrorInfo

from resources.router.fence import OUT_OF_MEMORY, TERMINATED, WITHDRAWN, Fence, fenced
from resources.router.memory import kills_from_now_on, oom_kills
from sinet_pipelines.schemas.contract import Column, Contract, DataClass
from sinet_pipelines.storage.blobs import BlobStore
from sinet_pipelines.storage.commits import CommitRefusedError
from sinet_pipelines.storage.tables import TableStore

NUMBERS = Contract(
    "numbers", "Numbers.", DataClass.FEATURE, (Column("number", pa.int64(), "A number."),), key=("number",)
)


@op
def work():
    """Never runs."""


@job
def some_job():
    work()


class Log:
    """The event log of a run with one step, and what its router and workers write there."""

    def __init__(self, instance):
        self.instance = instance
        self.run = instance.create_run_for_job(some_job)
        self.fence = Fence(instance, self.run.run_id, "work", 0, job="job-a")

    def write(self, kind, data=None):
        event = DagsterEvent(kind, "some_job", step_key="work", event_specific_data=data)
        self.instance.report_dagster_event(event, self.run.run_id)

    def launch(self, name):
        self.write("STEP_WORKER_STARTING", EngineEventData())
        self.write("ENGINE_EVENT", EngineEventData(metadata={"job": MetadataValue.text(name)}))

    def retry(self):
        self.write("STEP_UP_FOR_RETRY", StepRetryData(error("not confirmed")))

    def fail(self, kind="DagsterExecutionInterruptedError"):
        self.write("STEP_FAILURE", StepFailureData(error("it ended", kind), None, ErrorSource.INTERRUPT))

    def kinds(self):
        entries = self.instance.all_logs(self.run.run_id)
        return [entry.dagster_event.event_type_value for entry in entries]


def error(message, kind=None):
    return SerializableErrorInfo(message, [], kind)


@pytest.fixture
def log():
    with DagsterInstance.ephemeral() as instance:
        made = Log(instance)
        made.launch("job-a")
        yield made


def test_the_newest_attempt_may_write(log):
    with fenced(log.fence):
        log.write("STEP_START")
        log.write("STEP_SUCCESS", StepSuccessData(duration_ms=1.0))
    assert log.kinds()[-2:] == ["STEP_START", "STEP_SUCCESS"]
    assert log.fence.is_through


def cancel(log):
    log.instance.report_run_canceling(log.run)


def move(log):
    log.launch("job-a-m1")


def withdraw(log):
    log.write("ENGINE_EVENT", EngineEventData(metadata={WITHDRAWN: MetadataValue.int(0)}))


def delete(log):
    log.instance.delete_run(log.run.run_id)


@pytest.mark.parametrize(
    ("happen", "why"),
    [
        (Log.retry, "the event log has its end"),
        (Log.fail, "the event log has its end"),
        (move, "Job job-a-m1 was launched after it"),
        (withdraw, "the router has withdrawn it"),
        (cancel, "its run is CANCELING"),
        (delete, "its run is deleted"),
    ],
)
def test_a_worker_that_is_no_more_wanted_changes_nothing_and_writes_nothing(log, tmp_path, happen, why, capsys):
    tables, blobs = TableStore(str(tmp_path / "tables")), BlobStore(tmp_path / "blobs")
    blob = blobs.put(b"a model")
    happen(log)
    before = log.kinds()
    with fenced(log.fence):
        with pytest.raises(CommitRefusedError, match=why):
            tables.replace(NUMBERS, pl.DataFrame({"number": [1]}))
        with pytest.raises(CommitRefusedError):
            blobs.point("newest", blob)
        log.write("STEP_SUCCESS", StepSuccessData(duration_ms=1.0))
        log.instance.report_engine_event("a last remark", log.run)
    assert log.kinds() == before
    assert not tables.exists(NUMBERS)
    assert blobs.resolve("newest") is None
    assert f"attempt 1 of work ends without a final event: {why}" in capsys.readouterr().err


def test_the_next_attempt_may_write_where_the_one_before_may_not(log):
    log.retry()
    log.launch("job-b")
    assert Fence(log.instance, log.run.run_id, "work", 1, job="job-b").check() == ""
    assert log.fence.check() != ""


def test_what_happens_after_the_first_look_is_seen(log):
    assert log.fence.check() == ""
    log.retry()
    assert log.fence.check() == "the event log has its end"


@pytest.mark.parametrize("kind", ["DagsterExecutionInterruptedError", "ComputeError"])
def test_a_worker_that_is_told_to_end_leaves_the_word_to_the_router(log, kind):
    log.fence.is_terminating = lambda: kind == "ComputeError"  # raised by a library in the place of the interruption
    with fenced(log.fence):
        log.fail(kind)
    (noted,) = [
        entry.dagster_event.engine_event_data.metadata[TERMINATED].value
        for entry in log.instance.all_logs(log.run.run_id, of_type=DagsterEventType.ENGINE_EVENT)
        if TERMINATED in entry.dagster_event.engine_event_data.metadata
    ]
    assert noted == 0
    assert "STEP_FAILURE" not in log.kinds()


def test_a_failure_after_a_process_was_killed_for_memory_is_left_to_the_router(log):
    log.fence.has_lost_a_process = lambda: True
    with fenced(log.fence):
        log.fail("BrokenProcessPool")
    noted = log.instance.all_logs(log.run.run_id, of_type=DagsterEventType.ENGINE_EVENT)[-1].dagster_event
    assert noted.engine_event_data.metadata[OUT_OF_MEMORY].value == 0
    assert log.fence.is_out_of_memory
    assert "STEP_FAILURE" not in log.kinds()


def test_a_step_that_succeeds_though_a_process_was_killed_for_memory_has_succeeded(log):
    log.fence.has_lost_a_process = lambda: True
    with fenced(log.fence):
        log.write("STEP_SUCCESS", StepSuccessData(duration_ms=1.0))
    assert log.kinds()[-1] == "STEP_SUCCESS"
    assert not log.fence.is_out_of_memory


def test_kills_for_memory_are_counted_from_the_beginning_of_the_attempt(tmp_path):
    events = tmp_path / "memory.events"
    events.write_text("low 0\nhigh 0\nmax 9\noom 4\noom_kill 2\noom_group_kill 7\n")
    has_lost = kills_from_now_on(tmp_path)
    assert (oom_kills(tmp_path), has_lost()) == (2, False)
    events.write_text("low 0\nhigh 0\nmax 9\noom 5\noom_kill 3\noom_group_kill 7\n")
    assert has_lost()
    assert oom_kills(tmp_path / "of cgroup v1") == 0


def test_a_failure_of_the_steps_own_is_written(log):
    with fenced(log.fence):
        log.fail("ValueError")
    assert log.kinds()[-1] == "STEP_FAILURE"


def test_outside_a_fence_everything_is_written(log, tmp_path):
    with fenced(log.fence):
        log.retry()
    log.write("STEP_RESTARTED")
    assert log.kinds()[-1] == "STEP_RESTARTED"
    TableStore(str(tmp_path)).replace(NUMBERS, pl.DataFrame({"number": [1]}))
