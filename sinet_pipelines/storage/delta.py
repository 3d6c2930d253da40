"""Opens and scans one Delta table, in a folder of any name or on a store."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow as pa
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


def vacuum_table(uri: str, options: Mapping[str, str] | None = None, *, keep_hours: int) -> int:
    """Removes files that no version of the last hours needs, and returns their number. The rows do not change.

    Raises:
        StorageError: the table cannot be read or written, for example because it was moved meanwhile.
    """
    opened = open_table(uri, options)
    if opened is None:
        return 0
    try:
        old = opened.vacuum(keep_hours, dry_run=True, enforce_retention_duration=False)
        there = [path for path in file_paths(uri, old) if not is_local(uri) or Path(path).exists()]
        if there:  # the log lists removed files for long, and even an empty vacuum is a commit
            opened.vacuum(keep_hours, dry_run=False, enforce_retention_duration=False)
    except (DeltaError, OSError) as error:
        raise StorageError(f"old files of {uri} were not removed: {first_line(error)}") from error
    return len(there)


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
