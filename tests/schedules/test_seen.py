"""A sensor that found nothing to do opens nothing until something changed."""

import json
import os
import time
from datetime import datetime, timedelta

import dagster as dg
import pytest
from dagster._core.scheduler.instigation import TickStatus

import schedules.backfills
import schedules.seen
import schedules.sensors
import sinet_pipelines.ingestion.inspection as inspection
from assets.turbofan.keys import regional_key
from resources.materializations.publishing import DAYS_FILE
from schedules.sensors import drift, landing
from sinet_pipelines.deployment.changes import valid_until
from tests.deployed import sensor_context
from tests.inventory import EAST

pytestmark = pytest.mark.slow  # each makes days


@pytest.fixture
def evaluate(instance, home, definitions):
    """One evaluation with the cursor that the one before left; what it yielded."""
    kept = {}

    def once(sensor=landing):
        with sensor_context(instance, home, definitions, cursor=kept.get(sensor.name)) as context:
            found = sensor(context)
            found = [found] if isinstance(found, dg.SkipReason | dg.RunRequest) else list(found)
            kept[sensor.name] = context.cursor
            return found

    once.cursors = kept
    return once


@pytest.fixture
def looks(monkeypatch):
    """How often the staleness were opened."""
    counted, real = [], schedules.sensors.staleness_of
    monkeypatch.setattr(schedules.sensors, "staleness_of", lambda *given: (counted.append(1), real(*given))[1])
    return counted


@pytest.mark.parametrize("sensor", [landing, drift])
def test_a_tick_after_one_that_found_nothing_says_the_same_and_opens_nothing(evaluate, looks, sensor):
    evaluate(sensor)  # the first look records what it found of unused files, which is an event
    (first,) = evaluate(sensor)
    before = len(looks)
    (second,) = evaluate(sensor)
    assert (second.skip_message, len(looks)) == (first.skip_message, before)


@pytest.mark.parametrize("sensor", [landing, drift])
def test_a_sensor_that_found_nothing_waits_for_a_change_but_not_while_a_run_may_be_killed(evaluate, instance, sensor):
    run = instance.add_run(dg.DagsterRun("by_hand", status=dg.DagsterRunStatus.STARTED))
    evaluate(sensor), evaluate(sensor)
    assert valid_until(evaluate.cursors[sensor.name]) == 0
    instance.delete_run(run.run_id)
    instance.report_runless_asset_event(dg.AssetObservation("elsewhere"))
    evaluate(sensor)
    assert valid_until(evaluate.cursors[sensor.name]) > time.time()


def test_a_sensor_that_requested_something_does_not_wait_for_a_change(evaluate, zone, land_late):
    evaluate(), evaluate()
    assert valid_until(evaluate.cursors[landing.name]) > time.time()
    land_late(EAST, zone.days(EAST.name)[3])
    evaluate()
    assert valid_until(evaluate.cursors[landing.name]) == 0


def test_a_drop_that_lands_is_requested_by_the_next_tick(evaluate, zone, land_late):
    evaluate()
    land_late(EAST, zone.days(EAST.name)[3])
    assert [type(found) for found in evaluate()] == [dg.RunRequest]


def test_a_drop_is_noticed_in_a_region_folder_that_is_a_link_to_another_disk(evaluate, zone, land_late, tmp_path):
    zone.folder(EAST.name).rename(tmp_path / "disk")
    zone.folder(EAST.name).symlink_to(tmp_path / "disk")
    evaluate()
    (reason,) = evaluate()
    assert reason.skip_message == "every drop is in the tables"
    land_late(EAST, zone.days(EAST.name)[3])
    assert [type(found) for found in evaluate()] == [dg.RunRequest]


def test_a_file_rewritten_in_its_place_is_looked_at(evaluate, zone, looks):
    evaluate()
    evaluate()
    looks.clear()
    (drop, *_) = zone.drops(EAST.name, zone.days(EAST.name)[0])
    with drop.path.open("r+b") as file:
        file.write(b"PAR1")
    evaluate()
    assert len(looks) == 1


def test_a_file_overwritten_with_its_age_and_size_kept_is_looked_at(evaluate, zone, looks):
    evaluate()
    evaluate()
    looks.clear()
    (drop, *_) = zone.drops(EAST.name, zone.days(EAST.name)[0])
    age = drop.path.stat()
    with drop.path.open("r+b") as file:
        file.write(b"PAR1")
    os.utime(drop.path, ns=(age.st_atime_ns, age.st_mtime_ns))
    evaluate()
    assert len(looks) == 1


def test_a_drop_with_an_old_age_deep_below_a_day_is_requested_by_the_next_tick(evaluate, zone, land_late):
    day = zone.days(EAST.name)[3]
    evaluate()
    evaluate()
    ages = {
        place: place.stat()
        for place in (zone.folder(EAST.name).parent, zone.folder(EAST.name), zone.folder(EAST.name) / str(day))
    }
    drop = land_late(EAST, day)
    deep = drop.parent / "role=live" / "hour=3" / drop.name
    deep.parent.mkdir(parents=True)
    drop.rename(deep)
    os.utime(deep, (1_000_000_000, 1_000_000_000))
    for place, age in ages.items():  # as on a file system whose folders do not say what happens in them
        os.utime(place, ns=(age.st_atime_ns, age.st_mtime_ns))
    assert [type(found) for found in evaluate()] == [dg.RunRequest]


def test_a_change_behind_a_link_is_looked_at(evaluate, zone, looks):
    (drop, *_) = zone.drops(EAST.name, zone.days(EAST.name)[0])
    hidden = zone.folder(EAST.name) / ".store" / drop.path.name
    hidden.parent.mkdir()
    drop.path.rename(hidden)
    drop.path.symlink_to(hidden)
    evaluate()
    evaluate()
    looks.clear()
    evaluate()
    assert looks == []
    with hidden.open("r+b") as file:
        file.write(b"PAR1")
    evaluate()
    assert len(looks) == 1


def test_midnight_is_looked_at_though_no_file_changed(evaluate, looks, monkeypatch):
    evaluate()
    evaluate()
    looks.clear()

    class Tomorrow(datetime):
        @classmethod
        def now(cls, tz=None):
            return datetime.now(tz) + timedelta(days=1)

    monkeypatch.setattr(schedules.seen, "datetime", Tomorrow)
    evaluate()
    assert len(looks) == 1


def test_a_file_that_is_no_drop_is_opened_once_and_costs_no_later_tick(evaluate, zone, looks, monkeypatch):
    broken = zone.folder(EAST.name) / str(zone.days(EAST.name)[0]) / "broken.parquet"
    broken.write_bytes(b"no table")
    monkeypatch.setattr(inspection, "_SETTLED_NS", -1)
    opened, look = [], inspection._look_into
    monkeypatch.setattr(inspection, "_look_into", lambda part, *what: (opened.append(part.path), look(part, *what))[1])
    for _ in range(4):
        evaluate()
    assert opened.count(broken) == 1


def test_an_event_of_another_process_is_looked_at(evaluate, instance, looks):
    evaluate()
    evaluate()
    looks.clear()
    instance.report_runless_asset_event(dg.AssetMaterialization("by_hand"))
    evaluate()
    assert len(looks) == 1


def test_an_asset_whose_events_were_wiped_is_made_again_at_the_next_full_look(evaluate, instance, zone, monkeypatch):
    evaluate()
    evaluate()
    instance.wipe_assets([regional_key(EAST, "raw_telemetry")])
    monkeypatch.setattr(schedules.seen, "FULL_LOOK_S", 0)
    (request,) = evaluate()
    assert {key.path[-1] for key in request.asset_selection} == {"raw_telemetry", "validated_telemetry"}
    days = zone.days(EAST.name)
    assert request.tags["dagster/asset_partition_range_start"] == str(days[0])
    assert request.tags["dagster/asset_partition_range_end"] == str(days[-1])


def test_a_full_look_is_made_after_a_while_whatever_is_the_same(evaluate, looks, monkeypatch):
    evaluate()
    evaluate()
    looks.clear()
    monkeypatch.setattr(schedules.seen, "FULL_LOOK_S", 0)
    evaluate()
    assert len(looks) == 1


@pytest.mark.parametrize("cursor", ["", "x", "[]", json.dumps({"seen": 3}), json.dumps({"seen": {"print": ""}})])
def test_a_cursor_that_is_none_of_ours_is_passed_over(evaluate, looks, cursor):
    evaluate.cursors[landing.name] = cursor
    evaluate()
    assert len(looks) == 1


def test_ticks_that_found_nothing_go_after_an_hour_and_others_stay(tmp_path, monkeypatch):
    from dagster._core.definitions.run_request import InstigatorType
    from dagster._core.remote_origin import InProcessCodeLocationOrigin, RemoteRepositoryOrigin
    from dagster._core.scheduler.instigation import InstigatorState, InstigatorStatus, TickData
    from dagster._core.types.loadable_target_origin import LoadableTargetOrigin

    place = RemoteRepositoryOrigin(InProcessCodeLocationOrigin(LoadableTargetOrigin(module_name="x")), "x")
    origin = place.get_instigator_origin("landing")
    with dg.DagsterInstance.local_temp(str(tmp_path)) as instance:
        instance.add_instigator_state(InstigatorState(origin, InstigatorType.SENSOR, InstigatorStatus.RUNNING))
        (state,) = instance.all_instigator_state()
        for at, status in ((1.0, TickStatus.SKIPPED), (1.0, TickStatus.SUCCESS), (4e9, TickStatus.SKIPPED)):
            instance.create_tick(
                TickData(
                    state.instigator_origin_id,
                    "landing",
                    InstigatorType.SENSOR,
                    status,
                    at,
                    run_ids=["a"] if status == TickStatus.SUCCESS else [],
                    skip_reason=None,
                    selector_id=state.selector_id,
                )
            )
        schedules.seen.purge_fruitless_ticks(instance)
        left = instance.get_ticks(state.instigator_origin_id, state.selector_id)
        assert sorted((tick.status.value, tick.timestamp) for tick in left) == [("SKIPPED", 4e9), ("SUCCESS", 1.0)]


def test_a_day_whose_drops_are_not_read_in_time_is_left_to_the_next_tick_and_is_not_withdrawn(
    evaluate, home, zone, land_late, monkeypatch
):
    land_late(EAST, zone.days(EAST.name)[3])
    (home / DAYS_FILE).unlink(missing_ok=True)
    monkeypatch.setattr(inspection, "_FOUND", inspection.OrderedDict())
    monkeypatch.setattr(schedules.backfills, "READ_S", -1.0)
    (reason,) = evaluate()
    assert "drops of EAST/turbofan are read" in reason.skip_message
    monkeypatch.setattr(schedules.backfills, "READ_S", 3600.0)
    assert [type(found) for found in evaluate()] == [dg.RunRequest]
