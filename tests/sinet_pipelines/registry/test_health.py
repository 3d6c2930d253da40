"""MLflow's store lost something: it is named by file, and registering the same bytes again puts it back."""

import hashlib
import shutil

import pytest

from sinet_pipelines.registry.health import database_faults, registry_faults
from sinet_pipelines.registry.runs import STANDS_FOR_TAG, RunRecord, add_metrics, log_run
from sinet_pipelines.registry.tracking import tracking_of
from sinet_pipelines.registry.version_files import load_artifact
from sinet_pipelines.registry.versions import get_champion, list_versions, register

CONTENT = b"a model"
SHA256 = hashlib.sha256(CONTENT).hexdigest()
VERSIONS = {"rul/1": SHA256}
RECORD = RunRecord("life", "trees", {}, {}, {}, "abc")


@pytest.fixture
def home(empty_store, tmp_path):
    (tmp_path / "home").mkdir()
    shutil.copy(empty_store, tmp_path / "home")
    return tmp_path / "home"


@pytest.fixture
def run_id(home):
    """The run of a registered champion."""
    tracking = tracking_of(home)
    found = log_run(tracking, RECORD, key="k").run_id
    register(tracking, "rul", CONTENT, family="trees", run_id=found, alias="champion")
    return found


@pytest.fixture
def copied(home, run_id, tmp_path):
    """A copy of the home: MLflow keeps a database open by its path, and another process would open it afresh."""
    return shutil.copytree(home, tmp_path / "copy" / "home")


def again(home, run_id):
    return register(tracking_of(home), "rul", CONTENT, family="trees", run_id=run_id, alias="champion")


def model_file(home):
    (found,) = (home / "mlflow-artifacts").rglob("model.onnx")
    return found


def test_a_whole_store_has_no_fault(home, run_id):
    assert list(registry_faults(home, VERSIONS)) == []
    assert list(registry_faults(home, {})) == []


@pytest.mark.slow
@pytest.mark.parametrize(
    "damage",
    [
        lambda path: path.unlink(),
        lambda path: path.write_bytes(b""),
        lambda path: path.write_bytes(b"garbled" * 500),
        lambda path: path.write_bytes(path.read_bytes()[:5000]),
    ],
    ids=["deleted", "emptied", "garbled", "truncated"],
)
def test_a_lost_database_is_named_and_the_model_is_registered_again_from_its_bytes(copied, run_id, damage):
    home = copied
    damage(home / "mlflow.db")
    (fault,) = registry_faults(home, VERSIONS)
    assert fault.path == home / "mlflow.db"
    version = again(home, run_id)
    tracking = tracking_of(home)
    assert get_champion(tracking, "rul") == version
    assert load_artifact(tracking, version) == CONTENT
    assert tracking.client.get_run(version.run_id).data.tags[STANDS_FOR_TAG] == run_id
    assert list(registry_faults(home, {"rul/1": SHA256})) == []


@pytest.mark.parametrize("damage", [lambda path: path.unlink(), lambda path: path.write_bytes(b"")])
def test_a_lost_file_is_named_and_put_back_under_its_version(home, run_id, damage):
    model_folder = model_file(home).parent
    damage(model_file(home))
    (fault,) = registry_faults(home, VERSIONS)
    assert fault.path == model_folder
    version = again(home, run_id)
    assert version.version == 1
    assert load_artifact(tracking_of(home), version) == CONTENT
    assert list(registry_faults(home, VERSIONS)) == []


def test_a_version_that_was_never_registered_or_deleted_is_named(home, run_id):
    (fault,) = registry_faults(home, {**VERSIONS, "rul/2": "b" * 64})
    assert "rul/2" in fault.found
    tracking_of(home).client.delete_model_version("rul", "1")
    (fault,) = registry_faults(home, VERSIONS)
    assert "rul/1" in fault.found
    assert again(home, run_id).version == 2


def test_figures_of_a_lost_run_go_to_the_one_run_that_replaces_it(copied, run_id):
    home = copied
    (home / "mlflow.db").unlink()
    tracking = tracking_of(home)
    add_metrics(tracking, run_id, {"error": 1.0})
    add_metrics(tracking, run_id, {"bias": 2.0})
    version = again(home, run_id)
    assert tracking.client.get_run(version.run_id).data.metrics == {"error": 1.0, "bias": 2.0}
    assert len(list_versions(tracking)) == 1
    assert list(database_faults(home)) == []
