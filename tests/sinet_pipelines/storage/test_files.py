import errno
import os
import resource
import subprocess
import sys
import textwrap

import pytest

from sinet_pipelines.errors import StorageError
from sinet_pipelines.storage.files import write_whole


def test_bytes_are_there_and_nothing_else_is(tmp_path):
    write_whole(tmp_path / "new" / "a.parquet", b"one")
    write_whole(tmp_path / "new" / "a.parquet", b"two")
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["a.parquet"]
    assert (tmp_path / "new" / "a.parquet").read_bytes() == b"two"


@pytest.mark.parametrize(("mask", "mode"), [(0o022, 0o644), (0o077, 0o600), (0o027, 0o640), (0o002, 0o664)])
def test_the_mask_of_whoever_writes_decides_who_may_read(tmp_path, mask, mode):
    before = os.umask(mask)
    try:
        write_whole(tmp_path / "new" / "a", b"one")
        write_whole(tmp_path / "new" / "a", b"two")
    finally:
        os.umask(before)
    assert (tmp_path / "new" / "a").stat().st_mode & 0o777 == mode
    assert (tmp_path / "new").stat().st_mode & 0o777 == 0o777 & ~mask


def test_a_full_disk_leaves_the_old_file_and_no_part_of_the_new(tmp_path, monkeypatch):
    write_whole(tmp_path / "a", b"old")

    def full(handle):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(StorageError, match=r"3 bytes could not be written as .*/a: no space is left; free some"):
        write_whole(tmp_path / "a", b"new")
    assert [(path.name, path.read_bytes()) for path in tmp_path.iterdir()] == [("a", b"old")]


def test_a_limit_of_the_machine_in_the_middle_of_a_write_leaves_nothing(tmp_path):
    program = f"""
        import resource, signal
        from pathlib import Path
        from sinet_pipelines.errors import StorageError
        from sinet_pipelines.storage.files import write_whole
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (4096, {resource.RLIM_INFINITY}))
        try:
            write_whole(Path({str(tmp_path / "a")!r}), b"x" * 10_000)
        except StorageError as error:
            print(error)
    """
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(program)], capture_output=True, text=True, check=True)
    assert "10000 bytes could not be written" in done.stdout
    assert list(tmp_path.iterdir()) == []


def test_a_place_that_cannot_be_a_folder_is_named(tmp_path):
    (tmp_path / "file").write_text("here")
    with pytest.raises(StorageError, match=r"could not be written as .*/file/a: .*; make the place writable"):
        write_whole(tmp_path / "file" / "a", b"x")
