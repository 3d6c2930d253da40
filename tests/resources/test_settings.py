"""The environment is read once, in one place; what is not allowed is refused with the cure."""

import json
from datetime import UTC, date, datetime, timedelta

import pytest

from resources.settings import EMPTY_HOME_DAYS, TRACKING_URL, read_settings
from sinet_pipelines.errors import UnknownRegionError, UsageError
from tests.conftest import CHECKOUT


def test_without_variables_the_home_is_the_one_last_run_beside_the_checkout():
    found = read_settings({})
    assert found.project == CHECKOUT.resolve()
    assert found.home == (CHECKOUT / ".sinet" / "current").resolve()
    assert (found.executor, found.tracking_url) == ("in_process", TRACKING_URL)


def test_a_home_that_is_named_is_the_home(tmp_path):
    found = read_settings(
        {"SINET_HOME": str(tmp_path), "SINET_EXECUTOR": "multiprocess", "SINET_TRACKING_URL": "http://a"}
    )
    assert (found.home, found.executor, found.tracking_url) == (tmp_path.resolve(), "multiprocess", "http://a")


def test_partitions_begin_with_the_fleets_first_day(tmp_path):
    (tmp_path / "landing").mkdir()
    (tmp_path / "landing" / "fleet.json").write_text(json.dumps({"first_day": "2026-03-01"}))
    assert read_settings({"SINET_HOME": str(tmp_path)}).first_day == date(2026, 3, 1)


def test_a_home_without_a_fleet_shows_the_days_a_first_landing_would_lay_out(tmp_path):
    before = datetime.now(UTC).date()
    first_day = read_settings({"SINET_HOME": str(tmp_path)}).first_day
    after = datetime.now(UTC).date()  # another day where midnight passed
    assert before <= first_day + timedelta(days=EMPTY_HOME_DAYS) <= after


def test_an_executor_that_is_not_known_is_refused():
    with pytest.raises(UsageError, match=r"SINET_EXECUTOR is 'threads' \(allowed: in_process, multiprocess, regions\)"):
        read_settings({"SINET_EXECUTOR": "threads"})


def test_a_steps_own_pod_says_its_region_and_one_machine_stands_for_all():
    assert read_settings({}).region is None
    assert read_settings({"SINET_REGION": "WEST"}).region == "WEST"
    with pytest.raises(UnknownRegionError, match="no region 'NOWHERE'"):
        read_settings({"SINET_REGION": "NOWHERE"})
