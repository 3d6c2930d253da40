"""What the clock starts: a repair that makes what is missing and trains nothing, and a training of everything."""

from datetime import UTC, datetime

import dagster as dg
import pytest

import resources.materializations.published as published
import sinet_pipelines.ingestion.inspection as inspection
from assets.turbofan.keys import global_key, regional_key
from resources.materializations.publishing import DAYS_FILE
from schedules.calendar import nightly_repair, weekly_training
from schedules.jobs import training_keys
from sinet_pipelines.ingestion.reading_time import ReadingTime
from tests.deployed import everywhere, schedule_context
from tests.inventory import EAST, WEST

FIRST, LAST = "dagster/asset_partition_range_start", "dagster/asset_partition_range_end"
AT = datetime(2026, 6, 7, 1, 30, tzinfo=UTC)


@pytest.fixture
def evaluate(home, definitions):
    """One tick of a schedule on an event log: its requests, and why there are none."""

    def once(schedule, instance, home=home):
        with schedule_context(instance, home, definitions, AT) as context:
            found = schedule.evaluate_tick(context)
            return found.run_requests, found.skip_message

    return once


def test_a_night_on_which_all_is_well_starts_nothing(evaluate, instance):
    assert evaluate(nightly_repair, instance) == ([], "nothing is stale")


def test_a_night_starts_what_is_missing_first_and_leaves_what_follows_to_the_next_hour(
    evaluate, instance, zone, land_late
):
    day = zone.days(EAST.name)[4]
    land_late(EAST, day)
    ((request,), _) = evaluate(nightly_repair, instance)
    rows = {regional_key(EAST, "raw_telemetry"), regional_key(EAST, "validated_telemetry")}
    assert set(request.asset_selection) == rows
    assert (request.tags[FIRST], request.tags[LAST]) == (str(day), str(day))


def test_a_zone_with_drops_that_are_not_read_yet_holds_back_what_is_made_of_it_and_nothing_else(
    evaluate, instance, home, zone, land_late, monkeypatch
):
    land_late(EAST, zone.days(EAST.name)[4])
    land_late(WEST, zone.days(WEST.name)[4])
    (home / DAYS_FILE).unlink(missing_ok=True)
    monkeypatch.setattr(inspection, "_FOUND", inspection.OrderedDict())
    real = published.publish_if_changed

    def slow_in_east(deployment, known, region, application, **more):
        over = {"reading": ReadingTime(0.0)} if region == EAST.name else {}
        return real(deployment, known, region, application, **(more | over))

    monkeypatch.setattr(published, "publish_if_changed", slow_in_east)
    ((request,), _) = evaluate(nightly_repair, instance)
    assert {key.path[0] for key in request.asset_selection} == {WEST.name}


def test_a_night_trains_nothing_anew(evaluate, instance):
    instance.wipe_assets(everywhere("online_features"))
    tags = {"dagster/data_version": "other", "sinet/inputs": "other"}
    for key in everywhere("failure_events"):
        instance.report_runless_asset_event(dg.AssetMaterialization(key, tags=tags))
    ((request,), _) = evaluate(nightly_repair, instance)
    assert set(request.asset_selection) == {*everywhere("online_features"), *everywhere("failure_events")}


def test_a_night_makes_a_model_where_there_is_none(evaluate, instance):
    instance.wipe_assets([global_key("gradient_boosting")])
    ((request,), _) = evaluate(nightly_repair, instance)
    assert global_key("gradient_boosting") in request.asset_selection


def test_the_weekly_training_is_one_run_over_all_landed_days(evaluate, instance, zone, graph):
    ((request,), _) = evaluate(weekly_training, instance)
    days = zone.days(EAST.name)
    assert set(request.asset_selection) == training_keys(graph, "turbofan")
    assert (request.tags[FIRST], request.tags[LAST]) == (str(days[0]), str(days[-1]))
    assert request.run_key == f"{AT.isoformat()}-turbofan"


def test_a_training_without_a_fleet_is_skipped(evaluate, tmp_path):
    (tmp_path / "dagster").mkdir()
    with dg.DagsterInstance.local_temp(str(tmp_path / "dagster")) as fresh:  # a tick asks for a reference to its log
        requests, reason = evaluate(weekly_training, fresh, tmp_path)
    assert requests == []
    assert "`sinet run` or `sinet land` lands drops" in reason


def test_what_a_training_makes_are_assets_of_the_house(graph):
    assert training_keys(graph) <= set(graph.executable_asset_keys)
