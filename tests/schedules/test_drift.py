"""A drift that lasts asks for one training, and for no other while that is fresh."""

from datetime import timedelta

import dagster as dg
import pytest

from resources.keys import DRIFT_CHECK, regional_key
from schedules.jobs import training_keys
from schedules.sensors import DRIFT_NAME, drift
from sinet_pipelines.ingestion.landing import LandingZone
from sinet_pipelines.regions import EAST, NULL_ISLAND


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


def ask(instance, definitions):
    return drift(dg.build_sensor_context(instance=instance, repository_def=definitions.get_repository_def()))


def last_days(home, count):
    return LandingZone(home / "landing").days(EAST.name)[-count:]


def test_no_drift_asks_for_nothing(instance, definitions, home):
    (day,) = last_days(home, 1)
    judge(instance, EAST, day, passed=True)
    assert isinstance(ask(instance, definitions), dg.SkipReason)


def test_a_drift_that_has_ended_asks_for_nothing(instance, definitions, home):
    first, second = last_days(home, 2)
    judge(instance, EAST, first, passed=False)
    judge(instance, EAST, second, passed=True)
    assert isinstance(ask(instance, definitions), dg.SkipReason)


def test_a_drift_that_lasts_asks_for_one_training_named_by_its_beginning(instance, definitions, home):
    zero, first, second = last_days(home, 3)
    judge(instance, NULL_ISLAND, zero, passed=True)
    judge(instance, NULL_ISLAND, first, passed=False)
    request = ask(instance, definitions)
    assert request.run_key.startswith(f"drift-NULL_ISLAND-{first}-")
    assert set(request.asset_selection) == training_keys()
    judge(instance, NULL_ISLAND, second, passed=False)
    assert ask(instance, definitions).run_key == request.run_key


def test_of_two_drifts_the_newer_is_named(instance, definitions, home):
    first, second = last_days(home, 2)
    for day in (first, second):
        judge(instance, EAST, day, passed=False)
        judge(instance, NULL_ISLAND, day, passed=day == first)
    assert ask(instance, definitions).run_key.startswith(f"drift-NULL_ISLAND-{second}-")


def test_a_training_that_was_asked_for_within_a_week_is_enough(instance, definitions, home):
    (day,) = last_days(home, 1)
    judge(instance, EAST, day, passed=False)
    instance.create_run_for_job(
        definitions.resolve_implicit_global_asset_job_def(), tags={"dagster/sensor_name": DRIFT_NAME}
    )
    said = ask(instance, definitions)
    assert isinstance(said, dg.SkipReason)
    assert "within 7 days" in said.skip_message


def test_a_training_that_failed_is_requested_again_after_a_while_under_another_key(
    instance, definitions, home, monkeypatch
):
    (day,) = last_days(home, 1)
    judge(instance, EAST, day, passed=False)
    first = ask(instance, definitions)
    run = instance.create_run_for_job(
        definitions.resolve_implicit_global_asset_job_def(), tags={"dagster/sensor_name": DRIFT_NAME, **first.tags}
    )
    instance.report_run_failed(run)
    assert "1 run of it failed" in ask(instance, definitions).skip_message
    monkeypatch.setattr("schedules.requests._ended", lambda record: record.update_timestamp - timedelta(hours=1))
    assert ask(instance, definitions).run_key not in (None, first.run_key)


def test_a_drift_that_lasts_longer_than_its_training_is_fresh_asks_again(instance, definitions, home, monkeypatch):
    (day,) = last_days(home, 1)
    judge(instance, EAST, day, passed=False)
    first = ask(instance, definitions)
    job = definitions.resolve_implicit_global_asset_job_def()
    tags = {"dagster/sensor_name": DRIFT_NAME, **first.tags}
    instance.create_run_for_job(job, tags=tags, status=dg.DagsterRunStatus.SUCCESS)
    assert isinstance(ask(instance, definitions), dg.SkipReason)
    monkeypatch.setattr("schedules.sensors.COOL_DOWN", timedelta(0))
    assert ask(instance, definitions).run_key not in (None, first.run_key)
