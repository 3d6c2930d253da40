"""Runs whose process is gone are ended; those that may be at work are left, each with real processes and sockets."""

import json
import os
import signal
import socket
import subprocess
import sys
import time

import dagster as dg
import psutil
import pytest
from dagster._core.events import DagsterEvent, DagsterEventType, EngineEventData
from dagster._core.storage.tags import GRPC_INFO_TAG

from resources.killed_runs import HOME_TAG, PID_TAG, RUN_TAG, STARTED_TAG, end_killed_runs, killed_runs, process_tags

STARTED = dg.DagsterRunStatus.STARTED


@pytest.fixture
def instance():
    with dg.DagsterInstance.ephemeral() as found:
        yield found


@pytest.fixture
def start(tmp_path):
    """Starts a process that works for a home until the test ends."""
    started = []

    def begin(home=tmp_path):
        home.mkdir(exist_ok=True)
        process = subprocess.Popen(
            [sys.executable, "-c", "import sys; sys.stdin.read()"],
            stdin=subprocess.PIPE,
            env={**os.environ, "SINET_HOME": str(home)},
        )
        started.append(process)
        return process

    yield begin
    for process in started:
        process.kill()
        process.communicate()


def daemon_run(instance, tmp_path, *, pid=None, at=None, status=STARTED, server=None):
    """A run that the daemon's code server started, whose socket nobody listens at unless one is named."""
    server = server or {"host": "localhost", "socket": str(tmp_path / "gone")}
    run = dg.DagsterRun("telemetry", status=status, tags={GRPC_INFO_TAG: json.dumps(server)})
    instance.add_run(run)
    if pid is not None:
        message = f"Started process for run (pid: {pid})."
        event = DagsterEvent(
            DagsterEventType.ENGINE_EVENT.value,
            run.job_name,
            message=message,
            event_specific_data=EngineEventData.in_process(pid),
        )
        entry = dg.EventLogEntry(
            error_info=None,
            level=20,
            user_message=message,
            run_id=run.run_id,
            timestamp=time.time() if at is None else at,
            dagster_event=event,
        )
        instance.handle_new_event(entry)
    return run.run_id


def killed(process):
    process.send_signal(signal.SIGKILL)
    process.wait(timeout=300)
    return process.pid


def last_message(instance, run_id):
    return instance.all_logs(run_id)[-1].dagster_event.message


def test_a_run_of_the_daemon_whose_process_was_killed_is_ended_with_a_sentence(instance, tmp_path, start):
    run_id = daemon_run(instance, tmp_path, pid=(pid := killed(start())))
    assert end_killed_runs(instance, tmp_path) == [run_id]
    assert instance.get_run_by_id(run_id).status == dg.DagsterRunStatus.FAILURE
    assert last_message(instance, run_id) == (
        f"its process {pid} is gone, and so is its code server; the next run makes what is left"
    )
    assert end_killed_runs(instance, tmp_path) == []


def test_a_run_whose_process_outlives_its_code_server_is_left(instance, tmp_path, start):
    run_id = daemon_run(instance, tmp_path, pid=start().pid)
    assert end_killed_runs(instance, tmp_path) == []
    assert instance.get_run_by_id(run_id).status == STARTED


def test_after_a_reboot_another_process_has_the_number_of_the_run_s(instance, tmp_path, start):
    run_id = daemon_run(instance, tmp_path, pid=start().pid, at=time.time() - 3600)
    assert end_killed_runs(instance, tmp_path) == [run_id]


def test_in_a_copied_home_the_process_of_the_original_s_run_is_none(instance, tmp_path, start):
    run_id = daemon_run(instance, tmp_path, pid=start(tmp_path / "original").pid)
    assert end_killed_runs(instance, tmp_path) == [run_id]


def test_a_run_whose_code_server_answers_is_left_to_it(instance, tmp_path, start):
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(tmp_path / "here"))
        server.listen()
        run_id = daemon_run(
            instance, tmp_path, pid=killed(start()), server={"host": "localhost", "socket": str(tmp_path / "here")}
        )
        assert end_killed_runs(instance, tmp_path) == []
    assert end_killed_runs(instance, tmp_path) == [run_id]


def test_a_run_that_was_to_start_when_its_code_server_ended_is_ended(instance, tmp_path):
    run_id = daemon_run(instance, tmp_path, status=dg.DagsterRunStatus.STARTING)
    assert end_killed_runs(instance, tmp_path) == [run_id]
    assert "its process was never started" in last_message(instance, run_id)


def test_a_look_names_the_runs_that_would_be_ended_and_ends_none(instance, tmp_path):
    run_id = daemon_run(instance, tmp_path, status=dg.DagsterRunStatus.STARTING)
    assert killed_runs(instance, tmp_path) == [run_id]
    assert instance.get_run_by_id(run_id).status == dg.DagsterRunStatus.STARTING


def test_a_run_that_was_being_cancelled_is_cancelled(instance, tmp_path, start):
    run_id = daemon_run(instance, tmp_path, pid=killed(start()), status=dg.DagsterRunStatus.CANCELING)
    end_killed_runs(instance, tmp_path)
    assert instance.get_run_by_id(run_id).status == dg.DagsterRunStatus.CANCELED


def test_a_run_that_ended_is_left(instance, tmp_path):
    daemon_run(instance, tmp_path, status=dg.DagsterRunStatus.SUCCESS)
    assert end_killed_runs(instance, tmp_path) == []


def test_runs_of_clusters_are_left_to_run_monitoring(instance, tmp_path, start):
    pid = killed(start())
    daemon_run(instance, tmp_path, pid=pid, server={"host": "code-server.sinet", "port": 4000})
    instance.add_run(dg.DagsterRun("telemetry", status=STARTED))  # of a launcher that names no server
    assert end_killed_runs(instance, tmp_path) == []
    daemon_run(instance, tmp_path, pid=pid)
    assert end_killed_runs(instance, tmp_path, executor="regions") == []


def test_a_run_of_a_command_goes_by_the_process_among_its_tags(instance, tmp_path, start):
    process = start()
    tags = {
        RUN_TAG: "true",
        PID_TAG: str(process.pid),
        STARTED_TAG: f"{psutil.Process(process.pid).create_time():.2f}",
        HOME_TAG: str(tmp_path),
    }
    assert process_tags(str(tmp_path)).keys() == tags.keys()
    run = dg.DagsterRun("telemetry", status=STARTED, tags=tags)
    instance.add_run(run)
    assert end_killed_runs(instance, tmp_path) == []
    killed(process)
    assert end_killed_runs(instance, tmp_path) == [run.run_id]
