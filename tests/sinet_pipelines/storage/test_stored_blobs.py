"""Blobs and refs on an S3 store."""

import hashlib
import secrets
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from sinet_pipelines.errors import ConflictError, StorageError
from sinet_pipelines.inventory.roots import Root
from sinet_pipelines.storage.blobs import BlobStore, blob_stores, blobs_of
from sinet_pipelines.storage.objects import open_objects
from sinet_pipelines.storage.roots import Stores, settle_roots
from tests.sinet_pipelines.storage.test_roots import Row


@pytest.fixture
def home(tmp_path, s3_store, monkeypatch):
    """A home whose EAST is on a store and whose WEST is a folder."""
    root = Root(f"s3://{s3_store.bucket()}/plants", endpoint_url=s3_store.url)
    settle_roots(tmp_path, [Row("EAST", root), Row("WEST")])
    monkeypatch.setenv("SINET_EAST_AT_EAST_ACCESS_KEY_ID", s3_store.key_id)
    monkeypatch.setenv("SINET_EAST_AT_EAST_SECRET_ACCESS_KEY", s3_store.secret)
    return tmp_path


@pytest.fixture
def blobs(home):
    return blobs_of(home, "EAST", "mill")


def test_what_is_put_is_got_under_its_hash_and_lies_in_the_store_alone(blobs, home):
    name = blobs.put(b"weights")
    assert name == blobs.put(b"weights") == hashlib.sha256(b"weights").hexdigest()
    assert (blobs.get(name), blobs.size(name), blobs.has(name)) == (b"weights", 7, True)
    assert not (home / "EAST").exists()
    assert [one.key for one in Stores(home)["EAST"].walk()] == [f"blobs/{name[:2]}/{name}"]


def test_a_blob_that_is_wanted_as_a_file_is_fetched_once_by_its_content(blobs, home):
    name = blobs.put(b"graph")
    path = blobs.path(name)
    assert path.read_bytes() == b"graph"
    assert path.is_relative_to(home / "cache")
    blobs.objects.delete(f"{name[:2]}/{name}")
    assert blobs.path(name) == path
    with pytest.raises(StorageError, match=r"no blob .* in s3://.*; materialise the asset"):
        blobs.get(name)


def test_a_changed_blob_is_found_and_is_not_kept_as_a_file(blobs):
    name = blobs.put(b"weights")
    blobs.objects.put(f"{name[:2]}/{name}", b"weightz")
    for use in (blobs.get, blobs.path):
        with pytest.raises(StorageError, match="it was changed"):
            use(name)


def test_a_ref_points_at_the_newest_blob_of_its_application(blobs, home):
    blobs.point("regimes", blobs.put(b"first"))
    blobs.point("regimes", blobs.put(b"second"))
    other = blobs_of(home, "EAST", "saw")
    other.point("regimes", other.put(b"of the saw"))
    assert (blobs.get_ref("regimes"), other.get_ref("regimes")) == (b"second", b"of the saw")
    assert blobs.resolve("nothing_yet") is None


@pytest.mark.parametrize("ref", ["../x", "/etc/passwd", "A", ""])
def test_a_ref_cannot_climb_out(blobs, ref):
    with pytest.raises(StorageError, match="is no ref"):
        blobs.point(ref, "0" * 64)


def test_writers_who_move_a_ref_at_once_all_come_through_or_are_told(blobs):
    names = [blobs.put(bytes([n])) for n in range(4)]

    def point(name):
        try:
            blobs.point("regimes", name)
        except ConflictError:
            return None
        return name

    with ThreadPoolExecutor(4) as pool:
        moved = list(pool.map(point, names))
    assert blobs.resolve("regimes") in moved


def test_a_conditional_put_that_is_lost_again_and_again_ends_in_one_error(blobs, monkeypatch):
    name = blobs.put(b"first")
    blobs.point("regimes", name)
    real = type(blobs.objects).swap

    def lost(objects, key, content, *, tag):
        objects.put(key, secrets.token_hex(32).encode())  # another writer, every time
        return real(objects, key, content, tag=tag)

    monkeypatch.setattr(type(blobs.objects), "swap", lost)
    with pytest.raises(ConflictError, match="was moved by other writers 5 times; try again"):
        blobs.point("regimes", name)


def test_a_home_lists_the_blobs_of_folders_and_of_stores(home, blobs):
    name = blobs.put(b"in the store")
    local = blobs_of(home, "WEST")
    other = local.put(b"in a folder")
    assert isinstance(local, BlobStore)
    assert [Path(one.place).name for one in blob_stores(home)] == ["blobs", "blobs"]
    assert [(one.has(name), one.has(other)) for one in blob_stores(home)] == [(False, True), (True, False)]


def test_a_store_is_opened_when_it_is_looked_up_and_no_sooner(home, monkeypatch):
    stores = Stores(home)
    monkeypatch.delenv("SINET_EAST_AT_EAST_ACCESS_KEY_ID")
    assert list(stores) == ["EAST"]
    with pytest.raises(KeyError):
        stores["WEST"]
    with pytest.raises(StorageError, match="EAST has no credentials at the store of EAST"):
        stores["EAST"]
    assert open_objects(str(home)).root == str(home)
