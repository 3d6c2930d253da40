"""A log has an end: the present file and the one before it."""

from sinet_pipelines.storage.logs import rotate


def test_a_log_that_is_too_large_is_put_aside_and_writers_go_on(tmp_path):
    path = tmp_path / "dagster.log"
    with path.open("ab", buffering=0) as writer:
        writer.write(b"old\n" * 10)
        assert not rotate(path, most=40)
        assert rotate(path, most=39)
        writer.write(b"new\n")
    assert path.read_bytes() == b"new\n"
    assert (tmp_path / "dagster.log.1").read_bytes() == b"old\n" * 10


def test_a_log_that_is_not_there_is_no_matter(tmp_path):
    assert not rotate(tmp_path / "dagster.log")
    assert list(tmp_path.iterdir()) == []
