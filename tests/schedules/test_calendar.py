"""What the clock starts: a repair that makes what is missing and trains nothing, and a training of everything."""

from datetime import UTC, datetime

import dagster as dg
import pytest

from resources.keys import everywhere, global_key, regional_key
from schedules.calendar import nightly_repair, weekly_training
from schedules.jobs import training_keys
from sinet_pipelines.regions import EAST

FIRST, LAST = "dagster/asset_partition_range_start", "dagster/asset_partition_range_end"
AT = datetime(2026, 6, 7, 1, 30, tzinfo=UTC)


@pytest.fixture
def evaluate(definitions):
    """One tick of a schedule on an event log: its requests, and why there are none."""

    def once(schedule, instance):
        repository = definitions.get_repository_def()
        with dg.build_schedule_context(
            instance=instance, repository_def=repository, scheduled_execution_time=AT
        ) as context:
            found = schedule.evaluate_tick(context)
            return found.run_requests, found.skip_message

    return once


def test_a_night_on_which_all_is_well_starts_nothing(evaluate, instance):
    assert evaluate(nightly_repair, instance) == ([], "everything is what its inputs say")


def test_a_night_starts_what_is_missing_first_and_leaves_what_follows_to_the_next_hour(
    evaluate, instance, zone, land_late
):
    day = zone.days(EAST.name)[4]
    land_late(EAST, day)
    ((request,), _) = evaluate(nightly_repair, instance)
    rows = {regional_key(EAST, "raw_telemetry"), regional_key(EAST, "validated_telemetry")}
    assert set(request.asset_selection) == rows
    assert (request.tags[FIRST], request.tags[LAST]) == (str(day), str(day))


def test_a_night_trains_nothing_anew(evaluate, instance):
    instance.wipe_assets([global_key("online_features")])
    tags = {"dagster/data_version": "other", "sinet/inputs": "other"}
    for key in everywhere("failure_events"):
        instance.report_runless_asset_event(dg.AssetMaterialization(key, tags=tags))
    ((request,), _) = evaluate(nightly_repair, instance)
    assert set(request.asset_selection) == {global_key("online_features"), *everywhere("failure_events")}


def test_a_night_makes_a_model_where_there_is_none(evaluate, instance):
    instance.wipe_assets([global_key("gradient_boosting")])
    ((request,), _) = evaluate(nightly_repair, instance)
    assert global_key("gradient_boosting") in request.asset_selection


def test_the_weekly_training_is_one_run_over_all_landed_days(evaluate, instance, zone):
    ((request,), _) = evaluate(weekly_training, instance)
    days = zone.days(EAST.name)
    assert set(request.asset_selection) == training_keys()
    assert (request.tags[FIRST], request.tags[LAST]) == (str(days[0]), str(days[-1]))
    assert request.run_key == AT.isoformat()


def test_a_training_without_a_fleet_is_skipped(evaluate, tmp_path, monkeypatch):
    from resources.settings import settings

    monkeypatch.setenv("SINET_HOME", str(tmp_path))
    settings.cache_clear()
    (tmp_path / "dagster").mkdir()
    with dg.DagsterInstance.local_temp(str(tmp_path / "dagster")) as fresh:  # a tick asks for a reference to its log
        requests, reason = evaluate(weekly_training, fresh)
    assert requests == []
    assert "`sinet run` or `sinet land` brings a fleet" in reason


def test_what_a_training_makes_are_assets_of_the_house(graph):
    assert training_keys() <= set(graph.executable_asset_keys)
