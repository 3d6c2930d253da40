from dataclasses import replace
from datetime import date

import pytest

from sinet_pipelines.applications.turbofan.fleet import write_fleet
from sinet_pipelines.applications.turbofan.founding import Wish, days_needed, fleet_for
from sinet_pipelines.errors import FleetError
from tests.inventory import NAMES

TODAY = date(2026, 3, 26)
WISH = Wish("plant", False, regions=NAMES)


def test_a_new_fleet_ends_yesterday_after_twenty_five_days(tmp_path):
    fleet = fleet_for(tmp_path, WISH, longest=300, today=TODAY)
    assert (fleet.first_day, fleet.last_day, fleet.cycles_per_day) == (date(2026, 3, 1), date(2026, 3, 25), 40)


def test_a_longer_engine_gets_more_days(tmp_path):
    fleet = fleet_for(tmp_path, WISH, longest=1041, today=TODAY)
    assert (fleet.days, fleet.last_day) == (27, date(2026, 3, 25))


def test_a_first_day_can_be_pinned(tmp_path):
    fleet = fleet_for(tmp_path, replace(WISH, first_day=date(2026, 1, 1)), longest=300, today=TODAY)
    assert (fleet.first_day, fleet.last_day) == (date(2026, 1, 1), date(2026, 1, 25))


def test_a_first_day_that_ends_after_yesterday_is_refused(tmp_path):
    with pytest.raises(FleetError, match=r"end on 2026-03-26 .*a first day until 2026-03-01"):
        fleet_for(tmp_path, replace(WISH, first_day=date(2026, 3, 2)), longest=300, today=TODAY)


def test_a_home_keeps_its_first_day_on_later_days(tmp_path):
    first = fleet_for(tmp_path, WISH, longest=300, today=TODAY)
    write_fleet(first, tmp_path)
    assert fleet_for(tmp_path, WISH, longest=300, today=date(2026, 4, 9)) == first


@pytest.mark.parametrize(
    ("other", "words"),
    [
        (Wish("elsewhere", False, regions=NAMES), "name: plant"),
        (Wish("plant", True, regions=NAMES), "simulated: False"),
        (Wish("plant", False, seed=1, regions=NAMES), "seed: 0"),
        (Wish("plant", False, cycles_per_day=50, regions=NAMES), "cycles a day: 40"),
        (Wish("plant", False, first_day=date(2026, 2, 1), regions=NAMES), "first day: 2026-03-01"),
    ],
)
def test_another_fleet_for_a_home_is_refused(tmp_path, other, words):
    write_fleet(fleet_for(tmp_path, WISH, longest=300, today=TODAY), tmp_path)
    with pytest.raises(FleetError, match="name another home with --home") as refused:
        fleet_for(tmp_path, other, longest=300, today=TODAY)
    assert words in str(refused.value)
    assert refused.value.exit_code == 2


@pytest.mark.parametrize("pace", [29, 0, -40, 86_401])
def test_too_few_or_too_many_cycles_a_day_are_refused(pace):
    with pytest.raises(FleetError, match=r"allowed: 30 to 86400"):
        days_needed(100, cycles_per_day=pace)


def test_an_engine_longer_than_a_year_is_a_typing_error():
    with pytest.raises(FleetError, match=r"90000 cycles needs 2250 days .*allowed: 366.*mend its cycle numbers"):
        days_needed(90_000, cycles_per_day=40)
