"""Locks: one holder at a time, told by its number, free again when it dies."""

import os
import signal
import subprocess
import sys

import pytest

from sinet_pipelines.errors import BusyError
from sinet_pipelines.storage.locks import held, holder, is_held

HOLDER = """
import sys, time
from pathlib import Path
from sinet_pipelines.storage.locks import held
with held(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(3600)
"""


@pytest.fixture
def other(tmp_path):
    """Another process that holds the lock `tmp_path/lock`."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(tmp_path / "lock")], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout.readline() == "held\n"
    yield process
    process.kill()
    process.wait()
    process.stdout.close()


def test_a_lock_held_elsewhere_is_refused_with_the_holders_number(other, tmp_path):
    with pytest.raises(BusyError, match=f"held by process {other.pid}"), held(tmp_path / "lock", wait_s=0.05):
        pass
    assert is_held(tmp_path / "lock")


def test_a_killed_holder_gives_the_lock_back(other, tmp_path):
    os.kill(other.pid, signal.SIGKILL)
    other.wait()
    with held(tmp_path / "lock", wait_s=60.0):
        assert holder(tmp_path / "lock") == str(os.getpid())
    assert not is_held(tmp_path / "lock")


def test_a_lock_nobody_asked_for_is_free(tmp_path):
    assert not is_held(tmp_path / "lock")
    assert holder(tmp_path / "lock") == "unknown"
