"""A node is lost with a worker at work on it: the step goes on elsewhere, and the worker there changes nothing more."""

import threading
import time

import pytest
from dagster import DagsterInstance, DagsterRunStatus

from sinet_pipelines.placement.bindings import grace_s
from sinet_pipelines.placement.needs import Needs
from sinet_pipelines.storage.tables import TableStore
from tests.clusters.gated import ATTEMPTS
from tests.clusters.nodes import SILENCE_S, TOLERATION_S, Node
from tests.clusters.processes import carry_out
from tests.waiting import until

pytestmark = pytest.mark.slow  # each of the two workers is a process that imports Dagster first


@pytest.fixture
def instance(tmp_path, monkeypatch):
    monkeypatch.setenv("DAGSTER_STEP_DELEGATING_EXECUTOR_SLEEP_SECONDS", "0.2")
    (tmp_path / "instance").mkdir()
    with DagsterInstance.local_temp(str(tmp_path / "instance")) as made:
        yield made


def test_a_step_whose_node_is_lost_goes_on_elsewhere_and_its_older_worker_changes_nothing(
    clusters, instance, monkeypatch, tmp_path
):
    gate, cluster, older = tmp_path / "gate", clusters.clusters["EAST"], []
    gate.mkdir()
    monkeypatch.setitem(clusters.env, "GATE", str(gate))
    cluster.nodes["node-1"] = Node("node-1")

    def lose():
        until((gate / "at-work-0").exists)
        with cluster.lock:
            (pod,) = cluster.pods.values()
            older.append(pod.process)
            cluster.nodes[pod.node].lost_since = time.monotonic() - SILENCE_S - TOLERATION_S  # its pods are to go now
        until((gate / "at-work-1").exists)
        (gate / "open").touch()

    thread = threading.Thread(target=lose)
    thread.start()
    # a pod that is to go is given up after two seconds, not after its grace period and a minute
    run = carry_out(clusters, instance, "table", overdue_s=2.0 - grace_s(Needs()), cleanup_s=1.0)
    thread.join()
    (worker,) = older
    until(lambda: worker.poll() is not None)
    assert run.status is DagsterRunStatus.SUCCESS
    assert "attempt 1 of table ends without a final event" in worker.log()
    assert kinds_of(instance, run).count("ASSET_MATERIALIZATION") == kinds_of(instance, run).count("STEP_SUCCESS") == 1
    assert "STEP_FAILURE" not in kinds_of(instance, run)
    tables = TableStore(str(gate / "tables"))
    assert tables.read(ATTEMPTS)["attempt"].to_list() == [1]
    assert tables.health(ATTEMPTS).version == 0  # written once


def kinds_of(instance, run):
    """The kinds of all events of the step in the log so far."""
    entries = instance.all_logs(run.run_id)
    return [entry.dagster_event.event_type_value for entry in entries if entry.step_key == "table"]
