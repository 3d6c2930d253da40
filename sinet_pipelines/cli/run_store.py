"""Dagster's SQLite storage of runs and schedules with connections that stay open: the same files and tables.

Dagster makes an engine and opens the database for each query. It also checks all its migrations whenever an instance is
made, which happens at each evaluation of a sensor. An idle daemon spends most of its time on that.

Uses private parts of Dagster's classes in the pinned version; tests check them.
"""

import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import sqlalchemy as db
from dagster._core.storage.runs.sqlite import sqlite_run_storage
from dagster._core.storage.runs.sqlite.sqlite_run_storage import SqliteRunStorage
from dagster._core.storage.schedules.sqlite import sqlite_schedule_storage
from dagster._core.storage.schedules.sqlite.sqlite_schedule_storage import SqliteScheduleStorage
from dagster._core.storage.sqlite import SQLITE_BUSY_TIMEOUT_SECONDS
from sqlalchemy.pool import QueuePool

from sinet_pipelines.storage.databases import DAGSTER_REVISION
from sinet_pipelines.storage.layout import sqlite_uri

if TYPE_CHECKING:
    from dagster._serdes import ConfigurableClassData


def connection_string(base_dir: str, db_name: str) -> str:
    """The database's URI, escaped; Dagster's own code reads the text after a `?` in a folder's name as options."""
    return sqlite_uri(Path(base_dir).absolute() / f"{db_name}.db")


for _module in (sqlite_run_storage, sqlite_schedule_storage):
    vars(_module)["create_db_conn_string"] = connection_string


def is_current(path: Path, *tables: str) -> bool:
    """Whether a database exists, at the newest migration, and has these tables; else Dagster checks it itself."""
    if not path.exists():
        return False
    try:
        with closing(sqlite3.connect(path)) as opened:
            (revision,) = opened.execute("SELECT version_num FROM alembic_version").fetchone() or ("",)
            there = {name for (name,) in opened.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    except sqlite3.DatabaseError:
        return False
    return revision == DAGSTER_REVISION and there.issuperset(tables)


class _KeptOpen:
    """`connect` of a storage on an engine that stays open while its file and its process are the same."""

    _conn_string: str
    _kept: tuple[db.Engine, tuple[int, int]] | None = None

    @contextmanager
    def connect(self) -> Iterator[db.Connection]:
        """One transaction; connections return to the engine and stay open."""
        with self._engine().connect() as connection, connection.begin():
            yield connection

    def dispose(self) -> None:
        """Closes what is open."""
        if self._kept is not None:
            engine, (pid, _) = self._kept
            engine.dispose(close=pid == os.getpid())  # opened before a fork: the parent closes it
            self._kept = None

    def _engine(self) -> db.Engine:
        belongs_to = (os.getpid(), _inode(db.make_url(self._conn_string).database or ""))
        if self._kept is None or self._kept[1] != belongs_to:
            self.dispose()
            options = {"timeout": SQLITE_BUSY_TIMEOUT_SECONDS, "check_same_thread": False}  # SQLite's default is 5 s
            engine = db.create_engine(
                self._conn_string, poolclass=QueuePool, pool_size=1, max_overflow=-1, connect_args=options
            )
            self._kept = engine, belongs_to
        return self._kept[0]


class OpenSqliteRunStorage(_KeptOpen, SqliteRunStorage):
    """The runs, in Dagster's own tables."""

    @classmethod
    def from_local(cls, base_dir: str, inst_data: "ConfigurableClassData | None" = None) -> Any:
        """The storage in a folder; Dagster makes it or migrates it where that is necessary."""
        if is_current(Path(base_dir) / "runs.db", "runs", "instance_info"):
            return cls(connection_string(base_dir, "runs"), inst_data)
        return super().from_local(base_dir, inst_data)


class OpenSqliteScheduleStorage(_KeptOpen, SqliteScheduleStorage):
    """Schedules, sensors and their ticks, in Dagster's own tables."""

    @classmethod
    def from_local(cls, base_dir: str, inst_data: "ConfigurableClassData | None" = None) -> Any:
        """The storage in a folder; Dagster makes it or migrates it where that is necessary."""
        if is_current(Path(base_dir) / "schedules.db", "job_ticks"):
            return cls(connection_string(base_dir, "schedules"), inst_data)
        return super().from_local(base_dir, inst_data)


def _inode(path: str) -> int:
    try:
        return Path(path).stat().st_ino
    except FileNotFoundError:
        return 0
