"""The sensor on MLflow's alias: one request a move, and a reason where there is nothing to follow."""

import json
import time

import dagster as dg
import pytest

from schedules.following import alias
from sinet_pipelines.applications.application import Application
from sinet_pipelines.deployment.changes import valid_until
from sinet_pipelines.deployment.process import stop_servers
from sinet_pipelines.deployment.repository import MODEL_FILE
from sinet_pipelines.registry.runs import RunRecord, log_run
from sinet_pipelines.registry.tracking import tracking_of
from sinet_pipelines.registry.versions import register
from sinet_pipelines.storage.locks import RUN_LOCK, held
from tests.deployed import sensor_context
from tests.sinet_pipelines.deployment.conftest import ensure_rul
from tests.sinet_pipelines.deployment.served import publish_rul


@pytest.fixture
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("SINET_HOME", str(tmp_path))
    monkeypatch.setattr(Application, "model", property(lambda one: "rul" if one.name == "turbofan" else one.name))
    return tmp_path


def evaluate(instance, home, cursors=None):
    """One evaluation, with the cursor of the one before where a list of cursors is given."""
    with sensor_context(instance, home, cursor=cursors[-1] if cursors else None) as context:
        found = [alias(context)]
        if cursors is not None:
            cursors.append(context.cursor)
        return found


def test_a_home_without_endpoints_is_skipped(home):
    with dg.DagsterInstance.ephemeral() as instance:
        (tick,) = evaluate(instance, home)
    assert tick.skip_message == "every endpoint serves the version that its alias names"


@pytest.mark.slow
def test_each_move_of_the_alias_requests_the_endpoint_once_and_later_where_its_runs_fail(home):
    models, tracking = home / "serving" / "models", tracking_of(home)
    run = log_run(tracking, RunRecord("fleet", "trees", {}, {}, {}, ""), key="one").run_id
    for version in ("1", "2"):
        publish_rul(models, version, bias=100.0 * int(version))
        content = (models / "rul" / version / MODEL_FILE).read_bytes()
        register(tracking, "rul", content, family="trees", run_id=run, alias="champion")
    folder = home / "serving" / "WEST" / "rul"
    ensure_rul(folder, models, "1")
    cursors = [json.dumps({"seen": {"print": "", "at": time.time(), "reason": "", "until_change": True}})]
    try:
        with dg.DagsterInstance.ephemeral() as instance:
            (request,) = evaluate(instance, home, cursors)
            assert valid_until(cursors[-1]) == 0
            assert [key.path[-1] for key in request.asset_selection] == ["endpoint"]
            assert request.tags["sinet/reason"] == "rul: version 1 serves, but the alias champion names version 2"
            assert [again.run_key for again in evaluate(instance, home)] == [request.run_key]
            for _ in range(10):  # of as many failures the wait is an hour, longer than any test
                instance.add_run(dg.DagsterRun("endpoint", status=dg.DagsterRunStatus.FAILURE, tags=dict(request.tags)))
            assert "10 runs of it failed" in evaluate(instance, home)[0].skip_message
            with held(home / RUN_LOCK):
                assert "`sinet run` is in progress" in evaluate(instance, home)[0].skip_message
            tracking.client.delete_registered_model_alias("rul", "champion")
            (tick,) = evaluate(instance, home)
            assert "version 1 still serves, although no version of rul has the alias champion" in tick.skip_message
            tracking.client.set_registered_model_alias("rul", "champion", "1")
            assert isinstance(evaluate(instance, home, cursors)[0], dg.SkipReason)
            assert valid_until(cursors[-1]) > time.time()  # until a change
            evaluate(instance, home, cursors)
            assert cursors[-1] == cursors[-2]
    finally:
        stop_servers(folder)


def test_a_database_that_cannot_be_read_is_a_reason_and_no_crash(home):
    models = home / "serving" / "models"
    publish_rul(models, "1", bias=1.0)
    folder = home / "serving" / "WEST" / "rul"
    ensure_rul(folder, models, "1")
    try:
        (home / "mlflow.db").write_bytes(b"no database")
        with dg.DagsterInstance.ephemeral() as instance:
            (tick,) = evaluate(instance, home)
        assert "mlflow.db cannot be read" in tick.skip_message
    finally:
        stop_servers(folder)


def test_it_is_on_by_default_and_looks_within_a_minute():
    assert alias.default_status == dg.DefaultSensorStatus.RUNNING
    assert alias.minimum_interval_seconds <= 60
