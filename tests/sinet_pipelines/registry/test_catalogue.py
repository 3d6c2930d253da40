"""The catalogue: what SQLite says is what MLflow says, and it is said without MLflow."""

import sqlite3
import subprocess
import sys
from contextlib import closing

import pytest

from sinet_pipelines.errors import StorageError
from sinet_pipelines.registry.catalogue import list_models
from sinet_pipelines.registry.runs import RunRecord, log_run
from sinet_pipelines.registry.versions import list_versions, register, set_alias

SAID = {"precision": "fp32", "verdict": "not worse"}


@pytest.fixture(scope="module")
def filled(home, tracking):
    """A home with two models: one with three versions, one of them deleted, and aliases; one registered by hand."""
    run = log_run(tracking, RunRecord("e", "n", {}, {}, {}, ""), key="run")
    for content in (b"one", b"two", b"three"):
        register(tracking, "rul", content, family="gradient_boosting", run_id=run.run_id, alias="champion", tags=SAID)
    set_alias(tracking, "rul", 1, alias="challenger")
    set_alias(tracking, "rul", 1, alias="backup")
    tracking.client.delete_model_version("rul", "2")
    tracking.client.create_registered_model("by_hand")
    tracking.client.create_model_version("by_hand", "file:///nowhere", run_id=run.run_id)
    return home


def test_the_catalogue_equals_the_result_of_mlflow(filled, tracking):
    answered = [
        {"name": v.name, "version": v.version, "aliases": list(v.aliases), "family": v.family}
        | {tag: v.tags.get(tag, "") for tag in ("precision", "verdict")}
        for v in list_versions(tracking)
    ]
    assert list_models(filled) == answered
    assert answered == [
        {"name": "by_hand", "version": 1, "aliases": [], "family": "", "precision": "", "verdict": ""},
        {"name": "rul", "version": 1, "aliases": ["backup", "challenger"], "family": "gradient_boosting", **SAID},
        {"name": "rul", "version": 3, "aliases": ["champion"], "family": "gradient_boosting", **SAID},
    ]


def test_the_catalogue_needs_no_mlflow(filled):
    script = (
        "import sys; from pathlib import Path; from sinet_pipelines.registry.catalogue import list_models;"
        f"list_models(Path({str(filled)!r})); print('mlflow' in sys.modules)"
    )
    result = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=300)
    assert result.stdout == "False\n"


def test_a_home_without_a_registry_has_no_model(tmp_path):
    assert list_models(tmp_path) == []
    assert list(tmp_path.iterdir()) == []


def test_the_schema_of_another_release_is_refused(tmp_path):
    with closing(sqlite3.connect(tmp_path / "mlflow.db")) as connection:
        connection.executescript("CREATE TABLE alembic_version (version_num); INSERT INTO alembic_version VALUES ('x')")
    with pytest.raises(StorageError, match=r"has schema x \(known here: dc11669786a5"):
        list_models(tmp_path)


def test_a_file_that_is_no_database_is_named(tmp_path):
    (tmp_path / "mlflow.db").write_bytes(b"no database" * 1000)
    with pytest.raises(StorageError, match="cannot be read: file is not a database"):
        list_models(tmp_path)
