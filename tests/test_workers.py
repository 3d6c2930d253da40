"""Tests that share what is built once a session run in one worker; others go to whichever is free."""

import json
import os
import subprocess
import sys

import pytest

from tests.workers import CHECKOUT, LONG, begins, group_of

CONFTEST = "from tests.workers import pytest_xdist_make_scheduler\n"
#: Writes which worker ran it; the other tests wait until both workers have begun, so that each takes part.
MODULE = """
import json, os, pathlib, pytest
from tests.waiting import until

SEEN = pathlib.Path(os.environ["SEEN"])

@pytest.mark.parametrize("number", range(4))
def test_one(number):
    worker = os.environ["PYTEST_XDIST_WORKER"]
    (SEEN / worker).touch()
    until(lambda: len(list(SEEN.glob("gw*"))) == 2)
    with (SEEN / "log").open("a") as log:
        log.write(json.dumps([pathlib.Path(__file__).parent.name, worker]) + "\\n")
"""


@pytest.mark.parametrize(
    ("nodeid", "group"),
    [
        ("tests/assets/test_cards.py::test_one[a/b::c]", "tests/assets"),
        ("tests/sinet_pipelines/deployment/cluster/test_api.py::test_one", "tests/sinet_pipelines/deployment/cluster"),
        ("tests/resources/materializations/test_x.py::test_one", "tests/resources/materializations/test_x.py"),
        ("tests/test_make.py::test_one", "tests/test_make.py"),
    ],
)
def test_a_group_is_the_next_folder_with_fixtures_of_its_own_or_the_file(nodeid, group):
    assert group_of(nodeid) == group


def test_what_takes_longest_begins_first():
    assert all((CHECKOUT / group).exists() for group in LONG)
    ids = ["tests/test_make.py::test_one", "tests/assets/test_cards.py::test_one", "tests/walk/test_run.py::test_one"]
    assert sorted(ids, key=begins) == [ids[2], ids[1], ids[0]]


@pytest.mark.slow
def test_two_workers_run_two_groups_and_neither_is_divided(tmp_path):
    for folder in ("first", "second"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / f"test_{folder}.py").write_text(MODULE)
    (tmp_path / "conftest.py").write_text(CONFTEST)
    (tmp_path / "pytest.ini").write_text("[pytest]\n")
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-n",
        "2",
        "-p",
        "no:hypothesispytest",
        "--rootdir",
        str(tmp_path),
        str(tmp_path),
    ]
    env = {**os.environ, "SEEN": str(tmp_path), "PYTHONPATH": str(CHECKOUT)}
    ended = subprocess.run(command, cwd=tmp_path, env=env, capture_output=True, text=True, timeout=600)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    runs = [json.loads(line) for line in (tmp_path / "log").read_text().splitlines()]
    assert len(runs) == 8
    assert {folder: {worker for name, worker in runs if name == folder} for folder, _ in runs} in (
        {"first": {"gw0"}, "second": {"gw1"}},
        {"first": {"gw1"}, "second": {"gw0"}},
    )
