"""Freshness: policies follow the cadence, and the last whole day of a region must be in every table with days."""

from datetime import UTC, date, datetime, timedelta

import dagster as dg
import pytest

from assets.framework.freshness import last_whole_day, result
from resources.keys import CADENCE_TAG, CURRENT_CHECK, WHOLE_DAY_CHECK, Cadence
from resources.placement import NEEDS_TAG, REGION_TAG
from schedules.freshness import DAILY, WEEKLY
from sinet_pipelines.placement.needs import Needs
from tests.conftest import resources_of
from tests.deployed import everywhere
from tests.inventory import REGIONS

TABLES = [dg.AssetKey(["EAST", "turbofan", name]) for name in ("raw_telemetry", "validated_telemetry")]
DAY = date(2026, 3, 9)


@pytest.fixture(scope="module")
def graph(definitions):
    return definitions.resolve_asset_graph()


@pytest.fixture
def instance():
    with dg.DagsterInstance.ephemeral() as found:
        yield found


def made(instance, key, day):
    instance.report_runless_asset_event(dg.AssetMaterialization(key, partition=str(day)))


def test_an_asset_without_days_has_the_policy_of_its_cadence_and_a_table_with_days_has_none(graph):
    expected = {Cadence.DAILY: DAILY, Cadence.FOLLOW: WEEKLY, Cadence.TRAINING: WEEKLY, Cadence.REFIT: WEEKLY}
    found = {key: graph.get(key) for key in graph.get_all_asset_keys() if graph.get(key).is_materializable}
    policies = {key: node.freshness_policy for key, node in found.items()}
    assert policies == {
        key: None if node.partitions_def else expected.get(node.tags[CADENCE_TAG]) for key, node in found.items()
    }
    assert {DAILY, WEEKLY} <= set(policies.values())


def test_every_landing_zone_has_the_check_and_one_schedule_evaluates_them_all(definitions, graph):
    zones = {dg.AssetKey([region.name, "turbofan", "landing_zone"]) for region in REGIONS}
    checks = {key for key in graph.asset_check_keys if key.name == WHOLE_DAY_CHECK}
    assert {key.asset_key for key in checks} >= zones
    schedule = next(one for one in definitions.schedules if one.name == "daily_freshness")
    selected = schedule.target.resolvable_to_job.selection.resolve_checks(graph)
    online = {dg.AssetCheckKey(key, CURRENT_CHECK) for key in everywhere("online_features")}
    assert selected == checks | online


def test_the_day_is_yesterday_from_the_deadline_on():
    assert last_whole_day(datetime(2026, 3, 10, 6, tzinfo=UTC)) == DAY
    assert last_whole_day(datetime(2026, 3, 10, 5, 59, tzinfo=UTC)) == DAY - timedelta(days=1)


def test_a_table_without_the_day_fails_the_check_and_is_named(instance):
    made(instance, TABLES[0], DAY)
    made(instance, TABLES[1], DAY - timedelta(days=1))
    found = result(instance, TABLES, day=DAY, landed=[DAY])
    assert not found.passed
    assert found.severity is dg.AssetCheckSeverity.WARN
    assert found.description == (
        "2026-03-09 landed and is not made in EAST/turbofan/validated_telemetry; `sinet status` shows why"
    )
    made(instance, TABLES[1], DAY)
    assert result(instance, TABLES, day=DAY, landed=[DAY]).passed


def test_an_old_day_that_is_made_again_is_not_taken_for_the_last_one(instance):
    for key in TABLES:
        made(instance, key, DAY - timedelta(days=20))
    assert not result(instance, TABLES, day=DAY, landed=[DAY]).passed


def test_a_day_on_which_nothing_landed_passes(instance):
    assert result(instance, TABLES, day=DAY, landed=[DAY - timedelta(days=1)]).passed


@pytest.mark.filterwarnings("ignore:.*is superseded")
def test_todays_empty_partition_fails_nothing_where_dagsters_own_check_would(instance):
    """The reason for a check of ours: Dagster's expects the newest partition, and here that is today."""
    today = datetime.now(UTC).date()
    days = dg.DailyPartitionsDefinition((today - timedelta(days=5)).isoformat(), end_offset=1)

    @dg.asset(partitions_def=days)
    def table() -> None: ...

    made(instance, table.key, today - timedelta(days=1))
    (check,) = dg.build_time_partition_freshness_checks(assets=[table], deadline_cron="0 0 * * *")
    job = dg.Definitions(assets=[table], asset_checks=[check]).resolve_implicit_global_asset_job_def()
    ended = job.get_subset(asset_check_selection=check.check_keys).execute_in_process(instance=instance)
    assert [one.passed for one in ended.get_asset_check_evaluations()] == [False]
    assert result(instance, [table.key], day=today - timedelta(days=1), landed=[today - timedelta(days=1)]).passed


def test_the_check_is_bound_to_its_region_since_no_other_sees_the_landing_zone(definitions):
    found = {check.node_def.tags[REGION_TAG]: check for check in definitions.asset_checks if _is_ours(check)}
    assert {name: {key.asset_key.path[0] for key in check.check_keys} for name, check in found.items()} == {
        region.name: {region.name} for region in REGIONS
    }
    assert not any(Needs.from_json(check.node_def.tags[NEEDS_TAG]).is_cheap for check in found.values())


def _is_ours(check):
    return any(key.name == WHOLE_DAY_CHECK and key.asset_key.path[1] == "turbofan" for key in check.check_keys)


def test_the_check_runs_as_a_step_on_a_home(definitions, home, instance):
    """Nothing is made in a home where rows landed yesterday: the check of each region fails as a warning."""
    job = definitions.resolve_implicit_global_asset_job_def()
    keys = [key for key in definitions.resolve_asset_graph().asset_check_keys if key.name == WHOLE_DAY_CHECK]
    ended = job.get_subset(asset_check_selection=set(keys)).execute_in_process(
        instance=instance, resources=resources_of(home)
    )
    found = {one.asset_key.path[0]: one for one in ended.get_asset_check_evaluations()}
    assert set(found) == {region.name for region in REGIONS}
    assert {one.metadata["tables_without_it"].value for one in found.values()} != {0}
