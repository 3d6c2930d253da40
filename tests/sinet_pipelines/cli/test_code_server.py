"""A code server whose child was killed is ended, so that Dagster starts it again; every other one is left alone."""

import inspect
import subprocess
import sys

import psutil
import pytest

from sinet_pipelines.cli import code_server
from sinet_pipelines.cli.code_server import CodeServers
from tests.waiting import until

SLEEP = "import time; time.sleep(600)"
#: As Dagster's processes stand below one another, each with the words by which it is known.
CHILD = [sys.executable, "-c", SLEEP, "api", "grpc"]
PROXY = [sys.executable, "-c", f"import subprocess; subprocess.Popen({CHILD!r}); {SLEEP}", "code-server", "start"]
LONELY = [sys.executable, "-c", SLEEP, "code-server", "start"]


@pytest.fixture
def dev():
    """Starts a parent of the processes of a command; all of them end with the test."""
    parents = []

    def start(command):
        script = f"import subprocess; subprocess.Popen({command!r}); {SLEEP}"
        parents.append(subprocess.Popen([sys.executable, "-c", script]))
        return psutil.Process(parents[-1].pid)

    yield start
    for parent in parents:
        for process in (*psutil.Process(parent.pid).children(recursive=True), parent):
            process.kill()
        parent.wait()


def family(parent, *, size):
    """The processes below a parent, as soon as there are so many of them and each shows its command."""

    def whole():
        found = parent.children(recursive=True)
        return found if len(found) == size and all(len(process.cmdline()) > 3 for process in found) else None

    return until(whole)


def is_gone(process):
    return not process.is_running() or process.status() == psutil.STATUS_ZOMBIE


def test_a_proxy_is_ended_once_its_child_was_killed(dev):
    parent = dev(PROXY)
    proxy, child = family(parent, size=2)
    code_servers = CodeServers(parent.pid)
    assert code_servers.restart_orphans() == 0
    assert not is_gone(proxy)
    child.kill()
    until(lambda: is_gone(child))
    assert code_servers.restart_orphans() == 1
    until(lambda: is_gone(proxy))
    assert code_servers.restart_orphans() == 0


def test_a_proxy_that_never_had_a_child_is_left_alone(dev):
    parent = dev(LONELY)
    (proxy,) = family(parent, size=1)
    code_servers = CodeServers(parent.pid)
    assert [code_servers.restart_orphans() for _ in range(3)] == [0, 0, 0]
    assert not is_gone(proxy)


def test_the_variable_by_which_a_backfill_waits_for_its_code_server_is_one_that_dagster_reads():
    """Without it the backfill fails at the first look, though its runs go on and make everything."""
    from dagster._core.execution import asset_backfill

    from sinet_pipelines.cli.ui import _PAGES

    (name,) = [name for name in _PAGES if "BACKFILL" in name]
    assert f'os.environ.get("{name}")' in inspect.getsource(asset_backfill)


def test_pages_that_ended_have_none():
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    assert CodeServers(ended.pid).restart_orphans() == 0


def test_processes_are_listed_again_only_after_one_of_them_ended(dev, monkeypatch):
    parent = dev(PROXY)
    _, child = family(parent, size=2)
    code_servers, listed, real = CodeServers(parent.pid), [], code_server._proxies
    monkeypatch.setattr(code_server, "_proxies", lambda pid: (listed.append(pid), real(pid))[1])
    assert [code_servers.restart_orphans() for _ in range(3)] == [0, 0, 0]
    assert len(listed) == 1
    child.kill()
    until(lambda: is_gone(child))
    assert code_servers.restart_orphans() == 1
