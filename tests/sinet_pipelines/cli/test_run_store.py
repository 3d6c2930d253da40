"""Runs and schedules in Dagster's own files, on connections that stay open."""

import sqlite3
from contextlib import closing

import dagster as dg
import pytest
from dagster._core.storage.runs.sqlite.sqlite_run_storage import SqliteRunStorage
from dagster._core.storage.sqlite import SQLITE_BUSY_TIMEOUT_SECONDS

from sinet_pipelines.cli.run_store import OpenSqliteRunStorage, OpenSqliteScheduleStorage, is_current
from sinet_pipelines.storage.databases import DAGSTER_REVISION


@pytest.fixture
def instance():
    with dg.DagsterInstance.ephemeral() as found:
        yield found


@pytest.fixture
def storage(tmp_path, instance):
    OpenSqliteRunStorage.from_local(str(tmp_path)).dispose()
    found = OpenSqliteRunStorage.from_local(str(tmp_path))
    found.register_instance(instance)
    yield found
    found.dispose()


def test_the_pinned_dagster_makes_databases_of_the_revision_that_is_expected(tmp_path):
    OpenSqliteScheduleStorage.from_local(str(tmp_path)).dispose()
    SqliteRunStorage.from_local(str(tmp_path))
    assert is_current(tmp_path / "schedules.db", "job_ticks")
    assert is_current(tmp_path / "runs.db", "runs", "instance_info")


def test_dagsters_own_storage_reads_what_the_open_one_wrote(tmp_path, storage, instance):
    run = dg.DagsterRun(job_name="walk")
    storage.add_run(run)
    own = SqliteRunStorage.from_local(str(tmp_path))
    own.register_instance(instance)
    assert [one.run_id for one in own.get_runs()] == [run.run_id]


@pytest.mark.parametrize("name", ["re?n", "50% #1 ü?", "plain"])
def test_runs_and_schedules_lie_in_a_folder_of_any_name(tmp_path, instance, name):
    folder = tmp_path / name
    folder.mkdir()
    for kind in (OpenSqliteRunStorage, OpenSqliteScheduleStorage):
        for _ in range(2):  # made, then opened again
            found = kind.from_local(str(folder))
            found.register_instance(instance)
            if kind is OpenSqliteRunStorage:
                assert found.get_runs() == []
            else:
                assert list(found.all_instigator_state()) == []
            found.dispose()
    assert [path.name for path in tmp_path.iterdir()] == [name]


def test_one_connection_serves_many_questions(storage):
    for _ in range(5):
        assert storage.get_runs() == []
    assert storage._engine().pool.checkedin() == 1


def test_a_database_that_was_replaced_is_opened_anew(tmp_path, storage):
    storage.add_run(dg.DagsterRun(job_name="walk"))
    for path in tmp_path.glob("runs.db*"):
        path.rename(path.with_name(f"old-{path.name}"))
    OpenSqliteRunStorage.from_local(str(tmp_path)).dispose()
    assert storage.get_runs() == []


def test_a_database_of_another_revision_or_none_is_left_to_dagster(tmp_path, storage):
    path = tmp_path / "runs.db"
    assert is_current(path, "runs")
    assert not is_current(path, "no_such_table")
    with closing(sqlite3.connect(path)) as opened:
        opened.execute("UPDATE alembic_version SET version_num = 'older'")
        opened.commit()
    assert not is_current(path)
    assert DAGSTER_REVISION != "older"
    (tmp_path / "garbage.db").write_bytes(b"no database" * 100)
    assert not is_current(tmp_path / "garbage.db")
    assert not is_current(tmp_path / "missing.db")


def test_a_writer_waits_for_another_as_long_as_for_the_event_log(storage):
    with storage.connect() as connection:
        (waits_ms,) = connection.exec_driver_sql("PRAGMA busy_timeout").fetchone()
    assert waits_ms == SQLITE_BUSY_TIMEOUT_SECONDS * 1000
