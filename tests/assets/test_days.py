"""The days of a step: each recorded by itself, and what comes after is neither skipped nor misled."""

import subprocess
import sys
from datetime import UTC, date, datetime, timedelta

import dagster as dg
import polars as pl
import pytest
from dagster._core.definitions.partitions.context import partition_loading_context
from dagster._core.events import DagsterEventType

from assets.turbofan.keys import global_key, regional_key
from resources.keys import CONTRACT_CHECK, UNUSUAL_CHECK
from resources.materializations.held import GAP_TAG
from resources.materializations.staleness import Staleness
from resources.materializations.state import states
from resources.materializations.versions import days_made, days_refused, holds_rows, refusals, version_of
from sinet_pipelines.applications.turbofan.application import TURBOFAN
from sinet_pipelines.applications.turbofan.landed import TELEMETRY
from sinet_pipelines.applications.turbofan.schemas.telemetry import DROP, VALIDATED_TELEMETRY
from sinet_pipelines.ingestion.landing import LandingZone
from sinet_pipelines.storage.tables import content_hash, tables_of
from tests.conftest import link_project
from tests.deployed import deployment_at
from tests.inventory import EAST
from tests.walk.conftest import environment_of
from tests.zones import landing_zone

RAW, VALIDATED, FEATURES = (
    regional_key(EAST, name) for name in ("raw_telemetry", "validated_telemetry", "window_features")
)
REGIMES = [regional_key(EAST, "regime_cells"), global_key("operating_regimes")]


@pytest.fixture
def instance():
    with dg.DagsterInstance.ephemeral() as found:
        yield found


@pytest.fixture
def zone(home):
    return landing_zone(home, TELEMETRY)


def spoil(zone, day):
    """Lands a drop of the day with so many rows out of bounds that the day breaks its contract; its file."""
    rows = zone.read_day(EAST.name, day).rows
    hot = rows.with_columns(pl.col("t30_degr") * 10).select(column.name for column in DROP.columns)
    return zone.land(EAST.name, day, name="hot", rows=hot)


@pytest.fixture
def land_on(zone):
    """Lands one row on a day, whatever was measured before."""

    def land(day):
        rows = zone.read_day(EAST.name, zone.days(EAST.name)[0]).rows.head(1)
        zone.land(EAST.name, day, name="new", rows=rows.select(column.name for column in DROP.columns))

    return land


def whole(zone):
    days = zone.days(EAST.name)
    return days[0], days[-1]


def table_of(home, contract, day):
    return content_hash(tables_of(home, EAST.name, "turbofan").read(contract, days=(day, day)), contract)


def skipped(result):
    return {event.step_key for event in result.all_events if event.event_type == DagsterEventType.STEP_SKIPPED}


def state_of(instance, definitions, home, key):
    found = states(instance, definitions.resolve_asset_graph(), deployment_at(home))
    return next(state for state in found if state.key == key.to_user_string())


@pytest.mark.slow
def test_one_bad_day_among_25_is_missing_and_red_and_the_others_are_made_to_the_end(
    instance, definitions, home, zone, carry_out
):
    days = zone.days(EAST.name)
    spoil(zone, bad := days[7])
    result = carry_out(instance, [RAW, VALIDATED, FEATURES, *REGIMES], whole(zone))
    assert result.success
    assert skipped(result) == set()
    good = set(days) - {bad}
    assert set(days_made(instance, RAW)) == set(days)
    assert set(days_made(instance, VALIDATED)) == good
    features = days_made(instance, FEATURES)
    assert {day for day, tags in features.items() if holds_rows(tags)} == good
    assert GAP_TAG in features[bad]  # a record, so that a backfill of all days is whole; no rows
    assert state_of(instance, definitions, home, FEATURES).missing == 1
    assert set(days_refused(instance, VALIDATED, CONTRACT_CHECK)) == {bad}
    state = state_of(instance, definitions, home, VALIDATED)
    assert (state.state, state.done, state.failed, state.missing) == ("partial", 24, 1, 0)
    assert (state.checks, list(state.failed_days)) == ({CONTRACT_CHECK: False, UNUSUAL_CHECK: True}, [bad])


def test_each_day_has_its_own_numbers_version_and_check_result(instance, zone, carry_out):
    carry_out(instance, [RAW, VALIDATED], whole(zone))
    records = instance.fetch_materializations(VALIDATED, limit=100).records
    assert len(records) == len({record.partition_key for record in records}) == 25
    rows = sum(record.asset_materialization.metadata["dagster/row_count"].value for record in records)
    sent = sum(zone.read_day(EAST.name, day).rows.height for day in zone.days(EAST.name))
    assert rows == sent  # this fleet has no faults: every row that landed is there
    assert len({record.asset_materialization.tags["dagster/data_version"] for record in records}) == 25
    checks = instance.event_log_storage.get_asset_check_execution_history(
        dg.AssetCheckKey(VALIDATED, CONTRACT_CHECK), limit=100
    )
    found = [record.event.dagster_event.asset_check_evaluation_data for record in checks if record.event]
    of_days = [one for one in found if one.partition]
    assert sorted(one.partition for one in of_days) == [str(day) for day in zone.days(EAST.name)]
    assert all(one.passed and one.metadata["limit_pct"].value > 0 for one in of_days)
    (of_all,) = (one for one in found if one.partition is None)
    assert (of_all.passed, of_all.metadata["landed_days"].value) == (True, 25)


@pytest.mark.slow
def test_a_day_on_which_nothing_landed_is_made_empty_and_changes_nothing(
    instance, definitions, home, zone, carry_out, land_on
):
    yesterday, today = zone.days(EAST.name)[-1], datetime.now(UTC).date()
    assert yesterday < today
    carry_out(instance, [RAW, VALIDATED], (yesterday, yesterday))
    before = [version_of(instance, key) for key in (RAW, VALIDATED)]
    result = carry_out(instance, [RAW, VALIDATED], (yesterday, today))
    assert result.success
    assert skipped(result) == set()
    assert set(days_made(instance, VALIDATED)) == {yesterday, today}
    assert [version_of(instance, key) for key in (RAW, VALIDATED)] == before
    staleness = Staleness(instance, definitions.resolve_asset_graph(), deployment_at(home))
    assert today not in staleness.stale(VALIDATED)
    assert state_of(instance, definitions, home, VALIDATED).done == 1  # an empty day is no landed day
    land_on(today)
    after = Staleness(instance, definitions.resolve_asset_graph(), deployment_at(home))
    assert {today} <= after.stale(RAW) & after.stale(VALIDATED)


@pytest.mark.slow
def test_a_step_whose_every_day_is_refused_fails_and_says_why(instance, definitions, home, zone, carry_out):
    chosen = zone.days(EAST.name)[3:5]
    for day in chosen:
        spoil(zone, day)
    result = carry_out(instance, [RAW, VALIDATED, FEATURES], (chosen[0], chosen[-1]))
    assert not result.success
    (failure,) = [event for event in result.all_events if event.is_step_failure]
    assert failure.step_key == VALIDATED.to_python_identifier()
    assert "every day of EAST/turbofan/validated_telemetry failed its contract (2 of them)" in str(
        failure.step_failure_data.user_failure_data or failure.step_failure_data.error
    )
    assert set(days_refused(instance, VALIDATED, CONTRACT_CHECK)) == set(chosen)
    assert days_made(instance, VALIDATED) == days_made(instance, FEATURES) == {}
    assert state_of(instance, definitions, home, VALIDATED).state == "failed"


@pytest.mark.slow
def test_a_bad_rerun_of_a_green_day_leaves_what_was_good_and_is_red_in_checks_until_it_is_mended(
    instance, definitions, home, zone, carry_out
):
    first, second = span = tuple(zone.days(EAST.name)[:2])
    graph = definitions.resolve_asset_graph()
    carry_out(instance, [RAW, VALIDATED], span)
    good = table_of(home, VALIDATED_TELEMETRY, second)
    file = spoil(zone, second)
    assert Staleness(instance, graph, deployment_at(home)).stale(VALIDATED).issuperset({second})
    assert carry_out(instance, [RAW, VALIDATED], span).success
    assert table_of(home, VALIDATED_TELEMETRY, second) == good
    assert set(days_made(instance, VALIDATED)) == {first, second}
    assert set(days_refused(instance, VALIDATED, CONTRACT_CHECK)) == {second}
    assert second not in Staleness(instance, graph, deployment_at(home)).stale(
        regional_key(EAST, "validated_telemetry")
    )  # judging the same rows again says the same
    file.unlink()
    assert second in Staleness(instance, graph, deployment_at(home)).stale(VALIDATED)
    carry_out(instance, [RAW, VALIDATED], span)
    assert days_refused(instance, VALIDATED, CONTRACT_CHECK) == {}
    assert Staleness(instance, graph, deployment_at(home)).stale(VALIDATED).isdisjoint(span)


def newest_result(instance, key=VALIDATED, check=CONTRACT_CHECK):
    """The check's result as its page shows it."""
    (record,) = instance.event_log_storage.get_latest_asset_check_execution_by_key(
        [dg.AssetCheckKey(key, check)]
    ).values()
    return record.event.dagster_event.asset_check_evaluation_data


def result_of_all_days(instance, key=VALIDATED, check=CONTRACT_CHECK):
    """The newest result that is of no day in particular."""
    records = instance.event_log_storage.get_asset_check_execution_history(dg.AssetCheckKey(key, check), limit=100)
    found = (record.event.dagster_event.asset_check_evaluation_data for record in records if record.event)
    return next(one for one in found if one.partition is None)


@pytest.mark.slow
def test_the_check_of_the_table_fails_while_any_landed_day_fails_whatever_day_was_judged_last(
    instance, zone, carry_out
):
    first, second, third = zone.days(EAST.name)[:3]
    file = spoil(zone, second)
    carry_out(instance, [RAW, VALIDATED], (first, second))
    assert carry_out(instance, [RAW, VALIDATED], (third, third)).success
    assert (newest_result(instance).passed, newest_result(instance).partition) == (False, str(second))
    of_all = result_of_all_days(instance)
    assert (of_all.passed, of_all.metadata["failed_days"].value) == (False, 1)
    assert of_all.description == f"1 of 25 landed days fail: {second}"
    file.unlink()
    carry_out(instance, [RAW, VALIDATED], (second, second))
    assert newest_result(instance).passed
    assert result_of_all_days(instance).passed


@pytest.mark.slow
def test_a_day_with_a_stuck_sensor_is_made_with_a_warning_until_the_drop_is_withdrawn(instance, zone, carry_out):
    day = zone.days(EAST.name)[1]
    rows = zone.read_day(EAST.name, day).rows.head(15)
    stuck = rows.with_columns(pl.lit("STUCK").alias("unit"), pl.lit(1500.0).alias("t30_degr")).with_columns(
        pl.int_range(1, 16, dtype=pl.Int32).alias("cycle")
    )
    file = zone.land(EAST.name, day, name="stuck", rows=stuck.select(column.name for column in DROP.columns))
    assert carry_out(instance, [RAW, VALIDATED], (day, day)).success
    assert set(days_made(instance, VALIDATED)) == {day}
    assert newest_result(instance).passed
    warning = refusals(instance, VALIDATED, UNUSUAL_CHECK)[day]
    assert warning.severity == dg.AssetCheckSeverity.WARN
    assert result_of_all_days(instance, check=UNUSUAL_CHECK).severity == dg.AssetCheckSeverity.WARN
    assert "is 1500 in 15 successive rows in unit STUCK" in warning.metadata["warnings"].value
    file.unlink()
    carry_out(instance, [RAW, VALIDATED], (day, day))
    assert refusals(instance, VALIDATED, UNUSUAL_CHECK) == {}
    assert newest_result(instance, check=UNUSUAL_CHECK).passed


@pytest.mark.slow
def test_a_day_of_whose_drops_nothing_can_be_read_is_red_and_not_asked_again(
    instance, definitions, home, zone, carry_out
):
    first, second = span = tuple(zone.days(EAST.name)[:2])
    for drop in zone.drops(EAST.name, second):
        drop.path.write_bytes(b"no table")
    assert carry_out(instance, [RAW, VALIDATED], span).success
    assert set(days_made(instance, VALIDATED)) == {first}
    assert set(days_refused(instance, VALIDATED, CONTRACT_CHECK)) == {second}
    assert Staleness(instance, definitions.resolve_asset_graph(), deployment_at(home)).stale(VALIDATED).isdisjoint(span)


def test_a_drop_that_lands_while_its_day_is_read_makes_the_day_stale_again(
    instance, definitions, home, zone, carry_out, monkeypatch
):
    day = zone.days(EAST.name)[0]
    rows = zone.read_day(EAST.name, day).rows.head(1).select(column.name for column in DROP.columns)
    read_day = LandingZone.read_day

    def read_and_be_late(self, region, requested):
        found = read_day(self, region, requested)
        zone.land(EAST.name, day, name="late", rows=rows.with_columns(pl.lit("FD007-0999").alias("unit")))
        return found

    monkeypatch.setattr(LandingZone, "read_day", read_and_be_late)
    carry_out(instance, [RAW], (day, day))
    assert day in Staleness(instance, definitions.resolve_asset_graph(), deployment_at(home)).stale(
        regional_key(EAST, "raw_telemetry")
    )


def test_a_window_reaches_back_as_many_days_as_its_cycles_may(definitions):
    from sinet_pipelines.applications.turbofan.founding import MIN_CYCLES_PER_DAY
    from sinet_pipelines.applications.turbofan.schemas.features import REACH_DAYS, WINDOW_CYCLES

    assert MIN_CYCLES_PER_DAY * REACH_DAYS >= WINDOW_CYCLES
    graph = definitions.resolve_asset_graph()
    mapping = graph.get_partition_mapping(FEATURES, VALIDATED)
    assert (mapping.start_offset, mapping.end_offset) == (-REACH_DAYS, 0)
    assert graph.get_partition_mapping(FEATURES, RAW) is not None


def test_the_days_are_open_ended_and_today_is_one(tmp_path):
    from assets.framework.days import partitions_of

    days = partitions_of(deployment_at(tmp_path), TURBOFAN)
    before = datetime.now(UTC).date()
    last = date.fromisoformat(days.get_last_partition_key())
    assert before <= last <= datetime.now(UTC).date()
    later = datetime.now(UTC) + timedelta(days=3)
    with partition_loading_context(effective_dt=later):
        assert days.get_last_partition_key() == str(later.date())


@pytest.mark.slow
def test_steps_in_processes_of_their_own_hand_on_as_those_in_one_do(home, zone, tmp_path):
    spoil(zone, bad := zone.days(EAST.name)[7])
    project = link_project(tmp_path / "checkout")
    first, last = whole(zone)
    keys = [key.path for key in (RAW, VALIDATED, FEATURES, *REGIMES)]
    script = f"""
from datetime import date
from pathlib import Path
import dagster as dg
from sinet_pipelines.cli.home import make_home
from sinet_pipelines.cli.orchestrator import create_run, enter, opened_instance
make_home(Path({str(home)!r}))
enter(Path({str(project)!r}), Path({str(home)!r}))
from dagster._core.execution.api import execute_run
from schedules.backfills import PlannedRun
days = date.fromisoformat({str(first)!r}), date.fromisoformat({str(last)!r})
with opened_instance() as instance:
    run, job = create_run(instance, PlannedRun(frozenset(map(dg.AssetKey, {keys!r})), days))
    assert execute_run(job, run, instance, raise_on_error=False).success
"""
    environment = environment_of(project, SINET_EXECUTOR="multiprocess")
    ended = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", script],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert ended.returncode == 0, ended.stderr[-3000:]
    with dg.DagsterInstance.from_config(str(home / "dagster")) as instance:
        (run,) = instance.get_runs()
        events = [entry.dagster_event for entry in instance.all_logs(run.run_id) if entry.dagster_event]
        assert sum(event.event_type == DagsterEventType.STEP_WORKER_STARTED for event in events) == len(keys)
        features = days_made(instance, FEATURES)
        assert set(features) == set(zone.days(EAST.name))
        assert {day for day, tags in features.items() if GAP_TAG in tags} == {bad}
        assert set(days_refused(instance, VALIDATED, CONTRACT_CHECK)) == {bad}
