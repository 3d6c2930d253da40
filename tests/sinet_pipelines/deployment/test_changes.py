"""A print changes with what a sensor reads, and a cursor holds until a change or for a few minutes."""

import json
import os
import time

import pytest

from sinet_pipelines.deployment.changes import FULL_LOOK_S, RECENT_S, Reads, print_of, valid_until

OLD = (time.time() - 100 * RECENT_S,) * 2


@pytest.fixture
def home(tmp_path):
    for path in (tmp_path / "mlflow.db", tmp_path / "serving" / "WEST" / "rul" / "current.json"):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("{}")
        os.utime(path, OLD)
    return tmp_path


def write(path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    os.utime(path, OLD)


@pytest.mark.parametrize("reads", list(Reads))
def test_nothing_changed_and_the_print_is_the_same_until_an_event(home, reads):
    assert print_of(home, reads, 1) == print_of(home, reads, 1) != print_of(home, reads, 2)


@pytest.mark.parametrize(
    "name", ["mlflow.db", "mlflow.db-wal", "serving/WEST/rul/current.json", "serving/EAST/rul/current.json"]
)
def test_a_change_of_the_registry_or_of_an_endpoint_is_seen_and_no_other(home, name):
    before = {reads: print_of(home, reads, 1) for reads in Reads}
    write(home / name, "{...}")
    assert {reads for reads in Reads if print_of(home, reads, 1) != before[reads]} == {Reads.REGISTRY}


@pytest.mark.parametrize("name", ["EAST/landing/milling/2026-03-01/a.parquet", "landing/a.parquet", "SOUTH/landing/x"])
def test_a_drop_in_any_landing_zone_of_the_home_is_seen(home, name):
    before = {reads: print_of(home, reads, 1) for reads in Reads}
    write(home / name, "rows")
    assert {reads for reads in Reads if print_of(home, reads, 1) != before[reads]} == {Reads.LANDING_ZONES}


def test_a_database_that_changed_a_moment_ago_may_change_again_within_the_resolution_of_its_time(home):
    os.utime(home / "mlflow.db")
    assert print_of(home, Reads.REGISTRY, 1) != print_of(home, Reads.REGISTRY, 1)


@pytest.mark.parametrize(
    "cursor",
    [None, "", "no json", "[]", "{}", '{"seen": 1}', '{"seen": {"at": 1.0}}', '{"seen": {"until_change": true}}'],
)
def test_any_other_cursor_holds_for_no_time(cursor):
    assert valid_until(cursor) == 0


def test_a_cursor_holds_for_minutes_after_the_evaluation():
    assert valid_until(json.dumps({"seen": {"at": 50.0, "until_change": True}})) == 50 + FULL_LOOK_S
