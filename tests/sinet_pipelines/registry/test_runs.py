"""Runs: one finished run per content, whole or not there."""

import math
import os
import shlex
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from sinet_pipelines.errors import StorageError, UsageError
from sinet_pipelines.registry.runs import RunRecord, add_metrics, content_key, log_run

RECORD = RunRecord(
    experiment="turbofan/gradient_boosting",
    name="gradient_boosting",
    params={"num_leaves": 31, "learning_rate": 0.05},
    metrics={"rmse_cycles": 12.5, "validation_rmse_cycles": [20.0, 15.0, 13.0]},
    data_versions={"training_set": "e3b0c44298fc1c14"},
    code_version="abc123",
    tags={"region": "EAST"},
    artifacts={"folds/errors.csv": b"unit,error\n", "model.txt": b"tree"},
)


def runs_of(tracking, key):
    experiment = tracking.client.get_experiment_by_name(RECORD.experiment)
    return tracking.client.search_runs([experiment.experiment_id], f"tags.`sinet.key` = '{key}'")


def test_a_run_records_its_inputs_and_its_results(tracking):
    logged = log_run(tracking, RECORD, key="told")
    run = tracking.client.get_run(logged.run_id)
    assert run.info.status == "FINISHED"
    assert run.info.run_name == "gradient_boosting"
    assert run.data.params == {"num_leaves": "31", "learning_rate": "0.05"}
    assert run.data.metrics == {"rmse_cycles": 12.5, "validation_rmse_cycles": 13.0}
    values = {"code_version": "abc123", "data_version.training_set": "e3b0c44298fc1c14", "region": "EAST"}
    assert values.items() <= run.data.tags.items()


def test_a_curve_keeps_all_its_steps(tracking):
    logged = log_run(tracking, RECORD, key="curve")
    history = tracking.client.get_metric_history(logged.run_id, "validation_rmse_cycles")
    assert [(point.step, point.value) for point in history] == [(0, 20.0), (1, 15.0), (2, 13.0)]


def test_files_are_kept_under_their_paths_below_the_homes_folder(tracking):
    logged = log_run(tracking, RECORD, key="files")
    folder = Path(tracking.client.get_run(logged.run_id).info.artifact_uri.removeprefix("file://"))
    assert folder.is_relative_to(tracking.lock.parent / "mlflow-artifacts")
    assert (folder / "folds" / "errors.csv").read_bytes() == b"unit,error\n"


def test_equal_content_has_one_run(tracking):
    first, second = (log_run(tracking, RECORD, key="twice") for _ in range(2))
    assert (first.is_new, second.is_new) == (True, False)
    assert first.run_id == second.run_id
    assert len(runs_of(tracking, "twice")) == 1


def test_other_content_has_another_run(tracking):
    first, second = log_run(tracking, RECORD, key="one"), log_run(tracking, RECORD, key="other")
    assert first.run_id != second.run_id


def test_more_figures_than_one_call_takes_are_all_kept(tracking):
    params = {f"p{number}": number for number in range(250)}
    metrics = {"loss": [float(step) for step in range(2500)]}
    logged = log_run(tracking, replace(RECORD, params=params, metrics=metrics), key="many")
    run = tracking.client.get_run(logged.run_id)
    assert len(run.data.params) == 250
    assert run.data.metrics["loss"] == 2499.0


def test_a_figure_that_came_later_is_the_runs_figure(tracking):
    logged = log_run(tracking, RECORD, key="later")
    add_metrics(tracking, logged.run_id, {"live_rmse_cycles": 14.0})
    add_metrics(tracking, logged.run_id, {"live_rmse_cycles": 13.0, "rmse_cycles": 12.5})
    metrics = tracking.client.get_run(logged.run_id).data.metrics
    assert metrics["live_rmse_cycles"] == 13.0
    assert len(tracking.client.get_metric_history(logged.run_id, "rmse_cycles")) == 1


def test_a_figure_that_is_nan_is_stored(tracking):
    logged = log_run(tracking, replace(RECORD, metrics={"score": math.nan}), key="nan")
    assert math.isnan(tracking.client.get_run(logged.run_id).data.metrics["score"])


KILLED = """
import os, signal, sys
from pathlib import Path
from sinet_pipelines.registry.runs import RunRecord, log_run
from sinet_pipelines.registry.tracking import tracking_of

tracking = tracking_of(Path(sys.argv[1]))
client = type(tracking.client)
client.log_artifacts = lambda *_, **__: os.kill(os.getpid(), signal.SIGKILL)
record = RunRecord("turbofan/gradient_boosting", "x", {"num_leaves": 7}, {"rmse_cycles": 99.0}, {}, "",
                   artifacts={"a": b""})
log_run(tracking, record, key="killed")
"""


@pytest.mark.slow
def test_the_unfinished_run_of_a_killed_process_is_replaced(tracking):
    log_run(tracking, RECORD, key="before")
    home = str(tracking.lock.parent)
    killed = subprocess.run([sys.executable, "-c", KILLED, home], env={**os.environ, "PYTHONPATH": "."}, timeout=300)
    assert killed.returncode == -signal.SIGKILL
    assert [run.info.status for run in runs_of(tracking, "killed")] == ["RUNNING"]
    logged = log_run(tracking, RECORD, key="killed")
    (run,) = runs_of(tracking, "killed")
    assert run.info.run_id == logged.run_id
    assert run.data.params["num_leaves"] == "31"


def test_a_run_whose_files_find_no_place_is_written_when_there_is_one(tracking):
    record = replace(RECORD, experiment="crowded")
    obstacle = tracking.lock.parent / "mlflow-artifacts" / "crowded"
    obstacle.parent.mkdir(exist_ok=True)
    obstacle.touch()
    with pytest.raises(StorageError, match="could not write: .*; correct that and run again"):
        log_run(tracking, record, key="crowded")
    obstacle.unlink()
    logged = log_run(tracking, record, key="crowded")
    assert logged.is_new
    assert tracking.client.get_run(logged.run_id).info.status == "FINISHED"


def test_an_experiment_deleted_by_hand_is_named(tracking):
    record = replace(RECORD, experiment="gone")
    logged = log_run(tracking, record, key="gone")
    tracking.client.delete_experiment(logged.experiment_id)
    with pytest.raises(UsageError, match="experiment 'gone' was deleted by hand; restore it: (.*)") as caught:
        log_run(tracking, record, key="gone")
    setting, *command = shlex.split(str(caught.value).partition("restore it: ")[2])
    assert setting == f"MLFLOW_TRACKING_URI={tracking.uri}"  # else the command looks into another store
    assert command == ["mlflow", "experiments", "restore", "-x", logged.experiment_id]


def test_a_key_is_of_the_content_and_not_of_its_order():
    assert content_key({"a": 1, "b": [1, 2]}, "x") == content_key({"b": [1, 2], "a": 1}, "x")
    assert len({content_key("ab"), content_key("a", "b"), content_key(["a", "b"]), content_key("ba")}) == 4
