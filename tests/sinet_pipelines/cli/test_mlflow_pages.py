"""MLflow's pages under the options of `sinet ui` refuse other host names and what other sites' pages would change."""

import json
import os
import subprocess
import sys
import urllib.error
import urllib.request

import pytest

from sinet_pipelines.cli.mlflow_pages import MODULE, waiting_command
from sinet_pipelines.cli.ui import _PAGES, _mlflow_options
from sinet_pipelines.registry.tracking import tracking_of
from tests.loopback import await_port, free_port

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def pages(tmp_path_factory):
    """MLflow's server on a new home; its host and port."""
    home = tmp_path_factory.mktemp("home")
    tracking_of(home).client.search_experiments(max_results=1)
    port = free_port()
    command = [sys.executable, "-W", "ignore", "-m", MODULE, "server", *_mlflow_options(home, port)]
    with (home / "log").open("wb") as log:
        process = subprocess.Popen(command, env={**os.environ, **_PAGES}, stdout=log, stderr=log)
    try:
        await_port(port, process, log=home / "log")
        yield f"127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(timeout=300)


def create(at, name, **headers):
    """The status of a request that makes an experiment."""
    address = f"http://{at}/api/2.0/mlflow/experiments/create"
    head = {"Content-Type": "application/json", **headers}
    request = urllib.request.Request(address, json.dumps({"name": name}).encode(), head)
    try:
        with urllib.request.urlopen(request, timeout=300) as answer:
            return answer.status
    except urllib.error.HTTPError as error:
        return error.code


def test_other_names_and_other_origins_are_refused(pages):
    port = pages.split(":")[1]
    assert create(pages, "a", Host="evil.example") == 403
    assert create(pages, "a", Host=f"192.168.0.7:{port}") == 403
    assert create(pages, "a", Origin="http://evil.example") == 403
    assert create(pages, "a", Host=f"localhost:{port}", Origin=f"http://localhost:{port}") == 200
    assert create(pages, "b", Host="127.0.0.1:8080") == 200  # by an SSH tunnel


def test_the_command_that_mlflow_builds_is_the_one_that_is_replaced():
    from mlflow import server

    command = server._build_uvicorn_command("", "127.0.0.1", 5000, 1, "app")
    assert waiting_command(command)[:4] == [sys.executable, "-m", MODULE, "uvicorn"]
    assert waiting_command(command)[4:] == command[3:]
    assert waiting_command(["python", "-m", "gunicorn"]) == ["python", "-m", "gunicorn"]
