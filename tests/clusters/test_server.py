"""The API servers of the tests: the real client is content with them, and a Job's command is really executed."""

import signal

import kubernetes
import pytest

from tests.clusters.server import Trouble
from tests.inventory import EAST
from tests.waiting import until


def job_of(name, *command, grace_s=30, **spec):
    container = {"name": "dagster", "image": "x", "command": list(command), "resources": {"limits": {"memory": "64Mi"}}}
    pod = {"restartPolicy": "Never", "terminationGracePeriodSeconds": grace_s, "containers": [container]}
    template = {"metadata": {"labels": {}}, "spec": pod}
    return {"metadata": {"name": name}, "spec": {"backoffLimit": 0, "template": template, **spec}}


OBEDIENT = ("sh", "-c", "trap 'exit 0' TERM; echo ready; while :; do sleep 0.05; done")  # the first process of a pod
# is not ended by a signal that it does not handle


def log_of(core, job):
    """What the pod of a Job has written; nothing before it runs."""
    pods = core.list_namespaced_pod("sinet", label_selector=f"job-name={job}").items
    if not pods or pods[0].status.phase == "Pending":
        return ""
    return core.read_namespaced_pod_log(pods[0].metadata.name, "sinet")


@pytest.fixture
def batch(clusters):
    clusters.kubeconfig = clusters.of_operator()
    client = kubernetes.config.new_client_from_config(str(clusters.kubeconfig), EAST.cluster.kubeconfig_context)
    yield kubernetes.client.BatchV1Api(client)
    client.close()


@pytest.fixture
def core(batch):
    return kubernetes.client.CoreV1Api(batch.api_client)


def test_a_job_runs_its_command_and_its_log_can_be_read(batch, core):
    batch.create_namespaced_job("sinet", job_of("hello", "sh", "-c", "echo one; echo two"))
    until(lambda: batch.read_namespaced_job("hello", "sinet").status.succeeded)
    (pod,) = core.list_namespaced_pod("sinet", label_selector="job-name=hello").items
    assert pod.status.phase == "Succeeded"
    read = core.read_namespaced_pod_log(pod.metadata.name, "sinet", tail_lines=1, _preload_content=False)
    assert read.data == b"two"


def test_a_command_that_fails_fails_its_job(batch, core):
    batch.create_namespaced_job("sinet", job_of("wrong", "sh", "-c", "exit 7"))
    until(lambda: batch.read_namespaced_job("wrong", "sinet").status.failed)
    (pod,) = core.list_namespaced_pod("sinet", label_selector="job-name=wrong").items
    assert pod.status.container_statuses[0].state.terminated.exit_code == 7


def test_a_job_deleted_in_the_foreground_goes_after_its_pods(batch, core):
    batch.create_namespaced_job("sinet", job_of("long", *OBEDIENT, grace_s=600))
    until(lambda: "ready" in log_of(core, "long"))
    batch.delete_namespaced_job("long", "sinet", propagation_policy="Foreground")
    until(lambda: not core.list_namespaced_pod("sinet", label_selector="job-name=long").items)

    until(lambda: not batch.list_namespaced_job("sinet").items)
    with pytest.raises(kubernetes.client.ApiException, match="404"):
        batch.read_namespaced_job("long", "sinet")


@pytest.fixture
def ignored_sigterm():
    """The tests ignore SIGTERM, as a process of some shells and supervisors does; children inherit that."""
    before = signal.signal(signal.SIGTERM, signal.SIG_IGN)
    yield
    signal.signal(signal.SIGTERM, before)


def test_a_pod_obeys_sigterm_whoever_started_the_tests(ignored_sigterm, batch, core):
    batch.create_namespaced_job("sinet", job_of("long", *OBEDIENT, grace_s=600))
    until(lambda: "ready" in log_of(core, "long"))
    batch.delete_namespaced_job("long", "sinet", propagation_policy="Foreground")
    until(lambda: not batch.list_namespaced_job("sinet").items)
    assert core.list_namespaced_pod("sinet", label_selector="job-name=long").items == []


def test_a_name_is_given_once(batch):
    batch.create_namespaced_job("sinet", job_of("twice", "true"))
    with pytest.raises(kubernetes.client.ApiException, match="409"):
        batch.create_namespaced_job("sinet", job_of("twice", "true"))


def test_a_job_beyond_its_deadline_fails_for_that_reason(batch):
    batch.create_namespaced_job("sinet", job_of("late", "sleep", "600", activeDeadlineSeconds=0))
    until(lambda: batch.read_namespaced_job("late", "sinet").status.conditions)
    assert batch.read_namespaced_job("late", "sinet").status.conditions[0].reason == "DeadlineExceeded"


def test_a_request_may_be_refused_as_a_server_refuses(batch, clusters):
    clusters.servers["EAST"].gate = lambda method, path: Trouble(status=500)
    with pytest.raises(kubernetes.client.ApiException) as refused:
        batch.read_namespaced_job("any", "sinet")
    assert (refused.value.status, "etcdserver" in refused.value.body) == (500, True)
