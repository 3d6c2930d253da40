"""One drop as a file: rows to bytes and back, cast to the contract, with what could not be cast kept as text.

Nothing is judged here. A file that is no table, a column that is missing, unknown or in another unit becomes a fault
that names the file; a value that is no value of its column's type becomes null, and its text goes to `unparsed`.
"""

import hashlib
import io
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache
from io import BufferedReader
from typing import Any

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from sinet_pipelines.errors import first_line
from sinet_pipelines.ingestion.casting import cast_table
from sinet_pipelines.schemas.telemetry import DROP

DROP_ID_DIGITS = 16
BATCH_ROWS = 1 << 16
BATCH_BYTES = 32 << 20  # of a batch as its file estimates it
READ_BYTES = 1 << 20  # of a file at once
Source = bytes | BufferedReader  # a drop's bytes, or its open file
#: What pyarrow raises for a damaged file; the last where the name of a column is no UTF-8, which it decodes when asked.
UNREADABLE = (pa.ArrowException, OSError, UnicodeDecodeError)


Hive = Sequence[tuple[str, str | None]]  # column and value of each folder above a file that is called column=value
_NAMES = frozenset(column.name for column in DROP.columns)


class FaultKind(StrEnum):
    """What can be wrong with a drop as a file."""

    UNREADABLE = "unreadable"  # no table: set aside, its rows count as none
    UNKNOWN_COLUMN = "unknown column"  # ignored
    MISSING_COLUMN = "missing column"  # null in all its rows: the day cannot be right
    OTHER_UNIT = "another unit"  # its own metadata contradict the contract: the day cannot be right
    SET_ASIDE = "set aside"  # events that break their contract: ignored


FAILS_THE_DAY = frozenset({FaultKind.MISSING_COLUMN, FaultKind.OTHER_UNIT})


@dataclass(frozen=True)
class Fault:
    """What is wrong with one file.

    Attributes:
        file: its name.
        kind: what kind of fault.
        message: what was found, what is allowed, what to do.
    """

    file: str
    kind: FaultKind
    message: str

    @property
    def fails_the_day(self) -> bool:
        """Whether the day of this drop cannot be right; else the neighbours go on."""
        return self.kind in FAILS_THE_DAY


def drop_id(content: bytes, hive: Hive = ()) -> str:
    """The name of a drop: the first 16 hex digits of the SHA-256 of its bytes, and of what its Hive folders add."""
    return named(hashlib.sha256(content).hexdigest(), hive)


def named(digest: str, hive: Hive = ()) -> str:
    """The same from the SHA-256 of its bytes."""
    columns = hive_columns(hive)
    if columns:
        digest = hashlib.sha256(f"{digest} {sorted(columns.items())!r}".encode()).hexdigest()
    return digest[:DROP_ID_DIGITS]


def hive_columns(hive: Hive) -> dict[str, str | None]:
    """The values of a drop's Hive folders that are columns of the contract, the innermost folder's where two differ.

    >>> hive_columns([("role", "live"), ("year", "2026")])
    {'role': 'live'}
    """
    return {name: value for name, value in hive if name in _NAMES}


def encode_drop(rows: pl.DataFrame) -> bytes:
    """The rows as a Parquet file whose columns name their units; equal rows give equal bytes.

    Args:
        rows: (n, columns) with the columns of a drop; a column may be text where a value of it is no number.
    """
    table = rows.select(c.name for c in DROP.columns).to_arrow(compat_level=pl.CompatLevel.oldest())
    fields = [
        pa.field(column.name, table.schema.field(column.name).type, metadata=_unit(column.unit))
        for column in DROP.columns
    ]
    buffer = io.BytesIO()
    pq.write_table(pa.table(table.columns, schema=pa.schema(fields)), buffer, compression="zstd", version="2.6")
    return buffer.getvalue()


def count_rows(content: Source) -> int:
    """Rows in a drop by its footer, 0 for what is no table."""
    opened = _open(content)
    return 0 if isinstance(opened, str) else int(opened.metadata.num_rows)


def columns_of(content: bytes) -> frozenset[str]:
    """Names of the columns of a Parquet file, none for what is no such file."""
    try:
        return frozenset(pq.read_schema(pa.BufferReader(content)).names)
    except UNREADABLE:
        return frozenset()


def examine(content: Source) -> tuple[int, str]:
    """Rows in a drop, and why the bytes are none, empty for a drop; each page is read once, some rows at a time."""
    opened = _open(content)
    if isinstance(opened, str):
        return 0, opened.rstrip(".")
    try:
        for table in _tables(opened, BATCH_ROWS):
            table.validate(full=True)
    except UNREADABLE as error:  # the footer is whole but a page is not
        return 0, first_line(error).rstrip(".")
    return int(opened.metadata.num_rows), ""


def read_drop_in_batches(content: Source, *, hive: Hive = (), rows: int = BATCH_ROWS) -> Iterator[pl.DataFrame]:
    """The rows of a drop as `read_drop` returns them, at most so many at a time, whatever its row groups are.

    Raises:
        One of `UNREADABLE`, whose rows before it are no drop's either; ArrowInvalid where it is no drop at all.
    """
    opened = _open(content)
    if isinstance(opened, str):
        raise pa.ArrowInvalid(opened)
    for table in _tables(opened, rows):
        table.validate(full=True)  # text that is no UTF-8 would be trusted from here on
        yield cast_table(_filled(table, hive), DROP.columns)


def read_drop(content: bytes, *, file: str, hive: Hive = ()) -> tuple[pl.DataFrame, tuple[Fault, ...]]:
    """The rows of a drop in the contract's columns and types, with `unparsed` beside them, and what is wrong with it.

    Args:
        content: the bytes of the file.
        file: its name, for the messages.
        hive: of the folders above it; a column that the file lacks has the folder's value in all its rows.
    """
    opened = _open(content)
    if isinstance(opened, str):
        return _empty(), (unreadable(file, opened),)
    try:
        table = opened.read(columns=_present(opened))
        table.validate(full=True)  # text that is no UTF-8 would be trusted from here on
    except UNREADABLE as error:  # the footer is whole but a page is not
        return _empty(), (unreadable(file, first_line(error)),)
    faults = _faults(opened.schema_arrow, file=file, hive=hive)
    return cast_table(_filled(table, hive), DROP.columns), tuple(faults) if table.num_rows else ()


def _filled(table: pa.Table, hive: Hive) -> pa.Table:
    """The table with the columns that its folders name and it lacks."""
    for name, value in hive_columns(hive).items():
        if name not in table.column_names:
            table = table.append_column(name, pa.array([value] * table.num_rows, pa.string()))
    return table


def read_faults(content: Source, *, file: str, hive: Hive = ()) -> tuple[Fault, ...]:
    """What is wrong with a drop as its footer says, without reading its rows."""
    opened = _open(content)
    if isinstance(opened, str):
        return (unreadable(file, opened),)
    return tuple(_faults(opened.schema_arrow, file=file, hive=hive)) if opened.metadata.num_rows else ()


def unreadable(file: str, why: str) -> Fault:
    """The fault of a file that is no table, or that the machine does not give."""
    message = (
        f"drop {file} is no readable Parquet file ({why.rstrip('.')}); it is set aside, drop it again or remove it"
    )
    return Fault(file, FaultKind.UNREADABLE, message)


@lru_cache(maxsize=1)
def _empty() -> pl.DataFrame:
    """A drop's columns without rows; made when first asked, since Arrow brings pandas along for it."""
    return pl.DataFrame(schema=pl.Schema(DROP.schema)).with_columns(unparsed=pl.lit(None, pl.String))


def _open(content: Source) -> pq.ParquetFile | str:
    """The file, its texts read as dictionaries so that each distinct one is in memory once; or why it is none."""
    try:
        opened = _parquet(content)
        names = opened.schema_arrow.names
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            return f"columns {', '.join(twice)} stand in it twice"
        texts = [field.name for field in opened.schema_arrow if field.name in _NAMES and _is_text(field.type)]
        return _parquet(content, metadata=opened.metadata, read_dictionary=texts)
    except UNREADABLE as error:
        return first_line(error)


def _parquet(content: Source, **options: Any) -> pq.ParquetFile:
    options["coerce_int96_timestamp_unit"] = "us"  # in nanoseconds, Spark's year 9999 would wrap around to 1816
    if isinstance(content, bytes):
        return pq.ParquetFile(pa.BufferReader(content), **options)
    content.seek(0)
    return pq.ParquetFile(content, buffer_size=READ_BYTES, pre_buffer=False, **options)


def _is_text(kind: pa.DataType) -> bool:
    return any(is_kind(kind) for is_kind in (pa.types.is_string, pa.types.is_large_string, pa.types.is_binary))


def _tables(opened: pq.ParquetFile, rows: int) -> Iterator[pa.Table]:
    """The drop's columns of the contract, at most so many rows at a time, fewer where rows are long."""
    columns = _present(opened)
    size = max(1, min(rows, BATCH_BYTES // _row_bytes(opened.metadata, frozenset(columns))))
    for batch in opened.iter_batches(batch_size=size, columns=columns, use_threads=False):
        yield pa.Table.from_batches([batch])


def _row_bytes(footer: pq.FileMetaData, columns: frozenset[str]) -> int:
    """Bytes of a row as the footer gives them, at least one."""
    groups = (footer.row_group(number) for number in range(footer.num_row_groups))
    parts = (group.column(number) for group in groups for number in range(group.num_columns))
    total = sum(part.total_uncompressed_size for part in parts if part.path_in_schema.split(".")[0] in columns)
    return max(1, total // max(1, footer.num_rows))


def _present(opened: pq.ParquetFile) -> list[str]:
    names = set(opened.schema_arrow.names)
    return [column.name for column in DROP.columns if column.name in names]


def _faults(schema: pa.Schema, *, file: str, hive: Hive) -> Iterable[Fault]:
    known = {column.name: column for column in DROP.columns}
    there = {*schema.names, *hive_columns(hive)}
    for name in known:
        if name not in there:
            yield Fault(file, FaultKind.MISSING_COLUMN, f"drop {file} has no column {name}; drop the day again with it")
    for field in schema:
        if field.name not in known:
            message = f"drop {file} has a column {field.name} that no contract knows; it is ignored, drop it no more"
            yield Fault(file, FaultKind.UNKNOWN_COLUMN, message)
            continue
        unit, allowed = _said_unit(field.metadata), known[field.name].unit
        if unit is not None and unit != allowed:
            message = (
                f"drop {file} has {field.name} in {unit!r} (allowed: {allowed!r}); drop the day again in that unit"
            )
            yield Fault(file, FaultKind.OTHER_UNIT, message)


def _unit(unit: str) -> dict[bytes, bytes] | None:
    return {b"unit": unit.encode()} if unit else None


def _said_unit(metadata: Mapping[bytes, bytes] | None) -> str | None:
    said = (metadata or {}).get(b"unit")
    return None if said is None else said.decode(errors="replace")
