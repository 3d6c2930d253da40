"""`kill -9` in the midst of a walk, then `sinet run`: what an undisturbed run gives, and nothing twice."""

import os
import signal

import pytest

from tests.walk.homes import (
    assert_closed,
    drop,
    mlflow_runs,
    row_hashes,
    run_states,
    servers_of,
    slots_held,
    status_of,
    stray_files,
    tables_of,
    versions_of,
)

pytestmark = pytest.mark.slow

#: Where a walk is killed (`driver.py`), in the order in which a walk comes by them.
POINTS = ("landing", "delta_commit", "before_the_event", "training", "tracking", "registration")
#: Of one walk each; alone, a point takes a walk and a half, so that only `make soak` tries each alone.
WALKS = [POINTS, *((point,) for point in POINTS if os.environ.get("SOAK"))]


@pytest.fixture(scope="module")
def undisturbed(walked):
    return facts_of(walked)


def facts_of(home):
    """What must be equal in two homes of one fleet, however they came to be."""
    return {
        "tables": tables_of(home),
        "raw rows": row_hashes(home, "raw_telemetry"),
        "validated rows": row_hashes(home, "validated_telemetry"),
        "versions": versions_of(home),
        "MLflow runs": mlflow_runs(home),
    }


def kill(desk, point, *arguments):
    killed = desk(*arguments, point=point, check=False)
    assert killed.returncode == -signal.SIGKILL, killed.stderr


def assert_as_undisturbed(desk, home, undisturbed):
    assert facts_of(home) == undisturbed
    assert sum("champion" in aliases for _, _, aliases in versions_of(home)) == 1
    assert len(servers_of(home)) == 1
    assert not {"STARTED", "STARTING", "NOT_STARTED"}.intersection(run_states(home))
    assert not slots_held(home)
    status = status_of(desk, home)
    assert_closed(status["rows"])
    assert (status["rows"]["pending"], status["rows"]["withheld"]) == (0, 0)
    assert {asset["state"] for asset in status["assets"]} == {"done"}
    assert [endpoint["ready"] for endpoint in status["endpoints"]] == [True]


def assert_that_no_reader_sees_the_commit(desk, home):
    """After a kill in a commit: its files are there, its place in the pool is held until the next command."""
    assert slots_held(home)
    assert stray_files(home, "WEST", "validated_telemetry")
    rows = status_of(desk, home)["rows"]
    assert_closed(rows)
    assert rows["pending"] > 0
    assert not slots_held(home)


@pytest.mark.parametrize("points", WALKS, ids=", ".join)
def test_a_walk_killed_on_its_way_goes_on_to_what_an_undisturbed_one_gives(points, desk, arguments, home, undisturbed):
    for point in points:
        kill(desk, point, *arguments, "--home", home)
        if point == "delta_commit":
            assert_that_no_reader_sees_the_commit(desk, home)
    desk(*arguments, "--home", home)
    assert_as_undisturbed(desk, home, undisturbed)


def test_a_walk_killed_before_and_after_the_switch_of_servers_ends_with_the_new_one_alone(
    desk, copy, withheld, late_walked
):
    desk("run", "--home", copy)
    old = [server.pid for server in servers_of(copy)]
    assert len(old) == 1
    drop(copy, *withheld["mid_life"])
    for point, servers in (("before_the_switch", 2), ("after_the_switch", 3)):  # each kill leaves a new server behind
        kill(desk, point, "run", "--home", copy)
        running = [server.pid for server in servers_of(copy)]
        assert len(running) == servers
        assert old[0] in running
    desk("run", "--home", copy)
    assert_as_undisturbed(desk, copy, facts_of(late_walked))
    assert [server.pid for server in servers_of(copy)] != old
