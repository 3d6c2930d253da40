"""Events that others recorded: what they are about counts as made from unknown inputs, and stops nobody who reads."""

import dagster as dg
import pytest

from assets.turbofan.keys import regional_key
from resources.keys import CONTRACT_CHECK, DRIFT_CHECK
from resources.materializations.state import states
from resources.materializations.versions import INPUTS_TAG, VERSION_TAG, days_made, total_of, version_of
from schedules.backfills import plan_repair
from schedules.sensors import drift, landing
from tests.conftest import executor_for
from tests.deployed import deployment_at, everywhere, sensor_context
from tests.inventory import EAST

pytestmark = pytest.mark.slow  # each makes days

DAILY = ("raw_telemetry", "validated_telemetry", "window_features", "input_drift")
NO_DAYS = (None, "foo", "2026-13-45", "20260301", "2026-W09-1", "1970-01-01", "9999-12-31")
STRANGE = {
    "no_number": dg.MetadataValue.text("many"),
    "a_number": dg.MetadataValue.float(float("nan")),
    "nothing": dg.MetadataValue.null(),
    "json": dg.MetadataValue.json({"rows": [1]}),
    "dagster/row_count": dg.MetadataValue.text("?"),
    "quarantined_rows": dg.MetadataValue.text("all of them"),
    "inputs": dg.MetadataValue.json({}),
    "url": dg.MetadataValue.text(""),
    "challenger": dg.MetadataValue.null(),
}


@pytest.fixture
def read_all(instance, graph, home, definitions):
    """Everything that reads the event log; the planned runs."""

    def read():
        list(landing(sensor_context(instance, home, definitions)))
        drift(sensor_context(instance, home, definitions))
        states(instance, graph, deployment_at(home))
        for key in graph.get_all_asset_keys():
            version_of(instance, key)
            total_of(instance, key, "quarantined_rows")
        return plan_repair(instance, graph, deployment_at(home))

    return read


def planned_days(runs, name):
    return {run.days for run in runs if any(key.path[-1] == name and key.path[0] == EAST.name for key in run.keys)}


@pytest.mark.parametrize("metadata", [{}, STRANGE], ids=["plain", "strange metadata"])
def test_days_that_were_reported_by_hand_are_made_again(metadata, instance, zone, read_all):
    """As `Report materialization` on the page and its REST address record them: without a version, without inputs."""
    days = dict(zip(DAILY, zone.days(EAST.name)[2::5], strict=False))
    for name, day in days.items():
        event = dg.AssetMaterialization(regional_key(EAST, name), partition=str(day), metadata=metadata)
        instance.report_runless_asset_event(event)
    runs = read_all()
    for name, day in days.items():
        assert any(first <= day <= last for first, last in planned_days(runs, name)), (name, day)


def test_reports_of_no_day_of_the_fleet_change_nothing(instance, read_all):
    for name in DAILY:
        for partition in NO_DAYS:
            event = dg.AssetMaterialization(regional_key(EAST, name), partition=partition, metadata=STRANGE)
            instance.report_runless_asset_event(event)
    assert read_all() == []


def test_check_results_of_no_day_change_nothing(instance, read_all):
    for name, check in (("validated_telemetry", CONTRACT_CHECK), ("input_drift", DRIFT_CHECK)):
        for partition in NO_DAYS:
            evaluation = dg.AssetCheckEvaluation(
                asset_key=regional_key(EAST, name),
                check_name=check,
                passed=False,
                partition=partition,
                metadata=STRANGE,
            )
            instance.report_runless_asset_event(evaluation)
    assert read_all() == []


def test_a_check_result_of_a_day_without_inputs_has_the_day_judged_again(instance, zone, read_all):
    day = zone.days(EAST.name)[12]
    evaluation = dg.AssetCheckEvaluation(
        asset_key=regional_key(EAST, "validated_telemetry"),
        check_name=CONTRACT_CHECK,
        passed=False,
        partition=str(day),
    )
    instance.report_runless_asset_event(evaluation)
    assert planned_days(read_all(), "validated_telemetry") == {(day, day)}


def test_observations_are_no_materialisations(instance, zone, read_all):
    for name in DAILY:
        day = str(zone.days(EAST.name)[12])
        instance.report_runless_asset_event(dg.AssetObservation(regional_key(EAST, name), partition=day))
        instance.report_runless_asset_event(dg.AssetObservation(regional_key(EAST, name), tags={VERSION_TAG: "x"}))
    assert read_all() == []


@pytest.mark.parametrize("tags", [{}, {VERSION_TAG: ""}, {INPUTS_TAG: "unknown"}])
def test_every_asset_without_days_that_was_reported_by_hand_is_made_again(tags, instance, graph, read_all):
    keys = [key for key in graph.get_all_asset_keys() if graph.get(key).is_materializable]
    reported = [key for key in keys if not graph.get(key).is_partitioned]
    for key in reported:
        instance.report_runless_asset_event(dg.AssetMaterialization(key, metadata=STRANGE, tags=tags))
    first = frozenset().union(*(run.keys for run in read_all()))
    assert {*everywhere("failure_events"), *everywhere("live_sequences"), *everywhere("training_sequences")} <= first


def test_a_wiped_asset_is_made_again(instance, zone, read_all):
    days = zone.days(EAST.name)
    instance.wipe_assets([regional_key(EAST, "window_features")])
    assert planned_days(read_all(), "window_features") == {(days[0], days[-1])}


def test_a_deleted_run_takes_what_it_made_with_it(instance, home, definitions, zone, read_all):
    day = zone.days(EAST.name)[12]
    key = regional_key(EAST, "window_features")
    result = executor_for(home, definitions)(instance, [key], (day, day))
    assert result.success
    instance.delete_run(result.run_id)
    assert day not in days_made(instance, key) or read_all() == []
    read_all()
