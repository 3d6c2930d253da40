"""A cache is never the truth: whatever is wrong with its file, nothing is kept and nothing fails."""

import pytest

from sinet_pipelines.storage.cache import read_cache, write_cache


def test_entries_come_back(tmp_path):
    write_cache(tmp_path / "cache" / "x.json", {"a": [1, "b"]})
    assert read_cache(tmp_path / "cache" / "x.json") == {"a": [1, "b"]}
    assert [path.name for path in (tmp_path / "cache").iterdir()] == ["x.json"]


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"\xff",
        b"[]",
        b"null",
        b'{"format": 0, "entries": {}}',
        b'{"format": 1, "entries": 3}',
        b"[" * 90_000,
    ],
)
def test_a_damaged_file_is_passed_over_and_rewritten(tmp_path, content):
    path = tmp_path / "x.json"
    path.write_bytes(content)
    assert read_cache(path) == {}
    write_cache(path, {"a": 1})
    assert read_cache(path) == {"a": 1}


def test_what_cannot_be_written_is_not_kept(tmp_path):
    (tmp_path / "cache").write_text("a file in the folder's place")
    write_cache(tmp_path / "cache" / "x.json", {"a": 1})
    assert read_cache(tmp_path / "cache" / "x.json") == {}
