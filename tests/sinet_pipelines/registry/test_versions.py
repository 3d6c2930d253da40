"""Versions: one a content, whoever is killed or comes at the same time; an alias is on one of them."""

import hashlib
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from sinet_pipelines.errors import ModelNotFoundError, StorageError
from sinet_pipelines.registry.runs import RunRecord, log_run
from sinet_pipelines.registry.version_files import load_artifact
from sinet_pipelines.registry.versions import (
    get_champion,
    get_version,
    last_promoted,
    list_versions,
    promotions,
    register,
    set_alias,
)

RECORD = RunRecord("turbofan", "gradient_boosting", {}, {}, {}, "abc123")


@pytest.fixture(scope="module")
def run_id(tracking):
    return log_run(tracking, RECORD, key="run").run_id


@pytest.fixture
def name(request):
    return request.node.name.removeprefix("test_")


def test_a_registered_version_is_read_back(tracking, run_id, name):
    made = register(tracking, name, b"graph", family="gradient_boosting", run_id=run_id, tags={"region": "EAST"})
    assert made == get_version(tracking, name, 1)
    assert (made.version, made.family, made.run_id, made.aliases) == (1, "gradient_boosting", run_id, ())
    assert made.sha256 == hashlib.sha256(b"graph").hexdigest()
    assert made.tags["region"] == "EAST"
    assert load_artifact(tracking, made) == b"graph"


def test_equal_content_is_one_version(tracking, run_id, name):
    first = register(tracking, name, b"graph", family="cnn", run_id=run_id)
    other = register(tracking, name, b"other", family="cnn", run_id=run_id)
    again = register(tracking, name, b"graph", family="cnn", run_id=run_id)
    assert again == first
    assert register(tracking, name, b"graph", family="cnn", run_id=run_id, tags={"verdict": "new"}).tags == {
        **first.tags,
        "verdict": "new",
    }
    assert [version.version for version in list_versions(tracking, name)] == [1, 2]
    assert load_artifact(tracking, other) == b"other"


def test_equal_content_under_two_names_is_two_versions(tracking, run_id, name):
    for model in (name, f"{name}_b"):
        register(tracking, model, b"graph", family="cnn", run_id=run_id)
    assert [v.version for v in list_versions(tracking) if v.name.startswith(name)] == [1, 1]


def test_the_champion_is_the_version_with_the_alias(tracking, run_id, name):
    assert get_champion(tracking, name) is None
    register(tracking, name, b"one", family="cnn", run_id=run_id)
    assert get_champion(tracking, name) is None
    champion = register(tracking, name, b"two", family="cnn", run_id=run_id, alias="champion")
    assert champion.aliases == ("champion",)
    assert get_champion(tracking, name) == champion


def test_an_alias_moves_and_the_versions_record_it(tracking, run_id, name):
    register(tracking, name, b"one", family="cnn", run_id=run_id, alias="champion")
    register(tracking, name, b"two", family="cnn", run_id=run_id, alias="champion")
    assert [(p.version, p.replaced) for p in promotions(tracking, name)] == [(1, None), (2, 1)]
    back = set_alias(tracking, name, 1)
    assert back.aliases == ("champion",)
    assert get_version(tracking, name, 2).aliases == ()
    assert [(p.version, p.replaced) for p in promotions(tracking, name)] == [(2, 1), (1, 2)]


def test_the_last_promoted_version_is_known_after_the_alias_was_removed(tracking, run_id, name):
    register(tracking, name, b"one", family="cnn", run_id=run_id)
    assert last_promoted(tracking, name) is None
    register(tracking, name, b"two", family="cnn", run_id=run_id, alias="champion")
    tracking.client.delete_registered_model_alias(name, "champion")
    assert get_champion(tracking, name) is None
    assert last_promoted(tracking, name).version == 2


def test_setting_the_alias_again_changes_nothing(tracking, run_id, name):
    first = register(tracking, name, b"one", family="cnn", run_id=run_id, alias="champion")
    assert set_alias(tracking, name, 1) == first


def test_a_version_may_have_two_aliases(tracking, run_id, name):
    register(tracking, name, b"one", family="cnn", run_id=run_id, alias="champion")
    assert set_alias(tracking, name, 1, alias="challenger").aliases == ("challenger", "champion")
    assert promotions(tracking, name, alias="challenger")[0].replaced is None


def test_an_unknown_version_gets_no_alias(tracking, run_id, name):
    register(tracking, name, b"one", family="cnn", run_id=run_id)
    with pytest.raises(ModelNotFoundError, match=r"has no version 7 \(there is: 1\)"):
        set_alias(tracking, name, 7)


def test_a_changed_file_is_not_loaded(tracking, run_id, name):
    version = register(tracking, name, b"changed by hand", family="cnn", run_id=run_id)
    (file,) = _files(tracking, version)
    file.write_bytes(b"changed")
    with pytest.raises(StorageError, match="its file was changed"):
        load_artifact(tracking, version)


def test_a_file_that_is_gone_is_named(tracking, run_id, name):
    version = register(tracking, name, b"to be removed", family="cnn", run_id=run_id)
    (file,) = _files(tracking, version)
    file.unlink()
    with pytest.raises(StorageError, match="is gone from run"):
        load_artifact(tracking, version)


def test_a_version_registered_by_hand_is_listed_and_not_loaded(tracking, run_id, name):
    tracking.client.create_registered_model(name)
    tracking.client.create_model_version(name, "file:///nowhere", run_id=run_id)
    (version,) = list_versions(tracking, name)
    assert (version.sha256, version.family) == ("", "")
    with pytest.raises(ModelNotFoundError, match="was registered by hand and has no graph of the platform"):
        load_artifact(tracking, version)


def _files(tracking, version):
    root = Path(tracking.client.get_run(version.run_id).info.artifact_uri.removeprefix("file://"))
    return list((root / "models" / version.sha256[:16]).iterdir())


# the calls of one registration, in their order: a registrar dies before each
CALLS = (
    "create_registered_model",
    "log_artifacts",
    "set_tag",
    "create_model_version",
    "set_model_version_tag",
    "set_registered_model_alias",
)
TOGETHER = "registered_by_three"

# one process imports MLflow and forks the registrars, who open the home each for itself, all at once
REGISTRARS = """
import json, os, signal, sys
from pathlib import Path
import mlflow.store.model_registry.sqlalchemy_store, mlflow.store.tracking.sqlalchemy_store
from mlflow import MlflowClient
from sinet_pipelines.registry.runs import RunRecord, log_run
from sinet_pipelines.registry.tracking import tracking_of
from sinet_pipelines.registry.versions import register

def registrar(tracking, name, fatal):
    run = log_run(tracking, RunRecord("turbofan", "cnn", {}, {}, {}, ""), key=name)
    if fatal:
        setattr(MlflowClient, fatal, lambda *_, **__: os.kill(os.getpid(), signal.SIGKILL))
    register(tracking, name, name.encode(), family="cnn", run_id=run.run_id, alias="champion")

children = []
for name, fatal in json.loads(sys.argv[2]):
    child = os.fork()
    if not child:
        registrar(tracking_of(Path(sys.argv[1])), name, fatal)
        os._exit(0)
    children.append(child)
print(json.dumps([os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children]))
"""


@pytest.fixture(scope="module")
def exit_codes(tracking, run_id):
    """How registrars ended: one killed before each of the calls, three with the same content."""
    registrars = [(f"killed_before_{call}", call) for call in CALLS] + [(TOGETHER, "")] * 3
    arguments = [sys.executable, "-c", REGISTRARS, str(tracking.lock.parent), json.dumps(registrars)]
    environment = {**os.environ, "PYTHONPATH": "."}
    ended = subprocess.run(arguments, env=environment, capture_output=True, text=True, check=True, timeout=300)
    return json.loads(ended.stdout)


@pytest.mark.slow
@pytest.mark.parametrize("call", CALLS)
def test_a_registration_killed_anywhere_ends_well_when_done_again(tracking, exit_codes, call):
    name = f"killed_before_{call}"
    assert exit_codes[CALLS.index(call)] == -signal.SIGKILL
    assert get_champion(tracking, name) is None
    run = log_run(tracking, RECORD, key=name)
    version = register(tracking, name, name.encode(), family="cnn", run_id=run.run_id, alias="champion")
    assert [v.version for v in list_versions(tracking, name)] == [1]
    assert get_champion(tracking, name) == version
    assert version.run_id == run.run_id
    assert [(p.version, p.replaced) for p in promotions(tracking, name)] == [(1, None)]
    assert load_artifact(tracking, version) == name.encode()


def test_registrars_at_the_same_time_make_one_version(tracking, exit_codes):
    assert exit_codes[-3:] == [0, 0, 0]
    (version,) = list_versions(tracking, TOGETHER)
    assert version.aliases == ("champion",)
