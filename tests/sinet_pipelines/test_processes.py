"""The variables of a process that begins, of one that has none."""

import subprocess
import sys

import psutil
import pytest

from sinet_pipelines import processes
from sinet_pipelines.processes import environment_of


class Beginning:
    """A process whose environment the kernel does not show at the first looks."""

    def __init__(self, looks):
        self.looks = looks

    def environ(self):
        self.looks -= 1
        return {} if self.looks > 0 else {"SINET_HOME": "/home"}


def test_a_process_that_begins_is_waited_for():
    assert environment_of(Beginning(3)) == {"SINET_HOME": "/home"}


def test_a_process_without_variables_has_none(monkeypatch):
    monkeypatch.setattr(processes, "BEGUN_S", 0.05)
    assert environment_of(Beginning(10**9)) == {}


def test_a_process_that_is_gone_is_named():
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE, env={"A": "b"}) as process:
        found = psutil.Process(process.pid)
        assert environment_of(found)["A"] == "b"
        process.communicate(b"\n")
    with pytest.raises(psutil.NoSuchProcess):
        environment_of(found)
