"""What landed is requested: once for each region and contiguous range, when nobody else is at work on it."""

import fcntl
import json
from datetime import UTC, date, datetime, timedelta

import dagster as dg
import polars as pl
import pytest
from dagster._core.events import DagsterEvent, DagsterEventType

import schedules.requests
from resources.keys import UNUSED_CHECK
from schedules.calendar import nightly_repair, weekly_training
from schedules.sensors import drift, landing
from sinet_pipelines.storage.layout import landing_root
from tests.conftest import executor_for
from tests.deployed import deployment_at, resources_at, schedule_context, sensor_context
from tests.instances import instance_at
from tests.inventory import EAST, WEST

FIRST, LAST = "dagster/asset_partition_range_start", "dagster/asset_partition_range_end"


@pytest.fixture
def evaluate(instance, home, definitions):
    """One evaluation: its run requests, or why there are none, and what it warned of."""

    def once():
        with sensor_context(instance, home, definitions) as context:
            return list(landing(context))

    return once


def asked(requests):
    """Region, assets and days of each request."""
    return [
        (request.tags["sinet/region"], {key.path[-1] for key in request.asset_selection}, *days_of(request))
        for request in requests
    ]


def days_of(request):
    return [request.tags[tag] for tag in (FIRST, LAST) if tag in request.tags]


def test_nothing_is_requested_when_every_drop_is_in_the_tables(evaluate):
    (reason,) = evaluate()
    assert reason.skip_message == "every drop is in the tables"


def test_each_region_and_contiguous_range_is_one_request(evaluate, zone, land_late):
    days = zone.days(EAST.name)
    for region, day in ((EAST, days[3]), (EAST, days[4]), (EAST, days[9]), (WEST, days[3])):
        land_late(region, day)
    rows = {"raw_telemetry", "validated_telemetry"}
    assert asked(evaluate()) == [
        ("EAST", rows, str(days[3]), str(days[4])),
        ("EAST", rows, str(days[9]), str(days[9])),
        ("WEST", rows, str(days[3]), str(days[3])),
    ]


@pytest.mark.slow
def test_what_was_requested_is_not_requested_again_once_it_ran(evaluate, zone, land_late, instance, home, definitions):
    day = zone.days(EAST.name)[3]
    land_late(EAST, day)
    (request,) = evaluate()
    keys, days = request.asset_selection, tuple(date.fromisoformat(one) for one in days_of(request))
    assert executor_for(home, definitions)(instance, keys, days).success
    (reason,) = evaluate()
    assert reason.skip_message == "every drop is in the tables"


@pytest.mark.slow
def test_the_key_of_a_request_is_what_landed(evaluate, zone, land_late):
    day = zone.days(EAST.name)[3]
    file = land_late(EAST, day)
    (first,), (second,) = evaluate(), evaluate()
    assert first.run_key == second.run_key
    content = file.read_bytes()
    file.unlink()
    file.with_name("renamed.parquet").write_bytes(content)
    (renamed,) = evaluate()
    assert renamed.run_key == first.run_key
    land_late(EAST, day, on=day + timedelta(days=1))
    (other,) = evaluate()
    assert other.run_key != first.run_key


@pytest.fixture
def keys_used(evaluate, instance, definitions, home):
    """One look of the sensor whose requests are run as the daemon would: the run keys, each of which was never used."""
    used = set()

    def look(*, fail=False):
        requests = [one for one in evaluate() if isinstance(one, dg.RunRequest)]
        for request in requests:
            assert request.run_key not in used, "the daemon skips a request whose run key was used"
            used.add(request.run_key)
            job = dg.JobDefinition(name="any", graph_def=dg.GraphDefinition("any"))
            tags = {"dagster/sensor_name": "landing", "dagster/run_key": request.run_key, **request.tags}
            run = instance.create_run_for_job(job, tags=tags, status=dg.DagsterRunStatus.STARTED)
            if fail:
                instance.report_run_failed(run)
                continue
            days = tuple(date.fromisoformat(one) for one in days_of(request)) or None
            assert executor_for(home, definitions)(instance, request.asset_selection, days).success
            event = DagsterEvent(DagsterEventType.RUN_SUCCESS.value, "any")
            instance.report_dagster_event(event, run.run_id)
        return [request.run_key for request in requests]

    return look


@pytest.mark.slow
def test_a_file_that_is_taken_out_and_put_back_is_taken_in_at_the_next_look_each_time(keys_used, zone, land_late):
    file = land_late(EAST, zone.days(EAST.name)[3])
    content = file.read_bytes()
    assert len(keys_used()) == 1
    for _ in range(3):
        file.unlink()
        assert len(keys_used()) == 1
        file.write_bytes(content)
        assert len(keys_used()) == 1
    assert keys_used() == []


@pytest.mark.slow
def test_content_that_others_took_in_meanwhile_has_another_key(evaluate, zone, land_late, instance, home, definitions):
    """A backfill from the page or `sinet run` leaves no run of the sensor."""
    execute, used = executor_for(home, definitions), set()
    file = land_late(EAST, zone.days(EAST.name)[3])
    content = file.read_bytes()
    for _ in range(2):
        (request,) = evaluate()
        assert request.run_key not in used
        used.add(request.run_key)
        assert execute(instance, request.asset_selection, tuple(map(date.fromisoformat, days_of(request)))).success
        file.unlink()
        (request,) = evaluate()
        assert execute(instance, request.asset_selection, tuple(map(date.fromisoformat, days_of(request)))).success
        file.write_bytes(content)


@pytest.mark.slow
def test_events_that_are_taken_out_and_put_back_are_taken_in_each_time(keys_used, zone):
    file = next((zone.folder(EAST.name) / "events" / "truth").iterdir())
    content = file.read_bytes()
    for _ in range(3):
        file.unlink()
        assert len(keys_used()) == 1
        file.write_bytes(content)
        assert len(keys_used()) == 1
    assert keys_used() == []


@pytest.mark.slow
def test_a_run_that_failed_is_requested_again_later_and_later_and_not_at_every_look(
    keys_used, zone, land_late, monkeypatch
):
    ago = timedelta(0)
    monkeypatch.setattr("schedules.requests._ended", lambda record: record.update_timestamp - ago)
    land_late(EAST, zone.days(EAST.name)[3])
    for wait in (timedelta(seconds=30), timedelta(seconds=60), timedelta(seconds=120)):
        assert len(keys_used(fail=True)) == 1
        ago = wait - timedelta(seconds=20)
        assert keys_used() == []
        ago = wait
    assert len(keys_used()) == 1
    assert keys_used() == []


@pytest.mark.slow
def test_other_content_is_requested_at_once_though_the_run_before_failed(keys_used, zone, land_late):
    day = zone.days(EAST.name)[3]
    land_late(EAST, day)
    assert len(keys_used(fail=True)) == 1
    land_late(EAST, day, on=day + timedelta(days=1))
    assert len(keys_used()) == 1


@pytest.mark.slow
def test_a_clock_that_was_set_back_delays_no_request(keys_used, zone, land_late, monkeypatch):
    monkeypatch.setattr("schedules.requests._ended", lambda record: record.update_timestamp + timedelta(days=3))
    land_late(EAST, zone.days(EAST.name)[3])
    assert len(keys_used(fail=True)) == 1
    assert len(keys_used()) == 1


def test_events_that_landed_are_requested(evaluate, zone):
    events = zone.read_events(EAST.name, "truth").head(1).with_columns(pl.col("rul_cycles") + 1)
    zone.land_events(EAST.name, "truth", name="late", events=events)
    assert asked(evaluate()) == [("EAST", {"truth_events"})]


def test_nothing_is_requested_while_sinet_run_is_at_work(evaluate, zone, land_late, home):
    land_late(EAST, zone.days(EAST.name)[3])
    with (home / "run.lock").open("a+") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        (reason,) = evaluate()
        assert "`sinet run` is in progress" in reason.skip_message
    assert len(evaluate()) == 1  # the lock went with its file


def test_a_region_waits_while_its_last_arrival_is_still_being_taken_in(evaluate, zone, land_late, instance, graph):
    day = zone.days(EAST.name)[3]
    land_late(EAST, day)
    land_late(WEST, day)
    tags = {"dagster/sensor_name": "landing", "sinet/region": "EAST"}
    run = instance.create_run_for_job(dg.JobDefinition(name="any", graph_def=dg.GraphDefinition("any")), tags=tags)
    assert [request.tags["sinet/region"] for request in evaluate()] == ["WEST"]
    instance.report_run_failed(run)
    assert [request.tags["sinet/region"] for request in evaluate()] == ["EAST", "WEST"]


def _queued(tags):
    """A run in the queue; Dagster takes none there without the place that its code came from."""
    from dagster._core.remote_origin import InProcessCodeLocationOrigin, RemoteJobOrigin, RemoteRepositoryOrigin
    from dagster._core.types.loadable_target_origin import LoadableTargetOrigin

    place = RemoteRepositoryOrigin(InProcessCodeLocationOrigin(LoadableTargetOrigin(module_name="x")), "x")
    return dg.DagsterRun(
        "any", tags=tags, status=dg.DagsterRunStatus.QUEUED, remote_job_origin=RemoteJobOrigin(place, "any")
    )


def test_a_run_that_waits_in_the_queue_is_not_requested_again_however_long_it_waits(
    evaluate, zone, land_late, instance, monkeypatch
):
    land_late(EAST, zone.days(EAST.name)[3])
    tags = {"dagster/sensor_name": "landing", "sinet/region": "EAST"}
    run = instance.add_run(_queued(tags))
    monkeypatch.setattr(schedules.requests, "PATIENCE", timedelta(hours=-1))  # the run was last heard of before
    (reason,) = evaluate()
    assert "EAST at work" in reason.skip_message
    instance.report_run_failed(run)
    assert [request.tags["sinet/region"] for request in evaluate()] == ["EAST"]


def test_drops_outside_the_fleets_days_are_warned_of_and_stop_nothing(evaluate, zone, land_late, caplog, capsys):
    days = zone.days(EAST.name)
    land_late(EAST, days[0] - timedelta(days=9), on=days[0])
    land_late(EAST, days[3])
    ((_, _, first, last),) = asked(evaluate())
    assert first == last == str(days[3])
    said = caplog.text + "".join(capsys.readouterr())
    assert f"not used in EAST/landing/turbofan/{days[0] - timedelta(days=9)}: late-" in said
    assert f"is before the first day of turbofan in this home, {days[0]}; set first_day in landed/turbofan.json" in said


def test_unused_files_are_warned_of_once_and_again_when_they_change(instance, definitions, zone, home):
    def tick(cursor):
        with sensor_context(instance, home, definitions, cursor=cursor) as context:
            said = []
            context.log.warning = said.append
            (reason,) = landing(context)
            return said, reason.skip_message, context.cursor

    mars = landing_root(zone.home, "MARS", "turbofan")
    mars.mkdir(parents=True)
    (mars / "a.parquet").write_bytes(b"x")
    said, reason, cursor = tick(None)
    assert [text.partition("):")[0] for text in said] == ["not used in MARS/landing/turbofan: a.parquet (files: 1"]
    assert reason == "no drop has changed; files not used: 1 (`sinet status` lists them)"
    again = tick(cursor)
    assert again[:2] == ([], reason)
    assert json.loads(again[2])["unused"] == json.loads(cursor)["unused"]
    (mars / "b.parquet").write_bytes(b"x")
    said, _, cursor = tick(cursor)
    assert [text.partition("):")[0] for text in said] == [
        "not used in MARS/landing/turbofan: a.parquet, b.parquet (files: 2"
    ]
    for name in "ab":
        (mars / f"{name}.parquet").unlink()
    assert tick(cursor)[:2] == ([], "every drop is in the tables")


def test_a_cursor_that_is_none_of_ours_is_begun_anew(evaluate, instance, home, definitions):
    for cursor in ("nonsense", "[1]", ""):
        with sensor_context(instance, home, definitions, cursor=cursor) as context:
            (reason,) = landing(context)
        assert reason.skip_message == "every drop is in the tables"


def test_the_check_of_a_landing_zone_is_recorded_when_its_unused_files_change(evaluate, instance, zone, home):
    check = dg.AssetCheckKey(dg.AssetKey(["EAST", "turbofan", "landing_zone"]), "every_file_is_used")

    def results():
        records = instance.event_log_storage.get_asset_check_execution_history(check, limit=9)
        said = [record.event.dagster_event.asset_check_evaluation_data for record in records]
        return [(one.passed, one.metadata["files"].value) for one in said]

    evaluate()
    evaluate()
    assert results() == [(True, 0)]
    day = zone.folder("EAST") / "27-11-2026"
    day.mkdir()
    (day / "a.parquet").write_bytes(b"x")
    evaluate()
    evaluate()
    assert results() == [(False, 1), (True, 0)]
    (day / "a.parquet").unlink()
    evaluate()
    assert results() == [(True, 0), (False, 1), (True, 0)]


def test_the_check_of_a_landing_zone_can_be_run_by_itself(definitions, instance, zone, home):

    (zone.folder("EAST") / "rows.csv").write_bytes(b"x")
    chosen = dg.AssetSelection.checks_for_assets(dg.AssetKey(["EAST", "turbofan", "landing_zone"]))
    job = dg.Definitions(
        assets=definitions.assets,
        asset_checks=definitions.asset_checks,
        resources={**definitions.resources, **resources_at(home)},
        jobs=[dg.define_asset_job("look", chosen)],
    ).resolve_job_def("look")
    result = job.execute_in_process(instance=instance)
    (found,) = (one for one in result.get_asset_check_evaluations() if one.check_name == UNUSED_CHECK)
    assert (found.passed, found.severity) == (False, dg.AssetCheckSeverity.WARN)
    assert found.description.startswith("files not used: 1; the first: EAST/landing/turbofan/rows.csv is not used: it")


def test_a_day_that_its_contract_withholds_is_not_said_to_be_in_the_tables(evaluate, instance, zone):
    day = zone.days(EAST.name)[3]
    key = dg.AssetKey(["EAST", "turbofan", "validated_telemetry"])
    refuse(instance, key, day)
    (reason,) = evaluate()
    assert reason.skip_message == (
        f"no drop has changed; days withheld by their contract: 1 (EAST/turbofan/validated_telemetry {day})"
    )


def refuse(instance, key, day):
    """Records that the day, as its rows are now, breaks its contract."""
    from resources.materializations.versions import INPUTS_ENTRY, INPUTS_TAG, days_made

    inputs = days_made(instance, key)[day][INPUTS_TAG]
    said = dg.AssetCheckEvaluation(
        asset_key=key,
        check_name="every_day_keeps_its_contract",
        passed=False,
        partition=str(day),
        metadata={INPUTS_ENTRY: inputs},
    )
    instance.report_runless_asset_event(said)


def test_an_empty_deployment_requests_nothing(definitions, graph, tmp_path):
    from schedules.backfills import plan_repair

    with instance_at(tmp_path / "log") as fresh:
        nothing, night = tmp_path / "nothing", datetime(2026, 3, 1, 1, 30, tzinfo=UTC)
        seen, ticked = sensor_context(fresh, nothing, definitions), schedule_context(fresh, nothing, definitions, night)
        found = [*landing(seen), *drift(seen), *nightly_repair(ticked), *weekly_training(ticked)]
        assert plan_repair(fresh, graph, deployment_at(tmp_path / "nothing")) == []
    assert [type(one) for one in found] == [dg.SkipReason] * 4


def test_it_is_on_by_default_and_looks_every_ten_seconds():
    assert landing.default_status == dg.DefaultSensorStatus.RUNNING
    assert landing.minimum_interval_seconds == 10
