"""`sinet run` in a pod of a deployment: its runs go to the deployment's launcher, and its home is the deployment's."""

import json
import os
import threading

import dagster as dg
import pytest
import yaml
from dagster._core.execution.api import execute_run
from dagster._core.launcher import RunLauncher
from dagster._serdes import ConfigurableClass
from dagster_k8s.client import k8s_api_retry
from kubernetes.client import ApiException

from sinet_pipelines.cli import home, orchestrator
from sinet_pipelines.errors import ClusterError


class Answer:
    """An answer of an API server, as the client's exception reads it."""

    def __init__(self, status, reason, data):
        self.status, self.reason, self.data = status, reason, data

    def getheaders(self):
        return {}


@dg.op
def work(context):
    context.log.info("done by the worker")


@dg.job(executor_def=dg.in_process_executor)
def small():
    work()


class Workers(RunLauncher, ConfigurableClass):
    """Makes a worker of each run, which the instance can ask about, as a cluster's launcher does."""

    def __init__(self, inst_data=None):
        super().__init__()
        self._inst_data, self.launched, self.terminated = inst_data, [], []

    inst_data = property(lambda self: self._inst_data)
    supports_check_run_worker_health = True

    @classmethod
    def config_type(cls):
        return {}

    @classmethod
    def from_config_value(cls, inst_data, config_value):
        return cls(inst_data)

    def launch_run(self, context):
        self.launched.append(context.dagster_run.run_id)
        self.worker = threading.Thread(
            target=execute_run, args=(dg.reconstructable(small), context.dagster_run, self._instance)
        )
        self.worker.start()

    def terminate(self, run_id):
        self.terminated.append(run_id)
        return True


@pytest.fixture
def deployed(monkeypatch, tmp_path):
    """The folder of a deployment's instance whose launcher is `Workers`, and the home that its pods are told."""
    launcher = {"module": __name__, "class": "Workers"}
    (tmp_path / "dagster.yaml").write_text(yaml.safe_dump({"run_launcher": launcher, "telemetry": {"enabled": False}}))
    for name, value in {
        "DAGSTER_HOME": str(tmp_path),
        home.OWN_INSTANCE: "",
        "SINET_EXECUTOR": "regions",
        "SINET_HOME": str(tmp_path / "mnt"),
    }.items():
        monkeypatch.setenv(name, value)
    return tmp_path


@pytest.fixture
def instance(deployed):
    with dg.DagsterInstance.from_config(str(deployed)) as found:
        yield found


def _run(instance):
    job = dg.reconstructable(small)
    return instance.create_run_for_job(small, job_code_origin=job.get_python_origin()), job


def test_a_run_of_a_deployment_has_the_one_worker_that_its_launcher_made(instance, monkeypatch):
    monkeypatch.setattr(orchestrator, "LOOK_EVERY_S", 0.05)
    run, job = _run(instance)
    orchestrator.execute(instance, run, job)
    instance.run_launcher.worker.join()
    assert instance.run_launcher.launched == [run.run_id]
    assert instance.get_run_by_id(run.run_id).status is dg.DagsterRunStatus.SUCCESS
    started = instance.all_logs(run.run_id, of_type=dg.DagsterEventType.RUN_START)
    assert len(started) == 1


def test_an_interrupted_command_ends_the_run_that_it_waits_for(instance, monkeypatch):
    def interrupted(*_):
        raise KeyboardInterrupt

    run, job = _run(instance)
    monkeypatch.setattr(orchestrator, "_wait_for", interrupted)
    with pytest.raises(KeyboardInterrupt):
        orchestrator.execute(instance, run, job)
    instance.run_launcher.worker.join()
    assert instance.run_launcher.terminated == [run.run_id]


def test_a_launcher_without_its_role_is_one_sentence_and_no_traceback(instance, monkeypatch):
    words = 'User "system:serviceaccount:sinet:default" cannot create resource "jobs"'

    def refuse(context):
        def ask():
            raise ApiException(http_resp=Answer(403, "Forbidden", json.dumps({"message": words})))

        k8s_api_retry(ask, max_retries=1, timeout=0.0)

    monkeypatch.setattr(instance.run_launcher, "launch_run", refuse)
    run, job = _run(instance)
    with pytest.raises(ClusterError) as caught:
        orchestrator.execute(instance, run, job)
    assert str(caught.value) == (
        f"the Job of run {run.run_id[:8]} could not be created: the API of Dagster's cluster (EAST) returns 403 "
        f"({words}); give service account sinet-run in sinet its Role "
        "(`kubectl --context east apply -k DIR/east`; `sinet render --deploy DIR` writes it)"
    )
    assert instance.get_run_by_id(run.run_id).status is dg.DagsterRunStatus.FAILURE


def test_on_one_machine_a_run_is_executed_here(instance, monkeypatch):
    monkeypatch.setenv("SINET_EXECUTOR", "in_process")
    run, job = _run(instance)
    orchestrator.execute(instance, run, job)
    assert instance.run_launcher.launched == []
    assert instance.get_run_by_id(run.run_id).status is dg.DagsterRunStatus.SUCCESS


def test_a_deployment_has_one_home_and_nothing_is_written_into_the_image(deployed, monkeypatch, tmp_path):
    checkout = tmp_path / "image"
    checkout.mkdir()
    (checkout / "workspace.yaml").write_text("load_from: []\n")
    monkeypatch.setenv("SINET_PROJECT", str(checkout))
    reported = home.home_of(tmp_path / "data" / "small")
    assert str(reported) == os.environ["SINET_HOME"]
    home.make_current(reported)
    assert [one.name for one in checkout.iterdir()] == ["workspace.yaml"]
