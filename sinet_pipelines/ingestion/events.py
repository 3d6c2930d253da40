"""Event drops, such as failures and truth that arrives later; they are not in the row account."""

import io
from collections.abc import Sequence
from dataclasses import dataclass

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from sinet_pipelines.errors import first_line
from sinet_pipelines.ingestion.casting import UNPARSED, cast_table
from sinet_pipelines.ingestion.drops import UNREADABLE, Fault, FaultKind
from sinet_pipelines.ingestion.landed import EventKind
from sinet_pipelines.schemas.contract import Column, Contract


def encode_events(events: pl.DataFrame, kind: EventKind) -> bytes:
    """The events as a Parquet file; equal events have equal bytes."""
    columns = kind.contract.columns
    table = events.select(c.name for c in columns).to_arrow(compat_level=pl.CompatLevel.oldest())
    fields = [pa.field(column.name, column.dtype) for column in columns]
    buffer = io.BytesIO()
    pq.write_table(table.cast(pa.schema(fields)), buffer, compression="zstd", version="2.6")
    return buffer.getvalue()


def read_event_file(content: bytes, kind: EventKind, *, file: str) -> tuple[pl.DataFrame, tuple[Fault, ...]]:
    """The valid events of a file in their contract's columns, and the faults of the file and of the other events."""
    contract = kind.contract
    table = _open(content, kind)
    if isinstance(table, _NoEvents):
        message = f"{file} {table.why}; drop the {kind} again mended or remove it"
        return _empty(contract), (Fault(file, table.kind, message),)
    rows = cast_table(table, contract.columns).drop(UNPARSED)
    sound = rows.filter(pl.all_horizontal(_is_sound(column) for column in contract.columns))
    return sound, _set_aside(rows.height - sound.height, contract, file=file)


def why_no_events(content: bytes, kind: EventKind) -> str:
    """Why the bytes are not a file of such events; empty for a valid file."""
    table = _open(content, kind)
    return table.why if isinstance(table, _NoEvents) else ""


def no_events(kind: EventKind) -> pl.DataFrame:
    """The columns of such events, without rows."""
    return _empty(kind.contract)


@dataclass(frozen=True)
class _NoEvents:
    kind: FaultKind
    why: str


def _open(content: bytes, kind: EventKind) -> pa.Table | _NoEvents:
    try:
        table = pq.read_table(pa.BufferReader(content), coerce_int96_timestamp_unit="us")
        table.validate(full=True)  # later code does not check that text is UTF-8
        names = table.schema.names
    except UNREADABLE as error:
        return _NoEvents(FaultKind.UNREADABLE, f"is no readable Parquet file ({first_line(error).rstrip('.')})")
    missing = [column.name for column in kind.contract.columns if names.count(column.name) != 1]
    if missing:
        return _NoEvents(FaultKind.MISSING_COLUMN, f"has {', '.join(missing)} not once among its columns")
    return table


def settle_events(files: Sequence[pl.DataFrame], kind: EventKind) -> pl.DataFrame:
    """One row for each key of the contract, sorted by it; of two events with the same key, the newer one."""
    contract = kind.contract
    since = kind.known_since
    others = [column.name for column in contract.columns if column.name != since]
    rows = pl.concat([_empty(contract), *files]).sort(since, *others)
    return rows.unique(list(contract.key), keep="last", maintain_order=True).sort(contract.key)


def _is_sound(column: Column) -> pl.Expr:
    value = pl.col(column.name)
    sound = value.is_not_null()
    if column.minimum is not None:
        sound &= value >= column.minimum
    if column.maximum is not None:
        sound &= value <= column.maximum
    return sound


def _set_aside(count: int, contract: Contract, *, file: str) -> tuple[Fault, ...]:
    if not count:
        return ()
    message = (
        f"{count} events of {file} break the contract of {contract.name}; they are set aside, drop them again mended"
    )
    return (Fault(file, FaultKind.SET_ASIDE, message),)


def _empty(contract: Contract) -> pl.DataFrame:
    return pl.DataFrame(schema=pl.Schema(contract.schema))
