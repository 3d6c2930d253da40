"""Processes that tests start do not wait for the disk, and still see a file that is not open."""

import os
import subprocess
import sys

import pytest

CODE = """
import errno, os, tempfile
with tempfile.TemporaryFile() as file:
    os.fsync(file.fileno())
    closed = os.dup(file.fileno())
os.close(closed)
try:
    os.fsync(closed)
except OSError as error:
    print(errno.errorcode[error.errno])
"""


@pytest.mark.skipif("no_sync" not in os.environ.get("LD_PRELOAD", ""), reason="no C compiler (gcc or cc)")
def test_a_file_that_is_not_open_is_still_a_fault():
    ended = subprocess.run([sys.executable, "-c", CODE], capture_output=True, text=True, check=True)
    assert (ended.stdout, ended.stderr) == ("EBADF\n", "")
