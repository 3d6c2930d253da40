"""A home that was moved, renamed or copied: its runs and versions are found, and nothing is written elsewhere."""

import shutil
import sqlite3
from contextlib import closing

import pytest

from sinet_pipelines.registry.location import relocate
from sinet_pipelines.registry.runs import RunRecord, log_run
from sinet_pipelines.registry.tracking import tracking_of
from sinet_pipelines.registry.version_files import load_artifact
from sinet_pipelines.registry.versions import get_champion, register

NAME = "turbofan_remaining_useful_life"
ODD = "what? 50% #2 日本"


def record(text):
    return RunRecord("fleet", "trees", {}, {"rmse": 10.0}, {}, "1", artifacts={"notes.txt": text})


@pytest.fixture(scope="module")
def original(tmp_path_factory):
    home = tmp_path_factory.mktemp("homes") / "fleet a"
    home.mkdir()
    tracking = tracking_of(home)
    run = log_run(tracking, record(b"one"), key="one")
    register(tracking, NAME, b"graph", family="trees", run_id=run.run_id, alias="champion")
    elsewhere = tracking.client.create_experiment("elsewhere", artifact_location="s3://bucket/mlflow-artifacts/x")
    assert elsewhere
    return home


@pytest.fixture
def home(original, tmp_path):
    """A home of its own, as it was left by whoever made it at another place."""
    return shutil.copytree(original, tmp_path / ODD / "fleet b")


def places(home):
    with closing(sqlite3.connect(home / "mlflow.db")) as database:
        queries = (
            "SELECT artifact_location FROM experiments",
            "SELECT artifact_uri FROM runs",
            "SELECT source FROM model_versions",
            "SELECT storage_location FROM model_versions",
        )
        return [place for query in queries for (place,) in database.execute(query)]


def test_the_champion_of_a_home_at_another_place_is_loaded(original, home):
    moved = original.parent / "hidden"
    original.rename(moved)
    try:
        champion = get_champion(tracking_of(home), NAME)
        assert load_artifact(tracking_of(home), champion) == b"graph"
    finally:
        moved.rename(original)


def test_what_a_copy_records_lies_in_the_copy_alone(original, home):
    before = sorted(original.rglob("*"))
    log_run(tracking_of(home), record(b"two"), key="two")
    assert [path.read_bytes() for path in home.rglob("notes.txt")].count(b"two") == 1
    assert sorted(original.rglob("*")) == before


def test_only_places_of_homes_are_changed(original, home):
    assert relocate(home)
    root = (home / "mlflow-artifacts").as_uri()
    assert "s3://bucket/mlflow-artifacts/x" in places(home)
    assert all(place.startswith((f"{root}/", "s3://")) for place in places(home))
    assert original.as_uri() not in "".join(places(home))


def test_a_home_at_its_place_is_left_as_it_is(home):
    relocate(home)
    before = (home / "mlflow.db").read_bytes()
    assert not relocate(home)
    assert (home / "mlflow.db").read_bytes() == before


def test_a_home_without_a_database_needs_nothing(tmp_path):
    assert not relocate(tmp_path)
    assert not any(tmp_path.iterdir())


def test_a_folder_whose_name_begins_as_another_homes_is_no_part_of_it(home):
    relocate(home)
    near = f"{(home / 'mlflow-artifacts').as_uri()}-old/e"
    tracking_of(home).client.create_experiment("near", artifact_location=near)
    renamed = home.rename(home.with_name("fleet c"))
    relocate(renamed)
    assert near in places(renamed)


def test_mlflows_own_client_finds_the_files_of_a_moved_home(home):
    from mlflow import MlflowClient

    uri = tracking_of(home).uri
    assert relocate(home)
    (run,) = MlflowClient(tracking_uri=uri).search_runs(["1"])
    assert "notes.txt" in [file.path for file in MlflowClient(tracking_uri=uri).list_artifacts(run.info.run_id)]
