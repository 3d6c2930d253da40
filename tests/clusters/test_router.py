"""The router as it is shipped: real client, real sockets, steps that are processes, in pods or beside the run."""

import os
import random
import threading
import time
from collections import Counter

import pytest
from dagster import AssetKey, DagsterEventType, DagsterInstance, DagsterRunStatus
from dagster._core.execution.api import execute_run

from tests.clusters.processes import carry_out, create
from tests.clusters.server import Trouble
from tests.inventory import EAST
from tests.waiting import until

pytestmark = pytest.mark.slow  # each step is a process that imports Dagster first


@pytest.fixture
def instance(tmp_path, monkeypatch):
    monkeypatch.setenv("DAGSTER_STEP_DELEGATING_EXECUTOR_SLEEP_SECONDS", "0.2")
    (tmp_path / "instance").mkdir()
    with DagsterInstance.local_temp(str(tmp_path / "instance")) as made:
        yield made


def failure(instance, run, step):
    (found,) = [
        entry.dagster_event.step_failure_data
        for entry in instance.all_logs(run.run_id, of_type=DagsterEventType.STEP_FAILURE)
        if entry.dagster_event.step_key == step
    ]
    return found


def messages(instance, run):
    entries = instance.all_logs(run.run_id, of_type=DagsterEventType.ENGINE_EVENT)
    return [entry.dagster_event.message for entry in entries]


def test_steps_run_in_the_clusters_of_their_regions(clusters, instance):
    run = carry_out(clusters, instance, "readings", "report", "small_model")
    assert run.status is DagsterRunStatus.SUCCESS
    made = {name: len(cluster.made) for name, cluster in clusters.clusters.items()}
    assert made == {"EAST": 1, "WEST": 1, "NULL_ISLAND": 1}


def test_a_cheap_step_runs_beside_the_run_and_makes_no_pod(clusters, instance):
    run = carry_out(clusters, instance, "tidy")
    assert run.status is DagsterRunStatus.SUCCESS
    assert all(cluster.made == [] for cluster in clusters.clusters.values())
    made = instance.get_latest_materialization_event(AssetKey("tidy")).asset_materialization
    assert made.metadata["parent"].value == os.getpid()


def test_a_cheap_step_that_goes_without_a_word_fails_with_its_last_lines(clusters, instance):
    run = carry_out(clusters, instance, "untidy")
    assert run.status is DagsterRunStatus.FAILURE
    found = failure(instance, run, "untidy")
    assert "Error: its process beside the run ended with code 3" in found.error.message
    assert "it all went wrong" in found.error.message


def test_a_pod_that_goes_without_a_word_fails_with_code_and_last_lines_in_the_metadata(clusters, instance):
    run = carry_out(clusters, instance, "crashing")
    assert run.status is DagsterRunStatus.FAILURE
    shown = failure(instance, run, "crashing").user_failure_data
    assert shown.label == "Error"
    assert "ended with code 4" in shown.description
    assert "no such instruction" in shown.metadata["last lines"].value
    assert (shown.metadata["region"].value, shown.metadata["hardware"].value) == ("NULL_ISLAND", "cpu")


def test_a_step_without_a_region_is_named_and_its_neighbours_go_on(clusters, instance):
    run = carry_out(clusters, instance, "unbound", "report")
    assert run.status is DagsterRunStatus.FAILURE
    assert "Unbound: step unbound has no sinet/region" in failure(instance, run, "unbound").error.message
    assert instance.get_latest_materialization_event(AssetKey("report"))


def test_a_region_that_refuses_fails_its_own_steps_alone_and_says_why(clusters, instance):
    clusters.servers["NULL_ISLAND"].gate = lambda method, path: Trouble(status=403)
    run = carry_out(clusters, instance, "report", "readings")
    assert run.status is DagsterRunStatus.FAILURE
    found = failure(instance, run, "report").error.message
    assert "Refused: NULL_ISLAND's API returns 403 (jobs.batch is forbidden" in found
    assert "sinet doctor" in found
    assert instance.get_latest_materialization_event(AssetKey("readings"))


def test_a_kubeconfig_without_the_context_is_a_failure_with_its_cure(clusters, instance):
    text = clusters.kubeconfig.read_text()
    from tests.inventory import NULL_ISLAND

    context = NULL_ISLAND.cluster.kubeconfig_context
    clusters.kubeconfig.write_text(text.replace(f"name: {context}\n", "name: somewhere\n"))
    run = carry_out(clusters, instance, "report")
    assert run.status is DagsterRunStatus.FAILURE
    assert f"has no usable context '{context}'" in failure(instance, run, "report").error.message


def test_a_pod_that_is_killed_for_memory_gets_more_the_next_time(clusters, instance, monkeypatch):
    monkeypatch.setitem(clusters.env, "STEP_S", "4")
    cluster = clusters.clusters["EAST"]

    def starve():
        pod = until(lambda: next((one for one in cluster.pods.values() if one.phase == "Running"), None))
        with cluster.lock:
            pod.process.reason = "OOMKilled"
            cluster.kill(pod)

    thread = threading.Thread(target=starve)
    thread.start()
    run = carry_out(clusters, instance, "readings")
    thread.join()
    assert run.status is DagsterRunStatus.SUCCESS
    memory = [
        metadata["memory_factor"].value
        for entry in instance.all_logs(run.run_id, of_type=DagsterEventType.ENGINE_EVENT)
        if "memory_factor" in (metadata := entry.dagster_event.engine_event_data.metadata)
    ]
    assert memory == [1.0, 2.0]
    first, second = cluster.made
    assert cluster.deleted == [first]
    (left,) = cluster.jobs.values()
    assert (left.name, left.body["spec"]["ttlSecondsAfterFinished"]) == (second, 600)  # the log has its success


def test_a_pod_of_a_step_without_retries_that_is_drained_gets_another_attempt(clusters, instance, monkeypatch):
    monkeypatch.setitem(clusters.env, "STEP_S", "60")
    cluster = clusters.clusters["NULL_ISLAND"]

    def drain():
        until(lambda: any(event.is_step_start for event in events(instance)))
        with cluster.lock:
            monkeypatch.setitem(clusters.env, "STEP_S", "0")
            (pod,) = cluster.pods.values()
            cluster.disrupt(pod, "EvictionByEvictionAPI")

    thread = threading.Thread(target=drain)
    thread.start()
    run = carry_out(clusters, instance, "report")
    thread.join()
    assert run.status is DagsterRunStatus.SUCCESS
    # an eviction leaves no event: a worker that ends between two looks takes with its pod what was said of why
    named = ("ended. Evicted: EvictionByEvictionAPI", "ended. PodLost: the Job failed (BackoffLimitExceeded)")
    assert any(name in found for found in messages(instance, run) for name in named)
    assert len(cluster.made) == 2


def events(instance):
    """What stands in the log of the newest run, of its steps."""
    runs = instance.get_runs(limit=1)
    return [entry.dagster_event for run in runs for entry in instance.all_logs(run.run_id) if entry.dagster_event]


@pytest.fixture
def resuming(tmp_path, clusters, monkeypatch):
    """An instance whose lost run pods are replaced, as production's; its launcher's cluster is the one of EAST."""
    monkeypatch.setenv("DAGSTER_STEP_DELEGATING_EXECUTOR_SLEEP_SECONDS", "0.2")
    config = {"service_account_name": "sinet-run", "instance_config_map": "a", "dagster_home": str(tmp_path)}
    own = tmp_path / "kubeconfig-of-runs"
    context = EAST.cluster.kubeconfig_context
    own.write_text(f"{clusters.kubeconfig.read_text()}current-context: {context}\n")
    config |= {"load_incluster_config": False, "kubeconfig_file": str(own)}
    launcher = {"module": "dagster_k8s", "class": "K8sRunLauncher", "config": config}
    (tmp_path / "instance").mkdir()
    overrides = {"run_launcher": launcher, "run_monitoring": {"enabled": True, "max_resume_run_attempts": 3}}
    with DagsterInstance.local_temp(str(tmp_path / "instance"), overrides=overrides) as made:
        yield made


def test_a_canceled_run_whose_run_pods_are_replaced_leaves_no_job(clusters, resuming, monkeypatch):
    assert resuming.run_will_resume("any run")
    test_a_canceled_run_leaves_no_job_pending_or_running(clusters, resuming, monkeypatch)
    (run,) = resuming.get_runs()
    (ended,) = [entry.timestamp for entry in resuming.all_logs(run.run_id, of_type=DagsterEventType.PIPELINE_CANCELED)]
    assert all(entry.timestamp <= ended or entry.step_key is None for entry in resuming.all_logs(run.run_id))


def test_a_canceled_run_leaves_no_job_pending_or_running(clusters, instance, monkeypatch):
    from dagster._core.execution.plan import active

    monkeypatch.setitem(clusters.env, "STEP_S", "60")
    clusters.clusters["NULL_ISLAND"].without.add("cpu")  # the report's pod stays pending
    requested = threading.Event()
    monkeypatch.setattr(active, "pop_captured_interrupt", requested.is_set)
    run, job = create(clusters, instance, "readings", "report")

    def cancel():
        until(lambda: any(pod.phase == "Running" for pod in clusters.clusters["EAST"].pods.values()))
        until(lambda: clusters.clusters["NULL_ISLAND"].pods)
        instance.report_run_canceling(instance.get_run_by_id(run.run_id))
        requested.set()

    thread = threading.Thread(target=cancel)
    thread.start()
    execute_run(job, run, instance)
    thread.join()
    assert instance.get_run_by_id(run.run_id).status is DagsterRunStatus.CANCELED
    assert {name: list(cluster.jobs) for name, cluster in clusters.clusters.items()} == {
        "EAST": [],
        "WEST": [],
        "NULL_ISLAND": [],
    }


class Misfortune:
    """Does to real pods and servers, a few times and at moments drawn from a seed, what clusters do."""

    def __init__(self, seed, clusters):
        self._rng, self._clusters, self._over = random.Random(seed), clusters, threading.Event()
        self._thread = threading.Thread(target=self._befall)

    def __enter__(self):
        self._thread.start()

    def __exit__(self, *_):
        self._over.set()
        self._thread.join()

    def _befall(self):
        for _ in range(self._rng.randint(2, 4)):
            if self._over.wait(self._rng.uniform(2, 12)):
                return
            name = self._rng.choice(["EAST", "EAST", "WEST", "NULL_ISLAND"])
            self._rng.choice([self._take_away, self._take_away, self._suspend, self._refuse])(name)

    def _take_away(self, name):
        cluster = self._clusters.clusters[name]
        reason = self._rng.choice(["PreemptionByScheduler", "EvictionByEvictionAPI", "Evicted", ""])
        with cluster.lock:
            for pod in list(cluster.pods.values()):
                cluster.disrupt(pod, reason, is_hard=self._rng.random() < 0.5)

    def _suspend(self, name):
        cluster = self._clusters.clusters[name]
        with cluster.lock:
            for job in cluster.jobs.values():
                if not job.is_finished:
                    cluster.suspend(job, is_suspended=True, is_hard=self._rng.random() < 0.5)

    def _refuse(self, name):
        status, until_s = self._rng.choice([429, 500, 503, 0]), time.monotonic() + self._rng.uniform(1, 6)
        trouble = Trouble(status=status, is_done=self._rng.random() < 0.5)
        self._clusters.servers[name].gate = lambda method, path: trouble if time.monotonic() < until_s else None


@pytest.mark.parametrize("seed", range(10) if os.environ.get("SOAK") else (0, 2))
def test_processes_under_misfortune_end_as_they_should(clusters, instance, monkeypatch, seed):
    monkeypatch.setitem(clusters.env, "STEP_S", "1")
    names = ["readings", "features", "model", "small_model", "report"]
    with Misfortune(seed, clusters):
        run = carry_out(clusters, instance, *names, verdict_s=15.0, pending_s=60.0, farewell_s=5.0)
    events = [entry.dagster_event for entry in instance.all_logs(run.run_id) if entry.dagster_event]
    succeeded = Counter(event.step_key for event in events if event.is_step_success)
    made = Counter(event.step_key for event in events if event.is_step_materialization)
    assert max([*succeeded.values(), *made.values()], default=0) <= 1
    if run.status is DagsterRunStatus.SUCCESS:
        assert sorted(made) == sorted(names)
    else:
        failed = [event for event in events if event.is_step_failure]
        explained = {
            event.step_key for event in events if event.is_engine_event and "ending" in event.engine_event_data.metadata
        }
        assert failed
        assert {event.step_key for event in failed} <= explained
    assert all(cluster.dangling() == [] for cluster in clusters.clusters.values())
