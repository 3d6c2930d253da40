"""Files of MLflow's runs: those of a registered version stay, others go after ninety days, files of a person never."""

from pathlib import Path

import pytest

from sinet_pipelines.registry.runs import FILES_TAG, RunRecord, log_run
from sinet_pipelines.registry.tracking import tracking_of
from sinet_pipelines.registry.version_files import load_artifact
from sinet_pipelines.retention.policy import Kind
from tests.sinet_pipelines.retention.conftest import names


@pytest.mark.slow
def test_files_of_a_deleted_version_go_after_ninety_days_and_files_of_a_person_stay(store):
    version = store.register(store.train(1.0))
    client = tracking_of(store.home).client
    client.log_text(version.run_id, "of a person", "plots/note.txt")
    store.retain(0, 91)
    assert load_artifact(tracking_of(store.home), version) == b"graph"
    client.delete_model_version("mill_rul", "1")
    client.delete_run(version.run_id)  # on the same page
    assert names(store.retain(100, 189).removed, Kind.MLFLOW_FILES) == []
    removed = names(store.retain(191).removed, Kind.MLFLOW_FILES)
    assert removed == [f"{version.run_id}/models/{version.sha256[:16]}", f"{version.run_id}/plots"]
    (artifacts,) = (store.home / "mlflow-artifacts").glob(f"*/{version.run_id}/artifacts")
    assert [path.name for path in artifacts.rglob("*") if path.is_file()] == ["note.txt"]


def test_a_plot_that_a_person_logged_or_replaced_stays(store):
    files = {"plots/a.png": b"p", "plots/b.png": b"q", "plots/c.png": b"r"}
    run = log_run(tracking_of(store.home), RunRecord("mill", "x", {}, {}, {}, "c", artifacts=files), key="a").run_id
    (plots,) = (store.home / "mlflow-artifacts").glob(f"mill/{run}/artifacts/plots")
    (plots / "b.png").write_bytes(b"of a person")
    (plots / "c.png").write_bytes(b"R")
    (plots / "residuals.png").write_bytes(b"of a person")
    assert names(store.retain(0, 91).removed, Kind.MLFLOW_FILES) == [f"{run}/plots"]
    assert sorted(path.name for path in plots.iterdir()) == ["b.png", "c.png", "residuals.png"]


def test_a_run_whose_plots_were_not_recorded_keeps_them(store):
    run = log_run(
        tracking_of(store.home), RunRecord("mill", "x", {}, {}, {}, "c", artifacts={"plots/a.png": b"p"}), key="a"
    )
    for tag in ("", "no JSON", "[1]"):
        tracking_of(store.home).client.set_tag(run.run_id, FILES_TAG, tag)
        assert names(store.retain(0, 91).removed, Kind.MLFLOW_FILES) == []


@pytest.mark.slow
def test_a_run_of_a_person_and_a_missing_artifact_change_nothing(store):
    client = tracking_of(store.home).client
    run = client.create_run("0")
    folder = store.home / "mlflow-artifacts" / "mine" / run.info.run_id / "artifacts" / "plots"
    folder.mkdir(parents=True)
    (folder / "mine.png").write_bytes(b"p")
    gone = log_run(
        tracking_of(store.home), RunRecord("mill", "x", {}, {}, {}, "c", artifacts={"plots/a.png": b"p"}), key="a"
    )
    (path,) = (store.home / "mlflow-artifacts").glob(f"mill/{gone.run_id}/artifacts/plots/a.png")
    path.unlink()
    assert names(store.retain(0, 200).removed, Kind.MLFLOW_FILES) == []
    assert Path(folder / "mine.png").exists()
