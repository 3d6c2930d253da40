"""Commits of one Delta table: creates it, replaces some of its rows or all, and tries again after another's commit."""

import errno
import secrets
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, TypeAlias

import numpy as np
import pyarrow as pa
from deltalake import ColumnProperties, CommitProperties, DeltaTable, WriterProperties, write_deltalake
from deltalake.exceptions import CommitFailedError, DeltaError

from sinet_pipelines.errors import StorageError, first_line
from sinet_pipelines.schemas.contract import Contract
from sinet_pipelines.storage.aside import DAMAGED, set_aside
from sinet_pipelines.storage.commits import before_commit
from sinet_pipelines.storage.contracted import partitions_of
from sinet_pipelines.storage.delta import open_table, store_error
from sinet_pipelines.storage.evolution import Change, schema_change
from sinet_pipelines.storage.health import TableHealth, look_at_own_table, look_at_table
from sinet_pipelines.storage.layout import is_local
from sinet_pipelines.storage.locks import creation_lock, held
from sinet_pipelines.storage.objects import open_objects
from sinet_pipelines.storage.streamed import STREAM_ROWS

WRITE = "sinet.write"  # in the commit of a write: a random word, by which the writer finds its own version
ATTEMPTS = 8  # a day's commit takes about 10 ms; in tests, no queue of writers needed eight attempts
CREATION_S = 600.0  # longest wait for another process that creates the table
FILE_BYTES = 32 << 20  # of a streamed write: the writer has one file of this size in memory
DISTINCT = ColumnProperties(dictionary_enabled=False)

Payload: TypeAlias = pa.Table | pa.RecordBatchReader


@dataclass(frozen=True)
class TableWriter:
    """Writes to one table.

    Attributes:
        uri: place of the table.
        contract: contract of the table.
        storage_options: connection options of the object store, never logged.
    """

    uri: str
    contract: Contract
    storage_options: Mapping[str, str] = field(default_factory=dict, repr=False)

    def write(self, payload: Callable[[], Payload], *, predicate: str | None) -> int:
        """Writes rows in one commit and returns its version; another writer's commit in between is no error.

        Args:
            payload: returns the rows, in the contract's columns and types; called again after a conflict.
            predicate: the rows that are replaced, in SQL; None for all rows.

        Raises:
            StorageError: nothing was written.
        """
        if self._is_local:
            Path(self.uri).parent.mkdir(parents=True, exist_ok=True)
        met: CommitFailedError | None = None
        token = secrets.token_hex(8)
        for wait_s in _waits():
            rows = payload()
            try:
                with self._prepared(predicate) as state:
                    self._commit(rows, state, predicate, token)
                break
            except CommitFailedError as error:
                met = error
                time.sleep(wait_s)  # another writer committed first: read its commit and try again
            except (DeltaError, OSError) as error:
                if not self._is_local:
                    raise store_error(self.uri, error) from error
                raise StorageError(_explain(self.uri, error)) from error
        else:
            raise StorageError(
                f"{ATTEMPTS} writes of {self.contract.name} met another's; end that writer and try again"
            ) from met
        return self._version_with(token)

    def _state(self, predicate: str | None, health: TableHealth | None) -> "_State":
        """What a write finds: a table that it can write to, or none, perhaps with a folder that is in its way.

        A table whose log is damaged, or whose schema does not fit the contract, is moved aside and created again: the
        other days are then missing from storage, and are made again from the landing zone.
        """
        if health is not None and any(fault.day is None for fault in health.faults):
            return _State(False, in_the_way=DAMAGED)
        opened = open_table(self.uri, self.storage_options)
        if opened is None:
            return _State(False)
        change = schema_change(opened, self.contract.schema)
        if change is Change.NONE:
            return _State(True)
        if predicate is None and opened.metadata().partition_columns == partitions_of(self.contract):
            return _State(True, "overwrite")
        if predicate is not None and change is Change.ADDED:
            return _State(True, "merge")
        if not self._is_local:
            raise StorageError(
                f"{self.uri} has other columns or types than {self.contract.name} has now; move the table "
                "away, it is made again"
            )
        return _State(False, in_the_way="other_schema")

    @contextmanager
    def _prepared(self, predicate: str | None) -> Iterator["_State"]:
        """The state of the table before a write; of several local processes, one at a time creates a table.

        Without the lock, the half-created table of another process would look damaged, and be moved aside.
        """
        folder = Path(self.uri)
        found = self._state(predicate, look_at_table(folder) if self._is_local else None)
        if found.exists or not self._is_local:
            before_commit()
            yield found
            return
        with held(creation_lock(folder), wait_s=CREATION_S):
            before_commit()  # after the wait: a newer process may have created the table meanwhile
            found = self._state(predicate, look_at_own_table(folder))
            if found.in_the_way:
                set_aside(folder.parent, folder.name, why=found.in_the_way)
            yield found

    def _commit(self, rows: Payload, state: "_State", predicate: str | None, token: str) -> None:
        is_stream, options = isinstance(rows, pa.RecordBatchReader), dict(self.storage_options) or None
        if is_created := not state.exists and predicate is not None and not self._is_local:
            # a store has no lock: without this, days that another process commits first would be overwritten
            DeltaTable.create(
                self.uri,
                self.contract.schema,
                mode="ignore",
                partition_by=partitions_of(self.contract) or None,
                storage_options=options,
            )
        write_deltalake(
            self.uri,
            rows,
            mode="overwrite",
            schema_mode=state.schema_mode,
            partition_by=partitions_of(self.contract) or None,
            predicate=predicate if state.exists or is_created else None,
            storage_options=options,
            target_file_size=FILE_BYTES if is_stream else None,
            writer_properties=_properties(self.contract, is_stream=is_stream),
            commit_properties=CommitProperties(custom_metadata={WRITE: token}),
        )

    def _version_with(self, token: str) -> int:
        """The version of the commit with this token; other writers may have committed since."""
        newest = DeltaTable(self.uri, storage_options=dict(self.storage_options) or None).version()
        # `DeltaTable.history` finds nothing in a folder whose name has a `#`
        objects = open_objects(self.uri, self.storage_options)
        for version in range(newest, -1, -1):  # the newest commit is nearly always the one
            commit = objects.get(f"_delta_log/{version:020}.json")
            if commit is not None and token.encode() in commit.content:
                return version
        raise StorageError(f"the log of {self.uri} lacks the write that was just made; make the table again")

    @property
    def _is_local(self) -> bool:
        return is_local(self.uri)


def _properties(contract: Contract, *, is_stream: bool) -> WriterProperties:
    """How the files are written.

    Columns of 32-bit floats are computed features, with nearly all values distinct: dictionaries of them would take
    four fifths of the writer's time, and a third more space.
    """
    columns = {one.name: DISTINCT for one in contract.columns if one.dtype == pa.float32()} or None
    group_rows = 4 * STREAM_ROWS if is_stream else None
    return WriterProperties(compression="SNAPPY", max_row_group_size=group_rows, column_properties=columns)


@dataclass(frozen=True)
class _State:
    """What a write finds in storage.

    Attributes:
        exists: whether there is a table that the write can change.
        schema_mode: delta-rs's mode for a table whose schema changes.
        in_the_way: why the folder must be moved aside first; empty where it need not.
    """

    exists: bool
    schema_mode: Literal["merge", "overwrite"] | None = None
    in_the_way: str = ""


def _waits() -> Iterator[float]:
    generator = np.random.default_rng()
    for attempt in range(ATTEMPTS):
        yield 0.02 * 2**attempt * generator.uniform(0.5, 1.5)


def _explain(uri: str, error: Exception) -> str:
    text = str(error)
    full = getattr(error, "errno", None) == errno.ENOSPC or "No space left" in text or "os error 28" in text
    if full:
        return f"no space is left for {uri}: nothing of this write was kept; free space and run again, it goes on there"
    return f"{uri} could not be written: {first_line(error)}; nothing of this write was kept"
