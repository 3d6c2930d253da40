"""Servers that outlive their starters: one of many starts, a switch loses no request, what fails leaves the old one."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import psutil
import pytest

from sinet_pipelines.deployment.client import infer, instance, predict_at
from sinet_pipelines.deployment.endpoint import (
    ServerOptions,
    current,
    endpoint_folders,
    is_alive,
    read_current,
    read_report,
    report_path,
)
from sinet_pipelines.deployment.process import endpoints, ensure_server, is_ready, stop_all, stop_servers
from sinet_pipelines.deployment.repository import read_manifest
from sinet_pipelines.errors import BusyError, ModelNotFoundError, ServingError
from sinet_pipelines.storage.commits import CommitRefusedError, commits_checked
from tests.loopback import free_port
from tests.sinet_pipelines.deployment.served import expected_rul, publish_rul, run_script, sane_inputs
from tests.waiting import until

STARTER = """
import os, signal, sys
from pathlib import Path
from sinet_pipelines.deployment import process
from sinet_pipelines.deployment.repository import read_manifest

folder, repository, version, killed = Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3], sys.argv[4]
write_current = process.write_current
def switch(*args):
    if killed == "before": os.kill(os.getpid(), signal.SIGKILL)
    write_current(*args)
    if killed == "after": os.kill(os.getpid(), signal.SIGKILL)
process.write_current = switch
sha256 = read_manifest(repository, "rul", version).sha256
print(process.ensure_server(folder, name="rul", region="WEST", repository=repository, model="rul", version=version,
      sha256=sha256).token)
"""


def servers_of(folder):
    """Processes whose command line names this folder."""
    named = f"--folder={folder.resolve()}"
    return [p.pid for p in psutil.process_iter() if named in _command_line(p)]


def _command_line(process):
    try:
        return [] if process.status() == psutil.STATUS_ZOMBIE else process.cmdline()
    except psutil.Error:
        return []


def test_a_healthy_server_of_the_same_version_is_used_again(start):
    assert start("1") == start("1")


def test_a_process_that_may_not_commit_starts_no_server_and_leaves_the_running_one(start, folder):
    running = start("1")

    def refuse():
        raise CommitRefusedError("a newer attempt is at work")

    with commits_checked(refuse), pytest.raises(CommitRefusedError):
        start("2")
    assert current(folder) == running
    assert len(servers_of(folder)) == 1


@pytest.mark.slow
def test_four_starters_at_once_make_one_server(folder, repository):
    command = [sys.executable, "-W", "ignore", "-c", STARTER, str(folder), str(repository), "1", "never"]
    starters = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(4)]
    tokens = {starter.communicate(timeout=300)[0] for starter in starters}
    assert len(tokens) == 1
    assert servers_of(folder) == [current(folder).pid]


def test_it_outlives_its_starter_and_holds_none_of_its_pipes(folder, repository):
    result = run_script(STARTER, folder, repository, "1", "never")  # returns only when both pipes are closed
    assert result.returncode == 0, result.stderr
    assert is_ready(current(folder))
    assert psutil.Process(current(folder).pid).ppid() != os.getpid()


@pytest.mark.slow
def test_another_version_takes_the_place_of_the_running_one(start, folder):
    old = start("1")
    new = start("2")
    assert not is_alive(old)
    assert current(folder) == new
    assert servers_of(folder) == [new.pid]
    answer = predict_at(folder, sane_inputs())
    np.testing.assert_allclose(answer.outputs["rul_cycles"], expected_rul(sane_inputs(), bias=200.0), rtol=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize("killed", ["before", "after"])
def test_a_starter_killed_around_the_switch_leaves_a_serving_endpoint_that_the_next_one_cleans(
    start, folder, repository, killed
):
    old = start("1")
    assert run_script(STARTER, folder, repository, "2", killed).returncode == -signal.SIGKILL
    assert len(servers_of(folder)) == 2
    assert current(folder).version == {"before": "1", "after": "2"}[killed]
    assert predict_at(folder, sane_inputs()).version == current(folder).version
    new = start("2")
    assert servers_of(folder) == [new.pid]
    assert not is_alive(old)


@pytest.mark.slow
def test_a_killed_server_is_replaced(start, folder):
    old = start("1")
    os.kill(old.pid, signal.SIGKILL)
    until(lambda: current(folder) is None)
    new = start("1")
    assert new.pid != old.pid
    assert is_ready(new)


@pytest.mark.slow
def test_a_client_loses_no_request_through_four_switches(start, folder):
    start("1")
    done, failures, versions = threading.Event(), [], []
    inputs = sane_inputs()
    expected = {"1": expected_rul(inputs, bias=100.0), "2": expected_rul(inputs, bias=200.0)}

    def ask():
        while not done.is_set():
            answer = predict_at(folder, inputs)
            versions.append(answer.version)
            if not np.allclose(answer.outputs["rul_cycles"], expected[answer.version], rtol=1e-6):
                failures.append(answer)

    with ThreadPoolExecutor(2) as clients:
        asking = [clients.submit(ask) for _ in range(2)]
        for version in ("2", "1", "2", "1"):
            start(version)
        done.set()
        for client in asking:
            client.result()
    assert failures == []
    assert set(versions) == {"1", "2"}


@pytest.mark.parametrize(
    "damage", ["nan", pytest.param("bytes", marks=pytest.mark.slow), pytest.param("config", marks=pytest.mark.slow)]
)
def test_a_broken_model_is_named_and_leaves_the_running_one_serving(start, folder, repository, damage):
    running = start("1")
    publish_rul(repository, "3", answers_nan=damage == "nan")
    if damage == "bytes":
        (repository / "rul/3/model.onnx").write_bytes(b"x")
    if damage == "config":
        (repository / "rul/config.pbtxt").unlink()
    with pytest.raises(ServingError, match="'rul'"):
        start("3")
    assert current(folder) == running
    assert is_ready(running)
    assert servers_of(folder) == [running.pid]


def test_a_version_that_is_not_there_is_named(start, folder, repository):
    from sinet_pipelines.deployment.process import ensure_server

    with pytest.raises(ModelNotFoundError, match="no version '9'"):
        ensure_server(folder, name="rul", region="WEST", repository=repository, model="rul", version="9", sha256="")
    assert servers_of(folder) == []


@pytest.mark.parametrize("kind", ["port", "grpc_port"])
def test_a_port_that_another_program_holds_is_busy_and_leaves_the_running_one(start, folder, kind):
    running = start("1")
    with socket.create_server(("127.0.0.1", 0)) as holder:
        port = holder.getsockname()[1]
        with pytest.raises(BusyError, match=f"port {port} is in use by another program") as caught:
            start("2", **{kind: port})
    assert caught.value.exit_code == 3
    assert is_ready(running)
    assert current(folder) == running


@pytest.mark.slow
def test_a_fixed_port_goes_from_the_old_server_to_the_new(start):
    ports = {"port": free_port(), "grpc_port": free_port()}
    old = start("1", **ports)
    new = start("2", **ports)
    assert (old.url, old.grpc) == (new.url, new.grpc) == (f"http://127.0.0.1:{ports['port']}", old.grpc)
    assert is_ready(new)
    assert not is_alive(old)


@pytest.mark.slow
def test_another_port_than_the_running_ones_means_a_new_server(start):
    old = start("1")
    new = start("1", port=free_port())
    assert new.url != old.url
    assert start("1") == new


def test_stop_ends_everything_and_clears_its_files(start, folder, tmp_path):
    endpoint = start("1")
    assert stop_all(tmp_path) == 1
    assert not is_alive(endpoint)
    assert servers_of(folder) == []
    assert {path.name for path in folder.iterdir()} <= {"requests.log", "start.lock"}
    assert stop_servers(folder) == 0
    assert stop_servers(tmp_path / "never") == 0


@pytest.mark.slow
def test_a_server_that_ignores_sigterm_is_killed(start, folder, monkeypatch):
    from sinet_pipelines.deployment import process

    monkeypatch.setattr(process, "STOP_S", 0.5)
    endpoint = start("1")
    os.kill(endpoint.pid, signal.SIGSTOP)
    assert stop_servers(folder) == 1
    assert not is_alive(endpoint)


@pytest.mark.slow
def test_endpoints_are_listed_as_status_prints_them(start, tmp_path, folder):
    endpoint = start("2")
    assert endpoint_folders(tmp_path) == (folder,)
    listed = {
        "name": "rul",
        "region": "WEST",
        "url": endpoint.url,
        "grpc": endpoint.grpc,
        "model": "rul",
        "version": "2",
        "ready": True,
    }
    assert endpoints(tmp_path) == [listed]
    assert listed.items() <= json.loads((folder / "current.json").read_text()).items()
    os.kill(endpoint.pid, signal.SIGKILL)
    until(lambda: not is_alive(endpoint))
    assert endpoints(tmp_path) == [listed | {"ready": False}]


def test_the_orchestrators_variables_do_not_reach_the_server(start, monkeypatch):
    monkeypatch.setenv("DAGSTER_HOME", "/nowhere")
    environment = psutil.Process(start("1").pid).environ()
    assert [name for name in environment if name.startswith("DAGSTER_")] == ["DAGSTER_DISABLE_TELEMETRY"]


def test_the_error_of_a_server_that_ends_at_once_has_its_last_line(start, folder, monkeypatch):
    monkeypatch.setenv("PYTHONHOME", "/nowhere")  # Python itself then ends before our first line
    with pytest.raises(ServingError, match="the server of 'rul' ended at once: "):
        start("1")
    assert current(folder) is None


def test_a_process_number_that_is_anothers_by_now_is_not_our_server(start, folder):
    from dataclasses import replace

    endpoint = start("1")
    assert is_alive(endpoint)
    assert not is_alive(replace(endpoint, token="another"))
    assert not is_alive(replace(endpoint, started=endpoint.started - 60))
    assert not is_alive(replace(endpoint, pid=os.getpid()))
    assert read_current(folder) == endpoint


def test_the_requested_graph_is_the_one_served(start, folder, repository):
    start("1")
    found = infer(current(folder).url, "rul", sane_inputs(), version="1")
    np.testing.assert_allclose(found["rul_cycles"], expected_rul(sane_inputs(), bias=100.0), rtol=1e-6)
    assert current(folder).sha256 == read_manifest(repository, "rul", "1").sha256


@pytest.mark.slow
def test_a_copied_endpoint_has_no_server_and_its_end_is_not_the_originals(start, folder, tmp_path):
    original = start("1")
    copy = shutil.copytree(folder, tmp_path / "copied home" / "WEST" / "rul")
    assert current(copy) is None
    assert read_current(copy) is None
    assert stop_servers(copy) == 0
    assert is_ready(original)
    assert current(folder) == original


@pytest.mark.slow
def test_a_copy_starts_a_server_of_its_own_beside_the_originals(start, folder, repository, tmp_path):
    original = start("1")
    copy = shutil.copytree(folder, tmp_path / "copied home" / "WEST" / "rul")
    sha256 = read_manifest(repository, "rul", "1").sha256
    own = ensure_server(copy, name="rul", region="WEST", repository=repository, model="rul", version="1", sha256=sha256)
    try:
        assert own.pid != original.pid
        assert is_ready(original)
        assert predict_at(copy, sane_inputs()).version == "1"
    finally:
        assert stop_servers(copy) == 1


@pytest.mark.slow
def test_a_moved_home_has_no_server_until_it_starts_one_at_its_new_place(start, folder, repository):
    left = start("1")
    moved = folder.rename(folder.with_name("moved"))
    try:
        assert current(moved) is None  # the old one ends itself: nothing at the old place names it
        sha256 = read_manifest(repository, "rul", "1").sha256
        names = {"name": "rul", "region": "WEST", "repository": repository, "model": "rul"}
        assert ensure_server(moved, version="1", sha256=sha256, **names).pid != left.pid
        assert not folder.exists()
    finally:
        stop_servers(moved)
        os.kill(left.pid, signal.SIGTERM)


@pytest.mark.slow
@pytest.mark.parametrize("held", ["port", "grpc_port"])
def test_a_server_binds_both_ports_however_long_one_is_held_after_the_other(folder, repository, held):
    """The former server leaves its ports one after the other; what was bound meanwhile is left again."""
    ports = {"port": free_port(), "grpc_port": free_port()}
    options = ServerOptions(str(repository), "rul", "1", instance="f11e5", folder=str(folder), **ports)
    folder.mkdir(parents=True)
    command = [sys.executable, "-m", "sinet_pipelines.deployment.server", *options.arguments()]
    with socket.create_server(("127.0.0.1", ports[held])):
        server = subprocess.Popen(command)
        try:
            until(lambda: (report := read_report(report_path(folder, "f11e5"))) and report.ports == (ports[held],))
            time.sleep(0.3)  # of this the server needs a tenth to try again
        except BaseException:
            server.kill()
            raise
    try:
        until(lambda: instance(f"http://127.0.0.1:{ports['port']}") == "f11e5")
        assert read_report(report_path(folder, "f11e5")).state == "listening"
    finally:
        server.terminate()
        assert server.wait(timeout=300) == 0
