"""What follows by itself: what was updated is followed through to the predictions, nothing else is made."""

from datetime import timedelta

import dagster as dg
import pytest

from assets.turbofan.keys import global_key, regional_key
from resources.keys import CADENCE_TAG, Cadence
from resources.materializations.versions import INPUTS_TAG, VERSION_TAG
from schedules.automation import with_condition
from tests.deployed import everywhere
from tests.inventory import EAST

VALIDATED, FEATURES = regional_key(EAST, "validated_telemetry"), regional_key(EAST, "window_features")
LIVE, PREDICTED = regional_key(EAST, "live_sequences"), regional_key(EAST, "fleet_predictions")
DRIFT, QUALITY = regional_key(EAST, "input_drift"), regional_key(EAST, "prediction_quality")
INDEX = regional_key(EAST, "failure_index")
ENDPOINT, REGISTERED = (global_key(n) for n in ("endpoint", "registered_model"))
ONLINE = dict.fromkeys(everywhere("online_features"), {None})


@pytest.fixture
def tick(instance, definitions):
    """One evaluation on what happened since the last: the requested days (None: without days) of each asset."""
    state = {"cursor": None}

    def once():
        result = dg.evaluate_automation_conditions(defs=definitions, instance=instance, cursor=state["cursor"])
        state["cursor"] = result.cursor
        graph = definitions.resolve_asset_graph()
        keys = [key for key in graph.get_all_asset_keys() if graph.get(key).automation_condition]
        asked = {key: result.get_requested_partitions(key) for key in keys}
        return {key: days for key, days in asked.items() if days}

    assert once() == {}  # what was made before anybody looked is no news
    return once


def update(instance, key, *, day=None):
    tags = {INPUTS_TAG: "1", VERSION_TAG: "1"}
    partition = str(day) if day else None
    instance.report_runless_asset_event(dg.AssetMaterialization(key, partition=partition, tags=tags))


def test_nothing_is_requested_when_nothing_was_updated(tick):
    assert tick() == {}


def test_a_late_day_requests_its_features_and_those_of_the_day_after_and_all_that_follows_in_its_region(
    instance, tick, zone
):
    day, after = zone.days(EAST.name)[7:9]
    update(instance, VALIDATED, day=day)
    both = {str(day), str(after)}
    assert tick() == {FEATURES: both, DRIFT: both, LIVE: {None}, PREDICTED: {None}, QUALITY: {None}}
    assert tick() == {}
    for made in (day, after):
        update(instance, FEATURES, day=made)
    assert tick() == {**ONLINE, INDEX: {None}, DRIFT: both}
    assert tick() == {}


def test_a_days_features_that_a_person_made_go_to_the_online_store_the_index_and_the_drift_alone(instance, tick, zone):
    update(instance, FEATURES, day=(day := zone.days(EAST.name)[7]))
    assert tick() == {**ONLINE, INDEX: {None}, DRIFT: {str(day)}}


def test_an_upstream_that_was_made_after_the_asset_counts_though_both_are_news(instance, tick, zone):
    day, other, after = zone.days(EAST.name)[7:10]
    for key, made in ((FEATURES, day), (VALIDATED, day), (VALIDATED, other), (FEATURES, other)):
        update(instance, key, day=made)
    assert tick()[FEATURES] == {str(day), str(after)}  # not the other day, whose features are the newer ones
    assert tick() == {}


def test_a_registered_model_is_served_and_asked_for_every_region(instance, tick):
    update(instance, REGISTERED)
    assert tick() == {
        ENDPOINT: {None},
        **{key: {None} for name in ("fleet_predictions", "prediction_quality") for key in everywhere(name)},
    }


def test_a_blocking_check_that_failed_in_an_earlier_run_stops_what_follows(instance, tick):
    check = dg.AssetCheckEvaluation(
        asset_key=ENDPOINT, check_name="endpoint_answers_sanely", passed=False, blocking=True, metadata={}
    )
    update(instance, ENDPOINT)
    instance.report_runless_asset_event(check)
    assert tick() == {}


def test_a_day_that_merely_begins_requests_nothing(instance, tick, definitions):
    from datetime import UTC, datetime

    later = datetime.now(UTC) + timedelta(days=2)
    cursor = dg.evaluate_automation_conditions(defs=definitions, instance=instance).cursor
    result = dg.evaluate_automation_conditions(
        defs=definitions, instance=instance, cursor=cursor, evaluation_time=later
    )
    assert result.total_requested == len(everywhere("rows_by_day"))  # that nothing came is told by the clock alone
    assert all(result.get_requested_partitions(key) == {None} for key in everywhere("rows_by_day"))


def test_rows_without_regimes_request_no_features(definitions, zone):
    day = zone.days(EAST.name)[7]
    with dg.DagsterInstance.ephemeral() as fresh:
        cursor = dg.evaluate_automation_conditions(defs=definitions, instance=fresh).cursor
        update(fresh, VALIDATED, day=day)
        result = dg.evaluate_automation_conditions(defs=definitions, instance=fresh, cursor=cursor)
        assert result.get_requested_partitions(FEATURES) == set()
        assert result.get_requested_partitions(LIVE) == {None}
        assert result.get_requested_partitions(PREDICTED) == set()


def test_only_assets_that_declare_to_follow_or_to_be_daily_have_a_condition(definitions):
    graph = definitions.resolve_asset_graph()
    for key in graph.get_all_asset_keys():
        declared = graph.get(key).tags.get(CADENCE_TAG)
        has_condition = graph.get(key).automation_condition is not None
        assert has_condition == (declared in (Cadence.FOLLOW, Cadence.DAILY)), key
    assert with_condition(dg.AssetSpec("any"), {}).automation_condition is None


def test_an_empty_deployment_requests_nothing_however_long_it_waits(definitions):
    from datetime import UTC, datetime

    with dg.DagsterInstance.ephemeral() as fresh:
        cursor = dg.evaluate_automation_conditions(defs=definitions, instance=fresh).cursor
        later = datetime.now(UTC) + timedelta(days=2)
        result = dg.evaluate_automation_conditions(
            defs=definitions, instance=fresh, cursor=cursor, evaluation_time=later
        )
    assert result.total_requested == 0
