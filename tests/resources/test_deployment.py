"""A deployment is a value: a home with its regions, and the first landed day of each application."""

import json
from datetime import UTC, date, datetime, timedelta

import pytest

from resources.deployment import EMPTY_HOME_DAYS
from sinet_pipelines.errors import UnknownRegionError
from sinet_pipelines.storage.layout import record_file
from tests.deployed import SHIPPED, deployment_at


def land(home, application, first_day):
    path = record_file(home, application)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"first_day": first_day}))


def test_partitions_begin_with_the_first_landed_day_of_each_application(tmp_path):
    land(tmp_path, "turbofan", "2026-03-01")
    land(tmp_path, "milling", "2026-05-07")
    found = deployment_at(tmp_path)
    assert [found.first_day(name) for name in ("turbofan", "milling")] == [date(2026, 3, 1), date(2026, 5, 7)]


def test_an_application_that_landed_nothing_shows_the_days_that_a_first_landing_would_have(tmp_path):
    before = datetime.now(UTC).date()
    first_day = deployment_at(tmp_path).first_day("turbofan")
    after = datetime.now(UTC).date()  # another day where midnight passed
    assert before <= first_day + timedelta(days=EMPTY_HOME_DAYS) <= after


def test_a_region_is_found_by_its_name_and_an_unknown_one_is_refused(tmp_path):
    found = deployment_at(tmp_path)
    assert found.region("WEST") is SHIPPED.regions[1]
    with pytest.raises(UnknownRegionError, match=r"no region 'NORTH' \(known: EAST, WEST, NULL_ISLAND\)"):
        found.region("NORTH")


def test_a_process_in_a_region_that_the_inventory_does_not_have_is_refused(tmp_path):
    assert deployment_at(tmp_path, region="WEST").settings.region == "WEST"
    with pytest.raises(UnknownRegionError, match="no region 'NOWHERE'"):
        deployment_at(tmp_path, region="NOWHERE")
