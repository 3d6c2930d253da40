"""Step groups with real processes: one pod executes several small steps of its run."""

import threading

import psutil
import pytest
from dagster import AssetKey, DagsterEventType, DagsterInstance, DagsterRunStatus
from dagster._core.definitions.reconstruct import ReconstructableRepository
from dagster._core.execution.api import execute_run

from tests.clusters.furnish import STEP_INSTANCE
from tests.clusters.processes import CHECKOUT, text_of
from tests.waiting import until

pytestmark = pytest.mark.slow  # each pod is a process that imports Dagster first


@pytest.fixture
def instance(tmp_path, monkeypatch):
    monkeypatch.setenv("DAGSTER_STEP_DELEGATING_EXECUTOR_SLEEP_SECONDS", "0.2")
    (tmp_path / "instance").mkdir()
    with DagsterInstance.local_temp(str(tmp_path / "instance")) as made:
        yield made


def create(clusters, instance, *names, **patience):
    """A run of assets of `grouped.py` that has not begun, and its job."""
    clusters.instance(text_of(instance), name=STEP_INSTANCE)
    file = str(CHECKOUT / "tests" / "clusters" / "grouped.py")
    job = ReconstructableRepository.for_file(file, "defs", str(CHECKOUT)).get_reconstructable_job("__ASSET_JOB")
    keys = frozenset(AssetKey([name]) for name in names)
    job = job.get_subset(asset_selection=keys)
    config = {"kubeconfig": str(clusters.kubeconfig), "look_every_s": 1, "patience": {"cleanup_s": 30.0, **patience}}
    run = instance.create_run_for_job(
        job.get_definition(),
        asset_selection=keys,
        run_config={"execution": {"config": config}},
        job_code_origin=job.get_python_origin(),
    )
    return run, job


def carry_out(clusters, instance, *names, **patience):
    run, job = create(clusters, instance, *names, **patience)
    execute_run(job, run, instance)
    return instance.get_run_by_id(run.run_id)


def messages(instance, run):
    entries = instance.all_logs(run.run_id, of_type=DagsterEventType.ENGINE_EVENT)
    return [entry.dagster_event.message for entry in entries]


def made_by(instance, name):
    """The process that made an asset, as its pod counts, and the pod."""
    made = instance.get_latest_materialization_event(AssetKey(name)).asset_materialization
    return made.metadata["process"].value, made.metadata["pod"].value


def test_steps_that_follow_each_other_share_a_pod_and_each_has_a_process_of_its_own(clusters, instance):
    run = carry_out(clusters, instance, "first", "second", "third")
    assert run.status is DagsterRunStatus.SUCCESS
    made = [made_by(instance, name) for name in ("first", "second", "third")]
    assert len(clusters.clusters["EAST"].made) == 1
    assert len({process for process, _ in made}) == 3
    assert len({pod for _, pod in made}) == 1
    assert all(job.condition[0] == "Complete" for job in clusters.clusters["EAST"].jobs.values())


def has_begun(instance, run_id, step):
    """Whether a step has begun."""
    entries = instance.all_logs(run_id, of_type=DagsterEventType.STEP_START)
    return any(entry.dagster_event.step_key == step for entry in entries)


def while_it_runs(clusters, instance, do, *names, **patience):
    """Carries the assets out, and does something from another thread meanwhile, with the run's id."""
    run, job = create(clusters, instance, *names, **patience)
    thread = threading.Thread(target=do, args=(run.run_id,))
    thread.start()
    execute_run(job, run, instance)
    thread.join()
    return instance.get_run_by_id(run.run_id)


def endings(instance, run):
    """How attempts ended, by step."""
    entries = instance.all_logs(run.run_id, of_type=DagsterEventType.ENGINE_EVENT)
    found = [entry.dagster_event for entry in entries]
    return [
        (event.step_key, event.engine_event_data.metadata["ending"].value)
        for event in found
        if "ending" in event.engine_event_data.metadata
    ]


def test_memory_that_runs_out_is_told_of_the_step_that_ran_out_and_its_next_attempt_has_a_pod_of_its_own(
    clusters, instance, monkeypatch
):
    monkeypatch.setitem(clusters.env, "STEP_S", "60")
    cluster = clusters.clusters["EAST"]

    def starve(run_id):
        until(lambda: has_begun(instance, run_id, "second"))
        (pod,) = cluster.pods.values()
        (child,) = psutil.Process(pod.process.pid).children()
        pod.process.reason = "OOMKilled"
        child.kill()  # the kernel ends the process that grew, not the first one of the pod

    run = while_it_runs(clusters, instance, starve, "first", "second", "third")
    assert run.status is DagsterRunStatus.SUCCESS
    assert endings(instance, run) == [("second", "OOMKilled")]
    assert len(cluster.made) == 2
    assert made_by(instance, "second")[1] == made_by(instance, "third")[1] != made_by(instance, "first")[1]


def test_an_offer_that_nobody_takes_is_withdrawn_and_a_worker_that_wakes_up_leaves_the_step_alone(
    clusters, instance, monkeypatch, tmp_path
):
    gate = tmp_path / "gate"
    monkeypatch.setitem(clusters.env, "GATE", str(gate))

    def stop(run_id):
        until(lambda: has_begun(instance, run_id, "first"))
        (pod,) = clusters.clusters["EAST"].pods.values()
        worker = psutil.Process(pod.process.pid)
        worker.suspend()  # the pod's first process, which would fork the next step's
        try:
            gate.touch()
            until(lambda: has_begun(instance, run_id, "second"))
        finally:
            worker.resume()

    run = while_it_runs(clusters, instance, stop, "first", "second", taken_s=2.0)
    assert run.status is DagsterRunStatus.SUCCESS
    assert len(clusters.clusters["EAST"].made) == 2
    assert made_by(instance, "first")[1] != made_by(instance, "second")[1]
    words = [one for one in messages(instance, run) if "may no longer take attempt" in one]
    assert len(words) == 1
    assert "its worker did not take it within 2 s" in words[0]
    assert endings(instance, run) == []
