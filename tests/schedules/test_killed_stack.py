"""`kill -9` of the daemon, its code server and the run that is at work, as a reboot does; the next start goes on."""

import signal
import sqlite3
from contextlib import closing

import polars as pl
import psutil
import pytest

from sinet_pipelines.applications.turbofan.landed import TELEMETRY
from sinet_pipelines.applications.turbofan.schemas.telemetry import DROP, RAW_TELEMETRY
from sinet_pipelines.storage.tables import tables_of
from tests.conftest import link_project
from tests.schedules.pages import LIMIT_S, dagster_dev
from tests.waiting import until
from tests.walk.conftest import environment_of, run_sinet
from tests.walk.homes import folder_of
from tests.zones import landing_zone

pytestmark = pytest.mark.slow
LATE = "FD007-0999"  # an engine that only the new drop has


def runs_of(home, *, status):
    """Ids and regions of the runs that the daemon started and that have a status, as its database has them."""
    database = home / "dagster" / "history" / "runs.db"
    query = """SELECT runs.run_id, run_tags.value FROM runs JOIN run_tags ON run_tags.run_id = runs.run_id
        WHERE runs.status = ? AND run_tags.key = 'sinet/region'"""
    if not database.exists():
        return {}
    with closing(sqlite3.connect(database, timeout=60)) as opened:
        return dict(opened.execute(query, (status,)))


def kill_all(tree):
    """Kills a process and all that it started, the youngest first, so that no parent sees the end of its child."""
    family = [*tree.children(recursive=True), tree]
    for process in family:
        process.suspend()
    for process in reversed(family):
        process.send_signal(signal.SIGKILL)
    psutil.wait_procs(family[:-1], timeout=60)


@pytest.fixture
def home(tmp_path, small_cmapss):
    """A landed fleet of which nothing was made yet, the current home of a checkout of links."""
    checkout = link_project(tmp_path / "checkout")
    run_sinet(checkout, "land", small_cmapss)
    (checkout / ".sinet" / "current").symlink_to(small_cmapss.name)
    yield checkout / ".sinet" / small_cmapss.name
    run_sinet(checkout, "stop", check=False)


def test_after_a_kill_of_everything_the_run_is_ended_and_a_new_drop_is_taken_in(home):
    checkout = home.parents[1]
    environment = environment_of(checkout)
    before = {process.pid for process in psutil.Process().children()}
    with dagster_dev(checkout, environment=environment):
        killed = until(lambda: runs_of(home, status="STARTED"), limit_s=LIMIT_S, every_s=0.01)
        (tree,) = [process for process in psutil.Process().children() if process.pid not in before]
        kill_all(tree)
    killed = {run: region for run, region in killed.items() if run in runs_of(home, status="STARTED")}
    assert killed, "the run had ended before it was killed"
    run, region = next(iter(killed.items()))
    zone = landing_zone(home, TELEMETRY)
    day = zone.days(region)[-1]
    row = zone.read_day(region, day).rows.head(1).with_columns(pl.lit(LATE).alias("unit"))
    zone.land(region, day, name="late", rows=row.select(column.name for column in DROP.columns))
    with dagster_dev(checkout, environment=environment) as pages:
        tables = tables_of(home, region, "turbofan")

        def taken_in():
            """The new drop is in the table."""
            if not (folder_of(home, region, RAW_TELEMETRY.name)).exists():
                return False
            return LATE in tables.read(RAW_TELEMETRY, columns=["unit"])["unit"]

        pages.until(taken_in, limit_s=2 * LIMIT_S)
        assert next(one["status"] for one in pages.runs() if one["id"] == run) == "FAILURE"
