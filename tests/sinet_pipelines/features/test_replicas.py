"""Replicas of the online store in SQLite and in a real Redis: values, lag, damage, and what Feast's stock SDK shows."""

import random
import shutil
import sqlite3
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import replace
from datetime import timedelta

import polars as pl
import pytest
from deltalake import DeltaTable, Field

from sinet_pipelines.cli.doctor_online import online_findings
from sinet_pipelines.errors import ForbiddenError, StorageError, UnreachableError
from sinet_pipelines.features.feast_settings import FILE
from sinet_pipelines.features.health import store_faults
from sinet_pipelines.features.repository import FeatureRepository
from sinet_pipelines.inventory.online_stores import OnlineStore
from tests.conftest import CHECKOUT
from tests.inventory import get_region
from tests.loopback import free_port
from tests.redis_server import running_redis
from tests.sinet_pipelines.features.test_repository import FEATURES, at, write
from tests.walk.homes import folder_of

STORES = ("sqlite", "redis")


@pytest.fixture(scope="session")
def redis():
    """One server for all tests; each home has keys of its own."""
    with running_redis() as server:
        yield server


@pytest.fixture
def place(tmp_path):
    """A home of an odd name with features of two engines in two regions."""
    home = tmp_path / "plant #2 ä?"
    for region, rows in (("EAST", [("a", 1, 1.0), ("a", 3, 3.0)]), ("WEST", [("b", 2, 2.0)])):
        table = folder_of(home, region, "window_features")
        table.parent.mkdir(parents=True)
        write(table, *rows)
    return home


def repository_of(home, store, *, region="WEST", **more):
    tables = tuple(str(folder_of(home, one, "window_features")) for one in ("EAST", "WEST"))
    defaults = {"application": "turbofan", "code_version": "c1", "is_main": region == "WEST"}
    return FeatureRepository(home / "feast", tables, FEATURES, region=region, online=store, **{**defaults, **more})


@pytest.fixture(params=STORES)
def online(request, monkeypatch):
    """A region's store of each kind; the password of the server is in the environment."""
    if request.param == "sqlite":
        return OnlineStore()
    server = request.getfixturevalue("redis")
    for region in ("EAST", "WEST"):
        monkeypatch.setenv(f"SINET_{region}_ONLINE_PASSWORD", server.password)
    return OnlineStore(server.url)


@pytest.fixture
def on_redis(redis, monkeypatch):
    for region in ("EAST", "WEST"):
        monkeypatch.setenv(f"SINET_{region}_ONLINE_PASSWORD", redis.password)
    return OnlineStore(redis.url)


def written(home, store, **more):
    repository = repository_of(home, store, **more)
    repository.apply()
    repository.write_online()
    return repository


def means(repository, *units):
    return repository.read_online(units, features=["mean"])["mean"].to_list()


def fault_of(repository):
    return next((one.message for one in store_faults(repository.folder, replica=repository.place)), "")


def test_online_equals_offline_at_the_last_instant_of_each_engine_of_a_seeded_sample(place, online):
    draw = random.Random(20261128)
    rows = [(f"e{draw.randrange(40):02d}", cycle, draw.gauss(0, 1e3)) for cycle in range(1, 300)]
    for region, part in (("EAST", rows[::2]), ("WEST", rows[1::2])):
        write(folder_of(place, region, "window_features"), *part)
    repository = written(place, online)
    last = {unit: cycle for unit, cycle, _ in rows}
    entities = pl.DataFrame({"unit": list(last), "event_timestamp": [at(cycle) for cycle in last.values()]})
    offline = repository.historical(entities).drop("event_timestamp")
    assert repository.read_online(list(last)).equals(offline)
    assert offline["mean"].null_count() == 0


def test_a_correction_of_the_same_instant_and_a_withdrawal_reach_the_replica(place, online):
    repository = written(place, online)
    table = DeltaTable(str(folder_of(place, "EAST", "window_features")))
    table.update(predicate="cycle = 3", new_values={"mean": 30.0})
    repository.write_online()
    assert means(repository, "a") == [30.0]
    table.delete("cycle = 3")
    DeltaTable(str(folder_of(place, "WEST", "window_features"))).delete()
    repository.write_online()
    assert means(repository, "a", "b") == [1.0, None]
    assert fault_of(repository) == ""


def test_each_region_has_a_replica_of_its_own_and_its_lag_is_that_of_this_replica(place, online):
    west, east = written(place, online), written(place, online, region="EAST")
    write(folder_of(place, "EAST", "window_features"), ("a", 5, 5.0), ("c", 4, 4.0))
    west.write_online()
    assert (means(west, "a", "c"), means(east, "a", "c")) == ([5.0, 4.0], [3.0, None])
    assert west.lag().passed
    assert (west.lag().event_lag_s, west.lag().arrival_lag_s) == (0, 0)
    lag = east.lag()
    assert (lag.engines, lag.behind, lag.missing) == (3, 1, 1)
    assert lag.event_lag_s == timedelta(minutes=72).total_seconds()
    assert lag.arrival_lag_s > 0
    assert "the online store of EAST lacks 1 engine of 3; is 4,320 s behind the tables" in lag.sentence
    east.write_online()
    assert east.lag().passed


def test_a_null_key_is_an_absent_engine_in_redis_and_is_never_written(place, on_redis):
    from feast.protos.feast.types.EntityKey_pb2 import EntityKey
    from feast.protos.feast.types.Value_pb2 import Value

    from sinet_pipelines.features.redis_store import ReplicaOnlineStore

    feast = written(place, on_redis).store
    view, store = feast.get_feature_view("window_features"), ReplicaOnlineStore()
    null, known = (EntityKey(join_keys=["unit"], entity_values=[one]) for one in (Value(), Value(string_val="a")))
    assert [at for at, _ in store.online_read(feast.config, view, [null, known])] == [None, at(3)]
    with pytest.raises(StorageError, match="has no entity"):
        store.online_write_batch(feast.config, view, [(null, {}, at(3), None)], None)


def test_a_commit_during_a_write_is_not_in_the_replica_and_not_in_its_versions(place, online, monkeypatch):
    from sinet_pipelines.features import repository as module

    repository, real = written(place, online), module.read_offline

    def read_then_commit(*place_and_source, **more):
        found = real(*place_and_source, **more)
        write(folder_of(place, "EAST", "window_features"), ("a", 7, 7.0))
        return found

    with monkeypatch.context() as patch:
        patch.setattr(module, "read_offline", read_then_commit)
        mark = repository.write_online()
    assert [one.version for one in mark.tables.values()] == [0, 0]
    assert means(repository, "a") == [3.0]
    assert (repository.lag().behind, repository.lag().has_newer_tables) == (1, True)


def test_a_column_that_only_one_region_has_yet_stops_no_replica(place):
    table = DeltaTable(str(folder_of(place, "EAST", "window_features")))
    table.alter.add_columns([Field("added", "double")])
    assert means(written(place, OnlineStore()), "a", "b") == [3.0, 2.0]


def test_a_lag_within_its_limit_passes(place):
    repository = written(place, OnlineStore(lag_limit_s=3 * 3600))
    write(folder_of(place, "EAST", "window_features"), ("a", 5, 5.0))
    assert repository.lag().passed
    assert repository.lag().behind == 1
    write(folder_of(place, "EAST", "window_features"), ("a", 9, 9.0))
    assert not repository.lag().passed


def test_the_stock_sdk_opens_the_replica_of_each_region_and_no_file_has_the_password(place, redis, on_redis):
    from feast import FeatureStore

    written(place, on_redis)
    written(place, OnlineStore(), region="EAST", is_main=False)
    moved = place.rename(place.with_name("moved #3"))
    rows, refs = [{"unit": "b"}, {"unit": "a"}, {"unit": "unseen"}], ["window_features:mean"]
    for folder in (moved, moved / "feast/WEST", moved / "feast/EAST"):
        store = FeatureStore(repo_path=str(folder))
        assert store.get_online_features(features=refs, entity_rows=rows).to_dict()["mean"] == [2.0, 3.0, None]
        entities = pl.DataFrame({"unit": ["a"], "event_timestamp": [at(2)]}).to_pandas()
        found = store.get_historical_features(entity_df=entities, features=refs).to_df()
        assert found["mean"].tolist() == [1.0]
    assert redis.url in (moved / FILE).read_text()
    for path in (one for one in moved.rglob("*") if one.is_file()):
        assert redis.password.encode() not in path.read_bytes()


def test_the_stock_sdk_shows_version_and_lineage_in_feasts_own_fields(place):
    from feast import FeatureStore

    first = written(place, OnlineStore(), descriptions={"mean": "mean of the window [1]"}, owner="team:a")
    written(place, OnlineStore(), region="EAST", descriptions={"mean": "mean of the window [1]"}, owner="team:a")
    store = FeatureStore(repo_path=str(place))
    (view,) = store.list_feature_views()
    tables = "EAST/feature/turbofan/window_features@0 WEST/feature/turbofan/window_features@0"
    assert view.tags["feature_version"] == first.definition.version
    assert (view.tags["code_version"], view.tags["application"], view.owner) == ("c1", "turbofan", "team:a")
    assert [view.tags[f"online.{region}.delta_versions"] for region in ("EAST", "WEST")] == [tables, tables]
    assert view.tags["online.WEST.feature_version"] == first.definition.version
    assert {one.name: one.description for one in view.features}["mean"] == "mean of the window [1]"
    assert store.get_feature_service("all_window_features").tags["feature_version"] == first.definition.version
    assert view.batch_source.tags["tables"] == tables.replace("@0", "")
    other = repository_of(place, OnlineStore(), code_version="c2")
    assert other.apply()
    view = FeatureStore(repo_path=str(place)).get_feature_view("window_features")
    assert view.tags["feature_version"] == other.definition.version != first.definition.version
    assert view.tags["online.WEST.feature_version"] == first.definition.version  # what is there is of the old code


def test_writes_change_no_definition(place):
    repository = written(place, OnlineStore())
    assert not repository.apply()
    east = written(place, OnlineStore(), region="EAST")
    assert not east.apply()
    assert not repository.apply()


def flush(repository, server):
    server.client().flushdb()


def drop_keys(repository, server):
    client = server.client()
    client.delete(next(iter(client.scan_iter(f"{repository.place.key_prefix}:*of:a"))))


def forge_mark(repository, server):
    client = server.client()
    (key,) = client.scan_iter(f"{repository.place.key_prefix}:*:mark")
    mark = replace(repository.place.open().mark(), write="of another")
    client.set(key, mark.to_json())


def restart(repository, server):
    server.stop()
    server.start()


LOSSES = {
    "emptied": (flush, "has no mark of a write: it was emptied"),
    "without keys": (drop_keys, "has 1 engines, written were 2"),
    "of another home": (forge_mark, "by another home"),
    "restarted": (restart, "has no mark of a write: it was emptied"),
}


@pytest.mark.parametrize("loss", LOSSES)
def test_a_loss_on_the_server_is_noticed_by_looking_and_healed_by_the_next_write(place, redis, on_redis, loss):
    repository = written(place, on_redis)
    assert fault_of(repository) == ""
    lose, expected = LOSSES[loss]
    lose(repository, redis)
    assert expected in fault_of(repository)
    assert expected in repository.lag().sentence
    assert "`sinet run` writes it again" in repository.lag().sentence
    repository.write_online()
    assert fault_of(repository) == ""
    assert means(repository, "a", "b") == [3.0, 2.0]


def test_a_server_that_is_down_is_said_in_one_sentence_and_the_replicas_of_others_go_on(place, redis, on_redis):
    west, east = written(place, on_redis), written(place, OnlineStore(), region="EAST")
    redis.stop()
    try:
        assert "does not answer" in fault_of(west)
        assert redis.url in west.lag().sentence
        with pytest.raises(UnreachableError, match="start it, or correct `online_store`"):
            west.write_online()
        assert not west.apply()  # definitions need no server
        east.write_online()
        assert fault_of(east) == ""
    finally:
        redis.start()
    west.write_online()
    assert fault_of(west) == ""


def test_a_rotated_password_is_used_by_the_next_connection_and_a_wrong_one_is_no_secret_in_a_message(
    place, redis, on_redis, tmp_path, monkeypatch
):
    folder = tmp_path / "credentials/WEST/online"
    folder.mkdir(parents=True)
    file = folder / "password"
    file.touch(mode=0o600)
    file.write_text(f"{redis.password}\n")
    monkeypatch.setenv("SINET_CREDENTIALS", str(tmp_path / "credentials"))
    repository = written(place, on_redis)
    file.write_text("wrong-and-secret")
    with pytest.raises(ForbiddenError) as refused:
        repository.place.open().mark()
    assert "wrong-and-secret" not in str(refused.value)
    assert "rejects the credentials" in str(refused.value)
    redis.client().config_set("requirepass", "another")
    try:
        file.write_text("another")
        assert repository.place.open().mark() is not None
    finally:
        replace(redis, password="another").client().config_set("requirepass", redis.password)


def test_a_server_without_memory_is_said_and_the_former_values_stay(place, redis, on_redis):
    repository = written(place, on_redis)
    write(folder_of(place, "EAST", "window_features"), ("a", 5, 5.0))
    redis.client().config_set("maxmemory", 1)
    try:
        with pytest.raises(StorageError, match="rejects a command .*; correct that and run again"):
            repository.write_online()
        assert means(repository, "a") == [3.0]
    finally:
        redis.client().config_set("maxmemory", 0)
    repository.write_online()
    assert means(repository, "a") == [5.0]


def test_tls_is_verified_by_the_file_of_an_authority(place, tmp_path, monkeypatch):
    from tests.clusters.certificates import certificate_of, self_signed

    with running_redis() as server:
        server.stop()
        own = self_signed(server.folder / "server.pem")
        port, tls = f"tls-port {server.port}", ["tls-auth-clients no", f"tls-ca-cert-file {own}"]
        server.start("port 0", port, f"tls-cert-file {own}", f"tls-key-file {own}", *tls)
        folder = tmp_path / "credentials/WEST/online"
        folder.mkdir(parents=True)
        (folder / "password").touch(mode=0o600)
        (folder / "password").write_text(server.password)
        monkeypatch.setenv("SINET_CREDENTIALS", str(tmp_path / "credentials"))
        store = OnlineStore(server.url.replace("redis://", "rediss://"))
        with pytest.raises(UnreachableError, match="certificate"):
            repository_of(place, store).place.open().mark()
        certificate_of(own, folder / "ca.crt")
        assert fault_of(written(place, store)) == ""


def test_the_doctor_names_a_server_that_does_not_answer_and_one_that_rejects_the_password(redis, on_redis, monkeypatch):
    region = replace(get_region("WEST"), online_store=on_redis)
    (well,) = online_findings([region, get_region("EAST")])
    assert (well.name, well.ok) == ("online store of WEST", True)
    monkeypatch.setenv("SINET_WEST_ONLINE_PASSWORD", "wrong-and-secret")
    (rejected,) = online_findings([region])
    assert "rejects the credentials" in rejected.found
    (down,) = online_findings([replace(region, online_store=OnlineStore(f"redis://127.0.0.1:{free_port()}"))])
    assert "does not answer" in down.found
    assert "wrong-and-secret" not in rejected.found + down.found


def test_the_store_of_a_home_of_before_goes_once_a_region_has_its_own(place):
    old = repository_of(place, OnlineStore(), region="")
    old.apply()
    old.write_online()
    written(place, OnlineStore())
    assert not (place / "feast/online.db").exists()
    assert (place / "feast/WEST/online.db").exists()


def test_a_password_file_that_others_can_read_is_refused(place, on_redis, tmp_path, monkeypatch):
    folder = tmp_path / "WEST/online"
    folder.mkdir(parents=True)
    (folder / "password").write_text("open")
    (folder / "password").chmod(0o644)
    monkeypatch.setenv("SINET_CREDENTIALS", str(tmp_path))
    with pytest.raises(StorageError, match="chmod 600"):
        repository_of(place, on_redis).place.open().mark()


def test_a_copy_of_a_home_writes_keys_of_its_own_and_a_moved_home_keeps_its(place, redis, on_redis):
    repository = written(place, on_redis)
    moved = repository_of(place.rename(place.with_name("moved")), on_redis)
    assert fault_of(moved) == ""
    copy = repository_of(shutil.copytree(moved.root, moved.root.with_name("copy")), on_redis)
    assert "are of the home that this one was copied from" in fault_of(copy)
    write(folder_of(copy.root, "EAST", "window_features"), ("a", 7, 7.0))
    copy.apply()
    copy.write_online()
    assert (means(copy, "a"), means(moved, "a")) == ([7.0], [3.0])
    assert fault_of(moved) == fault_of(copy) == ""
    assert repository.place.key_prefix == ":".join(("sinet", "turbofan", "WEST"))  # its folder is no more


def test_another_store_in_the_inventory_is_noticed_and_written(place, on_redis):
    written(place, OnlineStore())
    moved = repository_of(place, on_redis)
    assert f"the online store was a file of the home, the inventory has {on_redis.url}" in fault_of(moved)
    moved.apply()
    moved.write_online()
    assert fault_of(moved) == ""
    assert means(moved, "a") == [3.0]


def test_values_deleted_from_the_file_of_a_replica_are_noticed(place):
    repository = written(place, OnlineStore())
    with closing(sqlite3.connect(repository.place.database)) as store, store:
        store.execute("DELETE FROM sinet_window_features")
    assert "has 0 engines, written were 2" in fault_of(repository)
    repository.write_online()
    assert fault_of(repository) == ""


def test_two_writers_at_once_end_with_one_whole_replica_in_redis(place, on_redis):
    write(folder_of(place, "EAST", "window_features"), *[(f"e{n:03d}", 5, float(n)) for n in range(300)])

    def write_online(_):
        return written(place, on_redis).place

    with ThreadPoolExecutor(3) as pool:
        list(pool.map(write_online, range(3)))
    repository = repository_of(place, on_redis)
    assert fault_of(repository) == ""
    units = [f"e{n:03d}" for n in range(300)]
    assert means(repository, *units) == [float(n) for n in range(300)]


def test_a_write_that_dies_before_its_mark_leaves_the_former_mark_and_the_next_is_whole(place, on_redis, monkeypatch):
    from sinet_pipelines.features.redis_replica import RedisReplica

    repository = written(place, on_redis)
    before = repository.place.open().mark()
    write(folder_of(place, "EAST", "window_features"), ("a", 8, 8.0))

    def dies(self, mark, entities):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(RedisReplica, "settle", dies)
        with pytest.raises(KeyboardInterrupt):
            repository.write_online()
    assert repository.place.open().mark() == before
    repository.write_online()
    assert means(repository, "a") == [8.0]
    assert repository.lag().passed


WRITER = """
import sys
from pathlib import Path
from sinet_pipelines.inventory.online_stores import OnlineStore
from tests.sinet_pipelines.features.test_replicas import written
for _ in range(1000):
    print(written(Path(sys.argv[1]), OnlineStore(sys.argv[2])).region, flush=True)
"""


@pytest.mark.slow
def test_a_writer_that_is_killed_leaves_whole_engines_and_the_next_write_is_whole(place, on_redis):
    units = [f"e{n:03d}" for n in range(400)]
    write(folder_of(place, "EAST", "window_features"), *[(unit, 5, 5.0) for unit in units])
    command = [sys.executable, "-W", "ignore", "-c", WRITER, str(place), on_redis.url]
    for delay_s in (0.0, 0.1):
        with subprocess.Popen(command, cwd=CHECKOUT, stdout=subprocess.PIPE, text=True) as writer:
            assert writer.stdout.readline() == "WEST\n"  # the first write is done, the next ones are in progress
            time.sleep(delay_s)
            writer.kill()
        repository = repository_of(place, on_redis)
        assert means(repository, *units) == [5.0] * 400
        assert fault_of(repository) == "" or "a write that did not end" in fault_of(repository)
    repository.apply()
    repository.write_online()
    assert fault_of(repository) == ""
    assert repository.lag().passed
    assert not (repository.folder / ".draft").exists()
