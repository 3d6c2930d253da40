"""A drift that lasts asks for one training, and for no other while that is fresh."""

from datetime import timedelta

import dagster as dg
import pytest

from assets.turbofan.keys import regional_key
from resources.keys import APPLICATION_TAG, DRIFT_CHECK
from resources.materializations.published import Published
from schedules.jobs import training_keys
from schedules.sensors import DRIFT_NAME, drift
from sinet_pipelines.applications.turbofan.landed import TELEMETRY
from tests.deployed import sensor_context
from tests.inventory import EAST, NULL_ISLAND
from tests.zones import landing_zone


@pytest.fixture
def instance():
    with dg.DagsterInstance.ephemeral() as found:
        yield found


def judge(instance, region, day, *, passed):
    key = regional_key(region, "input_drift")
    instance.report_runless_asset_event(dg.AssetMaterialization(key, partition=str(day)))
    instance.report_runless_asset_event(
        dg.AssetCheckEvaluation(asset_key=key, check_name=DRIFT_CHECK, passed=passed, partition=str(day))
    )


def ask(instance, definitions, home):
    context = sensor_context(instance, home, definitions)
    return next(iter(drift(context)))


def last_days(home, count):
    return landing_zone(home, TELEMETRY).days(EAST.name)[-count:]


def test_no_drift_asks_for_nothing(instance, definitions, home):
    (day,) = last_days(home, 1)
    judge(instance, EAST, day, passed=True)
    assert isinstance(ask(instance, definitions, home), dg.SkipReason)


def test_a_drift_that_has_ended_asks_for_nothing(instance, definitions, home):
    first, second = last_days(home, 2)
    judge(instance, EAST, first, passed=False)
    judge(instance, EAST, second, passed=True)
    assert isinstance(ask(instance, definitions, home), dg.SkipReason)


def test_a_drift_that_lasts_asks_for_one_training_named_by_its_beginning(instance, definitions, home):
    zero, first, second = last_days(home, 3)
    judge(instance, NULL_ISLAND, zero, passed=True)
    judge(instance, NULL_ISLAND, first, passed=False)
    request = ask(instance, definitions, home)
    assert request.run_key.startswith(f"drift-turbofan-NULL_ISLAND/turbofan/input_drift-{first}-")
    assert set(request.asset_selection) == training_keys(definitions.resolve_asset_graph(), "turbofan")
    judge(instance, NULL_ISLAND, second, passed=False)
    assert ask(instance, definitions, home).run_key == request.run_key


def test_of_two_drifts_the_newer_is_named(instance, definitions, home):
    first, second = last_days(home, 2)
    for day in (first, second):
        judge(instance, EAST, day, passed=False)
        judge(instance, NULL_ISLAND, day, passed=day == first)
    assert ask(instance, definitions, home).run_key.startswith(
        f"drift-turbofan-NULL_ISLAND/turbofan/input_drift-{second}-"
    )


def test_a_training_that_was_asked_for_within_a_week_is_enough(instance, definitions, home):
    (day,) = last_days(home, 1)
    judge(instance, EAST, day, passed=False)
    instance.create_run_for_job(
        definitions.resolve_implicit_global_asset_job_def(),
        tags={"dagster/sensor_name": DRIFT_NAME, APPLICATION_TAG: "turbofan"},
    )
    said = ask(instance, definitions, home)
    assert isinstance(said, dg.SkipReason)
    assert "within 7 days" in said.skip_message


@pytest.mark.slow
def test_a_training_that_failed_is_requested_again_after_a_while_under_another_key(
    instance, definitions, home, monkeypatch
):
    (day,) = last_days(home, 1)
    judge(instance, EAST, day, passed=False)
    first = ask(instance, definitions, home)
    run = instance.create_run_for_job(
        definitions.resolve_implicit_global_asset_job_def(), tags={"dagster/sensor_name": DRIFT_NAME, **first.tags}
    )
    instance.report_run_failed(run)
    assert "1 run of it failed" in ask(instance, definitions, home).skip_message
    monkeypatch.setattr("schedules.requests._ended", lambda record: record.update_timestamp - timedelta(hours=1))
    assert ask(instance, definitions, home).run_key not in (None, first.run_key)


@pytest.mark.slow
def test_a_drift_that_lasts_longer_than_its_training_is_fresh_asks_again(instance, definitions, home, monkeypatch):
    (day,) = last_days(home, 1)
    judge(instance, EAST, day, passed=False)
    first = ask(instance, definitions, home)
    job = definitions.resolve_implicit_global_asset_job_def()
    tags = {"dagster/sensor_name": DRIFT_NAME, **first.tags}
    instance.create_run_for_job(job, tags=tags, status=dg.DagsterRunStatus.SUCCESS)
    assert isinstance(ask(instance, definitions, home), dg.SkipReason)
    monkeypatch.setattr("schedules.sensors.COOL_DOWN", timedelta(0))
    assert ask(instance, definitions, home).run_key not in (None, first.run_key)


def test_a_training_waits_for_drops_that_are_still_read(instance, definitions, home, monkeypatch):
    first, second = last_days(home, 2)
    judge(instance, EAST, first, passed=True)
    judge(instance, EAST, second, passed=False)
    monkeypatch.setattr(Published, "left", {("WEST", "milling"): ["2026-03-01"]})
    assert isinstance(ask(instance, definitions, home), dg.RunRequest)
    monkeypatch.setattr(Published, "left", {("WEST", "turbofan"): ["2026-03-01"]})
    assert "waits: new drops of WEST/turbofan are still read" in ask(instance, definitions, home).skip_message
