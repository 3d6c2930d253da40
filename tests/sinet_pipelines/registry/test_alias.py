"""Changes on MLflow's page: the alias moved or taken away, versions, models and runs deleted, tags edited."""

import shutil
import sqlite3
from contextlib import closing

import pytest

from sinet_pipelines.registry.alias import named_by
from sinet_pipelines.registry.runs import RunRecord, add_metrics, log_run
from sinet_pipelines.registry.tracking import tracking_of
from sinet_pipelines.registry.version_files import load_artifact
from sinet_pipelines.registry.versions import CHAMPION, get_champion, get_version, register

NAME = "turbofan_remaining_useful_life"


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A home with two versions; the second is the champion."""
    home = tmp_path_factory.mktemp("made")
    run = log_run(tracking_of(home), RunRecord("fleet", "trees", {}, {}, {}, ""), key="one")
    register(tracking_of(home), NAME, b"older", family="trees", run_id=run.run_id)
    register(tracking_of(home), NAME, b"newer", family="trees", run_id=run.run_id, alias=CHAMPION)
    return home


@pytest.fixture
def home(made, tmp_path):
    return shutil.copytree(made, tmp_path / "home")


@pytest.fixture
def client(home):
    return tracking_of(home).client


def champion_bytes(home):
    return load_artifact(tracking_of(home), get_champion(tracking_of(home), NAME))


def test_an_alias_moved_to_an_older_version_names_it(home, client):
    client.set_registered_model_alias(NAME, CHAMPION, "1")
    assert (named_by(home, NAME).version, named_by(home, NAME).reason) == (1, "")
    assert champion_bytes(home) == b"older"


def test_the_hash_is_that_of_the_versions_file(home, client):
    named = named_by(home, NAME)
    assert get_champion(tracking_of(home), NAME).sha256.startswith(named.sha256)
    assert len(named.sha256) == 16


def test_a_deleted_alias_is_named(home, client):
    client.delete_registered_model_alias(NAME, CHAMPION)
    assert "has the alias champion: it was removed; set the alias on a version" in named_by(home, NAME).reason
    assert get_champion(tracking_of(home), NAME) is None


def test_a_deleted_version_is_named(home, client):
    client.delete_model_version(NAME, "2")
    assert named_by(home, NAME).version is None
    assert "set the alias on a version in MLflow's UI" in named_by(home, NAME).reason


def test_an_alias_that_outlived_its_version_names_none_and_is_given_again(home, client):
    with closing(sqlite3.connect(home / "mlflow.db")) as database, database:
        database.execute("CREATE TABLE kept AS SELECT * FROM registered_model_aliases")
    client.delete_model_version(NAME, "2")
    with closing(sqlite3.connect(home / "mlflow.db")) as database, database:
        database.execute("INSERT INTO registered_model_aliases SELECT * FROM kept")
        database.execute("DROP TABLE kept")
    assert f"version 2 of {NAME}, which has the alias champion, was deleted" in named_by(home, NAME).reason
    assert get_champion(tracking_of(home), NAME) is None
    run = log_run(tracking_of(home), RunRecord("fleet", "trees", {}, {}, {}, ""), key="one")
    register(tracking_of(home), NAME, b"newer", family="trees", run_id=run.run_id, alias=CHAMPION)
    assert (named_by(home, NAME).version, champion_bytes(home)) == (3, b"newer")


def test_a_renamed_model_is_named_with_the_models_that_are_there(home, client):
    client.rename_registered_model(NAME, "other")
    assert f"MLflow has no model {NAME} (there is: other): it was renamed or deleted" in named_by(home, NAME).reason
    assert get_champion(tracking_of(home), NAME) is None


def test_a_version_registered_by_hand_is_named(home, client):
    run = client.search_runs(["1"])[0].info.run_id
    version = client.create_model_version(NAME, "file:///nowhere", run_id=run).version
    client.set_registered_model_alias(NAME, CHAMPION, version)
    assert "version 3 of turbofan_remaining_useful_life, which has the alias champion, was registered by hand" in (
        named_by(home, NAME).reason
    )


def test_a_version_whose_file_is_gone_is_named(home, client):
    assert client is not None  # the database now says that its files are in this home
    for graph in home.rglob("model.onnx"):
        graph.unlink()
    assert "version 2 of turbofan_remaining_useful_life, which has the alias champion, has lost its file" in (
        named_by(home, NAME).reason
    )


def test_a_version_that_is_no_graph_is_named_with_what_it_is(home, client):
    run = client.create_run("1").info.run_id
    weights = {"family": "spiking", "file": "net.safetensors", "alias": CHAMPION}
    register(tracking_of(home), NAME, b"weights", run_id=run, **weights)
    assert "has the alias champion, is net.safetensors and no ONNX graph" in named_by(home, NAME).reason


def test_a_run_deleted_on_the_page_takes_no_version_with_it(home, client):
    client.delete_run(client.search_runs(["1"])[0].info.run_id)
    assert named_by(home, NAME).reason == ""
    assert champion_bytes(home) == b"newer"


def test_a_model_whose_run_was_deleted_on_the_page_is_registered_and_gets_figures(home, client):
    run = client.search_runs(["1"])[0].info.run_id
    client.delete_run(run)
    version = register(tracking_of(home), NAME, b"newest", family="trees", run_id=run, alias=CHAMPION)
    assert version.run_id != run
    assert champion_bytes(home) == b"newest"
    add_metrics(tracking_of(home), run, {"rmse": 1.0})
    assert client.get_run(version.run_id).data.metrics == {"rmse": 1.0}
    assert register(tracking_of(home), NAME, b"newer", family="trees", run_id=run).version == 2


def test_a_version_in_a_stage_of_mlflow_still_serves(home, client):
    with pytest.warns(FutureWarning, match="stages will be removed"):
        client.transition_model_version_stage(NAME, "2", "Archived")
    assert named_by(home, NAME).version == 2
    assert champion_bytes(home) == b"newer"


@pytest.mark.parametrize("value", ["", "0" * 64, "../../mlflow.db"])
def test_edited_tags_change_nothing_that_is_served(home, client, value):
    client.set_model_version_tag(NAME, "2", "sha256", value)
    client.set_model_version_tag(NAME, "2", "file", value)
    assert champion_bytes(home) == b"newer"


def test_deleted_tags_change_nothing_and_come_back_with_the_next_registration(home, client):
    for tag in ("sha256", "file", "family"):
        client.delete_model_version_tag(NAME, "2", tag)
    assert champion_bytes(home) == b"newer"
    run = client.search_runs(["1"])[0].info.run_id
    again = register(tracking_of(home), NAME, b"newer", family="trees", run_id=run)
    assert again.version == 2
    assert {"sha256", "file", "family"} <= set(get_version(tracking_of(home), NAME, 2).tags)


def test_a_file_of_other_bytes_is_refused(home, client):
    from sinet_pipelines.errors import StorageError

    assert client is not None
    for graph in home.rglob("model.onnx"):
        graph.write_bytes(b"other")
    with pytest.raises(StorageError, match="its file was changed"):
        champion_bytes(home)


def test_a_home_without_models_is_named(tmp_path):
    assert "no model is registered in" in named_by(tmp_path, NAME).reason
