"""Event drops: failures of history engines and truth about live ones, outside the row account."""

import io
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from sinet_pipelines.errors import first_line
from sinet_pipelines.ingestion.casting import UNPARSED, cast_table
from sinet_pipelines.ingestion.drops import UNREADABLE, Fault, FaultKind
from sinet_pipelines.schemas.contract import Column, Contract
from sinet_pipelines.schemas.events import FAILURE_EVENTS, TRUTH_EVENTS


class EventKind(StrEnum):
    """The kinds of events; also the names of their folders."""

    FAILURES = "failures"
    TRUTH = "truth"


CONTRACTS: dict[EventKind, Contract] = {EventKind.FAILURES: FAILURE_EVENTS, EventKind.TRUTH: TRUTH_EVENTS}
_KNOWN_SINCE = {EventKind.FAILURES: "failed_at", EventKind.TRUTH: "known_at"}


def encode_events(events: pl.DataFrame, kind: EventKind) -> bytes:
    """The events as a Parquet file; equal events give equal bytes."""
    columns = CONTRACTS[kind].columns
    table = events.select(c.name for c in columns).to_arrow(compat_level=pl.CompatLevel.oldest())
    fields = [pa.field(column.name, column.dtype) for column in columns]
    buffer = io.BytesIO()
    pq.write_table(table.cast(pa.schema(fields)), buffer, compression="zstd", version="2.6")
    return buffer.getvalue()


def read_event_file(content: bytes, kind: EventKind, *, file: str) -> tuple[pl.DataFrame, tuple[Fault, ...]]:
    """The sound events of a file in their contract's columns, and what is wrong with the file and the others."""
    contract = CONTRACTS[kind]
    table = _open(content, kind)
    if isinstance(table, _NoEvents):
        message = f"{file} {table.why}; drop the {kind} again mended or remove it"
        return _empty(contract), (Fault(file, table.kind, message),)
    rows = cast_table(table, contract.columns).drop(UNPARSED)
    sound = rows.filter(pl.all_horizontal(_is_sound(column) for column in contract.columns))
    return sound, _set_aside(rows.height - sound.height, contract, file=file)


def why_no_events(content: bytes, kind: EventKind) -> str:
    """Why the bytes are no file of such events, empty for one."""
    table = _open(content, kind)
    return table.why if isinstance(table, _NoEvents) else ""


def no_events(kind: EventKind) -> pl.DataFrame:
    """The columns of such events without a row."""
    return _empty(CONTRACTS[kind])


@dataclass(frozen=True)
class _NoEvents:
    kind: FaultKind
    why: str


def _open(content: bytes, kind: EventKind) -> pa.Table | _NoEvents:
    try:
        table = pq.read_table(pa.BufferReader(content), coerce_int96_timestamp_unit="us")
        table.validate(full=True)  # text that is no UTF-8 would be trusted from here on
        names = table.schema.names
    except UNREADABLE as error:
        return _NoEvents(FaultKind.UNREADABLE, f"is no readable Parquet file ({first_line(error).rstrip('.')})")
    missing = [column.name for column in CONTRACTS[kind].columns if names.count(column.name) != 1]
    if missing:
        return _NoEvents(FaultKind.MISSING_COLUMN, f"has {', '.join(missing)} not once among its columns")
    return table


def settle_events(files: Sequence[pl.DataFrame], kind: EventKind) -> pl.DataFrame:
    """One row for each key of the contract, sorted by it; where two speak of one thing the newer one holds."""
    contract = CONTRACTS[kind]
    since = _KNOWN_SINCE[kind]
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
