"""Dagster's SQLite storage with its event log kept open: the same files and tables, a fraction of the time per event.

Dagster opens and closes a database for each event. SQLite then writes its log back and waits for the disk at every
close, and SQLAlchemy compiles every statement anew; that is most of what a recorded day costs. Here a database stays
open between events, and a commit does not wait for the disk (`synchronous=NORMAL` in WAL mode, see
https://sqlite.org/pragma.html#pragma_synchronous): a killed process loses nothing that was committed, a power cut may
lose the last commits and never the database. What is lost so is made again by the next run, since an asset counts as
made only when the log says so.

Named in dagster.yaml, so every process of the orchestrator imports this file from the installed package; nobody else
does. It leans on private parts of Dagster's class at the pinned version; the tests hold them.
"""

import os
import threading
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import sqlalchemy as db
from dagster._core.storage.event_log.sqlite.sqlite_event_log import SqliteEventLogStorage
from dagster._core.storage.sqlite import SQLITE_BUSY_TIMEOUT_SECONDS
from dagster._core.storage.sqlite_storage import DagsterSqliteStorage
from sqlalchemy.pool import StaticPool

if TYPE_CHECKING:
    from dagster._core.events.log import EventLogEntry
    from dagster._serdes import ConfigurableClassData

OPEN_DATABASES = 4  # the index and the run at work, and two more; a page that looks at many runs opens and closes


@dataclass(frozen=True)
class _Open:
    """An open database: its engine with the one connection, and which file and process it belongs to."""

    engine: db.Engine
    inode: int
    pid: int


class OpenSqliteEventLogStorage(SqliteEventLogStorage):
    """The event log, a database a run and an index, each kept open while it is in use."""

    def __init__(self, base_dir: str, inst_data: "ConfigurableClassData | None" = None) -> None:
        self._open: OrderedDict[str, _Open] = OrderedDict()
        self._at_work: dict[str, db.Connection] = {}
        self._tables: set[str] = set()
        super().__init__(base_dir, inst_data)
        self._db_lock = threading.RLock()  # a batch holds it over all of its events

    @contextmanager
    def _connect(self, shard: str) -> Iterator[db.Connection]:
        """A transaction on a database; inside a batch, the one that the batch has begun."""
        with self._db_lock:
            if shard in self._at_work:
                yield self._at_work[shard]
                return
            with self._engine(shard).connect() as connection, connection.begin():
                yield connection

    def store_event_batch(self, events: "Sequence[EventLogEntry]") -> None:
        """Stores events in one transaction a database: all of them, or none where one cannot be stored."""
        shards = dict.fromkeys([*(event.run_id for event in events), "index"])  # committed last in, first out
        with self._db_lock, ExitStack() as stack:
            stack.callback(self._at_work.clear)
            for shard in reversed(shards):
                self._at_work[shard] = stack.enter_context(self._connect(shard))
            for event in events:
                self.store_event(event)

    def has_table(self, table_name: str) -> bool:
        """Whether a table is there; one that was is not asked for again."""
        if table_name not in self._tables and super().has_table(table_name):
            self._tables.add(table_name)
        return table_name in self._tables

    def _has_asset_key_col_on_connection(self, conn: db.Connection, column_name: str) -> bool:
        name = f"asset_keys.{column_name}"
        if name not in self._tables and super()._has_asset_key_col_on_connection(conn, column_name):
            self._tables.add(name)
        return name in self._tables

    def wipe(self) -> None:
        """Removes all events."""
        self._close_all()
        super().wipe()

    def dispose(self) -> None:
        """Closes what is open."""
        super().dispose()
        self._close_all()

    def _engine(self, shard: str) -> db.Engine:
        """The engine of a database, opened where it is not open or its file is another by now."""
        found = self._open.get(shard)
        if found is not None and found.pid == os.getpid() and found.inode == _inode(self.path_for_shard(shard)):
            self._open.move_to_end(shard)
            return found.engine
        if found is not None:
            self._close(shard)
        engine = _open_engine(self.conn_string_for_shard(shard))
        self._initdb(engine)
        self._open[shard] = _Open(engine, _inode(self.path_for_shard(shard)), os.getpid())
        while len(self._open) > OPEN_DATABASES:
            self._close(next(iter(self._open)))
        return engine

    def _close(self, shard: str) -> None:
        closing = self._open.pop(shard)
        if closing.pid == os.getpid():  # a connection from before a fork is its parent's to close
            closing.engine.dispose()

    def _close_all(self) -> None:
        with self._db_lock:
            for shard in list(self._open):
                self._close(shard)


class OpenSqliteStorage(DagsterSqliteStorage):
    """Runs, events and schedules under one folder, laid out as Dagster's own; events through the open log."""

    def __init__(self, base_dir: str, inst_data: "ConfigurableClassData | None" = None) -> None:
        super().__init__(base_dir, inst_data)
        self._event_log_storage = OpenSqliteEventLogStorage(self._event_log_storage._base_dir)  # noqa: SLF001

    @classmethod
    def from_config_value(
        cls, inst_data: "ConfigurableClassData | None", config_value: dict[str, Any]
    ) -> "OpenSqliteStorage":
        """The storage that dagster.yaml describes."""
        return cls.from_local(inst_data=inst_data, **config_value)


def _open_engine(url: str) -> db.Engine:
    """An engine with one connection that stays open; the lock around its use lets any thread have it."""
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
