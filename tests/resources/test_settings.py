"""The environment is read once, in one place; what is not allowed is refused with the cure."""

import pytest

from resources.settings import TRACKING_URL, read_settings
from sinet_pipelines.errors import UsageError
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


def test_an_executor_that_is_not_known_is_refused():
    with pytest.raises(UsageError, match=r"SINET_EXECUTOR is 'threads' \(allowed: in_process, multiprocess, regions\)"):
        read_settings({"SINET_EXECUTOR": "threads"})


def test_regions_that_run_apart_are_observed_by_their_own_steps_and_one_machine_by_whoever_plans():
    assert read_settings({"SINET_EXECUTOR": "regions"}).observe_s == 60
    assert read_settings({"SINET_EXECUTOR": "regions", "SINET_OBSERVE_SECONDS": "5"}).observe_s == 5
    assert read_settings({"SINET_OBSERVE_SECONDS": "5"}).observe_s is None
    with pytest.raises(UsageError, match="SINET_OBSERVE_SECONDS is '0' \\(allowed: whole seconds from 1 on"):
        read_settings({"SINET_EXECUTOR": "regions", "SINET_OBSERVE_SECONDS": "0"})


def test_a_steps_own_pod_says_its_region_and_one_machine_stands_for_all():
    assert read_settings({}).region is None
    assert read_settings({"SINET_REGION": "WEST"}).region == "WEST"
