"""Opens and scans one Delta table, in a folder of any name or on a store."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any
from urllib.parse import unquote

import polars as pl
import pyarrow as pa
import pyarrow.compute as pc
from deltalake import DeltaTable
from deltalake.exceptions import DeltaError, TableNotFoundError

from sinet_pipelines.errors import (
    AbsentError,
    ConflictError,
    ForbiddenError,
    StorageError,
    UnreachableError,
    first_line,
)
from sinet_pipelines.storage.contracted import DAY_COLUMN
from sinet_pipelines.storage.health import REBUILD
from sinet_pipelines.storage.layout import file_paths, is_local


def open_table(uri: str, options: Mapping[str, str] | None = None) -> DeltaTable | None:
    """The table; None where it was never written.

    Args:
        uri: a path, or an address of an object store.
        options: connection options of the object store.

    Raises:
        StorageError: its log cannot be read.
    """
    try:
        return DeltaTable(uri, storage_options=dict(options or {}) or None)
    except TableNotFoundError:
        return None
    except (DeltaError, OSError) as error:
        if not is_local(uri):
            raise store_error(uri, error) from error
        raise StorageError(f"{uri} cannot be read: {first_line(error)}; {REBUILD}") from error
    except BaseException as error:  # delta-rs panics on some damaged logs, and a panic is not an Exception
        if type(error).__name__ != "PanicException":
            raise
        raise StorageError(f"{uri} cannot be read: {error}; {REBUILD}") from error


def scan_table(table: DeltaTable, uri: str, options: Mapping[str, str] | None = None) -> pl.LazyFrame:
    """The table's rows as a lazy frame, in the order of its columns.

    It reads the files in the table's log: `pl.scan_delta` escapes their paths twice, and finds no file in a folder
    whose name has a space, a `#` or a letter outside of ASCII.

    Args:
        table: the opened table.
        uri: its address.
        options: connection options of the object store.
    """
    schema = _schema(table)
    added = pa.table(table.get_add_actions(flatten=True))["path"]
    files = file_paths(uri, [str(path) for path in added.to_pylist()])
    if not files:
        return pl.DataFrame(schema=schema).lazy()
    partitions = {name: schema[name] for name in table.metadata().partition_columns}
    frame = pl.scan_parquet(
        files,
        glob=False,
        hive_partitioning=bool(partitions),
        hive_schema=partitions or None,
        schema={name: dtype for name, dtype in schema.items() if name not in partitions},
        missing_columns="insert",  # a file from before a column was added
        storage_options=_scan_options(options or {}) or None,
    )
    return frame.select(schema.names())


def scan_day_in_batches(table: DeltaTable, day: date, *, columns: Sequence[str], rows: int) -> Iterator[pl.DataFrame]:
    """The rows of one day in batches of limited size, in no particular order.

    Args:
        table: the opened table.
        day: whose rows are read.
        columns: to read; one that the table lacks is left out.
        rows: most rows of a batch.
    """
    dataset = table.to_pyarrow_dataset()
    names = [name for name in columns if name in dataset.schema.names]
    for fragment in dataset.get_fragments(filter=pc.field(DAY_COLUMN) == pa.scalar(day)):
        scanner = fragment.scanner(
            schema=dataset.schema, columns=names, batch_size=rows, batch_readahead=1, fragment_readahead=1
        )
        for batch in scanner.to_batches():
            if batch.num_rows:
                yield pl.DataFrame(pl.from_arrow(batch))


@dataclass(frozen=True)
class TableFiles:
    """The data files that the log of a table names, relative to the table; a file of a write in progress is in none.

    Attributes:
        active: of the newest version.
        removed: of earlier versions alone; some may be gone.
        old: those that were removed from the table before the last hours.
    """

    active: frozenset[str] = frozenset()
    removed: frozenset[str] = frozenset()
    old: frozenset[str] = frozenset()


def table_files(uri: str, options: Mapping[str, str] | None = None, *, keep_hours: int) -> TableFiles:
    """The data files of a table; none where it was never written.

    Args:
        uri: address of the table.
        options: connection options of the object store.
        keep_hours: files that were removed from the table since then are not old.

    Raises:
        StorageError: the table cannot be read.
    """
    opened = open_table(uri, options)
    if opened is None:
        return TableFiles()
    try:
        active = pa.table(opened.get_add_actions(flatten=True))["path"].to_pylist()
        removed = opened.vacuum(0, dry_run=True, enforce_retention_duration=False)
        old = opened.vacuum(keep_hours, dry_run=True, enforce_retention_duration=False) if removed else []
    except (DeltaError, OSError) as error:
        if not is_local(uri):
            raise store_error(uri, error) from error
        raise StorageError(f"the log of {uri} cannot be read: {first_line(error)}; {REBUILD}") from error
    names = [frozenset(unquote(path) for path in paths) for paths in (active, removed, old)]
    return TableFiles(names[0], names[1] - names[0], names[2] - names[0])


def read_files(uri: str, paths: Sequence[str], options: Mapping[str, str] | None = None) -> pl.LazyFrame:
    """The rows of some data files of a table, with the columns of the files and the day of their folder.

    Args:
        uri: address of the table.
        paths: of the files, relative to the table.
        options: connection options of the object store.
    """
    is_partitioned = any("/" in path for path in paths)
    return pl.scan_parquet(
        [f"{uri}/{path}" for path in paths],
        glob=False,
        hive_partitioning=is_partitioned,
        storage_options=_scan_options(options or {}) or None,
    )


def store_error(uri: str, error: Exception) -> StorageError:
    """The meaning of a store's error, in one sentence without the request, which may contain a signature.

    Args:
        uri: address of the table.
        error: error of the Delta library or of polars, which quote the store's response.
    """
    text = str(error)
    if "necessary privileges" in text or any(code in text for code in ("401 Unauth", "403 Forbidden")):
        return ForbiddenError(
            f"{uri}: the store refuses it; check the credentials of the region that opens it and the bucket's policy"
        )
    if "NoSuchBucket" in text or "404 Not Found" in text:
        return AbsentError(f"{uri}: the store has no such bucket or file; create the bucket or correct the root")
    if "412 Precondition" in text or "409 Conflict" in text:
        return ConflictError(f"{uri} was changed by another writer; read it again and repeat")
    if "Error performing" in text or "error sending request" in text:
        return UnreachableError(
            f"{uri}: the store does not answer, or answers that it cannot; check the endpoint and the network, and try "
            "again"
        )
    return StorageError(f"{uri} cannot be read: {first_line(error)}; {REBUILD}")


def _scan_options(options: Mapping[str, str]) -> dict[str, Any]:
    """The options in the form for polars, which needs numbers as numbers and supports fewer names."""
    found: dict[str, Any] = {
        name: value for name, value in options.items() if name not in ("max_retries", "retry_timeout")
    }
    if "max_retries" in options:
        found["max_retries"] = int(options["max_retries"])
    return found


def _schema(table: DeltaTable) -> pl.Schema:
    return pl.Schema(pa.schema(table.schema().to_arrow()))
