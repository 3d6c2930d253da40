"""What runs in a pod ends when its cluster does not want that pod any more, or nobody can say whether it does."""

import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from resources.pod_guard import NOT_WANTED, Pod
from sinet_pipelines.manifests.base import accounts
from tests.clusters.certificates import certificate_of, self_signed
from tests.clusters.cluster import Cluster
from tests.clusters.furnish import grant
from tests.clusters.server import ApiServer, Trouble
from tests.conftest import CHECKOUT
from tests.inventory import EAST
from tests.waiting import LIMIT_S, until

NAMESPACE, ACCOUNT = EAST.cluster.namespace, EAST.cluster.run_service_account
OBEDIENT = 'import sys; print("begun", flush=True); sys.stdin.readline()'
SIGNALLED = """
import signal, sys
def end(*_):
    print("told", flush=True)
    sys.exit(7 if sys.stdin.readline() == "end\\n" else 1)
signal.signal(signal.SIGTERM, end)
print("begun", flush=True)
signal.pause()
"""
WATCHFUL = "import os, sys; sys.exit(5 if os.path.exists({path!r}) else 6)"
STUBBORN = """
import signal, sys
signal.signal(signal.SIGTERM, signal.SIG_IGN)
print("begun", flush=True)
sys.stdin.readline()
"""


@pytest.fixture
def site(tmp_path):
    """A pod of Dagster's daemon in a cluster, whose account has the rights of the manifests and no others."""
    cluster = Cluster("EAST", now=lambda: 0.0, start=lambda name, pod: pytest.fail("nothing is to start"))
    own = self_signed(tmp_path / "server.pem")
    (tmp_path / "account").mkdir()
    certificate_of(own, tmp_path / "account" / "ca.crt")
    cluster.objects.put("serviceaccounts", NAMESPACE, ACCOUNT)
    (role,) = (one for one in accounts(EAST) if (one["kind"], one["metadata"]["name"]) == ("Role", ACCOUNT))
    grant(cluster, NAMESPACE, ACCOUNT, role["rules"])
    template = {"spec": {"containers": [{"name": "dagster", "image": "x"}]}}
    pod = cluster.make_pod(NAMESPACE, "ReplicaSet", "sinet-daemon", template, labels={})
    started = []

    def start(child, *options):
        """Starts the guard of a small Python program."""
        token = cluster.access.issue(NAMESPACE, ACCOUNT)
        (tmp_path / "account" / "token").write_text(token + "\n")
        place = {"KUBERNETES_SERVICE_HOST": "127.0.0.1", "KUBERNETES_SERVICE_PORT": str(server.port)}
        place |= {"POD_NAMESPACE": NAMESPACE, "POD_NAME": pod.name, "POD_UID": pod.uid}
        command = [sys.executable, "-m", "resources.pod_guard", "--account", str(tmp_path / "account")]
        command += ["--every-s", "0.1", *options, "--", sys.executable, "-S", "-c", child]
        pipes = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.PIPE)
        started.append(subprocess.Popen(command, cwd=CHECKOUT, env={**os.environ, **place}, text=True, **pipes))
        return started[-1]

    with ApiServer(cluster, certificate=own) as server:
        yield SimpleNamespace(cluster=cluster, server=server, pod=pod, start=start)
        for one in started:
            one.kill()
            one.communicate()


def begun(guard):
    assert guard.stdout.readline() == "begun\n"
    return guard


def end_of(guard):
    """Exit code and error output of a guard that ends by itself."""
    code = guard.wait(LIMIT_S)
    assert guard.stdout.read() == ""  # the pipe is closed: its child is gone too
    return code, guard.stderr.read()


def delete(site):
    site.cluster.delete_pod(site.pod)


def forget(site):
    del site.cluster.pods[NAMESPACE, site.pod.name]


def replace(site):
    site.pod.uid = "another"


def fail(site):
    site.pod.phase = "Failed"


def revoke(site):
    site.server.token = "another"


@pytest.mark.parametrize(
    ("befall", "words"),
    [
        (delete, "it is being deleted (since 2026-01-01T00:00:00Z)"),
        (forget, 'the API server returns 404 (pods "sinet-daemon-00001" not found)'),
        (replace, "another pod has its name (uid another)"),
        (fail, "it counts as Failed"),
        (revoke, "the API server returns 401 (Unauthorized)"),
    ],
    ids=lambda one: getattr(one, "__name__", ""),
)
def test_a_pod_that_is_not_wanted_ends_what_it_runs(site, befall, words):
    guard = begun(site.start(OBEDIENT))
    befall(site)
    code, output = end_of(guard)
    assert code == NOT_WANTED
    why = "ends, since its cluster may no longer need pod sinet-daemon-00001"
    assert output == f"{sys.executable} {why}: {words}\n"


@pytest.mark.parametrize(
    ("status", "content"),
    [(404, b"<html>"), (401, b""), (200, b"<html>"), (200, b"[]"), (200, b'{"kind": "Status"}'), (404, b'{"a": 1}')],
)
def test_a_page_of_something_between_says_nothing_of_a_pod(status, content):
    pod = Pod("127.0.0.1", 443, NAMESPACE, "daemon-1", "a", Path("/"))
    assert pod.judge(status, content) == (None, f"the API server returns {status}")


def test_what_does_not_end_by_itself_is_killed(site):
    guard = begun(site.start(STUBBORN, "--stop-s", "0.2"))
    delete(site)
    code, output = end_of(guard)
    assert code == NOT_WANTED
    assert output.endswith("is killed: it has not ended 0.2 s after SIGTERM\n")


@pytest.mark.parametrize(
    ("trouble", "words"),
    [
        (Trouble(status=503), "the API server returns 503 (apiserver not ready)"),
        pytest.param(Trouble(status=403), "the API server returns 403 (", marks=pytest.mark.slow),
        pytest.param(Trouble(hang_s=20.0), "it hangs", marks=pytest.mark.slow),
    ],
    ids=["503", "403", "hangs"],
)
def test_a_cluster_that_does_not_say_for_a_while_ends_it(site, trouble, words):
    guard = begun(site.start(OBEDIENT, "--silence-s", "2"))
    site.server.gate = lambda method, path: trouble
    code, output = end_of(guard)
    assert code == NOT_WANTED
    assert f"no response has confirmed it for 2 s; the last try: {words}" in output


def test_a_cluster_that_is_silent_for_less_changes_nothing(site):
    guard = begun(site.start(OBEDIENT, "--silence-s", str(LIMIT_S)))
    site.server.gate = lambda method, path: Trouble(status=503)
    before = len(site.server.requests)
    until(lambda: len(site.server.requests) > before + 3)
    site.server.gate = lambda method, path: None
    before = len(site.server.requests)
    until(lambda: len(site.server.requests) > before + 3)
    assert guard.communicate("go on\n", timeout=LIMIT_S) == ("", "")
    assert guard.returncode == 0


@pytest.mark.parametrize(
    "trouble", [Trouble(status=503), pytest.param(Trouble(hang_s=2.5), marks=pytest.mark.slow)], ids=["503", "hangs"]
)
def test_nothing_begins_before_the_cluster_says_that_the_pod_is_wanted(site, tmp_path, trouble):
    is_open = tmp_path / "open"
    site.server.gate = lambda method, path: trouble
    guard = site.start(WATCHFUL.format(path=str(is_open)), "--silence-s", "2")
    assert "waits until its cluster confirms pod sinet-daemon-00001" in guard.stderr.readline()
    is_open.touch()
    site.server.gate = lambda method, path: None
    assert guard.wait(LIMIT_S) == 5


def test_a_container_that_is_started_again_in_a_deleted_pod_begins_nothing(site):
    delete(site)
    code, output = end_of(site.start(OBEDIENT))
    assert code == NOT_WANTED
    assert "does not start, since its cluster" in output


def test_a_token_that_was_renewed_is_read_anew(site, tmp_path):
    guard = begun(site.start(OBEDIENT, "--silence-s", str(LIMIT_S)))
    renewed = tmp_path / "renewed"
    renewed.write_text(site.cluster.access.issue(NAMESPACE, ACCOUNT))
    renewed.replace(tmp_path / "account" / "token")
    before = len(site.server.requests)
    until(lambda: len(site.server.requests) > before + 2)
    site.server.token = (tmp_path / "account" / "token").read_text()  # the old one is valid no more
    before = len(site.server.requests)
    until(lambda: len(site.server.requests) > before + 3)
    assert guard.poll() is None


@pytest.mark.parametrize(("ends", "code"), [("sys.exit(3)", 3), ("os.abort()", 134), ("pass", 0)])
def test_the_exit_code_of_what_it_runs_is_its_own(site, ends, code):
    guard = site.start(f"import os, sys; {ends}")
    assert end_of(guard) == (code, "")


def test_a_signal_is_handed_on_and_its_child_ends_in_its_own_time_though_its_pod_is_deleted(site):
    guard = begun(site.start(SIGNALLED, "--stop-s", "0.1"))
    guard.terminate()
    assert guard.stdout.readline() == "told\n"
    delete(site)
    before = len(site.server.requests)
    until(lambda: len(site.server.requests) > before + 3)
    assert guard.communicate("end\n", timeout=LIMIT_S) == ("", "")
    assert guard.returncode == 7


@pytest.mark.slow
def test_a_child_that_passes_over_the_signal_to_end_is_ended_all_the_same(site):
    guard = begun(site.start(STUBBORN, "--silence-s", "2", "--stop-s", "0.1"))
    guard.terminate()
    code, output = end_of(guard)
    assert code == NOT_WANTED
    assert "it has not ended 2 s after a signal to end" in output


def test_a_signal_before_anything_has_begun_ends_it_at_once(site):
    site.server.gate = lambda method, path: Trouble(status=503)
    guard = site.start(OBEDIENT, "--silence-s", "0.3")
    assert "waits until" in guard.stderr.readline()
    guard.terminate()
    assert guard.wait(LIMIT_S) == 143


def test_outside_of_a_pod_it_says_what_it_lacks(site, tmp_path):
    few = {name: value for name, value in os.environ.items() if not name.startswith(("POD_", "KUBERNETES_"))}
    done = subprocess.run(
        [sys.executable, "-m", "resources.pod_guard", "--", "true"],
        cwd=CHECKOUT,
        env=few,
        capture_output=True,
        text=True,
        timeout=LIMIT_S,
        check=False,
    )
    assert done.returncode == 2
    assert done.stderr.startswith("found no KUBERNETES_SERVICE_HOST, KUBERNETES_SERVICE_PORT, POD_NAMESPACE, POD_NAME")
