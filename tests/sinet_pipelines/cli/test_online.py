"""The replicas in `sinet status`: one line each, and a server that changed since the facts were stored."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from sinet_pipelines.cli.online import online_line, read_online, servers_differ, with_replica
from sinet_pipelines.features.replica_mark import Mark
from sinet_pipelines.features.replicas import ReplicaPlace, ReplicaSource, keep_record
from sinet_pipelines.inventory.online_stores import OnlineStore
from tests.deployed import deployment_at
from tests.inventory import SHIPPED
from tests.redis_server import running_redis
from tests.sinet_pipelines.features.test_replicas import repository_of
from tests.sinet_pipelines.features.test_repository import write
from tests.walk.homes import folder_of

ENTRY = {
    "region": "WEST",
    "store": "redis",
    "engines": 180,
    "engines_behind": 0,
    "engines_missing": 0,
    "event_lag_s": 0.0,
    "arrival_lag_s": 0.0,
    "limit_s": 3600.0,
    "newest_event_at": datetime(2026, 11, 28, 11, 24, tzinfo=UTC).isoformat(),
    "passed": True,
    "fault": "",
}


@pytest.mark.parametrize(
    ("found", "line"),
    [
        ({}, "online store of WEST (redis): 180 engines, newest event 2026-11-28 11:24, lag 0 s"),
        (
            {"engines_behind": 3, "event_lag_s": 86400.0, "arrival_lag_s": 60.0, "passed": False},
            "online store of WEST (redis): 180 engines, newest event 2026-11-28 11:24, 3 behind, 0 missing, lag "
            "86,400 s of events and 60 s of arrivals (allowed: 3,600 s); `sinet run` writes it again",
        ),
        (
            {"engines_withdrawn": 1, "passed": False},
            "online store of WEST (redis): 180 engines, newest event 2026-11-28 11:24, 0 behind, 0 missing, "
            "1 withdrawn, lag 0 s of events and 0 s of arrivals (allowed: 3,600 s); `sinet run` writes it again",
        ),
        (
            {"has_newer_tables": True},
            "online store of WEST (redis): 180 engines, newest event 2026-11-28 11:24, lag 0 s, not of the newest "
            "versions of the tables",
        ),
        ({"fault": "it is down", "passed": False}, "online store of WEST: it is down"),
    ],
)
def test_a_replica_is_one_line(found, line):
    assert online_line({**ENTRY, **found}) == line


def test_the_asset_of_an_unusable_replica_is_missing_and_no_other():
    asset = {"asset": "WEST/turbofan/online_features", "state": "done"}
    other = {"asset": "EAST/turbofan/online_features", "state": "done"}
    broken = [{**ENTRY, "fault": "it is down"}]
    assert with_replica(asset, broken)["state"] == "missing"
    assert (with_replica(other, broken), with_replica(asset, [ENTRY])) == (other, asset)


def test_a_server_that_was_emptied_or_is_down_differs_from_stored_facts(tmp_path, monkeypatch):
    with running_redis() as server:
        monkeypatch.setenv("SINET_WEST_ONLINE_PASSWORD", server.password)
        store = OnlineStore(server.url)
        regions = [replace(one, online_store=store) if one.name == "WEST" else one for one in SHIPPED.regions]
        deployment = deployment_at(tmp_path, inventory=replace(SHIPPED, regions=tuple(regions)))
        folder_of(tmp_path, "WEST", "window_features").parent.mkdir(parents=True)
        write(folder_of(tmp_path, "WEST", "window_features"), ("a", 1, 1.0))
        repository = repository_of(tmp_path, store)
        repository.apply()
        repository.write_online()
        facts = read_online(deployment)
        assert [(one["region"], one["passed"]) for one in facts] == [("WEST", True)]
        assert not servers_differ(facts, deployment)
        server.client().flushdb()
        assert servers_differ(facts, deployment)
        emptied = read_online(deployment)
        assert "it was emptied" in emptied[0]["fault"]
        server.stop()
        assert servers_differ(emptied, deployment)
        assert "does not answer" in read_online(deployment)[0]["fault"]


def test_a_replica_of_a_region_that_may_have_none_is_a_fault_with_what_to_remove(tmp_path):
    mark = Mark("first", 0, "v1", datetime(2026, 11, 28, tzinfo=UTC))
    for region in ("EAST", "NORTH"):
        place = ReplicaPlace(tmp_path / "feast", region, OnlineStore("redis://host"), "turbofan")
        place.own.mkdir(parents=True)
        keep_record(place, mark, ReplicaSource((), "unit", "event_at"))
    regions = [replace(one, accepts=()) if one.name == "EAST" else one for one in SHIPPED.regions]
    deployment = deployment_at(tmp_path, inventory=replace(SHIPPED, regions=tuple(regions)))
    east, north = read_online(deployment)
    assert "EAST no longer accepts class feature and still has features of turbofan" in east["fault"]
    assert "NORTH is not in the inventory" in north["fault"]
    assert f"remove the keys sinet:turbofan:NORTH:* from redis://host and the folder {tmp_path}" in north["fault"]
    assert not servers_differ([east, north], deployment)
