"""The API servers of the tests: the real client is content with them, and a Job's command is really executed."""

import time

import kubernetes
import pytest

from sinet_pipelines.regions import EAST
from tests.clusters.server import Trouble

LIMIT_S = 30


def job_of(name, *command, **spec):
    container = {"name": "dagster", "image": "x", "args": list(command), "resources": {"limits": {"memory": "64Mi"}}}
    template = {"metadata": {"labels": {}}, "spec": {"restartPolicy": "Never", "containers": [container]}}
    return {"metadata": {"name": name}, "spec": {"backoffLimit": 0, "template": template, **spec}}


@pytest.fixture
def batch(clusters):
    client = kubernetes.config.new_client_from_config(str(clusters.kubeconfig), EAST.cluster.kubeconfig_context)
    yield kubernetes.client.BatchV1Api(client)
    client.close()


@pytest.fixture
def core(batch):
    return kubernetes.client.CoreV1Api(batch.api_client)


def until(holds):
    deadline = time.monotonic() + LIMIT_S
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.05)


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
    batch.create_namespaced_job("sinet", job_of("long", "sleep", "60"))
    until(lambda: core.list_namespaced_pod("sinet", label_selector="job-name=long").items)
    batch.delete_namespaced_job("long", "sinet", propagation_policy="Foreground")
    until(lambda: not core.list_namespaced_pod("sinet", label_selector="job-name=long").items)

    def is_gone():
        with pytest.raises(kubernetes.client.ApiException) as refused:
            batch.read_namespaced_job("long", "sinet")
        return refused.value.status == 404

    until(is_gone)


def test_a_name_is_given_once(batch):
    batch.create_namespaced_job("sinet", job_of("twice", "true"))
    with pytest.raises(kubernetes.client.ApiException, match="409"):
        batch.create_namespaced_job("sinet", job_of("twice", "true"))


def test_a_job_beyond_its_deadline_fails_for_that_reason(batch):
    batch.create_namespaced_job("sinet", job_of("late", "sleep", "60", activeDeadlineSeconds=0))
    until(lambda: batch.read_namespaced_job("late", "sinet").status.conditions)
    assert batch.read_namespaced_job("late", "sinet").status.conditions[0].reason == "DeadlineExceeded"


def test_a_request_may_be_refused_as_a_server_refuses(batch, clusters):
    clusters.servers["EAST"].gate = lambda method, path: Trouble(status=500)
    with pytest.raises(kubernetes.client.ApiException) as refused:
        batch.read_namespaced_job("any", "sinet")
    assert (refused.value.status, "etcdserver" in refused.value.body) == (500, True)
