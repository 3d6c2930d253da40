"""A day of more rows than fit in memory: read from its drops and sorted a bounded number of rows at a time.

Equal to `LandingZone.read_day` in every row and in their order.
"""

import hashlib
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import BinaryIO

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from sinet_pipelines.errors import first_line
from sinet_pipelines.ingestion.casting import cast_table
from sinet_pipelines.ingestion.drops import UNREADABLE
from sinet_pipelines.ingestion.hashing import row_hash
from sinet_pipelines.schemas.telemetry import DROP, RAW_TELEMETRY
from sinet_pipelines.storage.spill import Sorter

BATCH_ROWS = 1 << 16
BATCH_BYTES = 32 << 20  # of one batch as its file estimates it: rows of long texts come in smaller batches
READ_BYTES = 1 << 20  # of a file at once
RAW_COLUMNS = tuple(column.name for column in RAW_TELEMETRY.columns if column.name != "ingested_at")


@dataclass(frozen=True)
class DropSource:
    """A file of a day.

    Attributes:
        path: where it is.
        name: how messages call it.
        name_of: returns the drop's id from the SHA-256 of its bytes.
        fill: values of columns that the file lacks, from the names of the folders above it.
    """

    path: Path
    name: str
    name_of: Callable[[str], str]
    fill: Mapping[str, str | None] = field(default_factory=dict)


@dataclass
class LargeDay:
    """The rows of a day, sorted on disk.

    Attributes:
        sent: rows in the day's drops, copies included.
        duplicates: rows that are exact copies of another; known after the last batch.
        unreadable: files that are no table, by name, each with the reason; their rows count as none.
    """

    day: date
    sent: int = 0
    duplicates: int = 0
    unreadable: dict[str, str] = field(default_factory=dict)
    _rows: Sorter = field(default_factory=lambda: Sorter(("unit", "cycle", "row_hash"), then=("drop_id",)))

    def batches(self) -> Iterator[pl.DataFrame]:
        """The columns of `raw_telemetry` but `ingested_at`, exact copies dropped; sorted by engine, cycle, hash.

        Of equal rows the one of the drop with the smallest id remains.
        """
        kept = 0
        for rows in self._rows.sorted():
            once = rows.unique("row_hash", keep="first", maintain_order=True)
            kept += once.height
            yield once.select(RAW_COLUMNS)
        self.duplicates = self.sent - kept

    def close(self) -> None:
        """Frees the disk."""
        self._rows.close()


def sort_day(
    sources: Sequence[DropSource], *, day: date, folder: Path | None, batch_rows: int = BATCH_ROWS
) -> LargeDay:
    """Reads the day's drops and sorts their rows on disk.

    Args:
        sources: the day's files; two files of the same bytes are one drop.
        day: the day.
        folder: on whose disk the sorted rows are kept; None for the machine's temporary folder.
        batch_rows: rows of a drop that are read at once.
    """
    found = LargeDay(day)
    found._rows.folder = folder  # noqa: SLF001 - one class in two parts
    seen: set[str] = set()
    for source in sources:
        with source.path.open("rb") as file:
            key = source.name_of(_sha256(file))
            if key not in seen:
                seen.add(key)
                _take(found, source, file, key=key, batch_rows=batch_rows)
    return found


def _take(day: LargeDay, source: DropSource, file: BinaryIO, *, key: str, batch_rows: int) -> None:
    """Adds a drop's rows, or the reason why it is no table and none of its rows."""
    rows = day._rows  # noqa: SLF001
    rows.flush()
    mark, sent = rows.runs, 0
    try:
        for table in _tables(file, batch_rows):
            table.validate(full=True)  # text that is no UTF-8 would be trusted from here on
            sent += table.num_rows
            rows.add(_as_raw(table, source.fill, key=key, day=day.day))
    except UNREADABLE as error:
        rows.forget(mark)
        day.unreadable[source.name] = first_line(error)
    else:
        day.sent += sent


def _as_raw(table: pa.Table, fill: Mapping[str, str | None], *, key: str, day: date) -> pl.DataFrame:
    for name, value in fill.items():
        if name not in table.column_names:
            table = table.append_column(name, pa.array([value] * table.num_rows, pa.string()))
    rows = cast_table(table, DROP.columns)
    named = rows.with_columns(row_hash(rows), event_date=pl.lit(day), drop_id=pl.lit(key))
    return named.unique("row_hash", keep="first", maintain_order=True).select(RAW_COLUMNS)


def _tables(file: BinaryIO, batch_rows: int) -> Iterator[pa.Table]:
    """The drop's columns of the contract, some rows at a time, whatever its row groups and other columns are."""
    file.seek(0)
    opened = pq.ParquetFile(file, buffer_size=READ_BYTES, pre_buffer=False)
    there = set(opened.schema_arrow.names)
    columns = [column.name for column in DROP.columns if column.name in there]
    size = max(1, min(batch_rows, BATCH_BYTES // _row_bytes(opened.metadata, frozenset(columns))))
    for batch in opened.iter_batches(batch_size=size, columns=columns, use_threads=False):
        yield pa.Table.from_batches([batch])


def _row_bytes(footer: pq.FileMetaData, columns: frozenset[str]) -> int:
    """Bytes of a row as the footer gives them, at least one."""
    groups = (footer.row_group(number) for number in range(footer.num_row_groups))
    parts = (group.column(number) for group in groups for number in range(group.num_columns))
    total = sum(part.total_uncompressed_size for part in parts if part.path_in_schema.split(".")[0] in columns)
    return max(1, total // max(1, footer.num_rows))


def _sha256(file: BinaryIO) -> str:
    file.seek(0, os.SEEK_SET)
    return hashlib.file_digest(file, "sha256").hexdigest()
