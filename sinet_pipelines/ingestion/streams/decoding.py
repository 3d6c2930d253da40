"""From the payloads of messages to rows of the contract: JSON, Arrow IPC and Parquet, recognised by their first bytes.

A message becomes rows as a whole or not at all. One that cannot be read, or that lacks a column, is a dead letter with
the reason. A value of a wrong type is no reason: it becomes null, and its text goes to `unparsed`, as in a drop. The
rows of a message do not depend on the messages beside it.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import orjson
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from sinet_pipelines.errors import first_line
from sinet_pipelines.ingestion.casting import cast_table
from sinet_pipelines.ingestion.drops import UNREADABLE
from sinet_pipelines.ingestion.streams.plain_cast import cast_plain
from sinet_pipelines.ingestion.streams.plain_json import read_plain
from sinet_pipelines.ingestion.streams.source import Message
from sinet_pipelines.schemas.contract import Column, Contract

MESSAGE_BYTES = 64 << 20  # a larger message is a dead letter: its rows would not fit into a batch
MESSAGE_ROWS = 1_000_000  # a file of a few kilobytes may have millions of equal rows
UNPACKED_BYTES = 512 << 20  # of a Parquet message
#: No name has it (`casting.py`). It begins the text of a value that is no name, which else would be one.
REFUSED = "\N{REPLACEMENT CHARACTER}"
PARQUET, ARROW_FILE, ARROW_STREAM = b"PAR1", b"ARROW1", b"\xff\xff\xff\xff"

Rows = dict[str, Any]  # one JSON object


class _NoRowsError(ValueError):
    """Why a message has no rows."""


@dataclass(frozen=True)
class DeadLetter:
    """A message without rows.

    Attributes:
        message: the message.
        reason: why it has no rows: what was found, and what is allowed.
    """

    message: Message
    reason: str


@dataclass(frozen=True)
class Decoded:
    """The rows of some messages.

    Attributes:
        rows: columns of a drop, `unparsed`, and `message` (n,) int64, the place of the row's message in the input.
        dead: the messages without rows.
        unknown: columns that no contract knows, which are ignored.
    """

    rows: pl.DataFrame
    dead: tuple[DeadLetter, ...]
    unknown: frozenset[str]


def decode(messages: Sequence[Message], drop: Contract) -> Decoded:
    """The rows of messages in the columns and types of a drop's contract.

    Args:
        messages: the messages, in order.
        drop: contract of a row.
    """
    if (plain := read_plain(messages, drop)) is not None:
        rows = cast_plain(plain, drop.columns).with_columns(message=pl.int_range(len(messages), dtype=pl.Int64))
        return Decoded(rows, (), frozenset())
    objects: list[tuple[int, list[Rows]]] = []
    tables: list[tuple[int, pa.Table]] = []
    dead: list[DeadLetter] = []
    unknown: set[str] = set()
    known = frozenset(column.name for column in drop.columns)
    needed = frozenset(column.name for column in drop.columns if not column.nullable)
    for place, message in enumerate(messages):
        try:
            found = _parse(message.payload)
            if isinstance(found, pa.Table):
                unknown |= _check_columns(found.schema, drop)
                tables.append((place, found))
            else:
                unknown |= _check_objects(found, needed, known)
                objects.append((place, found))
        except _NoRowsError as error:
            dead.append(DeadLetter(message, str(error)))
    frames = [*_from_objects(objects, drop), *(_cast(table, [place], drop) for place, table in tables)]
    rows = pl.concat(frames).sort("message", maintain_order=True) if frames else _no_rows(drop)
    return Decoded(rows, tuple(dead), frozenset(unknown))


def _parse(payload: bytes) -> pa.Table | list[Rows]:
    if len(payload) > MESSAGE_BYTES:
        raise _NoRowsError(f"it has {len(payload):,} bytes (allowed: {MESSAGE_BYTES:,}); send its rows in parts")
    if not payload:
        raise _NoRowsError("it is empty (allowed: JSON, Arrow IPC, Parquet)")
    if payload.startswith((PARQUET, ARROW_FILE, ARROW_STREAM)):
        try:
            return _read_table(payload)
        except UNREADABLE as error:
            raise _NoRowsError(f"it is no readable table ({first_line(error).rstrip('.')})") from error
    found = _parse_json(payload)
    if type(found) is dict:
        return [found]
    rows = found if isinstance(found, list) else [found]
    if not all(type(row) is dict for row in rows):
        raise _NoRowsError("it is JSON without columns (allowed: an object, or a list of objects)")
    if len(rows) > MESSAGE_ROWS:
        raise _too_many(len(rows))
    return rows


def _parse_json(payload: bytes) -> Any:
    try:
        return orjson.loads(payload)
    except orjson.JSONDecodeError:  # it also rejects NaN and a byte order mark, which many programs write
        pass
    try:
        found = json.loads(payload.decode("utf-8-sig"))
        json.dumps(found, ensure_ascii=False).encode()  # half a surrogate pair is no text
    except UnicodeDecodeError as error:
        raise _NoRowsError(f"it is not UTF-8 (byte {error.start}), and no Arrow IPC or Parquet") from error
    except (ValueError, RecursionError) as error:
        raise _NoRowsError(f"it is neither JSON, Arrow IPC nor Parquet ({first_line(error)})") from error
    return found


def _read_table(payload: bytes) -> pa.Table:
    if payload.startswith(PARQUET):
        file = pq.ParquetFile(pa.BufferReader(payload), coerce_int96_timestamp_unit="us")
        footer = file.metadata
        unpacked = sum(footer.row_group(group).total_byte_size for group in range(footer.num_row_groups))
        if unpacked > UNPACKED_BYTES:
            raise _NoRowsError(f"it has {unpacked:,} bytes unpacked (allowed: {UNPACKED_BYTES:,}); send it in parts")
        if footer.num_rows > MESSAGE_ROWS:
            raise _too_many(footer.num_rows)
        table = file.read()
    else:
        opened = pa.ipc.open_file if payload.startswith(ARROW_FILE) else pa.ipc.open_stream
        with opened(pa.BufferReader(payload)) as reader:
            table = reader.read_all()
        if table.num_rows > MESSAGE_ROWS:
            raise _too_many(table.num_rows)
    table.validate(full=True)
    return table


def _too_many(rows: int) -> _NoRowsError:
    return _NoRowsError(f"it has {rows:,} rows (allowed: {MESSAGE_ROWS:,}); send it in parts")


def _check_columns(schema: pa.Schema, drop: Contract) -> set[str]:
    """The unknown columns of a table; raises where one is missing, stands there twice or has another unit."""
    names = schema.names
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise _NoRowsError(f"columns {', '.join(twice)} stand in it twice")
    _require([column.name for column in drop.columns if column.name not in names], names)
    for column in drop.columns:
        unit = (schema.field(column.name).metadata or {}).get(b"unit")
        if unit is not None and unit.decode(errors="replace") != column.unit:
            found = unit.decode(errors="replace")
            raise _NoRowsError(f"it has {column.name} in {found!r} (allowed: {column.unit!r}); send it in that unit")
    return set(names) - {column.name for column in drop.columns}


def _check_objects(rows: list[Rows], needed: frozenset[str], known: frozenset[str]) -> set[str]:
    """The unknown columns of JSON objects; raises where a column is missing that may not be null."""
    unknown: set[str] = set()
    for row in rows:
        keys = row.keys()
        if not keys <= known:
            unknown |= keys - known
        if not needed <= keys:
            _require(sorted(needed - keys), list(row))
    return unknown


def _require(missing: list[str], names: list[str]) -> None:
    if missing:
        shown = ", ".join(names[:40]) or "nothing"
        raise _NoRowsError(f"it has no {', '.join(missing)} (found: {shown[:1000]}); send a value, or null")


def _from_objects(objects: list[tuple[int, list[Rows]]], drop: Contract) -> list[pl.DataFrame]:
    """The rows of JSON messages: all at once, or each message alone where values of a column differ in type."""
    if not objects:
        return []
    try:
        table = _columns([row for _, rows in objects for row in rows], drop, is_alone=len(objects) == 1)
    except pa.ArrowInvalid:
        return [_cast(_columns(rows, drop, is_alone=True), [place], drop) for place, rows in objects]
    places = [place for place, rows in objects for _ in rows]
    return [_cast(table, places, drop)]


def _columns(rows: list[Rows], drop: Contract, *, is_alone: bool) -> pa.Table:
    """The columns of JSON objects; raises where a column has no one type and the rows are of several messages."""
    return pa.table({one.name: _column([row.get(one.name) for row in rows], one, is_alone) for one in drop.columns})


def _column(values: list[Any], column: Column, is_alone: bool) -> pa.Array:
    kinds = {*map(type, values)} - {type(None)}
    if pa.types.is_floating(column.dtype):
        kinds -= {int} if float in kinds else set()  # a float has each integer, or the nearest to it
    try:
        if len(kinds) <= 1 and kinds.isdisjoint((list, dict)):  # Arrow itself makes a number of `true` beside others
            return pa.array(values)
    except (pa.ArrowException, OverflowError):
        pass  # an integer that no type has
    if not is_alone:
        raise pa.ArrowInvalid(f"{column.name} has values of several types")
    is_name = pa.types.is_string(column.dtype)
    return pa.array([_text(one, is_name) for one in values], pa.string())


def _text(value: Any, is_name: bool) -> str | None:
    """The text of a value in a column with values of several types."""
    if value is None or isinstance(value, str):
        return value
    is_refused = is_name and (isinstance(value, bool | list | dict) or value != value // 1)
    return f"{REFUSED if is_refused else ''}{json.dumps(value)}"


def _cast(table: pa.Table, places: Sequence[int], drop: Contract) -> pl.DataFrame:
    """The rows with the place of their message; one place stands for all rows."""
    known = table.select([column.name for column in drop.columns])
    found = [*places] * known.num_rows if len(places) == 1 else places
    return cast_table(known, drop.columns).with_columns(message=pl.Series(found, dtype=pl.Int64))


def _no_rows(drop: Contract) -> pl.DataFrame:
    return _cast(drop.schema.empty_table(), [0], drop)
