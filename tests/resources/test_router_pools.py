"""Pools are there before a step asks for a place, whoever else makes them at the same moment."""

import dagster as dg
import pytest
from dagster._core.test_utils import instance_for_test
from sqlalchemy.exc import InternalError

from resources.router.definition import region_router
from resources.router.pools import make_pools


def opened(folder, *, limit):
    values = {"concurrency": {"pools": {"default_limit": limit}}} if limit else {}
    return instance_for_test(temp_dir=str(folder), overrides=values)


@pytest.fixture
def instance(tmp_path):
    with opened(tmp_path, limit=20) as made:
        yield made


def limits(instance):
    return {pool.name: pool.limit for pool in instance.event_log_storage.get_pool_limits()}


def like_postgresql(instance, monkeypatch, *, before=lambda name: None):
    """Has a pool that is there abort the transaction that makes it, as measured with PostgreSQL 15.

    `before` is what another process does between our look and our INSERT.
    """
    storage = instance.event_log_storage
    make = storage.initialize_concurrency_limit_to_default

    def initialize(name):
        before(name)
        if name in limits(instance):
            raise InternalError("UPDATE concurrency_limits", {}, Exception("current transaction is aborted"))
        return make(name)

    monkeypatch.setattr(storage, "initialize_concurrency_limit_to_default", initialize)
    return make


def test_each_pool_gets_the_default_and_a_persons_limit_stays(instance):
    instance.event_log_storage.set_concurrency_slots("east-cpu", 2)
    make_pools(instance, ["west-cpu", "east-cpu", "west-cpu"])
    assert limits(instance) == {"east-cpu": 2, "west-cpu": 20}


def test_a_pool_that_another_run_made_at_the_same_moment_is_no_failure(instance, monkeypatch):
    make = like_postgresql(instance, monkeypatch, before=lambda name: make(name))
    make_pools(instance, ["east-cpu", "west-cpu"])
    assert limits(instance) == {"east-cpu": 20, "west-cpu": 20}


def test_pools_follow_a_default_that_was_changed(instance, monkeypatch, tmp_path):
    make_pools(instance, ["east-cpu"])
    with opened(tmp_path, limit=7) as later:
        like_postgresql(later, monkeypatch)
        make_pools(later, ["east-cpu"])
        assert limits(later) == {"east-cpu": 7}
        assert later.event_log_storage.get_concurrency_info("east-cpu").slot_count == 7


def test_pools_that_others_change_all_the_time_are_an_error_in_the_end(instance, monkeypatch):
    def fail(name):
        raise InternalError("INSERT", {}, Exception("the disk is full"))

    monkeypatch.setattr(instance.event_log_storage, "initialize_concurrency_limit_to_default", fail)
    with pytest.raises(InternalError, match="the disk is full"):
        make_pools(instance, ["east-cpu"])


def test_without_a_default_limit_no_pool_is_made(tmp_path):
    with opened(tmp_path, limit=None) as instance:
        make_pools(instance, ["east-cpu"])
        assert limits(instance) == {}


@dg.op(pool="east-cpu")
def unplaced():
    """Bound to no region, so its run ends without a cluster."""


@dg.job(executor_def=region_router.configured({"look_every_s": 1}))
def routed():
    unplaced()


@pytest.mark.slow
def test_a_run_whose_pool_another_one_makes_at_the_same_moment_goes_on(instance, monkeypatch):
    make = like_postgresql(instance, monkeypatch, before=lambda name: make(name))
    with dg.execute_job(dg.reconstructable(routed), instance=instance) as ended:
        (failure,) = [event for event in ended.all_events if event.event_type_value == "STEP_FAILURE"]
    assert failure.step_failure_data.user_failure_data.label == "Unbound"
    assert limits(instance) == {"east-cpu": 20}
