"""Whoever reads a home follows an endpoint into its cluster: status, stop, predict, serve and both sensors."""

import json
import sqlite3

import dagster as dg
import numpy as np
import pytest

from schedules.following import alias
from schedules.serving import endpoint_lives
from sinet_pipelines.applications.application import Application
from sinet_pipelines.cli import predict
from sinet_pipelines.cli.orchestrator import dead_endpoints, endpoints_behind
from sinet_pipelines.cli.status import endpoint_line
from sinet_pipelines.cli.summary import endpoint_state
from sinet_pipelines.cli.ui import stop_all
from sinet_pipelines.deployment.cluster.api import connect
from sinet_pipelines.deployment.cluster.record import read_record, write_record
from sinet_pipelines.deployment.cluster.rollout import ensure_endpoint
from sinet_pipelines.deployment.endpoints import endpoints
from sinet_pipelines.deployment.following import follow
from sinet_pipelines.storage.layout import record_file
from tests.deployed import sensor_context
from tests.sinet_pipelines.deployment.cluster.answers import kubeconfig
from tests.sinet_pipelines.deployment.cluster.conftest import wanted
from tests.sinet_pipelines.deployment.served import expected_rul, sane_inputs

KEY = dg.AssetKey(["turbofan", "endpoint"])


@pytest.fixture
def home(tmp_path, answers, region, monkeypatch):
    """A home whose endpoint is version 1, served by WEST's cluster; the operator's kubeconfig leads there."""
    monkeypatch.setenv("KUBECONFIG", str(kubeconfig(tmp_path / "operators", answers.url, "west")))
    monkeypatch.setenv("SINET_HOME", str(tmp_path))
    monkeypatch.setattr(Application, "model", property(lambda one: "rul" if one.name == "turbofan" else one.name))
    answers.on_get = answers.roll_out
    folder = tmp_path / "serving" / "WEST" / "rul"
    ensure_endpoint(folder, connect(region(), own_region=None), wanted())
    answers.on_get = lambda: None
    return tmp_path


def name_champion(home, version, sha256):
    """The tables of MLflow that say which version has the alias, as far as they are read."""
    source = home / "mlflow-artifacts" / "1" / "models" / (sha256 * 16)
    source.mkdir(parents=True, exist_ok=True)
    (source / "model.onnx").write_bytes(b"x")
    (home / "mlflow.db").unlink(missing_ok=True)
    with sqlite3.connect(home / "mlflow.db") as connection:
        connection.execute("CREATE TABLE registered_models (name TEXT)")
        connection.execute("CREATE TABLE registered_model_aliases (name TEXT, alias TEXT, version INTEGER)")
        connection.execute("CREATE TABLE model_versions (name TEXT, version INTEGER, source TEXT, current_stage TEXT)")
        connection.execute("INSERT INTO registered_models VALUES ('rul')")
        connection.execute("INSERT INTO registered_model_aliases VALUES ('rul', 'champion', ?)", (version,))
        connection.execute("INSERT INTO model_versions VALUES ('rul', ?, ?, 'None')", (version, source.as_uri()))
    connection.close()


def test_status_reads_the_version_from_the_cluster_and_shows_the_target(home):
    (found,) = endpoints(home)
    assert (found["ready"], found["version"], found["target"], found["reason"]) == (True, "1", "deployment", "")
    assert endpoint_line(found) == (
        "endpoint rul in WEST at http://models.west.test: ready, version 1, deployment of its cluster"
    )
    assert KEY not in dead_endpoints(home)


def test_a_deleted_deployment_is_dead_and_requested_again_with_its_reason(home, answers):
    del answers.objects[("deployments", "endpoint-rul")]
    (found,) = endpoints(home)
    assert "not answering" in endpoint_line(found)
    assert "is gone: it, or its namespace, was deleted" in endpoint_line(found)
    assert KEY in dead_endpoints(home)
    with dg.DagsterInstance.ephemeral() as instance:
        request = endpoint_lives(sensor_context(instance, home))
    assert request.asset_selection == [KEY]
    assert "Deployment endpoint-rul in namespace sinet of WEST is gone" in request.tags["sinet/reason"]


def test_a_cluster_that_cannot_be_read_requests_nothing(home, answers, monkeypatch):
    monkeypatch.setenv("KUBECONFIG", str(home / "none"))
    (found,) = endpoints(home)
    assert "not known" in endpoint_line(found)
    assert "version 1 in WEST at http://models.west.test, not known whether it is ready; " in endpoint_state(found)
    assert KEY not in dead_endpoints(home)
    with dg.DagsterInstance.ephemeral() as instance:
        tick = endpoint_lives(sensor_context(instance, home))
    assert "the state of the endpoint is unknown" in tick.skip_message


def test_a_moved_alias_is_behind_and_requested_and_one_that_agrees_is_not(home):
    name_champion(home, 1, "a")
    assert [one.is_behind for one in follow(home)] == [False]
    name_champion(home, 2, "c")
    (behind,) = follow(home)
    assert behind.is_behind
    assert behind.reason == "rul: version 1 serves, but the alias champion names version 2"
    assert endpoints_behind(home) == [KEY]
    with dg.DagsterInstance.ephemeral() as instance:
        request = alias(sensor_context(instance, home))
    assert request.asset_selection == [KEY]


def test_stop_leaves_it_and_prints_the_command_that_deletes_it(home, capsys):
    record_file(home, "turbofan").parent.mkdir(parents=True)
    record_file(home, "turbofan").write_text("{}")
    stop_all(home=home, as_json=False)
    output = capsys.readouterr().out
    assert "the endpoint rul continues in WEST's cluster" in output
    assert "kubectl --context west -n sinet delete deployment,service,poddisruptionbudget endpoint-rul" in output
    stop_all(home=home, as_json=True)
    assert len(json.loads(capsys.readouterr().out)["left_in_clusters"]) == 1
    assert endpoints(home)[0]["ready"]


def test_predict_uses_the_recorded_address(home, shared):
    folder = home / "serving" / "WEST" / "rul"
    record = read_record(folder)
    write_record(folder, type(record)(**{**vars(record), "url": shared.url}))
    inputs = sane_inputs(3)
    answer = predict._predict_by_champion(home, inputs, "rul")
    assert answer.version == "1"
    np.testing.assert_allclose(answer.outputs["rul_cycles"], expected_rul(inputs, bias=100.0), rtol=1e-5)
