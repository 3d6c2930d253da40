import os
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

import polars as pl
import pytest

from tests import outgoing as traces
from tests.conftest import CHECKOUT, SMALL_ENGINES, SMALL_SUBSET, link_project, write_subset
from tests.walk.homes import copy_home, drop, fleet_days

DRIVER = Path(__file__).with_name("driver.py")
LIMIT_S = 600  # a walk takes under a minute on two idle cores
DAYS_TO_SPARE = 12  # between the fleet's last day and today, for drops of days that come after

#: Rows that are not in the first delivery: engine, cycle. One in mid-life and one among an engine's first ten cycles,
#: both of engines that models are trained on, so that another model comes of them.
WITHHELD = {"mid_life": (1, 105), "early": (7, 4)}

#: What records the connections of every `sinet` of the session; empty where there is no compiler.
TRACED: dict[str, str] = {}


def environment_of(project, **more):
    """The environment of a `sinet` that belongs to a project, whatever this process belongs to."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("SINET_", "DAGSTER_"))}
    return {**inherited, **TRACED, "SINET_PROJECT": str(project), "PYTHONPATH": str(CHECKOUT), **more}


def run_sinet(project, *arguments, point="none", check=True, timeout=LIMIT_S):
    """`sinet` as a process of its own, by way of the driver; fails where it does not end with 0, unless told."""
    command = [sys.executable, str(DRIVER), point, *map(str, arguments)]
    ended = subprocess.run(
        command,
        cwd=project,
        env=environment_of(project),
        capture_output=True,
        text=True,
        timeout=timeout,
    )
    if check and ended.returncode:
        pytest.fail(
            f"sinet {' '.join(map(str, arguments))} ended with {ended.returncode}:\n{ended.stdout}{ended.stderr}"
        )
    return ended


@pytest.fixture(scope="session")
def outgoing(tmp_path_factory):
    """What every `sinet` that is started from now on looks up and connects to."""
    found = traces.build(tmp_path_factory.mktemp("outgoing"))
    TRACED.update(found.environment)
    yield found
    TRACED.clear()


@pytest.fixture(scope="session")
def walk_project(tmp_path_factory):
    return link_project(tmp_path_factory.mktemp("walk") / "checkout")


@pytest.fixture(scope="session")
def desk(walk_project):
    """`sinet` at a checkout of links: `desk("run", "--home", ...)`."""
    return partial(run_sinet, walk_project)


@pytest.fixture(scope="session")
def first_day():
    """One first day for all homes of a session, so that midnight may pass in it."""
    return datetime.now(UTC).date() - timedelta(days=25 + DAYS_TO_SPARE)


@pytest.fixture(scope="session")
def small_fleet():
    from sinet_pipelines.applications.turbofan.simulator import simulate_fleet

    return simulate_fleet(name=SMALL_SUBSET, **SMALL_ENGINES)


@pytest.fixture(scope="session")
def gappy(small_fleet, tmp_path_factory):
    """The small fleet without the rows of `WITHHELD`."""
    from dataclasses import replace

    gone = pl.any_horizontal((pl.col("unit") == unit) & (pl.col("cycle") == c) for unit, c in WITHHELD.values())
    folder = tmp_path_factory.mktemp("data") / "gappy"
    write_subset(replace(small_fleet, train=small_fleet.train.filter(~gone)), folder)
    return folder


@pytest.fixture(scope="session")
def arguments(gappy, first_day):
    """What every walk of the small fleet is called with, but its home."""
    return ("run", "--data", gappy, "--first-day", first_day.isoformat())


@pytest.fixture(scope="session")
def walked(desk, arguments, tmp_path_factory):
    """A home that an undisturbed run walked; its server has ended, so that it can be copied."""
    home = tmp_path_factory.mktemp("walked") / "home"
    desk(*arguments, "--home", home)
    desk("stop", "--home", home)
    return home


@pytest.fixture(scope="session")
def late_walked(desk, walked, withheld, tmp_path_factory):
    """What the walked home becomes, undisturbed, after a row of an old day came late."""
    home = copy_home(walked, tmp_path_factory.mktemp("late") / "home")
    drop(home, *withheld["mid_life"])
    desk("run", "--home", home)
    desk("stop", "--home", home)
    return home


@pytest.fixture
def copy(walked, desk, tmp_path):
    """A copy of the walked home, whose servers end with the test."""
    home = copy_home(walked, tmp_path / "home")
    yield home
    desk("stop", "--home", home, check=False)


@pytest.fixture
def home(desk, tmp_path):
    """A home that is not there yet, whose servers end with the test."""
    yield tmp_path / "home"
    desk("stop", "--home", tmp_path / "home", check=False)


@pytest.fixture(scope="session")
def withheld(small_fleet, gappy, walked):
    """The rows that come late, by the names of `WITHHELD`: region, day and the row as a drop has it."""
    from sinet_pipelines.applications.turbofan.fleet import read_fleet
    from sinet_pipelines.applications.turbofan.fleet_layout import lay_out

    late = {}
    for name, (unit, cycle) in WITHHELD.items():
        wanted = (pl.col("unit") == f"{SMALL_SUBSET}-{unit:04}") & (pl.col("cycle") == cycle)
        for part in lay_out(small_fleet, read_fleet(walked)).days:
            rows = part.rows.filter(wanted)
            if rows.height:
                late[name] = (part.region, part.day, rows)
    return late


@pytest.fixture(scope="session")
def last_day(walked):
    return fleet_days(walked)[1]
