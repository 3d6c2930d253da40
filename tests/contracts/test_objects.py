"""What objects under a root keep, whether it is a folder or a prefix of a bucket."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from sinet_pipelines.errors import AbsentError, ConflictError, StorageError
from sinet_pipelines.storage.objects import IN_MEMORY_BYTES, open_objects

NAMES = [
    "plain",
    "my plant",
    "a#b",
    "50% off",
    "50%25 off",
    "a+b",
    "what?",
    "role=live",
    "ü",
    "日本",
    "a:b&c",
    "[x]",
    "~t",
]
OUTSIDE = ["", "/etc/passwd", "..", "../up", "a/../../up", "a/./b", "a//b", "a/", "a\nb", "a\0b", "x" * 1025]


@pytest.fixture(params=["folder", "S3", "S3 with a prefix"])
def objects(request, tmp_path):
    if request.param == "folder":
        return open_objects(str(tmp_path / "my plant #1 50% off"))
    store = request.getfixturevalue("s3_store")
    prefix = "/my plant #1/50% off" if "prefix" in request.param else ""
    return open_objects(f"s3://{store.bucket()}{prefix}", store.options)


def keys(objects, prefix=""):
    return [one.key for one in objects.walk(prefix)]


@pytest.mark.parametrize("name", NAMES)
def test_bytes_come_back_under_any_name(objects, name):
    key = f"landing/{name}/{name}.parquet"
    objects.put(key, b"rows")
    assert objects.read(key) == b"rows"
    assert keys(objects) == keys(objects, f"landing/{name}") == [key]
    assert objects.stat(key) == next(objects.walk())


@pytest.mark.parametrize("key", OUTSIDE)
def test_a_key_cannot_climb_out(objects, key):
    for use in (objects.read, objects.stat, objects.get, objects.delete):
        with pytest.raises(StorageError, match="key"):
            use(key)
    with pytest.raises(StorageError, match="key"):
        objects.put(key, b"")
    with pytest.raises(StorageError, match="key"):
        objects.put_if_absent(key, b"")


def test_nothing_is_listed_where_nothing_was_written(objects):
    assert keys(objects) == keys(objects, "landing") == []
    assert objects.stat("a") is None
    assert objects.get("a") is None
    with pytest.raises(AbsentError, match="no a in"):
        objects.read("a")
    with pytest.raises(AbsentError, match="no a in"), objects.open("a"):
        pass


def test_a_listing_has_what_is_below_a_folder_and_no_neighbour_of_a_like_name(objects):
    for key in ("a/2", "a/10", "ab/1", "a.txt", "a/b/c", "b"):
        objects.put(key, key.encode())
    assert keys(objects, "a") == ["a/10", "a/2", "a/b/c"]
    assert keys(objects) == sorted(["a/2", "a/10", "ab/1", "a.txt", "a/b/c", "b"])
    assert {one.key: one.size for one in objects.walk("a")} == {"a/10": 4, "a/2": 3, "a/b/c": 5}


def test_the_children_of_a_folder_are_its_folders_and_its_objects(objects):
    for key in ("a/2", "a/b/c", "a/b/d/e", "a/ü #1/c", "a/.f/g", "a/.h", "b", "c/d"):
        objects.put(key, b"1")
    found = objects.children("a")
    assert found.folders == ("b", "ü #1")
    assert [one.key for one in found.objects] == ["a/2"]
    assert objects.children().folders == ("a", "c")
    assert [one.key for one in objects.children().objects] == ["b"]
    assert objects.children("nowhere").folders == objects.children("nowhere").objects == ()


def test_names_that_begin_with_a_dot_are_not_listed(objects):
    for key in ("a/.partial", ".hidden/b", "c"):
        objects.put(key, b"1")
    assert keys(objects) == ["c"]


def test_an_object_that_is_replaced_has_another_state(objects):
    objects.put("a", b"one")
    before = objects.stat("a")
    objects.put("a", b"two")
    assert objects.read("a") == b"two"
    assert objects.stat("a").state != before.state
    assert objects.stat("a").modified_at >= before.modified_at


def test_a_range_is_part_of_the_bytes(objects):
    objects.put("a", b"0123456789")
    assert objects.read("a", start=2, length=3) == b"234"
    assert objects.read("a", start=7) == b"789"
    assert objects.read("a", start=8, length=100) == b"89"
    assert objects.read("a", start=10, length=5) == objects.read("a", start=3, length=0) == b""


@pytest.mark.parametrize("size", [0, 10, IN_MEMORY_BYTES + 1])
def test_an_open_object_does_not_change_when_it_is_replaced(objects, size):
    content = bytes(range(256)) * (size // 256 + 1)
    content = content[:size]
    objects.put("a", content)
    with objects.open("a") as (one, file):
        objects.put("a", b"another")
        assert file.read() == content
        file.seek(max(0, size - 4))
        assert file.read() == content[-4:]
    assert (one.key, one.size) == ("a", size)


def test_one_of_many_writers_creates_an_object(objects):
    with ThreadPoolExecutor(8) as pool:
        made = list(pool.map(lambda n: objects.put_if_absent("locks/a", str(n).encode()), range(8)))
    assert made.count(True) == 1
    assert objects.read("locks/a") == str(made.index(True)).encode()
    assert keys(objects) == ["locks/a"]


def test_a_swap_needs_the_bytes_that_were_read(objects):
    objects.put("ref", b"one")
    seen = objects.get("ref")
    tag = objects.swap("ref", b"two", tag=seen.tag)
    with pytest.raises(ConflictError, match="ref in .*another writer; read it again"):
        objects.swap("ref", b"three", tag=seen.tag)
    assert objects.get("ref").content == b"two"
    assert objects.get("ref").tag == tag
    objects.swap("ref", b"three", tag=tag)
    assert objects.read("ref") == b"three"


def test_a_swap_of_a_deleted_object_is_a_conflict(objects):
    objects.put("ref", b"one")
    seen = objects.get("ref")
    objects.delete("ref")
    with pytest.raises(ConflictError, match="ref in .*another writer"):
        objects.swap("ref", b"two", tag=seen.tag)
    assert objects.get("ref") is None


def test_swaps_of_many_writers_lose_none(objects):
    objects.put("counter", b"0")

    def count(_):
        for _ in range(200):
            seen = objects.get("counter")
            try:
                objects.swap("counter", str(int(seen.content) + 1).encode(), tag=seen.tag)
            except ConflictError:
                continue
            return True
        return False

    with ThreadPoolExecutor(4) as pool:
        done = list(pool.map(count, range(12)))
    assert done.count(True) == int(objects.read("counter")) == 12


def test_a_deleted_object_is_gone_and_deleting_it_again_changes_nothing(objects):
    objects.put("a/b", b"1")
    objects.put("a/c", b"2")
    objects.delete("a/b")
    objects.delete("a/b")
    assert keys(objects) == ["a/c"]


def test_a_root_of_another_kind_is_refused():
    with pytest.raises(StorageError, match="gs:// .*allowed: a folder, s3://bucket/prefix"):
        open_objects("gs://bucket/prefix")
