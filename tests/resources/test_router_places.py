"""Where an attempt goes: home, unless its place was taken away; with more memory, if it ran out of it."""

import pytest

from resources.router.endings import EVICTED, KILLED, OOM_KILLED, PREEMPTED, UNREACHABLE, Ending
from resources.router.places import Place, days_of, next_place
from sinet_pipelines.placement.needs import Needs

HOME = ("EAST", "nvidia-h100")
MOVING = Needs(count=1, may_move_to=(("EAST", "nvidia-a100"), ("WEST", "nvidia-a100")))


def after(*reasons, needs=MOVING, days=1):
    return next_place(HOME, needs, [Ending(reason, "") for reason in reasons], days=days)


def test_the_first_attempt_goes_home():
    assert after() == Place(*HOME)


def test_a_place_that_was_taken_away_is_left_for_the_next_one_and_home_is_tried_again_at_last():
    places = [after(*[PREEMPTED] * times) for times in (1, 2, 3)]
    assert [(one.region, one.hardware) for one in places] == [*MOVING.may_move_to, HOME]


def test_a_region_that_cannot_be_reached_is_left_for_another_region():
    assert after(UNREACHABLE) == Place("WEST", "nvidia-a100")


@pytest.mark.parametrize("reason", [PREEMPTED, EVICTED, UNREACHABLE])
def test_a_step_that_may_not_move_stays(reason):
    assert after(reason, needs=Needs()) == Place(*HOME)


def test_a_kill_of_unknown_reason_moves_nothing():
    assert after(KILLED) == Place(*HOME)


def test_each_kill_for_memory_multiplies_it():
    needs = Needs(memory_growth=1.5)
    assert [after(*[OOM_KILLED] * times, needs=needs).memory_factor for times in range(3)] == [1.0, 1.5, 2.25]


def test_more_days_at_once_get_more_memory():
    needs = Needs(memory_mib=1000, memory_mib_per_day=100)
    # 1000 MiB and 100 for each of nine further days are 1900
    assert after(needs=needs, days=10).memory_factor == pytest.approx(1.9)


def test_days_are_counted_by_the_tags_of_the_range():
    tags = {"dagster/asset_partition_range_start": "2026-02-27", "dagster/asset_partition_range_end": "2026-03-02"}
    assert days_of(tags) == 4
    assert days_of({"dagster/partition": "2026-02-27"}) == 1
