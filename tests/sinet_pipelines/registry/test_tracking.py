"""The store of a home: made whole or not at all, and nothing of it lies outside the home."""

import os
import signal
import subprocess
import sys

import pytest

from sinet_pipelines.registry.runs import RunRecord, log_run
from sinet_pipelines.registry.tracking import tracking_of

# dies in the middle of MLflow's migrations
KILLED = """
import os, signal, sys
from itertools import count
from pathlib import Path
from sqlalchemy import event
from sqlalchemy.engine import Engine
from sinet_pipelines.registry.tracking import tracking_of

statements = count()

def die_at_the_200th(*_):
    if next(statements) == 200:
        os.kill(os.getpid(), signal.SIGKILL)

event.listen(Engine, "before_cursor_execute", die_at_the_200th)
tracking_of(Path(sys.argv[1])).client
"""


@pytest.fixture(scope="module")
def home_after_a_kill(tmp_path_factory):
    home = tmp_path_factory.mktemp("home")
    killed = subprocess.run(
        [sys.executable, "-c", KILLED, str(home)], env={**os.environ, "PYTHONPATH": "."}, timeout=300
    )
    assert killed.returncode == -signal.SIGKILL
    return home


def test_a_store_whose_making_was_killed_is_made_again(home_after_a_kill):
    assert not (home_after_a_kill / "mlflow.db").exists()
    tracking = tracking_of(home_after_a_kill)
    logged = log_run(tracking, RunRecord("e", "n", {}, {}, {}, ""), key="k")
    assert tracking.client.get_run(logged.run_id).info.status == "FINISHED"
    assert not list(home_after_a_kill.glob("*.partial*"))


def test_no_experiment_lies_outside_the_home(home_after_a_kill):
    tracking = tracking_of(home_after_a_kill)
    log_run(tracking, RunRecord("e", "n", {}, {}, {}, ""), key="k")
    roots = {experiment.name: experiment.artifact_location for experiment in tracking.client.search_experiments()}
    below = (home_after_a_kill / "mlflow-artifacts").as_uri()
    assert roots == {"Default": f"{below}/0", "e": f"{below}/e"}


def test_nothing_is_requested_from_the_network(tracking):
    from mlflow.telemetry.utils import is_telemetry_disabled

    assert tracking.client is not None
    assert is_telemetry_disabled()
