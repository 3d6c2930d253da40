"""A server that ends unasked comes again, at its ports; one that was stopped, or replaced, does not."""

import os
import signal
import socket
import sysconfig
from pathlib import Path

import psutil
import pytest

from sinet_pipelines.deployment.client import infer
from sinet_pipelines.deployment.endpoint import current, read_current, read_wanted
from sinet_pipelines.deployment.process import describe, restart, stop_servers
from sinet_pipelines.deployment.supervisor import LOCK_FILE, LOG_FILE, supervise
from sinet_pipelines.storage.locks import holder, is_held
from tests.sinet_pipelines.deployment.served import sane_inputs
from tests.waiting import until


def another_than(folder, ended):
    """The living server of the endpoint, once it is another than this one."""
    found = until(lambda: (now := current(folder)) is not None and now.pid != ended.pid and now)
    until(lambda: describe(found)["ready"])
    return found


def _compiled_packages(pid):
    """The packages of this environment whose compiled code a process has loaded."""
    packages = sysconfig.get_path("platlib")
    loaded = (Path(mapped.path) for mapped in psutil.Process(pid).memory_maps())
    return {path.relative_to(packages).parts[0] for path in loaded if path.is_relative_to(packages)}


def listening_at(port):
    """A socket that has the port; None while the last thread of a killed process still has it."""
    try:
        return socket.create_server(("127.0.0.1", port))
    except OSError:
        return None


@pytest.mark.slow
def test_a_killed_server_is_not_ready_and_is_restarted_at_its_ports_each_time(start, folder):
    server = start("1", supervised=True)
    for _ in range(2):
        os.kill(server.pid, signal.SIGKILL)
        again = another_than(folder, server)
        assert (again.url, again.grpc, again.version, again.sha256) == (
            server.url,
            server.grpc,
            server.version,
            server.sha256,
        )
        assert infer(again.url, "rul", sane_inputs())["rul_cycles"].shape == (1, 1)
        assert not describe(server)["ready"]
        server = again
    until(lambda: f"process {server.pid} serves at {server.url}" in (folder / LOG_FILE).read_text())
    assert (folder / LOG_FILE).read_text().count("ended unexpectedly") == 2


def test_a_stopped_server_stays_stopped_and_its_supervisor_ends(start, folder):
    start("1", supervised=True)
    until(lambda: is_held(folder / LOCK_FILE))
    assert stop_servers(folder) == 1
    until(lambda: not is_held(folder / LOCK_FILE))
    assert current(folder) is None
    assert not (folder / "wanted.json").exists()
    assert restart(folder) is None


@pytest.mark.slow
def test_after_a_switch_the_new_version_is_restarted(start, folder):
    start("1", supervised=True)
    new = start("2", supervised=True)
    os.kill(new.pid, signal.SIGKILL)
    assert another_than(folder, new).version == "2"


def test_one_supervisor_watches_an_endpoint(start, folder):
    start("1", supervised=True)
    until(lambda: is_held(folder / LOCK_FILE) and holder(folder / LOCK_FILE).isdigit())
    first = holder(folder / LOCK_FILE)
    supervise(folder)
    start("1", supervised=True)
    watching = [
        process.pid
        for process in psutil.process_iter(["cmdline"])
        if process.info["cmdline"] and process.info["cmdline"][-1] == str(folder.resolve())
    ]
    assert watching == [int(first)]
    assert _compiled_packages(int(first)) == {"psutil"}  # it imports little, so that it takes little memory


@pytest.mark.slow
def test_a_killed_supervisor_is_started_again_with_the_endpoint(start, folder):
    start("1", supervised=True)
    until(lambda: is_held(folder / LOCK_FILE) and holder(folder / LOCK_FILE).isdigit())
    os.kill(int(holder(folder / LOCK_FILE)), signal.SIGKILL)
    until(lambda: not is_held(folder / LOCK_FILE))
    server = start("1", supervised=True)
    until(lambda: is_held(folder / LOCK_FILE))
    os.kill(server.pid, signal.SIGKILL)
    assert another_than(folder, server).version == "1"


@pytest.mark.slow
def test_a_port_that_was_taken_meanwhile_is_given_up(start, folder):
    server = start("1")
    os.kill(server.pid, signal.SIGKILL)
    until(lambda: current(folder) is None)
    with until(lambda: listening_at(int(server.url.rpartition(":")[2]))):
        again = restart(folder)
        assert again.url != server.url
        assert infer(again.url, "rul", sane_inputs())["rul_cycles"].shape == (1, 1)


@pytest.mark.slow
def test_how_a_server_was_started_moves_with_its_home(start, folder, tmp_path):
    server = start("1")
    wanted = read_wanted(folder)
    assert (wanted.version, wanted.port) == ("1", 0)
    stop_servers(folder)
    start("1")
    moved = tmp_path.parent / f"{tmp_path.name}-moved"
    os.kill(current(folder).pid, signal.SIGKILL)
    until(lambda: current(folder) is None)
    (tmp_path / "serving").rename(moved)
    place = moved / "WEST" / "rul"
    try:
        again = restart(place)
        assert read_current(place) == again
        assert again.version == server.version
    finally:
        stop_servers(place)


@pytest.fixture(autouse=True)
def no_supervisor_is_left(folder):
    yield
    stop_servers(folder)
    until(lambda: not is_held(folder / LOCK_FILE))
