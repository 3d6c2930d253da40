"""The open event log: Dagster's own files, nothing lost to a kill, no more open than may be."""

import multiprocessing
import signal
import sqlite3
import subprocess
import sys
import threading
from pathlib import Path

import dagster as dg
import pytest
import sqlalchemy as db
from dagster._core.instance.ref import InstanceRef
from dagster._core.storage.event_log.sqlite.sqlite_event_log import INDEX_SHARD_NAME

from sinet_pipelines.cli.event_store import OPEN_DATABASES, OpenSqliteEventLogStorage

KEY = dg.AssetKey("day_book")
DAYS = dg.DailyPartitionsDefinition("2026-01-01", end_date="2026-01-11")


def instance_on(folder: Path, kind: str = "open") -> dg.DagsterInstance:
    """An instance on the folder, with the open storage or with Dagster's own."""
    config = {"base_dir": str(folder)}
    custom = {"module": "sinet_pipelines.cli.event_store", "class": "OpenSqliteStorage", "config": config}
    storage = {"custom": custom} if kind == "open" else {"sqlite": config}
    return dg.DagsterInstance.from_ref(InstanceRef.from_dir(str(folder), overrides={"storage": storage}))


@pytest.fixture
def folder(tmp_path):
    return tmp_path


@pytest.fixture
def instance(folder):
    with instance_on(folder) as opened:
        yield opened


def record(instance: dg.DagsterInstance, day: str) -> None:
    tags = {"dagster/data_version": day}
    instance.report_runless_asset_event(dg.AssetMaterialization(KEY, partition=day, tags=tags))


def recorded(instance: dg.DagsterInstance) -> list[str]:
    found = instance.fetch_materializations(KEY, limit=1000).records
    return sorted(one.asset_materialization.partition for one in found)


@dg.asset(
    key=KEY,
    partitions_def=DAYS,
    backfill_policy=dg.BackfillPolicy.single_run(),
    check_specs=[dg.AssetCheckSpec("right", asset=KEY)],
)
def day_book(context: dg.AssetExecutionContext):
    for day in context.partition_keys:
        yield dg.AssetCheckEvaluation(KEY, "right", True, partition=day)
    yield dg.MaterializeResult(check_results=[dg.AssetCheckResult(passed=True, check_name="right")])


def make_days(instance: dg.DagsterInstance) -> str:
    tags = {"dagster/asset_partition_range_start": "2026-01-01", "dagster/asset_partition_range_end": "2026-01-10"}
    result = dg.materialize([day_book], instance=instance, tags=tags)
    assert result.success
    return result.run_id


def test_an_instance_uses_the_storage_that_its_file_names(instance):
    assert type(instance.event_log_storage) is OpenSqliteEventLogStorage


@pytest.mark.parametrize(("writer", "reader"), [("open", "stock"), ("stock", "open")])
def test_dagsters_own_storage_and_the_open_one_read_each_others_files(folder, writer, reader):
    with instance_on(folder, writer) as written:
        run_id = make_days(written)
        kinds = [entry.dagster_event_type for entry in written.all_logs(run_id)]
    with instance_on(folder, reader) as read:
        assert [entry.dagster_event_type for entry in read.all_logs(run_id)] == kinds
        assert len(recorded(read)) == 10
        assert read.get_run_by_id(run_id).status == dg.DagsterRunStatus.SUCCESS


def test_a_run_leaves_the_same_events_and_checks_in_both_storages(tmp_path):
    left = {}
    for kind in ("open", "stock"):
        (tmp_path / kind).mkdir()
        with instance_on(tmp_path / kind, kind) as instance:
            run_id = make_days(instance)
            checks = instance.event_log_storage.get_asset_check_execution_history(dg.AssetCheckKey(KEY, "right"), 100)
            left[kind] = (
                [entry.dagster_event_type for entry in instance.all_logs(run_id)],
                [(one.partition, one.status) for one in checks],
                instance.get_latest_data_version_record(KEY).asset_key,
            )
    assert left["open"] == left["stock"]


@pytest.mark.slow
def test_what_was_committed_outlives_a_kill(folder):
    script = (
        "import os, signal, sys; sys.path.insert(0, sys.argv[1])\n"
        "from pathlib import Path; import test_event_store as t\n"
        "instance = t.instance_on(Path(sys.argv[2]))\n"
        "[t.record(instance, f'2026-01-{n:02d}') for n in range(1, 10)]\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    arguments = [sys.executable, "-W", "ignore", "-c", script, str(Path(__file__).parent), str(folder)]
    killed = subprocess.run(arguments, capture_output=True, text=True, timeout=300)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    with instance_on(folder) as instance:
        assert recorded(instance) == [f"2026-01-{n:02d}" for n in range(1, 10)]


def test_a_commit_waits_for_no_disk_and_the_log_is_written_ahead(instance):
    with instance.event_log_storage.index_connection() as connection:
        assert connection.execute(db.text("PRAGMA synchronous")).scalar() == 1  # NORMAL, by SQLite's documentation
        assert connection.execute(db.text("PRAGMA journal_mode")).scalar() == "wal"


def test_a_database_stays_open_between_events(instance):
    storage = instance.event_log_storage
    record(instance, "2026-01-01")
    first = storage._open[INDEX_SHARD_NAME]
    record(instance, "2026-01-02")
    assert storage._open[INDEX_SHARD_NAME] is first


def test_no_more_databases_stay_open_than_may_be(instance):
    runs = [f"0000-{n}" for n in range(OPEN_DATABASES + 3)]
    for run_id in runs:
        instance.all_logs(run_id)
    assert list(instance.event_log_storage._open) == runs[-OPEN_DATABASES:]


def test_an_event_log_that_another_process_wiped_is_made_anew(instance, folder):
    record(instance, "2026-01-01")
    for file in (folder / "history" / "runs").glob("*.db*"):
        file.unlink()
    record(instance, "2026-01-02")
    assert recorded(instance) == ["2026-01-02"]


def test_a_wiped_event_log_takes_events(instance):
    record(instance, "2026-01-01")
    instance.event_log_storage.wipe()
    assert recorded(instance) == []
    record(instance, "2026-01-02")
    assert recorded(instance) == ["2026-01-02"]


def test_threads_at_once_lose_no_event(instance):
    days = [f"2026-01-{n:02d}" for n in range(1, 11)]
    threads = [threading.Thread(target=record, args=(instance, day)) for day in days]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert recorded(instance) == days


@pytest.mark.slow
def test_processes_at_once_lose_no_event(instance, folder):
    script = (
        "import sys; sys.path.insert(0, sys.argv[1])\n"
        "from pathlib import Path; import test_event_store as t\n"
        "with t.instance_on(Path(sys.argv[2])) as instance:\n"
        "    [t.record(instance, f'2026-{sys.argv[3]}-{n:02d}') for n in range(1, 6)]\n"
    )
    start = [sys.executable, "-W", "ignore", "-c", script, str(Path(__file__).parent), str(folder)]
    others = [subprocess.Popen([*start, month]) for month in ("02", "03")]
    days = [f"2026-01-{n:02d}" for n in range(1, 6)]
    for day in days:
        record(instance, day)
    assert [other.wait(timeout=300) for other in others] == [0, 0]
    assert recorded(instance) == sorted(f"2026-{month}-{n:02d}" for month in ("01", "02", "03") for n in range(1, 6))


def test_a_forked_child_opens_the_database_for_itself(instance):
    record(instance, "2026-01-01")
    child = multiprocessing.get_context("fork").Process(target=record, args=(instance, "2026-01-02"))
    child.start()
    child.join(timeout=300)
    assert child.exitcode == 0
    record(instance, "2026-01-03")
    assert recorded(instance) == ["2026-01-01", "2026-01-02", "2026-01-03"]


def test_a_disposed_instance_leaves_no_log_beside_the_database(folder):
    with instance_on(folder) as instance:
        record(instance, "2026-01-01")
    index = folder / "history" / "runs" / "index.db"
    assert not index.with_name("index.db-wal").exists()  # the last one to close writes it back
    with sqlite3.connect(f"file:{index}?mode=ro", uri=True) as connection:
        assert connection.execute("SELECT count(*) FROM asset_keys").fetchone() == (1,)
    connection.close()
