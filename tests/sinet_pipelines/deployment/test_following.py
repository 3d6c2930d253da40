"""An endpoint held against the alias: behind it after a move, and served on with a reason where it cannot follow."""

import pytest

from sinet_pipelines.deployment.following import follow
from sinet_pipelines.deployment.process import stop_servers
from sinet_pipelines.deployment.repository import MODEL_FILE
from sinet_pipelines.registry.runs import RunRecord, log_run
from sinet_pipelines.registry.tracking import tracking_of
from sinet_pipelines.registry.versions import register


@pytest.fixture
def client(tmp_path, repository):
    """MLflow's client of the home, with both published versions registered and the first as champion."""
    tracking = tracking_of(tmp_path)
    run = log_run(tracking, RunRecord("fleet", "trees", {}, {}, {}, ""), key="one").run_id
    for version in ("1", "2"):
        content = (repository / "rul" / version / MODEL_FILE).read_bytes()
        register(tracking, "rul", content, family="trees", run_id=run, alias="champion" if version == "1" else None)
    return tracking.client


def test_an_endpoint_follows_every_move_of_the_alias_and_stays_where_it_cannot(tmp_path, start, folder, client):
    start("1")
    (there,) = follow(tmp_path)
    assert (there.is_behind, there.reason) == (False, "")

    client.set_registered_model_alias("rul", "champion", "2")
    (moved,) = follow(tmp_path)
    assert moved.is_behind
    assert moved.reason == "rul: version 1 serves, but the alias champion names version 2"

    start("2")
    (followed,) = follow(tmp_path)
    assert not followed.is_behind
    client.set_registered_model_alias("rul", "champion", "1")
    (back,) = follow(tmp_path)
    assert back.is_behind
    assert len({moved.content, followed.content, back.content}) == 3

    client.delete_registered_model_alias("rul", "champion")
    (unnamed,) = follow(tmp_path)
    assert not unnamed.is_behind
    assert "rul: version 2 still serves, although no version of rul has the alias champion" in unnamed.reason

    stop_servers(folder)
    assert follow(tmp_path) == []


def test_a_server_beside_the_champion_follows_nothing(tmp_path, start, client):
    start("2", name="rul-v2")
    assert follow(tmp_path) == []
