"""The sensor of the conditions: it evaluates after an event, after an hour began, and every few minutes."""

from datetime import UTC, datetime, timedelta

import dagster as dg
import pytest

from schedules import what_follows
from schedules.seen import FULL_LOOK_S
from schedules.what_follows import NOTHING_NEW, WhatFollows


@dg.asset
def upstream(): ...


@dg.asset(deps=[upstream], automation_condition=dg.AutomationCondition.any_deps_updated())
def downstream(): ...


@pytest.fixture
def instance():
    with dg.DagsterInstance.ephemeral() as found:
        yield found


@pytest.fixture
def tick(instance):
    """One tick: the assets that it requests, and why none where it requests none."""
    sensor = WhatFollows()
    defs = dg.Definitions([upstream, downstream], sensors=[sensor])
    state = {"cursor": None}

    def once():
        repository = defs.get_repository_def()
        context = dg.build_sensor_context(instance, cursor=state["cursor"], repository_def=repository)
        found = sensor.evaluate_tick(context)
        state["cursor"] = found.cursor
        return [key for request in found.run_requests for key in request.asset_selection], found.skip_message

    once.restart, once.state = lambda: sensor.__init__(), state
    return once


def is_evaluated(found):
    return found[1] != NOTHING_NEW


def test_without_a_new_event_the_conditions_are_not_evaluated(tick):
    assert is_evaluated(tick())
    assert not is_evaluated(tick())
    assert not is_evaluated(tick())


def test_an_update_requests_what_follows_at_the_next_tick_and_once(instance, tick):
    tick(), tick()
    instance.report_runless_asset_event(dg.AssetMaterialization("upstream"))
    assert tick()[0] == [downstream.key]
    again = tick()  # a tick that requested is followed by an evaluation: the run may not be recorded yet
    assert again[0] == []
    assert is_evaluated(again)
    assert not is_evaluated(tick())


def test_an_event_of_another_kind_is_evaluated_too(instance, tick):
    tick(), tick()
    instance.report_runless_asset_event(dg.AssetObservation("upstream"))
    assert is_evaluated(tick())


def test_after_minutes_and_in_a_new_hour_they_are_evaluated_without_an_event(tick, monkeypatch):
    now = datetime(2026, 3, 1, 2, 59, 50, tzinfo=UTC)
    clock = {"at": now, "s": 1000.0}

    class Clock(datetime):
        @classmethod
        def now(cls, tz=None):
            return clock["at"]

    monkeypatch.setattr(what_follows, "datetime", Clock)
    monkeypatch.setattr(what_follows.time, "monotonic", lambda: clock["s"])
    tick()
    assert not is_evaluated(tick())
    clock["at"] = now + timedelta(seconds=20)  # 03:00, when daily assets are due
    assert is_evaluated(tick())
    assert not is_evaluated(tick())
    clock["s"] += FULL_LOOK_S + 1
    assert is_evaluated(tick())


def test_a_code_server_that_was_started_again_evaluates_first(tick):
    tick(), tick()
    tick.restart()
    assert is_evaluated(tick())


def test_a_cursor_that_was_reset_in_the_pages_is_evaluated(tick):
    tick(), tick()
    tick.state["cursor"] = None
    assert is_evaluated(tick())


def test_dagster_takes_it_for_its_sensor_of_conditions():
    assert WhatFollows().sensor_type.value == "AUTOMATION"
    assert WhatFollows().minimum_interval_seconds == 30
