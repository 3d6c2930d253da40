"""Dagster's SQLite storage with an event log that stays open: the same files and tables, less time for each event.

Dagster opens and closes a database for each event. At every close SQLite writes its log back and waits for the disk,
and SQLAlchemy compiles every statement again; that is most of the time for recording a day. Here a database stays open
between events, and a commit does not wait for the disk (`synchronous=NORMAL` in WAL mode, see
https://sqlite.org/pragma.html#pragma_synchronous). A killed process loses no committed event. A power cut may lose the
last commits, but never damages the database. The next run makes lost work again, since an asset counts as made only
when the event log has its materialisation.

dagster.yaml names this module, so every process of Dagster imports it from the installed package; no other module
imports it. It uses private parts of Dagster's class in the pinned version; tests check them.
"""

import os
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import sqlalchemy as db
from dagster._core.storage.event_log.sqlite import sqlite_event_log
from dagster._core.storage.event_log.sqlite.sqlite_event_log import SqliteEventLogStorage
from dagster._core.storage.sqlite import SQLITE_BUSY_TIMEOUT_SECONDS
from dagster._core.storage.sqlite_storage import (
    DagsterSqliteStorage,
    _event_logs_directory,
    _runs_directory,
    _schedule_directory,
)
from sqlalchemy.pool import StaticPool

from sinet_pipelines.cli.run_store import (
    OpenSqliteRunStorage,
    OpenSqliteScheduleStorage,
    connection_string,
    is_current,
)

if TYPE_CHECKING:
    from dagster._serdes import ConfigurableClassData


vars(sqlite_event_log)["create_db_conn_string"] = connection_string  # those of runs and schedules: `run_store.py`

OPEN_DATABASES = 4  # the index, the run in progress and two more: a page that reads many runs must not keep all open


@dataclass(frozen=True)
class _Open:
    """An open database: its engine with the one connection, and the file and the process it belongs to."""

    engine: db.Engine
    inode: int
    pid: int


class OpenSqliteEventLogStorage(SqliteEventLogStorage):
    """The event log: a database a run and an index over all runs, each kept open while it is in use."""

    def __init__(self, base_dir: str, inst_data: "ConfigurableClassData | None" = None) -> None:
        self._open: OrderedDict[str, _Open] = OrderedDict()
        self._known: set[str] = set()  # tables and columns that exist
        super().__init__(base_dir, inst_data)

    @contextmanager
    def _connect(self, shard: str) -> Iterator[db.Connection]:
        """One transaction on a database; the lock lets one thread at a time use the open connection."""
        with self._db_lock, self._engine(shard).connect() as connection, connection.begin():
            yield connection

    def has_table(self, table_name: str) -> bool:
        """Whether the index has a table; the result for an existing table is cached."""
        if table_name not in self._known and super().has_table(table_name):
            self._known.add(table_name)
        return table_name in self._known

    def _has_asset_key_col_on_connection(self, conn: db.Connection, column_name: str) -> bool:
        column = f"asset_keys.{column_name}"
        if column not in self._known and super()._has_asset_key_col_on_connection(conn, column_name):
            self._known.add(column)
        return column in self._known

    def wipe(self) -> None:
        """Removes all events."""
        self._close_all()
        super().wipe()

    def dispose(self) -> None:
        """Closes what is open."""
        super().dispose()
        self._close_all()

    def _engine(self, shard: str) -> db.Engine:
        """The engine of a database; opened again where its file was replaced."""
        found = self._open.get(shard)
        if found is not None and (found.pid, found.inode) == (os.getpid(), _inode(self.path_for_shard(shard))):
            self._open.move_to_end(shard)
            return found.engine
        if found is not None:
            self._close(shard)
            self._initialized_dbs.discard(shard)
        engine = _open_engine(self.conn_string_for_shard(shard))
        if shard not in self._initialized_dbs:
            if not is_current(Path(self.path_for_shard(shard)), "event_logs"):
                self._initdb(engine)
            self._initialized_dbs.add(shard)
        self._open[shard] = _Open(engine, _inode(self.path_for_shard(shard)), os.getpid())
        while len(self._open) > OPEN_DATABASES:
            self._close(next(iter(self._open)))
        return engine

    def _close(self, shard: str) -> None:
        closing = self._open.pop(shard)
        if closing.pid == os.getpid():
            closing.engine.dispose()
        else:
            closing.engine.dispose(close=False)  # opened before a fork: the parent closes it

    def _close_all(self) -> None:
        with self._db_lock:
            for shard in list(self._open):
                self._close(shard)


class OpenSqliteStorage(DagsterSqliteStorage):
    """Runs, events and schedules in one folder with Dagster's layout; events in the log that stays open."""

    def __init__(self, base_dir: str, inst_data: "ConfigurableClassData | None" = None) -> None:
        self.base_dir = base_dir
        self._inst_data = inst_data
        self._run_storage = OpenSqliteRunStorage.from_local(_runs_directory(base_dir))
        self._event_log_storage = OpenSqliteEventLogStorage(_event_logs_directory(base_dir))
        self._schedule_storage = OpenSqliteScheduleStorage.from_local(_schedule_directory(base_dir))
        super(DagsterSqliteStorage, self).__init__()

    def dispose(self) -> None:
        """Closes what is open."""
        self._run_storage.dispose()
        self._event_log_storage.dispose()
        self._schedule_storage.dispose()

    @classmethod
    def from_config_value(cls, inst_data: "ConfigurableClassData | None", config_value: Any) -> "OpenSqliteStorage":
        """The storage that dagster.yaml configures."""
        return cls.from_local(inst_data=inst_data, **config_value)


def _open_engine(url: str) -> db.Engine:
    """An engine with one connection, which stays open."""
    options = {"timeout": SQLITE_BUSY_TIMEOUT_SECONDS, "check_same_thread": False}
    engine = db.create_engine(url, poolclass=StaticPool, connect_args=options)
    db.event.listen(engine, "connect", _wait_for_no_disk)
    return engine


def _wait_for_no_disk(connection: Any, _: object) -> None:
    connection.execute("PRAGMA synchronous=NORMAL")


def _inode(path: str) -> int:
    try:
        return Path(path).stat().st_ino
    except FileNotFoundError:
        return 0
