"""`sinet ui` and `sinet stop`: one set of pages a home, ports that are free, an end for all that was started."""

import contextlib
import json
import os
import shutil
import socket
import subprocess
import sys
import time

import psutil
import pytest

from sinet_pipelines.cli.ui import _run_on, open_pages, stop_all
from sinet_pipelines.deployment.endpoint import LOCK_FILE, SERVING_FOLDER
from sinet_pipelines.errors import BusyError
from sinet_pipelines.storage.layout import record_file
from tests.loopback import free_port


@pytest.fixture
def landed_home(tmp_path, project):
    home = tmp_path / "home"
    record_file(home, "turbofan").parent.mkdir(parents=True)
    record_file(home, "turbofan").write_text("{}")
    return home


def remember(home, process):
    record = {"dagster": {"pid": process.pid, "started": psutil.Process(process.pid).create_time()}}
    (home / "pages.json").write_text(json.dumps(record))


@pytest.fixture
def family():
    """A process with a child, as the pages are."""
    script = "import subprocess, sys; subprocess.run([sys.executable, '-c', 'import time; time.sleep(3600)'])"
    with subprocess.Popen([sys.executable, "-c", script]) as process:
        while not psutil.Process(process.pid).children():
            assert process.poll() is None
        (child,) = psutil.Process(process.pid).children()
        yield process
        process.kill()
        with contextlib.suppress(psutil.NoSuchProcess):
            child.kill()


def test_a_port_that_is_taken_is_named_with_its_option(landed_home, project):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(BusyError, match=f"port {port} is in use by another program; .* another --mlflow-port"):
            open_pages(home=landed_home, project=project, port=free_port(), mlflow_port=port)
    assert not (landed_home / "pages.json").exists()


def test_the_pages_of_a_home_open_once(landed_home, project, family):
    remember(landed_home, family)
    with pytest.raises(BusyError, match=f"is open already .processes {family.pid}.; .*`sinet stop`"):
        open_pages(home=landed_home, project=project, port=free_port(), mlflow_port=free_port())


def test_stop_ends_the_pages_and_their_children(landed_home, family, capsys):
    remember(landed_home, family)
    (child,) = psutil.Process(family.pid).children()
    stop_all(home=landed_home, as_json=True)
    assert json.loads(capsys.readouterr().out) == {"home": str(landed_home), "pages": 1, "servers": 0}
    family.wait(timeout=300)
    assert not child.is_running() or child.status() == psutil.STATUS_ZOMBIE
    assert not (landed_home / "pages.json").exists()


def test_stop_of_the_pages_leaves_the_model_servers(landed_home, family, capsys, monkeypatch):
    import sinet_pipelines.deployment.process as process

    def end(folder):
        raise AssertionError(f"the server of {folder} was ended")

    monkeypatch.setattr(process, "stop_servers", end)
    endpoint = landed_home / SERVING_FOLDER / "WEST" / "model"
    endpoint.mkdir(parents=True)
    (endpoint / LOCK_FILE).touch()
    with pytest.raises(AssertionError, match="was ended"):
        stop_all(home=landed_home, as_json=True)
    remember(landed_home, family)
    stop_all(home=landed_home, as_json=True, pages_only=True)
    assert json.loads(capsys.readouterr().out) == {"home": str(landed_home), "pages": 1, "servers": 0}


def test_stop_leaves_a_stranger_that_has_the_number_of_a_page(landed_home, capsys):
    record = {"dagster": {"pid": os.getpid(), "started": psutil.Process().create_time() - 3600}}
    (landed_home / "pages.json").write_text(json.dumps(record))
    stop_all(home=landed_home, as_json=True)
    assert json.loads(capsys.readouterr().out)["pages"] == 0


def test_stop_in_a_copy_of_a_home_leaves_the_pages_of_the_original(landed_home, tmp_path):
    environment = {**os.environ, "SINET_HOME": str(landed_home)}
    with subprocess.Popen([sys.executable, "-c", "import time; time.sleep(3600)"], env=environment) as process:
        try:
            remember(landed_home, process)
            copy = shutil.copytree(landed_home, tmp_path / "copy")
            stop_all(home=copy, as_json=True)
            assert process.poll() is None
            moved = landed_home.rename(tmp_path / "moved")
            stop_all(home=moved, as_json=True)
            assert process.wait(timeout=300) is not None
        finally:
            process.kill()


def test_the_end_of_a_page_server_is_noticed_at_once_and_otherwise_the_wait_ends_by_itself():
    runs, ends = (
        subprocess.Popen([sys.executable, "-c", f"import time; time.sleep({seconds})"]) for seconds in (600, 0.5)
    )
    try:
        assert _run_on([runs], 0.01)
        started = time.monotonic()
        assert not _run_on([runs, ends], 300)
        assert time.monotonic() - started < 150
        assert not _run_on([runs, ends], 300)  # it has ended before
    finally:
        for process in (runs, ends):
            process.kill()
            process.wait()
