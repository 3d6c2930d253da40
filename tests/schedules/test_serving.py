"""The sensor on model servers: the endpoint is requested while its server does not answer, as often as it ends."""

import os
import signal
from functools import partial

import dagster as dg
import pytest
from dagster._core.storage.tags import SENSOR_NAME_TAG

from schedules.serving import NAME, endpoint_lives
from sinet_pipelines.applications.application import Application
from sinet_pipelines.deployment.endpoint import is_alive
from sinet_pipelines.deployment.process import stop_servers
from sinet_pipelines.storage.locks import RUN_LOCK, held
from tests.deployed import sensor_context
from tests.sinet_pipelines.deployment.conftest import ensure_rul
from tests.sinet_pipelines.deployment.served import publish_rul
from tests.waiting import until


@pytest.fixture
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("SINET_HOME", str(tmp_path))
    monkeypatch.setattr(Application, "model", property(lambda one: "rul" if one.name == "turbofan" else one.name))
    return tmp_path


@pytest.fixture
def folder(home):
    publish_rul(home / "serving" / "models", "1")
    place = home / "serving" / "WEST" / "rul"
    ensure_rul(place, home / "serving" / "models", "1")
    yield place
    stop_servers(place)


def evaluate(instance, home):
    return [endpoint_lives(sensor_context(instance, home))]


def _has_ended(server):
    return not is_alive(server)


def test_a_server_that_answers_is_left_and_one_that_was_killed_is_requested_each_time(home, folder):
    with dg.DagsterInstance.ephemeral() as instance:
        (tick,) = evaluate(instance, home)
        assert tick.skip_message == "every endpoint that was started responds"
        for _ in range(2):
            server = ensure_rul(folder, home / "serving" / "models", "1")
            os.kill(server.pid, signal.SIGKILL)
            until(partial(_has_ended, server))
            (request,) = evaluate(instance, home)
            assert [key.path[-1] for key in request.asset_selection] == ["endpoint"]
            assert request.tags["sinet/reason"] == f"no response of rul version 1 at {server.url}"


@pytest.mark.slow
def test_a_server_that_hangs_is_requested_once_while_the_run_is_under_way(folder, home):
    server = ensure_rul(folder, home / "serving" / "models", "1")
    os.kill(server.pid, signal.SIGSTOP)
    try:
        with dg.DagsterInstance.ephemeral() as instance:
            (request,) = evaluate(instance, home)
            instance.add_run(
                dg.DagsterRun("endpoint", status=dg.DagsterRunStatus.STARTED, tags={SENSOR_NAME_TAG: NAME})
            )
            (tick,) = evaluate(instance, home)
    finally:
        os.kill(server.pid, signal.SIGCONT)
    assert isinstance(request, dg.RunRequest)
    assert tick.skip_message == "the endpoint is being made again"


def test_a_server_that_no_run_brings_back_is_requested_later_and_later(folder, home):
    server = ensure_rul(folder, home / "serving" / "models", "1")
    os.kill(server.pid, signal.SIGKILL)
    until(partial(_has_ended, server))
    with dg.DagsterInstance.ephemeral() as instance:
        (request,) = evaluate(instance, home)
        for _ in range(10):  # of as many the wait is an hour, longer than any test
            instance.add_run(dg.DagsterRun("endpoint", status=dg.DagsterRunStatus.FAILURE, tags=dict(request.tags)))
        (tick,) = evaluate(instance, home)
    assert "10 runs of it failed" in tick.skip_message


def test_an_endpoint_that_was_stopped_stays_stopped(home, folder):
    stop_servers(folder)
    with dg.DagsterInstance.ephemeral() as instance:
        (tick,) = evaluate(instance, home)
    assert isinstance(tick, dg.SkipReason)


def test_a_run_at_work_is_not_disturbed(home):
    with dg.DagsterInstance.ephemeral() as instance, held(home / RUN_LOCK):
        (tick,) = evaluate(instance, home)
    assert "`sinet run` is in progress" in tick.skip_message
