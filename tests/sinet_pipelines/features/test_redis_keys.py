"""The keys of a replica on a real Redis: lost sets, values of other programs, and users with few rights."""

import secrets
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from sinet_pipelines.cli.doctor_online import online_findings
from sinet_pipelines.errors import StorageError
from sinet_pipelines.features.online_access import OnlineAccess
from sinet_pipelines.features.redis_replica import RedisReplica
from sinet_pipelines.features.replica_mark import Mark, WrittenEntity
from sinet_pipelines.inventory.online_stores import OnlineStore
from tests.inventory import get_region
from tests.redis_server import running_redis

AT = datetime(2026, 11, 28, tzinfo=UTC)
RIGHTS = "+get +set +del +hset +hmget +sadd +srem +sscan +scan +multi +exec +select"


@pytest.fixture(scope="module")
def redis():
    with running_redis() as server:
        yield server


@pytest.fixture
def replica(redis, monkeypatch):
    """A replica of its own with a prefix that has characters of patterns."""
    monkeypatch.setenv("SINET_WEST_ONLINE_PASSWORD", redis.password)
    return RedisReplica(OnlineAccess("WEST", redis.url), f"sinet:[{secrets.token_hex(4)}]*\\", "window_features")


def write(replica, *names):
    with replica.access.connect() as client:
        replica.write([(name, AT, {"mean": b"1"}) for name in names], client=client)
    mark = Mark(secrets.token_hex(4), len(names), "v1", AT)
    replica.settle(mark, [WrittenEntity(name, b"", AT) for name in names])


def instants(replica, *names):
    with replica.access.connect() as client:
        return [at for at, _ in replica.read(names, ["mean"], client=client)]


def key(replica, end):
    return f"{replica.prefix}:{replica.view}:{end}"


def user(redis, monkeypatch, rights):
    rules = ["reset", "on", ">pw", "~sinet:*", "-@all", *rights.split()]
    redis.client().execute_command("ACL", "SETUSER", "sinet", *rules)
    monkeypatch.setenv("SINET_WEST_ONLINE_PASSWORD", "pw")


def test_a_withdrawn_engine_goes_although_the_set_of_entities_was_lost(redis, replica):
    write(replica, "a", "w")
    redis.client().delete(key(replica, "entities"))
    write(replica, "a", "b")
    assert instants(replica, "a", "b", "w") == [AT, AT, None]


def test_a_withdrawn_engine_goes_although_the_set_lacks_it(redis, replica):
    write(replica, "a", "w")
    redis.client().srem(key(replica, "entities"), "w")
    write(replica, "a")
    assert instants(replica, "a", "w") == [AT, None]


def test_removal_leaves_no_key_of_the_replica_and_all_of_others(redis, replica):
    write(replica, "a", "w")
    other = replace(replica, prefix=replica.prefix + "2")
    write(other, "a")
    redis.client().delete(key(replica, "entities"))
    replica.remove()
    assert [one for one in redis.client().scan_iter() if one.startswith(key(replica, "").encode())] == []
    assert instants(other, "a") == [AT]


def test_an_instant_of_another_program_is_one_sentence_and_the_next_write_replaces_it(redis, replica):
    write(replica, "a")
    redis.client().hset(key(replica, "of:a"), "_at", "yesterday")
    with pytest.raises(StorageError, match="the value _at of a is b'yesterday'"):
        replica.event_times()
    write(replica, "a")
    assert replica.event_times() == {"a": AT}


def test_a_member_that_is_no_text_is_no_engine_and_the_next_write_removes_it(redis, replica):
    write(replica, "a")
    redis.client().sadd(key(replica, "entities"), b"\xff")
    assert replica.event_times() == {"a": AT}
    write(replica, "a")
    assert redis.client().smembers(key(replica, "entities")) == {b"a"}


@pytest.mark.parametrize("database", [0, 1])
def test_a_user_with_the_documented_rights_writes_reads_and_passes_the_doctor(redis, replica, monkeypatch, database):
    user(redis, monkeypatch, RIGHTS)
    store = OnlineStore(f"redis://127.0.0.1:{redis.port}/{database}", user="sinet")
    (finding,) = online_findings([replace(get_region("WEST"), online_store=store)])
    assert finding.ok, finding.found
    own = replace(replica, access=OnlineAccess("WEST", store.url, "sinet"))
    write(own, "a")
    assert own.event_times() == {"a": AT}
    own.remove()
    assert list(redis.client(db=database).scan_iter("sinet:doctor:*")) == []


@pytest.mark.parametrize("rights", ["+ping +select", RIGHTS.replace("+hset ", "")])
def test_the_doctor_names_a_command_that_the_user_may_not_run(redis, replica, monkeypatch, rights):
    user(redis, monkeypatch, rights)
    store = OnlineStore(redis.url, user="sinet")
    (finding,) = online_findings([replace(get_region("WEST"), online_store=store)])
    assert "does not let its user run a command" in finding.found
    assert "grant the commands and keys of docs/online.md" in finding.found
