"""Workers as real processes: of two of one step the newest alone commits; one that is told to end leaves the word."""

import base64
import os
import signal
import subprocess
import sys
import time
import zlib
from pathlib import Path

import pytest
from dagster import DagsterEvent, DagsterInstance, MetadataValue
from dagster._core.definitions.reconstruct import ReconstructableRepository
from dagster._core.events import EngineEventData
from dagster._core.execution.plan.objects import StepRetryData
from dagster._core.execution.plan.state import KnownExecutionState
from dagster._core.execution.retries import RetryMode
from dagster._grpc.types import ExecuteStepArgs
from dagster._serdes import serialize_value
from dagster._utils.error import SerializableErrorInfo

from resources.router.execution import TERMINATED_CODE
from resources.router.fence import JOB_VARIABLE
from resources.router.worker import ENTRY
from sinet_pipelines.storage.tables import TableStore
from tests.clusters.gated import ATTEMPTS
from tests.conftest import CHECKOUT

pytestmark = pytest.mark.slow  # each worker is a process that imports Dagster first
LIMIT_S = 120
STEP = "table"


class Run:
    """A run of one step whose launches the test writes into the log as the router does, and its workers."""

    def __init__(self, instance, folder):
        self.instance, self.folder, self.workers = instance, folder, []
        file = str(Path(__file__).with_name("gated.py"))
        repository = ReconstructableRepository.for_file(file, "defs", str(CHECKOUT))
        self.job = repository.get_reconstructable_job("__ASSET_JOB")
        origin = self.job.get_python_origin()
        self.run = instance.create_run_for_job(self.job.get_definition(), job_code_origin=origin)

    def write(self, kind, data):
        event = DagsterEvent(kind, "__ASSET_JOB", step_key=STEP, event_specific_data=data)
        self.instance.report_dagster_event(event, self.run.run_id)

    def launch(self, attempt):
        """The worker of an attempt, once it is at work."""
        if attempt:
            error = SerializableErrorInfo("nobody confirmed its launch", [], None)
            self.write("STEP_UP_FOR_RETRY", StepRetryData(error))
        job = f"job-{attempt}"
        self.write("STEP_WORKER_STARTING", EngineEventData())
        self.write("ENGINE_EVENT", EngineEventData(metadata={"job": MetadataValue.text(job)}))
        args = ExecuteStepArgs(
            self.job.get_python_origin(),
            self.run.run_id,
            [STEP],
            self.instance.get_ref(),
            retry_mode=RetryMode.DEFERRED,
            known_state=KnownExecutionState(previous_retry_attempts={STEP: attempt} if attempt else {}),
            should_verify_step=True,
        )
        packed = base64.b64encode(zlib.compress(serialize_value(args).encode())).decode()
        env = {**os.environ, "PYTHONPATH": str(CHECKOUT), "GATE": str(self.folder), JOB_VARIABLE: job}
        env["DAGSTER_COMPRESSED_EXECUTE_STEP_ARGS"] = packed
        worker = subprocess.Popen(
            [sys.executable, "-W", "ignore", *ENTRY, "api", "execute_step"],
            env=env,
            cwd=CHECKOUT,
            stderr=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            text=True,
        )
        self.workers.append(worker)
        deadline = time.monotonic() + LIMIT_S
        while not (self.folder / f"at-work-{attempt}").exists():
            assert worker.poll() is None, worker.communicate()[1]
            assert time.monotonic() < deadline
            time.sleep(0.05)
        return worker

    def words(self):
        """What stands in the log of the step."""
        entries = self.instance.all_logs(self.run.run_id)
        return [entry.dagster_event.event_type_value for entry in entries if entry.step_key == STEP]


@pytest.fixture
def run(tmp_path):
    (tmp_path / "instance").mkdir()
    with DagsterInstance.local_temp(str(tmp_path / "instance")) as instance:
        made = Run(instance, tmp_path)
        yield made
        for worker in made.workers:
            worker.kill()
            worker.wait()


def test_of_two_workers_of_a_step_the_newest_alone_commits_and_writes(run):
    older = run.launch(0)
    newer = run.launch(1)
    before = run.words()
    (run.folder / "open").touch()
    output = older.communicate(timeout=LIMIT_S)[1]
    assert older.returncode == 0
    assert "attempt 1 of table ends without a final event" in output
    newer.communicate(timeout=LIMIT_S)
    assert newer.returncode == 0
    after = run.words()[len(before) :]
    assert [word for word in after if word in ("ASSET_MATERIALIZATION", "STEP_SUCCESS")] == [
        "ASSET_MATERIALIZATION",
        "STEP_SUCCESS",
    ]
    assert "STEP_FAILURE" not in run.words()
    tables = TableStore(str(run.folder / "tables"))
    assert tables.read(ATTEMPTS)["attempt"].to_list() == [1]
    assert tables.health(ATTEMPTS).version == 0  # written once


def test_a_worker_of_a_step_without_retries_that_is_told_to_end_leaves_the_word_to_the_router(run):
    worker = run.launch(0)
    worker.send_signal(signal.SIGTERM)
    worker.communicate(timeout=LIMIT_S)
    assert worker.returncode == TERMINATED_CODE
    assert not {"STEP_FAILURE", "STEP_UP_FOR_RETRY", "STEP_SUCCESS"} & set(run.words())
    noted = [
        entry.dagster_event.engine_event_data.metadata
        for entry in run.instance.all_logs(run.run.run_id)
        if entry.dagster_event.is_engine_event
    ]
    assert any("terminated" in metadata for metadata in noted)


def test_a_worker_whose_run_is_canceled_writes_nothing_more(run):
    worker = run.launch(0)
    run.instance.report_run_canceling(run.run)
    run.instance.report_run_canceled(run.run)
    before = run.words()
    (run.folder / "open").touch()
    worker.communicate(timeout=LIMIT_S)
    assert (worker.returncode, run.words()) == (0, before)
    assert not TableStore(str(run.folder / "tables")).exists(ATTEMPTS)


def test_a_worker_that_is_told_to_end_while_it_imports_goes_at_once():
    worker = subprocess.Popen([sys.executable, *ENTRY, "api", "execute_step"], cwd=CHECKOUT, stderr=subprocess.DEVNULL)
    deadline, caught = time.monotonic() + LIMIT_S, 0
    while not caught >> (signal.SIGTERM - 1) & 1:  # it has set its handler
        assert time.monotonic() < deadline
        status = Path(f"/proc/{worker.pid}/status").read_text()
        (caught,) = [int(line.split()[1], 16) for line in status.splitlines() if line.startswith("SigCgt")]
    worker.send_signal(signal.SIGTERM)
    assert worker.wait(LIMIT_S) == TERMINATED_CODE
