"""Blobs: what a ref, a model, an endpoint or a materialisation needs stays, with all that it names; the rest goes."""

import json
import os
from pathlib import Path

import pytest

from sinet_pipelines.deployment.endpoint import LOCK_FILE, ServerOptions, endpoint_folder, write_wanted
from sinet_pipelines.registry.tracking import tracking_of
from sinet_pipelines.retention.policy import Kind
from sinet_pipelines.retention.runs import EventLog
from sinet_pipelines.storage.blobs import blobs_of
from tests.sinet_pipelines.retention.conftest import NOW, names

LATER = (0, 31, 62)


def there(store, name, region="EAST"):
    return blobs_of(store.home, region).has(name)


def test_a_blob_that_nothing_names_goes_thirty_days_after_the_first_look(plain):
    name = plain.blobs.put(b"old graph")
    assert plain.retain(0, 29).removed == ()
    assert names(plain.retain(31).removed, Kind.BLOBS) == [f"EAST/{name}"]
    assert not there(plain, name)


def test_the_blob_of_a_ref_and_every_blob_that_it_names_stay(plain):
    weights = plain.blobs.put(b"weights")
    candidate = plain.blobs.put(json.dumps({"files": {"model.txt": weights}}).encode())
    plain.blobs.point("candidates/trees", candidate)
    assert plain.retain(*LATER).removed == ()
    assert there(plain, weights)


def test_a_blob_of_another_region_that_a_needed_one_names_stays(plain):
    plain.regions = ("EAST", "WEST")
    graph = blobs_of(plain.home, "WEST", "mill").put(b"graph")
    plain.blobs.point("choice", plain.blobs.put(json.dumps([{"graph": graph}]).encode()))
    assert plain.retain(*LATER).removed == ()
    assert there(plain, graph, "WEST")


def test_what_the_newest_materialisation_records_stays(plain):
    name = plain.blobs.put(b"picture")
    plain.log = EventLog(blobs=frozenset({f"EAST/{name}"}))
    assert plain.retain(*LATER).removed == ()
    assert there(plain, name)


def test_a_former_candidate_of_a_registered_version_stays_until_the_version_is_deleted(store):
    found = store.train(1.0)
    version = store.register(found)
    weights = store.blobs.put(b"weights")
    candidate = json.dumps({"run_id": version.run_id, "files": {"m": weights}, "training_set_version": found.content})
    store.blobs.put(candidate.encode())
    store.train(2.0)
    store.retain(*LATER)
    assert there(store, weights)
    tracking_of(store.home).client.delete_model_version("mill_rul", "1")
    store.retain(100, 131)
    assert not there(store, weights)


def test_the_graph_of_a_running_endpoint_stays_after_its_version_was_deleted(store):
    version = store.register(store.train(1.0))
    graph = store.blobs.put(b"graph")
    folder = endpoint_folder(store.home, region="WEST", name="mill_rul")
    folder.mkdir(parents=True)
    (folder / LOCK_FILE).touch()
    write_wanted(folder, ServerOptions(str(store.home / "serving/models"), "mill_rul", "1", sha256=version.sha256))
    tracking_of(store.home).client.delete_model_version("mill_rul", "1")
    store.train(2.0)
    store.retain(*LATER, 200)
    assert there(store, graph)
    kept = {one.thing.name: one.reasons for one in store.plan(days=201).kept}
    assert kept[f"EAST/{graph}"] == ("endpoint WEST/mill_rul",)
    assert any("endpoint WEST/mill_rul" in why for name, why in kept.items() if "training_set" in name)


@pytest.mark.slow
def test_a_moved_alias_changes_nothing_for_registered_versions(store):
    client = tracking_of(store.home).client
    first = store.blobs.put(b"first")
    store.register(store.train(1.0), b"first")
    store.register(store.train(2.0), b"second")
    client.set_registered_model_alias("mill_rul", "champion", "2")
    store.retain(*LATER)
    assert there(store, first)


def test_foreign_files_garbled_names_and_links_are_never_removed(plain, tmp_path):
    root = plain.blobs.root
    (tmp_path / "outside").write_bytes(b"outside")
    link = root / "ab" / ("ab" + "0" * 62)
    for path in (root / "notes.txt", root / "ab" / "ABCD", root / "cd" / ("ab" + "1" * 62), root / ("ab" + "2" * 62)):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"of a person")
    link.symlink_to(tmp_path / "outside")
    before = sorted(root.rglob("*"))
    assert plain.retain(*LATER).removed == ()
    assert [path for path in before if not path.exists()] == []


def test_a_blob_that_is_written_again_before_it_goes_stays(plain):
    name = plain.blobs.put(b"graph")
    os.utime(plain.blobs.path(name), (1, 1))
    found = plain.look(NOW)
    (thing,) = found.things
    plain.blobs.put(b"graph")
    assert found.removers[thing.key](thing) is False
    assert there(plain, name)


def test_nothing_goes_while_a_run_is_in_progress(plain):
    name = plain.blobs.put(b"graph")
    plain.log = EventLog(in_progress=("12345678-1",), oldest_start=NOW)
    assert plain.retain(*LATER).removed == ()
    assert plain.plan(days=70).kept[0].reasons == ("run 12345678 is in progress",)
    plain.log = EventLog()
    assert names(plain.retain(71).removed, Kind.BLOBS) == [f"EAST/{name}"]


def test_nothing_goes_where_the_registry_cannot_be_read(plain):
    plain.blobs.put(b"graph")
    plain.home.joinpath("mlflow.db").write_bytes(b"no database" * 100)
    found = plain.retain(*LATER)
    assert found.removed == ()
    assert "MLflow's registry could not be read" in found.plan.notes[0]


def test_the_period_begins_only_once_the_registry_can_be_read(plain):
    plain.blobs.put(b"graph")
    plain.home.joinpath("mlflow.db").write_bytes(b"no database" * 100)
    plain.retain(0)
    plain.home.joinpath("mlflow.db").unlink()
    assert plain.retain(40).removed == ()
    assert len(plain.retain(71).removed) == 1


def test_nothing_goes_where_the_registry_was_lost_and_its_files_are_there(plain):
    plain.blobs.put(b"graph")
    (plain.home / "mlflow-artifacts" / "mill" / "0123").mkdir(parents=True)
    found = plain.retain(*LATER)
    assert found.removed == ()
    assert "mlflow.db is missing" in found.plan.notes[0]


def test_nothing_goes_where_a_journal_of_a_backfill_cannot_be_read(plain):
    plain.blobs.put(b"graph")
    journal = plain.home / "backfills" / "0001.jsonl"
    journal.parent.mkdir()
    journal.write_text("garbled\n")
    assert plain.retain(*LATER).removed == ()


def test_a_damaged_record_of_looks_begins_all_periods_again(plain):
    plain.blobs.put(b"graph")
    plain.retain(0)
    (plain.home / "retention.json").write_text("{")
    assert plain.retain(31).removed == ()
    assert len(plain.retain(62).removed) == 1


@pytest.mark.parametrize("content", [b"{not json", b'{"run_id": 7}', b"[]", b"{"])
def test_any_content_is_a_blob(plain, content):
    plain.blobs.point("x", plain.blobs.put(content))
    assert plain.retain(*LATER).removed == ()
    assert [Path(one.thing.name).name for one in plain.plan(days=70).kept] == [plain.blobs.resolve("x")]


def test_a_dry_run_writes_nothing(plain):
    plain.blobs.put(b"graph")
    plain.blobs.point("x", plain.blobs.put(b"{}"))
    before = {path: path.stat().st_mtime_ns for path in plain.home.rglob("*")}
    plain.plan(days=100)
    assert {path: path.stat().st_mtime_ns for path in before} == before
    assert {path.relative_to(plain.home).parts[0] for path in plain.home.rglob("*")} == {"EAST", "cache"}
