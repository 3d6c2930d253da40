"""The training set of a version, read by its name: with its own sources, and whatever happened to its home since."""

import json
from dataclasses import replace

import pytest

from sinet_pipelines.errors import StorageError
from sinet_pipelines.inventory.regions import this_inventory
from sinet_pipelines.inventory.roots import Root
from sinet_pipelines.notebook.home import Home
from sinet_pipelines.registry.runs import STANDS_FOR_TAG
from sinet_pipelines.registry.tracking import tracking_of
from sinet_pipelines.registry.versions import register
from sinet_pipelines.storage.aside import set_aside
from sinet_pipelines.storage.roots import settle_roots
from sinet_pipelines.storage.table_writes import TableWriter
from sinet_pipelines.storage.training_sets import keep_training_set, read_training_set, training_set_of
from tests.loopback import free_port
from tests.sinet_pipelines.retention.conftest import SAMPLES
from tests.sinet_pipelines.storage.test_roots import Row

SOURCE = "EAST/mill/window_features"


def opened(store):
    return Home(store.home, this_inventory())


def recorded(store, found):
    return training_set_of(store.blobs, found.table, found.content)


def test_a_version_has_the_sources_that_made_its_set_and_not_those_of_a_later_making_of_equal_rows(store):
    found = store.train(1.0)
    store.register(found)
    later = replace(found, tables={SOURCE: 9}, features="beef", made_at="2999-01-01T00:00:00+00:00")
    keep_training_set(store.blobs, later)
    record = opened(store).training_set("mill_rul@1").record
    assert (record.tables, record.features, record.made_at) == ({SOURCE: 7}, "f00d", found.made_at)
    assert recorded(store, found).tables == {SOURCE: 9}


def test_makings_of_equal_sources_count_once(plain):
    found = plain.train(1.0)
    plain.train(1.0)
    plain.train(1.0, version=8)
    plain.train(1.0, features="beef", version=8)
    made = [(one["tables"][SOURCE], one["features"]) for one in recorded(plain, found).makings]
    assert made == [(7, "f00d"), (8, "f00d"), (8, "beef")]


def test_the_record_of_a_former_release_is_the_first_making(plain):
    found = plain.train(1.0)
    facts = json.loads(plain.blobs.get_ref(f"training_sets/training_set/v{found.content}"))
    del facts["makings"]
    plain.blobs.point(f"training_sets/training_set/v{found.content}", plain.blobs.put(json.dumps(facts).encode()))
    plain.train(1.0, version=8)
    assert [one["tables"][SOURCE] for one in recorded(plain, found).makings] == [7, 8]


def test_a_damaged_record_is_replaced_by_the_next_making(plain):
    found = plain.train(1.0)
    plain.blobs.point(f"training_sets/training_set/v{found.content}", plain.blobs.put(b"garbled"))
    plain.train(1.0)
    assert len(recorded(plain, found).makings) == 1


def test_a_region_whose_store_is_down_and_a_damaged_record_of_another_set_change_nothing(store, monkeypatch):
    settle_roots(store.home, [Row("NULL_ISLAND", Root("s3://lab", endpoint_url=f"http://127.0.0.1:{free_port()}"))])
    found = store.train(1.0)
    store.register(found)
    store.blobs.point("training_sets/training_set/v0000000000000000", store.blobs.put(b"garbled"))
    home = opened(store)
    backwards = replace(home.inventory, regions=home.inventory.regions[::-1])
    assert replace(home, inventory=backwards).training_set("mill_rul@1").rows["value"].sum() == 3.0
    (store.home / "EAST").rename(store.home / "moved")
    with pytest.raises(StorageError, match=r"mill_rul@1 was not found, and NULL_ISLAND: "):
        home.training_set("mill_rul@1")


def test_after_a_lost_database_the_set_is_found_by_way_of_the_candidate(store):
    found = store.train(1.0)
    store.blobs.put(json.dumps({"run_id": "lost", "training_set_version": found.content}).encode())
    tracking = tracking_of(store.home)
    experiment = tracking.client.create_experiment("recovered", artifact_location=f"{tracking.artifact_root}/recovered")
    run = tracking.client.create_run(experiment, tags={STANDS_FOR_TAG: "lost"})
    register(tracking, "mill_rul", b"graph", family="trees", run_id=run.info.run_id)
    assert opened(store).training_set("mill_rul@1").rows["value"].sum() == 3.0


def test_a_record_has_the_files_of_its_own_write_although_another_writer_committed_since(plain, monkeypatch):
    commit, writers = TableWriter._commit, [2.0]

    def overtaken(self, *args):
        commit(self, *args)
        while writers:
            plain.train(writers.pop())

    monkeypatch.setattr(TableWriter, "_commit", overtaken)
    found = plain.train(1.0)
    assert found.version == 0
    assert read_training_set(plain.tables, found)["value"].sum() == 3.0


def test_the_files_of_a_set_are_found_where_its_damaged_table_was_set_aside(plain):
    found = plain.train(1.0)
    folder = plain.home / "EAST" / "feature" / "mill"
    set_aside(folder, SAMPLES.name, why="damaged")
    plain.train(2.0)
    assert read_training_set(plain.tables, recorded(plain, found))["value"].sum() == 3.0
