"""A Delta table to which one writer appends rows together with application transactions, in one commit.

Other processes may rewrite or delete its rows between two commits. They do not stop the writer; another writer does.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import polars as pl
import pyarrow as pa
from deltalake import CommitProperties, Transaction, WriterProperties, write_deltalake
from deltalake.exceptions import CommitFailedError, DeltaError

from sinet_pipelines.errors import BusyError, StorageError, first_line
from sinet_pipelines.storage.commits import before_commit
from sinet_pipelines.storage.delta import open_table, scan_table, store_error
from sinet_pipelines.storage.evolution import Change, schema_change
from sinet_pipelines.storage.layout import is_local, require_readable

FILE_BYTES = 64 << 20  # compaction leaves larger files as they are
_FAST = WriterProperties(compression="SNAPPY")


@dataclass
class AppendedTable:
    """A Delta table with one writer, which only appends.

    Attributes:
        uri: its address.
        options: options of its store.
        schema: its columns.
    """

    uri: str
    options: Mapping[str, str]
    schema: pa.Schema

    def __post_init__(self) -> None:
        self.opened = open_table(self.uri, self.options)
        change = Change.NONE if self.opened is None else schema_change(self.opened, self.schema)
        if change is Change.OTHER:
            raise StorageError(
                f"{self.uri} has columns of another contract; land its rows with the version that wrote them, then "
                "move its folder away, it is made again"
            )
        self.is_wider = change is Change.ADDED

    def version_of(self, transaction: str) -> int:
        """The last version of an application transaction, -1 where there was none."""
        try:
            found = None if self.opened is None else self.opened.transaction_version(transaction)
        except (DeltaError, OSError) as error:
            raise self._failed(error) from error
        return -1 if found is None else int(found)

    def append(
        self,
        rows: pa.Table,
        transactions: Mapping[str, int],
        info: Mapping[str, str],
        require: Callable[[], None] = lambda: None,
    ) -> None:
        """Appends rows and the transactions in one commit.

        Args:
            rows: (n, columns of the table), n >= 0.
            transactions: the new versions.
            info: further entries of the commit.
            require: is called where another commit was in between, which has none of the transactions; may raise.

        Raises:
            BusyError: another writer committed one of the transactions.
            StorageError: the write failed; nothing of it was kept.
        """
        if is_local(self.uri):
            require_readable(Path(self.uri))
            Path(self.uri).parent.mkdir(parents=True, exist_ok=True)
        properties = CommitProperties(
            custom_metadata=dict(info),
            app_transactions=[Transaction(name, version) for name, version in transactions.items()],
        )
        try:
            self._commit(rows, properties)
        except CommitFailedError as error:
            before = self._versions(transactions)
            self._refresh()
            if self._versions(transactions) != before:
                raise BusyError(
                    f"another process appends to {self.uri}: this one stores nothing more; let one of them run"
                ) from error
            require()  # a person deleted rows or restored a version
            self._commit(rows, properties)

    def _versions(self, transactions: Iterable[str]) -> list[int]:
        return [self.version_of(name) for name in transactions]

    def _commit(self, rows: pa.Table, properties: CommitProperties) -> None:
        before_commit()
        try:
            write_deltalake(
                self.uri if self.opened is None else self.opened,
                rows.cast(self.schema),
                mode="append",
                schema_mode="merge" if self.is_wider else None,
                storage_options=dict(self.options) or None,
                commit_properties=properties,
                writer_properties=_FAST,
            )
            self._refresh()
        except CommitFailedError:
            raise
        except (DeltaError, OSError) as error:
            raise self._failed(error) from error

    def compact(self) -> int:
        """Merges small files; returns how many were merged. It can run while another thread appends."""
        opened = open_table(self.uri, self.options)
        if opened is None:
            return 0
        before_commit()
        try:
            found = opened.optimize.compact(target_size=FILE_BYTES)
        except CommitFailedError:  # another process rewrote files, for example `sinet run`: nothing is lost
            return 0
        except (DeltaError, OSError) as error:
            raise self._failed(error) from error
        return int(found["numFilesRemoved"])

    def scan(self) -> pl.LazyFrame:
        """All rows."""
        if self.opened is None:
            return pl.DataFrame(self.schema.empty_table()).lazy()
        return scan_table(self.opened, self.uri, self.options)

    def _refresh(self) -> None:
        if self.opened is None:
            self.opened = open_table(self.uri, self.options)
        else:
            self.opened.update_incremental()
        self.is_wider = False

    def _failed(self, error: Exception) -> StorageError:
        if not is_local(self.uri):
            return store_error(self.uri, error)
        if self.opened is not None and not (Path(self.uri) / "_delta_log").is_dir():
            return StorageError(
                f"{self.uri} was moved away while its streams were stored; put it back, or start again to read the "
                "streams from their oldest messages into a new table"
            )
        return StorageError(f"{self.uri} could not be written: {first_line(error)}; free space and start again")
