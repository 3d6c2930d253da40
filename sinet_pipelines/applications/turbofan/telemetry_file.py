"""Reads a user's telemetry file for `sinet predict --window`; it accepts the same rows as the landing zone.

Types come from the contract of a drop (`schemas/telemetry.py`) and values are cast like those of a drop (`casting.py`).
"""

import json
from dataclasses import dataclass
from pathlib import Path

import polars as pl
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from sinet_pipelines.applications.turbofan.schemas.telemetry import DROP, SENSORS, SETTINGS
from sinet_pipelines.errors import SourceError, first_line
from sinet_pipelines.ingestion.casting import UNPARSED, cast_table
from sinet_pipelines.ingestion.drops import UNREADABLE
from sinet_pipelines.ingestion.text_tables import MAX_BYTES, decode, read_csv, read_json, unpack
from sinet_pipelines.schemas.contract import Column

COLUMNS: tuple[Column, ...] = (DROP.column("unit"), DROP.column("cycle"), *SETTINGS, *SENSORS)
NAMES = tuple(column.name for column in COLUMNS)
CSV, JSON, PARQUET = (".csv", ".txt", ".tsv"), (".json", ".ndjson", ".jsonl"), (".parquet", ".pq")
ALLOWED = ".csv, .parquet, .json or .ndjson, packed with gzip or not"
_NUMBER_WITH_COMMA = r"^\s*[+-]?\d+,\d+(?:[eE][+-]?\d+)?\s*$"


@dataclass(frozen=True)
class TelemetryFile:
    """The telemetry rows of a file.

    Attributes:
        rows: `unit`, `cycle` and the 24 channels, one row for each engine and cycle, in the order of the file.
        copies: number of exact copies of rows that were left out.
    """

    rows: pl.DataFrame
    copies: int


def read_telemetry_file(path: Path) -> TelemetryFile:
    """The rows of a CSV, JSON, NDJSON or Parquet file with a drop's columns; other columns are ignored.

    Case is ignored in column names. Exact copies of a row count once, as in a landing zone.

    Raises:
        SourceError: the file cannot be read, lacks a column or a value, has a value of a wrong type or out of bounds,
            has two different rows for one cycle of an engine, or has no rows.
    """
    try:
        table = _contract_columns(_read_table(path))
        rows = cast_table(table, COLUMNS)
        _check_values(rows)
        once = rows.drop(UNPARSED).unique(maintain_order=True)
        _check_once(once)
    except SourceError as error:
        raise SourceError(f"{path}: {error}") from error
    return TelemetryFile(once, rows.height - once.height)


def _read_table(path: Path) -> pa.Table:
    name = path.name.lower().removesuffix(".gz")
    if not name.endswith((*CSV, *JSON, *PARQUET)):
        raise SourceError(f"no telemetry file by its name (allowed: {ALLOWED}); convert it to one of those")
    try:
        if path.is_dir():
            raise SourceError(f"it is a folder; name one file ({ALLOWED})")
        if not path.is_file():
            raise SourceError(f"no file there; name one with a drop's columns ({ALLOWED})")
        if path.stat().st_size > MAX_BYTES:
            raise SourceError(f"it has more than {MAX_BYTES >> 20} MiB; split it by engines")
        content = unpack(path.read_bytes())
    except OSError as error:
        raise SourceError(f"it cannot be read ({error.strerror}); mend that or name another file") from error
    if name.endswith(PARQUET) or content.startswith(b"PAR1"):
        return _read_parquet(content)
    text = decode(content)
    return read_json(text) if name.endswith(JSON) else read_csv(text, known=NAMES)


def _read_parquet(content: bytes) -> pa.Table:
    try:
        opened = pq.ParquetFile(pa.BufferReader(content), coerce_int96_timestamp_unit="us")
        wanted = [name for name in opened.schema_arrow.names if _plain_name(name) in NAMES]
        if len(set(wanted)) < len(wanted):
            return opened.schema_arrow.empty_table()  # `_contract_columns` raises with its name
        table = opened.read(columns=wanted)
        table.validate(full=True)
    except UNREADABLE as error:
        raise SourceError(f"it is no readable Parquet file ({first_line(error)}); write it again") from error
    return table


def _plain_name(name: str) -> str:
    return name.strip().lower()


def _contract_columns(table: pa.Table) -> pa.Table:
    """The columns of a drop under their own names, numbers with decimal commas as numbers.

    Raises:
        SourceError: a column is missing, occurs twice, or is in another unit according to its metadata.
    """
    places: dict[str, list[int]] = {name: [] for name in NAMES}
    for place, name in enumerate(table.column_names):
        places.get(_plain_name(name), []).append(place)
    missing = [name for name, found in places.items() if not found]
    if missing:
        raise SourceError(f"it lacks {', '.join(missing)}; a drop's columns are needed, one row a cycle")
    twice = [name for name, found in places.items() if len(found) > 1]
    if twice:
        raise SourceError(f"{', '.join(twice)} stand in it twice; give each column once")
    for column in COLUMNS:
        unit = (table.field(places[column.name][0]).metadata or {}).get(b"unit")
        if unit is not None and unit.decode(errors="replace") != column.unit:
            found = unit.decode(errors="replace")
            raise SourceError(f"{column.name} is in {found!r} (allowed: {column.unit!r}); convert it to that unit")
    own = pa.table({name: table.column(found[0]) for name, found in places.items()})
    return _with_decimal_points(own)


def _with_decimal_points(table: pa.Table) -> pa.Table:
    """The same table with 12,5 replaced by 12.5 in text columns of numbers.

    Raises:
        SourceError: some numbers have decimal commas and others decimal points, so that 1,234 is ambiguous.
    """
    texts = [name for name in NAMES[1:] if _is_text(table.field(name).type)]
    commas = [name for name in texts if pc.any(pc.match_substring_regex(table[name], _NUMBER_WITH_COMMA)).as_py()]
    if not commas:
        return table
    points = [name for name in texts if pc.any(pc.match_substring(table[name], ".")).as_py()]
    if points:
        raise SourceError(f"{commas[0]} has decimal commas and {points[0]} decimal points; write all with points")
    for name in commas:
        place = table.column_names.index(name)
        table = table.set_column(place, name, pc.replace_substring(table[name], ",", "."))
    return table


def _is_text(kind: pa.DataType) -> bool:
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind))


def _check_values(rows: pl.DataFrame) -> None:
    """Rejects rows that validation would reject: a served model reads only complete rows within their bounds."""
    if rows.is_empty():
        raise SourceError("it has no rows; give at least one cycle of an engine")
    numbered = rows.with_row_index("row", offset=1)
    _check_types(numbered)
    nameless = numbered.filter(pl.col("unit").is_null() | (pl.col("unit").str.strip_chars() == ""))
    if not nameless.is_empty():
        raise SourceError(f"row {nameless['row'][0]} names no engine ({nameless.height} such rows); fill column unit")
    gaps = numbered.filter(pl.any_horizontal(pl.col(name).is_null() for name in NAMES))
    if not gaps.is_empty():
        row = gaps.row(0, named=True)
        empty = next(name for name in NAMES if row[name] is None)
        raise SourceError(f"it has no number in {empty} of {_place(row)}; leave that row out")
    for column in COLUMNS[1:]:
        value = pl.col(column.name)
        odd = numbered.filter(~value.is_between(column.minimum, column.maximum) | value.is_infinite())
        if not odd.is_empty():
            row = odd.row(0, named=True)
            cure = "count cycles from 1" if column.name == "cycle" else "is it in another unit?"
            raise SourceError(
                f"it has {column.name} {row[column.name]:g} in {_place(row)} ({odd.height} rows; allowed: "
                f"{column.minimum:g} to {column.maximum:g} {column.unit}); {cure}"
            )


def _check_types(numbered: pl.DataFrame) -> None:
    failed = numbered.filter(pl.col(UNPARSED).is_not_null())
    if failed.is_empty():
        return
    row = failed.row(0, named=True)
    column, text = next(iter(json.loads(row[UNPARSED]).items()))
    kind = {"cycle": "whole numbers", "unit": "names without control characters"}.get(column, "numbers")
    raise SourceError(
        f"it has {column} {text!r} in {_place(row)} ({failed.height} rows; allowed: {kind}); mend or leave out that row"
    )


def _place(row: dict[str, object]) -> str:
    cycle = "" if row["cycle"] is None else f", cycle {row['cycle']}"
    unit = "" if row["unit"] is None else f" (engine {row['unit']}{cycle})"
    return f"row {row['row']}{unit}"


def _check_once(rows: pl.DataFrame) -> None:
    twice = rows.filter(pl.struct("unit", "cycle").is_duplicated())
    if not twice.is_empty():
        unit, cycle = twice.row(0)[:2]
        raise SourceError(f"cycle {cycle} of engine {unit} is there twice with different values; keep the right row")
