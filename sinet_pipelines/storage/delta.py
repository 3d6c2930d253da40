"""Opens and scans one Delta table, wherever its folder is and whatever that is called."""

from collections.abc import Mapping

import polars as pl
import pyarrow as pa
from deltalake import DeltaTable
from deltalake.exceptions import DeltaError, TableNotFoundError

from sinet_pipelines.errors import StorageError, first_line
from sinet_pipelines.storage.health import REBUILD
from sinet_pipelines.storage.layout import file_paths, is_local


def open_table(uri: str, options: Mapping[str, str] | None = None) -> DeltaTable | None:
    """The table; None where it was never written.

    Args:
        uri: a path, or an address of an object store.
        options: what the object store needs to be reached.

    Raises:
        StorageError: its log cannot be read.
    """
    try:
        return DeltaTable(uri, storage_options=dict(options or {}) or None)
    except TableNotFoundError:
        return None
    except (DeltaError, OSError) as error:
        raise StorageError(f"{uri} cannot be read: {first_line(error)}; {REBUILD}") from error
    except BaseException as error:  # delta-rs panics on some damaged logs, and a panic is no Exception
        if type(error).__name__ != "PanicException":
            raise
        raise StorageError(f"{uri} cannot be read: {error}; {REBUILD}") from error


def scan_table(table: DeltaTable, uri: str) -> pl.LazyFrame:
    """The table's rows as a lazy frame, in the order of its columns.

    A local table is read from the files that its log names: `pl.scan_delta` escapes their paths a second time, and
    finds none of them in a folder whose name holds a space, a `#` or a letter beyond ASCII.

    Args:
        table: as opened.
        uri: where it was opened, which tells an object store from a folder.
    """
    if not is_local(uri):
        return pl.scan_delta(table)
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
    )
    return frame.select(schema.names())


def _schema(table: DeltaTable) -> pl.Schema:
    return pl.Schema(pa.schema(table.schema().to_arrow()))
