"""Blobs: named by content, written once, checked when read, never outside their root."""

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sinet_pipelines.errors import StorageError
from sinet_pipelines.storage.blobs import BlobStore


@given(content=st.binary(max_size=200))
def test_what_is_put_is_got_under_its_hash(tmp_path_factory, content):
    store = BlobStore(tmp_path_factory.mktemp("blobs"))
    name = store.put(content)
    assert name == hashlib.sha256(content).hexdigest()
    assert store.get(name) == content
    assert store.put(content) == name


def test_a_changed_byte_is_found(tmp_path):
    store = BlobStore(tmp_path)
    name = store.put(b"weights")
    store.path(name).write_bytes(b"weightz")
    with pytest.raises(StorageError, match="it was changed"):
        store.get(name)


def test_a_name_that_climbs_out_is_refused(tmp_path):
    with pytest.raises(StorageError, match="is no blob's name"):
        BlobStore(tmp_path).get("../../etc/passwd")


def test_a_blob_that_is_not_there_says_what_to_do(tmp_path):
    with pytest.raises(StorageError, match="materialise the asset"):
        BlobStore(tmp_path).get("0" * 64)


def test_a_folder_that_cannot_be_made_leaves_nothing(tmp_path):
    (tmp_path / "blobs").write_text("a file in the way")
    with pytest.raises(StorageError, match="3 bytes could not be written"):
        BlobStore(tmp_path / "blobs").put(b"abc")


def test_a_ref_points_at_the_newest_blob(tmp_path):
    store = BlobStore(tmp_path)
    store.point("operating_regimes", store.put(b"first"))
    store.point("operating_regimes", store.put(b"second"))
    assert store.get_ref("operating_regimes") == b"second"
    assert store.resolve("nothing_yet") is None


@pytest.mark.parametrize("ref", ["../x", "/etc/passwd", "A", ""])
def test_a_ref_cannot_climb_out(tmp_path, ref):
    with pytest.raises(StorageError, match="is no ref"):
        BlobStore(tmp_path).resolve(ref)
