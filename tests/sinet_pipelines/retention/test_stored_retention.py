"""Retention on an S3 store: old files of tables, training sets and blobs go there by the same rules."""

from datetime import timedelta

import pytest

from sinet_pipelines.inventory.roots import Root
from sinet_pipelines.retention.blob_links import Links, links_of
from sinet_pipelines.retention.owner import claim
from sinet_pipelines.retention.places import Place
from sinet_pipelines.retention.policy import Kind
from sinet_pipelines.storage import blobs
from sinet_pipelines.storage.blobs import BlobStore
from sinet_pipelines.storage.roots import settle_roots
from sinet_pipelines.storage.training_sets import read_training_set
from tests.loopback import free_port
from tests.sinet_pipelines.retention.conftest import Store, names
from tests.sinet_pipelines.storage.test_roots import Row


@pytest.fixture
def stored(tmp_path, s3_store, monkeypatch):
    """A home whose EAST is on a store."""
    root = Root(f"s3://{s3_store.bucket()}/plants/mill_1", endpoint_url=s3_store.url)
    settle_roots(tmp_path, [Row("EAST", root)])
    monkeypatch.setenv("SINET_EAST_AT_EAST_ACCESS_KEY_ID", s3_store.key_id)
    monkeypatch.setenv("SINET_EAST_AT_EAST_SECRET_ACCESS_KEY", s3_store.secret)
    claim(Place(tmp_path, "EAST"))
    return Store(tmp_path)


def test_an_unneeded_set_and_blob_of_a_store_go_and_the_newest_set_and_refs_stay(stored):
    first, newest = stored.train(1.0), stored.train(2.0)
    old, kept = stored.blobs.put(b"old"), stored.blobs.put(b"kept")
    stored.blobs.point("graphs/newest", kept)
    assert names(stored.plan().kept and [one.thing for one in stored.plan().kept], Kind.TRAINING_SETS) == sorted(
        f"EAST/{one.name}" for one in (first, newest)
    )
    removed = stored.retain(0, 31).removed
    assert names(removed, Kind.TRAINING_SETS) == [f"EAST/{first.name}"]
    assert f"EAST/{old}" in names(removed, Kind.BLOBS)
    assert not stored.blobs.has(old)
    assert stored.blobs.has(kept)
    assert read_training_set(stored.tables, newest)["value"].sum() == 5.0
    assert stored.tables.active_files(first.place).keys() == newest.files.keys()


def test_of_a_blob_that_is_no_json_one_byte_is_read(stored, monkeypatch):
    model, candidate = stored.blobs.put(b"\x00" * 100), stored.blobs.put(b'{"run_id": "7"}')
    read = []
    monkeypatch.setattr(BlobStore, "get", lambda self, name: read.append(name) or b'{"run_id": "7"}')
    links = links_of(stored.home, stored.blobs, [model, candidate])
    assert (links[model], links[candidate].run_id) == (Links(), "7")
    assert read == [candidate]


@pytest.mark.slow
def test_a_store_that_does_not_respond_is_named_and_nothing_goes(tmp_path, monkeypatch):
    settle_roots(tmp_path, [Row("EAST", Root("s3://sinet-east", endpoint_url=f"http://127.0.0.1:{free_port()}"))])
    for name in ("ACCESS_KEY_ID", "SECRET_ACCESS_KEY"):
        monkeypatch.setenv(f"SINET_EAST_AT_EAST_{name}", "a")
    found = Store(tmp_path).plan(days=100)
    assert found.going == ()
    assert any("the tables of EAST could not be read" in note for note in found.notes)


def test_a_blob_of_a_store_that_is_written_again_is_not_removed_as_old(stored, monkeypatch):
    name = stored.blobs.put(b"graph")
    (listed,) = stored.blobs.entries()
    monkeypatch.setattr(blobs, "RENEW_AFTER", timedelta(0))  # of an hour: the object counts as old at once
    before = listed.modified_at - timedelta(seconds=1)  # the store's times have whole seconds
    stored.blobs.put(b"graph")
    assert stored.blobs.remove(name, unless_after=before) is False
    assert stored.blobs.get(name) == b"graph"
    assert stored.blobs.remove(name, unless_after=listed.modified_at + timedelta(seconds=60)) is True
