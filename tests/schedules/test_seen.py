"""A sensor that found nothing to do opens nothing until something changed."""

import json

import dagster as dg
import pytest
from dagster._core.scheduler.instigation import TickStatus

import schedules.seen
import schedules.sensors
from schedules.sensors import drift, landing
from sinet_pipelines.regions import EAST


@pytest.fixture
def evaluate(instance, definitions):
    """One evaluation with the cursor that the one before left; what it yielded."""
    repository, kept = definitions.get_repository_def(), {}

    def once(sensor=landing):
        with dg.build_sensor_context(
            instance=instance, repository_def=repository, cursor=kept.get(sensor.name)
        ) as context:
            found = sensor(context)
            found = [found] if isinstance(found, dg.SkipReason | dg.RunRequest) else list(found)
            kept[sensor.name] = context.cursor
            return found

    once.cursors = kept
    return once


@pytest.fixture
def looks(monkeypatch):
    """How often the books were opened."""
    counted, real = [], schedules.sensors.open_books
    monkeypatch.setattr(schedules.sensors, "open_books", lambda context: (counted.append(1), real(context))[1])
    return counted


@pytest.mark.parametrize("sensor", [landing, drift])
def test_a_tick_after_one_that_found_nothing_says_the_same_and_opens_nothing(evaluate, looks, sensor):
    evaluate(sensor)  # the first look records what it found of unused files, which is an event
    (first,) = evaluate(sensor)
    before = len(looks)
    (second,) = evaluate(sensor)
    assert (second.skip_message, len(looks)) == (first.skip_message, before)


def test_a_drop_that_lands_is_requested_by_the_next_tick(evaluate, zone, land_late):
    evaluate()
    land_late(EAST, zone.days(EAST.name)[3])
    assert [type(found) for found in evaluate()] == [dg.RunRequest]


def test_a_drop_is_noticed_in_a_region_folder_that_is_a_link_to_another_disk(evaluate, zone, land_late, tmp_path):
    (zone.root / EAST.name).rename(tmp_path / "disk")
    (zone.root / EAST.name).symlink_to(tmp_path / "disk")
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


def test_an_event_of_another_process_is_looked_at(evaluate, instance, looks):
    evaluate()
    evaluate()
    looks.clear()
    instance.report_runless_asset_event(dg.AssetMaterialization("by_hand"))
    evaluate()
    assert len(looks) == 1


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
