"""The daemon evaluates a sensor again after a change of what it reads, and lets it rest otherwise."""

import json
import time

import pytest

from sinet_pipelines.cli import resting as module
from sinet_pipelines.cli.resting import EVENTS_S, Evaluated, Resting
from sinet_pipelines.deployment.changes import FULL_LOOK_S, SEEN, UNTIL_CHANGE, Reads

SENSOR = object()


def nothing_to_do(at, *, until_change=True):
    return json.dumps({SEEN: {"print": "", "at": at, "reason": "none", UNTIL_CHANGE: until_change}})


class Daemon:
    """The daemon's loop over one sensor, with the clock and the newest event of the test."""

    def __init__(self, home, reads, monkeypatch):
        self.resting, self.reads, self.now, self.event, self.sensor = Resting(home), reads, 1000.0, 7, SENSOR
        self.last = Evaluated(None, ended_well=False, cursor=None)
        monkeypatch.setattr(module.time, "time", lambda: self.now)
        monkeypatch.setattr(module.time, "monotonic", lambda: self.now)

    def evaluate(self, cursor=None, *, ended_well=True):
        self.now += 1
        self.last = Evaluated(self.now, ended_well, cursor)

    def rests(self, after_s=5):
        self.now += after_s
        return self.resting.rests(
            self.sensor, name="one", reads=self.reads, last=self.last, newest_event=lambda: self.event
        )

    def settle(self):
        """Evaluations until the sensor rests; how many there were."""
        count = 0
        while not self.rests():
            count += 1
            self.evaluate(self.last.cursor or nothing_to_do(self.now))
        return count


@pytest.fixture
def landing(tmp_path, monkeypatch):
    (tmp_path / "EAST" / "landing" / "milling").mkdir(parents=True)
    return Daemon(tmp_path, Reads.LANDING_ZONES, monkeypatch)


def test_a_sensor_that_found_nothing_is_evaluated_once_more_and_then_rests(landing):
    assert landing.settle() == 2  # the first one changed the cursor
    assert all(landing.rests() for _ in range(10))


def test_a_drop_ends_the_rest_at_the_next_loop(landing, tmp_path):
    landing.settle()
    (tmp_path / "EAST" / "landing" / "milling" / "drop.parquet").write_bytes(b"rows")
    assert not landing.rests()


def test_an_event_ends_the_rest(landing):
    landing.settle()
    landing.event += 1
    assert not landing.rests()


def test_a_change_during_an_evaluation_is_followed_by_another_one(landing, tmp_path):
    landing.settle()
    landing.event += 1
    assert not landing.rests()
    landing.evaluate(nothing_to_do(landing.now))
    (tmp_path / "EAST" / "landing" / "milling" / "drop.parquet").write_bytes(b"rows")
    assert not landing.rests(after_s=0)  # the evaluation started before this state was seen
    assert not landing.rests()


def test_newer_code_and_a_cursor_that_a_person_reset_end_the_rest(landing):
    landing.settle()
    landing.sensor = object()
    assert not landing.rests()
    landing.settle()
    landing.last = Evaluated(landing.last.started_at, ended_well=True, cursor=None)
    assert not landing.rests()


def test_a_sensor_that_waits_for_a_time_or_that_failed_does_not_rest(landing):
    for cursor, ended_well in ((None, True), (nothing_to_do(1000.0, until_change=False), True), (None, False)):
        for _ in range(5):
            landing.evaluate(cursor, ended_well=ended_well)
            assert not landing.rests()


def test_the_rest_ends_when_the_state_expires_and_when_the_clock_is_set_back(landing):
    landing.settle()
    expires = json.loads(landing.last.cursor)[SEEN]["at"] + FULL_LOOK_S
    assert landing.rests(after_s=expires - landing.now - 1)
    assert not landing.rests(after_s=2)
    landing.now -= 2 * FULL_LOOK_S
    assert not landing.rests()


def test_a_sensor_of_events_rests_for_two_minutes_whatever_its_cursor_is(tmp_path, monkeypatch):
    daemon = Daemon(tmp_path, Reads.EVENTS, monkeypatch)
    assert daemon.settle() == 2
    assert daemon.rests(after_s=EVENTS_S - 10)
    assert not daemon.rests(after_s=EVENTS_S)


def test_a_sensor_without_the_tag_is_evaluated_at_its_interval(tmp_path, monkeypatch):
    daemon = Daemon(tmp_path, None, monkeypatch)
    daemon.evaluate(nothing_to_do(daemon.now))
    assert [daemon.rests() for _ in range(3)] == [False, False, False]


@pytest.mark.parametrize(("took_s", "gap_s"), [(0.001, 5), (0.05, 5), (0.06, 10), (1.0, 10), (30.0, 10)])
def test_a_large_landing_zone_is_listed_at_every_second_loop_of_five_seconds(landing, monkeypatch, took_s, gap_s):
    listed = []

    def slow(*_):
        listed.append(landing.now)
        landing.now += took_s
        return "same"

    monkeypatch.setattr(module, "print_of", slow)
    landing.evaluate(nothing_to_do(landing.now))
    for _ in range(9):
        landing.rests()
    gaps = [later - earlier - took_s for earlier, later in zip(listed, listed[1:], strict=False)]
    assert gaps == pytest.approx([gap_s] * len(gaps))
    assert len(gaps) > 2


def test_nothing_is_listed_for_a_sensor_that_is_evaluated_anyway(landing, monkeypatch):
    def fails(*_):
        raise AssertionError("the landing zones were listed")

    monkeypatch.setattr(module, "print_of", fails)
    landing.evaluate(nothing_to_do(landing.now, until_change=False))
    assert not landing.rests()


def test_the_daemon_lists_no_store(landing, monkeypatch):
    landing.settle()
    monkeypatch.setattr(module, "stored_roots", lambda _: {"EAST": "s3://plant/east"})
    monkeypatch.setattr(module, "print_of", lambda *_: pytest.fail("a store was listed"))
    assert not landing.rests()


def test_damaged_records_of_regions_are_left_to_the_evaluation(landing, tmp_path):
    landing.settle()
    (tmp_path / "roots.json").write_text("{")
    assert not landing.rests()


def test_the_daemon_of_the_pinned_version_calls_what_is_replaced():
    import inspect

    from dagster._daemon import sensor

    loop, each = (
        inspect.getsource(sensor.execute_sensor_iteration_loop),
        inspect.getsource(sensor.execute_sensor_iteration),
    )
    assert "execute_sensor_iteration(" in loop
    assert "is_under_min_interval(sensor_state, sensor)" in each
    assert next(iter(inspect.signature(sensor.execute_sensor_iteration).parameters)) == "workspace_process_context"
    names = sensor.SensorInstigatorData.__new__.__code__.co_varnames
    assert {"last_tick_start_timestamp", "last_tick_success_timestamp", "cursor"} <= set(names)


def test_times_are_of_the_clock_by_which_the_daemon_records_evaluations():
    from dagster._time import get_current_timestamp

    assert abs(get_current_timestamp() - time.time()) < 60
