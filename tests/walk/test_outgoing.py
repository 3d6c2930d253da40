"""Nothing leaves the machine: a whole walk with its trainings, its model server and both pages, traced below Python."""

import subprocess
import sys
import time
import urllib.request
from functools import partial

import pytest

from tests.loopback import free_port
from tests.waiting import until
from tests.walk.conftest import DRIVER, LIMIT_S, environment_of
from tests.walk.homes import servers_of, status_of

pytestmark = pytest.mark.slow

FIRST_UPLOAD_S = 15  # ONNX Runtime looks its host up about ten seconds after it is imported


def test_a_walk_a_server_and_the_pages_reach_no_other_machine_and_queue_no_events(
    outgoing, desk, arguments, home, walk_project
):
    desk(*arguments, "--home", home)
    (server,) = servers_of(home)
    ports = [free_port(), free_port()]
    command = [sys.executable, str(DRIVER), "none", "ui", "--home", str(home)]
    command += ["--port", str(ports[0]), "--mlflow-port", str(ports[1])]
    pages = subprocess.Popen(
        command,
        cwd=walk_project,
        env=environment_of(walk_project),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        for port in ports:
            assert until(partial(status_at, f"http://127.0.0.1:{port}/"), limit_s=LIMIT_S) == 200
        assert [endpoint["ready"] for endpoint in status_of(desk, home)["endpoints"]] == [True]
        asked_until = max(server.create_time() + FIRST_UPLOAD_S, time.time() + FIRST_UPLOAD_S)
        while time.time() < asked_until:  # the trace is of what happens in this time, so all of it is waited for
            assert pages.poll() is None
            time.sleep(0.5)
    finally:
        desk("stop", "--home", home)
        pages.wait(timeout=300)
    assert any(line.startswith("connect 127.0.0.1 ") for line in outgoing.lines())
    assert {line.split()[2] for line in outgoing.lines()} - {str(pages.pid)}
    assert outgoing.beyond() == []
    assert outgoing.queued() == []


def status_at(url):
    """The status of a page; None while nothing answers there."""
    try:
        with urllib.request.urlopen(url, timeout=300) as answer:
            return answer.status
    except OSError:
        return None
