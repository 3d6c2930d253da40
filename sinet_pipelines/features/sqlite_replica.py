"""A replica of the newest features in a SQLite file of the home, beside the tables that Feast's store makes there."""

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from sinet_pipelines.errors import StorageError
from sinet_pipelines.features.replica_mark import Mark, WrittenEntity
from sinet_pipelines.storage.databases import database_fault

MARK_TABLE, ENTITY_TABLE = "sinet_mark", "sinet_entities"
_TABLES = (
    f"CREATE TABLE IF NOT EXISTS {MARK_TABLE} (mark TEXT NOT NULL)",
    f"CREATE TABLE IF NOT EXISTS {ENTITY_TABLE} (name TEXT PRIMARY KEY, entity_key BLOB, event_at TEXT NOT NULL)",
)


@dataclass(frozen=True)
class SqliteReplica:
    """The file of a replica.

    Attributes:
        path: path of the file.
        table: name of Feast's table in it: project and view.
        region: whose replica it is.
    """

    path: Path
    table: str
    region: str = ""

    @property
    def place(self) -> str:
        """The file, for messages."""
        return str(self.path)

    def settings(self, path: str) -> dict[str, Any]:
        """Feast's settings of the store.

        Args:
            path: of the file, as it is in the settings.
        """
        return {"type": "sqlite", "path": path}

    def settle(self, mark: Mark, entities: Sequence[WrittenEntity]) -> None:
        """Removes every other entity, which Feast has no way to do, and sets the mark; in one transaction."""
        rows = [(one.name, one.key, one.event_at.isoformat()) for one in entities]
        with closing(sqlite3.connect(self.path)) as store, store:
            for statement in _TABLES:
                store.execute(statement)
            store.execute(f"DELETE FROM {ENTITY_TABLE}")  # noqa: S608
            store.executemany(f"INSERT INTO {ENTITY_TABLE} VALUES (?, ?, ?)", rows)  # noqa: S608
            kept = f"SELECT entity_key FROM {ENTITY_TABLE}"  # noqa: S608
            store.execute(f'DELETE FROM "{self.table}" WHERE entity_key NOT IN ({kept})')  # noqa: S608
            store.execute(f"DELETE FROM {MARK_TABLE}")  # noqa: S608
            store.execute(f"INSERT INTO {MARK_TABLE} VALUES (?)", (mark.to_json().decode(),))  # noqa: S608

    def mark(self) -> Mark | None:
        """The mark of the last write; None where there is none.

        Raises:
            StorageError: the file is missing or damaged.
        """
        with self._reading() as store:
            if MARK_TABLE not in _tables(store):
                return None
            row = store.execute(f"SELECT mark FROM {MARK_TABLE}").fetchone()  # noqa: S608
        try:
            return None if row is None else Mark.from_json(row[0])
        except ValueError:
            return None

    def event_times(self) -> dict[str, datetime]:
        """The instant of each entity's row, of those that have values.

        Raises:
            StorageError: the file is missing or damaged.
        """
        with self._reading() as store:
            if not {ENTITY_TABLE, self.table} <= _tables(store):
                return {}
            query = (
                f"SELECT name, event_at FROM {ENTITY_TABLE} e WHERE EXISTS "  # noqa: S608
                f'(SELECT 1 FROM "{self.table}" r WHERE r.entity_key = e.entity_key)'
            )
            return {name: datetime.fromisoformat(at) for name, at in store.execute(query)}

    @contextmanager
    def _reading(self) -> Iterator[sqlite3.Connection]:
        if fault := database_fault(self.path):
            raise StorageError(fault.message)
        try:
            with closing(sqlite3.connect(f"{self.path.absolute().as_uri()}?mode=ro", uri=True)) as store:
                yield store
        except sqlite3.Error as error:
            raise StorageError(f"{self.path} cannot be read ({error}); `sinet run` makes it again") from error


def _tables(store: sqlite3.Connection) -> set[str]:
    return {name for (name,) in store.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
