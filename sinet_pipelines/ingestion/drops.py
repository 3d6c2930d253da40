"""One drop as a file: rows to bytes and back, cast to the contract; values that cannot be cast are kept as text.

Nothing is validated here. A file that is not a table, and a column that is missing, unknown or in another unit, becomes
a fault with the file's name; a value of a wrong type becomes null, and its text goes to `unparsed`.
"""

import hashlib
import io
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache
from typing import Any, BinaryIO

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from sinet_pipelines.errors import first_line
from sinet_pipelines.ingestion.casting import cast_table
from sinet_pipelines.schemas.contract import Contract

DROP_ID_DIGITS = 16
BATCH_ROWS = 1 << 16
BATCH_BYTES = 32 << 20  # of a batch, estimated from its file
READ_BYTES = 1 << 20  # of a file in one read
_FEW_BYTES = 1 << 20  # of a file that one thread reads faster than several
Source = bytes | BinaryIO  # a drop's bytes, or its open file
#: The errors of pyarrow for a damaged file; the last is for a column name that is not UTF-8, which it decodes lazily.
UNREADABLE = (pa.ArrowException, OSError, UnicodeDecodeError)


Hive = Sequence[tuple[str, str | None]]  # column and value of each folder `column=value` above a file


class FaultKind(StrEnum):
    """The kinds of fault of a drop as a file."""

    UNREADABLE = "unreadable"  # not a table: reported as unused, and counts as having no rows
    UNKNOWN_COLUMN = "unknown column"  # ignored
    NARROWED_TYPE = "narrowed type"  # used as it is; digits may be lost
    MISSING_COLUMN = "missing column"  # null in all of its rows: the day fails
    OTHER_UNIT = "another unit"  # its own metadata contradict the contract: the day fails
    SET_ASIDE = "set aside"  # events that violate their contract: ignored


FAILS_THE_DAY = frozenset({FaultKind.MISSING_COLUMN, FaultKind.OTHER_UNIT})
DRIFTED = frozenset({FaultKind.UNKNOWN_COLUMN, FaultKind.NARROWED_TYPE})


@dataclass(frozen=True)
class Fault:
    """A fault of one file.

    Attributes:
        file: name of the file.
        kind: kind of the fault.
        message: what was found, what is allowed, what to do.
    """

    file: str
    kind: FaultKind
    message: str

    @property
    def is_drift(self) -> bool:
        """Whether the schema of the file differs from the contract in a way that changes no row."""
        return self.kind in DRIFTED

    @property
    def fails_the_day(self) -> bool:
        """Whether the fault fails the day of this drop; else the other drops are used."""
        return self.kind in FAILS_THE_DAY


def drop_id(content: bytes, drop: Contract, hive: Hive = ()) -> str:
    """The id of a drop: the first 16 hex digits of the SHA-256 of its bytes and of the columns of its Hive folders."""
    return named(hashlib.sha256(content).hexdigest(), drop, hive)


def named(digest: str, drop: Contract, hive: Hive = ()) -> str:
    """The same, computed from the SHA-256 of its bytes."""
    columns = hive_columns(hive, drop)
    if columns:
        digest = hashlib.sha256(f"{digest} {sorted(columns.items())!r}".encode()).hexdigest()
    return digest[:DROP_ID_DIGITS]


def hive_columns(hive: Hive, drop: Contract) -> dict[str, str | None]:
    """The values of a drop's Hive folders that are columns of the contract; of two, that of the innermost folder.

    >>> from sinet_pipelines.schemas.contract import Column, DataClass
    >>> drop = Contract("drop", "A row.", DataClass.RAW, (Column("role", pa.string(), "its role"),), key=("role",))
    >>> hive_columns([("role", "live"), ("year", "2026")], drop)
    {'role': 'live'}
    """
    names = {column.name for column in drop.columns}
    return {name: value for name, value in hive if name in names}


def encode_drop(rows: pl.DataFrame, drop: Contract) -> bytes:
    """The rows as a Parquet file with the units of its columns; equal rows have equal bytes.

    Args:
        rows: (n, columns) with the columns of a drop; a column may be text if one of its values is not a number.
        drop: its contract.
    """
    table = rows.select(c.name for c in drop.columns).to_arrow(compat_level=pl.CompatLevel.oldest())
    fields = [
        pa.field(column.name, table.schema.field(column.name).type, metadata=_unit(column.unit))
        for column in drop.columns
    ]
    buffer = io.BytesIO()
    pq.write_table(pa.table(table.columns, schema=pa.schema(fields)), buffer, compression="zstd", version="2.6")
    return buffer.getvalue()


def count_rows(content: Source) -> int:
    """The number of rows in a drop according to its footer, 0 for a file that is not a table."""
    opened = _open(content)
    return 0 if isinstance(opened, str) else int(opened.metadata.num_rows)


def columns_of(content: bytes) -> frozenset[str]:
    """Names of the columns of a Parquet file; empty for any other file."""
    try:
        return frozenset(pq.read_schema(pa.BufferReader(content)).names)
    except UNREADABLE:
        return frozenset()


def examine(content: Source, drop: Contract) -> tuple[int, str]:
    """The number of rows in a drop, and why the bytes are not a drop (else empty); reads each page once, in batches."""
    opened = _open(content, drop)
    if isinstance(opened, str):
        return 0, opened.rstrip(".")
    try:
        for table in _tables(opened, drop, BATCH_ROWS):
            table.validate(full=True)
    except UNREADABLE as error:  # the footer is valid, but a page is damaged
        return 0, first_line(error).rstrip(".")
    return int(opened.metadata.num_rows), ""


def read_drop_in_batches(
    content: Source, drop: Contract, *, hive: Hive = (), rows: int = BATCH_ROWS
) -> Iterator[pl.DataFrame]:
    """The rows of `read_drop`, in batches of limited size, independent of the file's row groups.

    Raises:
        One of `UNREADABLE`: the batches before it are invalid, too. ArrowInvalid: the file is not a drop.
    """
    opened = _open(content, drop)
    if isinstance(opened, str):
        raise pa.ArrowInvalid(opened)
    for table in _tables(opened, drop, rows):
        table.validate(full=True)  # later code does not check that text is UTF-8
        yield cast_table(_filled(table, hive, drop), drop.columns)


def read_drop(content: bytes, drop: Contract, *, file: str, hive: Hive = ()) -> tuple[pl.DataFrame, tuple[Fault, ...]]:
    """The rows of a drop in the contract's columns and types, with `unparsed`, and the faults of the drop.

    Args:
        content: the bytes of the file.
        drop: the contract of a drop.
        file: its name, for the messages.
        hive: values of the folders above it; a column that the file lacks has the folder's value in all rows.
    """
    table, faults = read_as_written(content, drop, file=file, hive=hive)
    return no_rows(drop) if table is None else cast_table(table, drop.columns), faults


def read_as_written(
    content: bytes, drop: Contract, *, file: str, hive: Hive = ()
) -> tuple[pa.Table | None, tuple[Fault, ...]]:
    """The rows of a drop in the types of its file, None for a file that is not a drop; arguments as of `read_drop`."""
    opened = _open(content, drop)
    if isinstance(opened, str):
        return None, (unreadable(file, opened),)
    try:
        table = opened.read(columns=_present(opened, drop), use_threads=len(content) > _FEW_BYTES)
        table.validate(full=True)  # later code does not check that text is UTF-8
    except UNREADABLE as error:  # the footer is valid, but a page is damaged
        return None, (unreadable(file, first_line(error)),)
    faults = _faults(opened.schema_arrow, drop, file=file, hive=hive)
    return _filled(table, hive, drop), tuple(faults) if table.num_rows else ()


def _filled(table: pa.Table, hive: Hive, drop: Contract) -> pa.Table:
    """The table with the missing columns that its folders have."""
    for name, value in hive_columns(hive, drop).items():
        if name not in table.column_names:
            table = table.append_column(name, pa.array([value] * table.num_rows, pa.string()))
    return table


def read_faults(content: Source, drop: Contract, *, file: str, hive: Hive = ()) -> tuple[Fault, ...]:
    """The faults of a drop according to its footer, without reading its rows."""
    opened = _open(content, drop)
    if isinstance(opened, str):
        return (unreadable(file, opened),)
    return tuple(_faults(opened.schema_arrow, drop, file=file, hive=hive)) if opened.metadata.num_rows else ()


def unreadable(file: str, why: str) -> Fault:
    """The fault of a file that is not a table, or that cannot be read."""
    message = (
        f"drop {file} is no readable Parquet file ({why.rstrip('.')}); it is set aside, drop it again or remove it"
    )
    return Fault(file, FaultKind.UNREADABLE, message)


@lru_cache(maxsize=32)
def no_rows(drop: Contract) -> pl.DataFrame:
    """A drop's columns and `unparsed`, without rows; made at first use, since Arrow then imports pandas."""
    return pl.DataFrame(schema=pl.Schema(drop.schema)).with_columns(unparsed=pl.lit(None, pl.String))


def _open(content: Source, drop: Contract | None = None) -> pq.ParquetFile | str:
    """The file, with texts as dictionaries so that each distinct text is in memory once; or why it cannot be read."""
    try:
        opened = _parquet(content)
        names = opened.schema_arrow.names
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            return f"columns {', '.join(twice)} stand in it twice"
        known = {column.name for column in drop.columns} if drop else set()
        texts = [field.name for field in opened.schema_arrow if field.name in known and _is_text(field.type)]
        return _parquet(content, metadata=opened.metadata, read_dictionary=texts)
    except UNREADABLE as error:
        return first_line(error)


def _parquet(content: Source, **options: Any) -> pq.ParquetFile:
    options["coerce_int96_timestamp_unit"] = "us"  # in nanoseconds, Spark's year 9999 would wrap around to 1816
    if isinstance(content, bytes):
        return pq.ParquetFile(pa.BufferReader(content), **options)
    content.seek(0)
    return pq.ParquetFile(pa.PythonFile(content, mode="r"), buffer_size=READ_BYTES, pre_buffer=False, **options)


def _is_text(kind: pa.DataType) -> bool:
    return any(is_kind(kind) for is_kind in (pa.types.is_string, pa.types.is_large_string, pa.types.is_binary))


def _tables(opened: pq.ParquetFile, drop: Contract, rows: int) -> Iterator[pa.Table]:
    """The drop's columns of the contract, in batches of at most `rows` rows, fewer where rows are long."""
    columns = _present(opened, drop)
    size = max(1, min(rows, BATCH_BYTES // _row_bytes(opened.metadata, frozenset(columns))))
    for batch in opened.iter_batches(batch_size=size, columns=columns, use_threads=False):
        yield pa.Table.from_batches([batch])


def _row_bytes(footer: pq.FileMetaData, columns: frozenset[str]) -> int:
    """Bytes of a row according to the footer, at least one."""
    groups = (footer.row_group(number) for number in range(footer.num_row_groups))
    parts = (group.column(number) for group in groups for number in range(group.num_columns))
    total = sum(part.total_uncompressed_size for part in parts if part.path_in_schema.split(".")[0] in columns)
    return max(1, total // max(1, footer.num_rows))


def _present(opened: pq.ParquetFile, drop: Contract) -> list[str]:
    names = set(opened.schema_arrow.names)
    return [column.name for column in drop.columns if column.name in names]


def _faults(schema: pa.Schema, drop: Contract, *, file: str, hive: Hive) -> Iterable[Fault]:
    known = {column.name: column for column in drop.columns}
    there = {*schema.names, *hive_columns(hive, drop)}
    for name in known:
        if name not in there:
            yield Fault(file, FaultKind.MISSING_COLUMN, f"drop {file} has no column {name}; drop the day again with it")
    for field in schema:
        if field.name not in known:
            message = f"drop {file} has a column {field.name} that is in no contract; it is ignored; drop it no more"
            yield Fault(file, FaultKind.UNKNOWN_COLUMN, message)
            continue
        if _is_narrower(field.type, known[field.name].dtype):
            message = (
                f"drop {file} has {field.name} as {field.type} (expected: {known[field.name].dtype}), "
                "which may have lost digits; drop the day again in that type"
            )
            yield Fault(file, FaultKind.NARROWED_TYPE, message)
        unit, allowed = _stated_unit(field.metadata), known[field.name].unit
        if unit is not None and unit != allowed:
            message = (
                f"drop {file} has {field.name} in {unit!r} (allowed: {allowed!r}); drop the day again in that unit"
            )
            yield Fault(file, FaultKind.OTHER_UNIT, message)


def _is_narrower(found: pa.DataType, expected: pa.DataType) -> bool:
    """Whether a type cannot represent every value of the expected one, although its values have that kind."""
    if pa.types.is_timestamp(expected):
        return bool(pa.types.is_date(found))
    for is_kind in (pa.types.is_floating, pa.types.is_signed_integer):
        if is_kind(found) and is_kind(expected):
            return bool(found.bit_width < expected.bit_width)
    return False


def _unit(unit: str) -> dict[bytes, bytes] | None:
    return {b"unit": unit.encode()} if unit else None


def _stated_unit(metadata: Mapping[bytes, bytes] | None) -> str | None:
    unit = (metadata or {}).get(b"unit")
    return None if unit is None else unit.decode(errors="replace")
