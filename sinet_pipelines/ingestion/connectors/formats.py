"""From a file to blocks of rows of the contract: CSV, JSON lines and Parquet, each also as gzip or Zstandard.

No type is guessed: values of CSV are text until the contract casts them. A value that has no place in its type becomes
null, and its text goes to `unparsed`, as in a drop.
"""

from collections.abc import Iterator, Sequence
from typing import Any, BinaryIO

import orjson
import pyarrow as pa
import pyarrow.parquet as pq

from sinet_pipelines.errors import first_line
from sinet_pipelines.ingestion.casting import cast_table
from sinet_pipelines.ingestion.connectors.lines import (
    KEPT_BYTES,
    LINE_BYTES,
    CsvRecord,
    TextLine,
    read_header,
    split_lines,
    split_records,
    text_blocks,
    unpacked,
)
from sinet_pipelines.ingestion.connectors.source import Block, UnreadableError, UnreadPiece
from sinet_pipelines.ingestion.drops import (
    UNREADABLE,
    Hive,
    examine,
    hive_columns,
    read_drop_in_batches,
    read_faults,
)
from sinet_pipelines.ingestion.streams.decoding import decode
from sinet_pipelines.ingestion.streams.source import Message
from sinet_pipelines.schemas.contract import Contract
from sinet_pipelines.storage.files import TEMPORARY, disk_errors, temporary_file
from sinet_pipelines.storage.objects import IN_MEMORY_BYTES

SUFFIXES = {
    ".csv": "csv",
    ".tsv": "csv",
    ".jsonl": "json",
    ".ndjson": "json",
    ".json": "json",
    ".parquet": "parquet",
    ".parq": "parquet",
    ".pq": "parquet",
}
PACKED = (".gz", ".gzip", ".zst", ".zstd")
ALLOWED = f"{', '.join(SUFFIXES)}, each also with {' or '.join(PACKED)}"
BLOCK_ROWS = 20_000
BLOCK_TEXT = 16 << 20  # bytes of the lines of a block


def format_of(name: str) -> str:
    """The format of a file by its name: `csv`, `json`, `parquet`; empty for none of these.

    >>> format_of("2026/a.csv.gz"), format_of("part-0.zstd.parquet"), format_of("notes.txt")
    ('csv', 'parquet', '')
    """
    lower = name.lower()
    for suffix in PACKED:
        lower = lower.removesuffix(suffix)
    return next((form for suffix, form in SUFFIXES.items() if lower.endswith(suffix)), "")


def read_blocks(file: BinaryIO, *, name: str, size: int, hive: Hive, drop: Contract) -> Iterator[Block]:
    """The rows of a file.

    Args:
        file: the open file.
        name: its name, with a suffix of `SUFFIXES`.
        size: in bytes.
        hive: values of the folders above it.
        drop: contract of a row.

    Raises:
        UnreadableError: the file is none of its format, breaks off, or lacks a column: no row of it is used.
    """
    form = format_of(name)
    if form == "parquet":
        yield from _parquet(file, size, hive, drop, name)
    elif form == "json":
        yield from _json(split_lines(text_blocks(unpacked(file, size))), hive_columns(hive, drop), drop)
    else:
        yield from _csv(split_lines(text_blocks(unpacked(file, size))), hive_columns(hive, drop), drop)


def _csv(lines: Iterator[TextLine], hive: dict[str, str | None], drop: Contract) -> Iterator[Block]:
    known = [column.name for column in drop.columns]
    names, separator = read_header(lines, known)
    if twice := sorted({name for name in names if name and names.count(name) > 1}):
        raise UnreadableError(f"columns {', '.join(twice)} stand in its header twice")
    if missing := [name for name in known if name not in names and name not in hive]:
        shown = ", ".join(name for name in names[:40])
        raise UnreadableError(f"it has no column {', '.join(missing)} (found: {shown[:1000]}); add it")
    unknown = frozenset(names) - frozenset(known) - {""}
    records: list[CsvRecord] = []
    held = 0
    for record in split_records(lines, separator=separator, width=len(names)):
        if record.reason or any(record.fields):  # a line of separators alone is no row
            records.append(record)
            held += len(record.content)
        if len(records) >= BLOCK_ROWS or held >= BLOCK_TEXT:
            yield _csv_block(records, names, hive, drop, unknown)
            records, held = [], 0
    yield _csv_block(records, names, hive, drop, unknown)


def _csv_block(
    records: list[CsvRecord], names: list[str], hive: dict[str, str | None], drop: Contract, unknown: frozenset[str]
) -> Block:
    rows = [one.fields for one in records if not one.reason]
    columns = dict(zip(names, zip(*rows, strict=True), strict=True)) if rows else dict.fromkeys(names, ())
    texts = {
        one.name: pa.array([text or None for text in columns[one.name]], pa.string())
        for one in drop.columns
        if one.name in columns
    }
    filled = {name: pa.array([value] * len(rows), pa.string()) for name, value in hive.items() if name not in texts}
    dead = tuple(UnreadPiece(one.number, one.content, one.reason) for one in records if one.reason)
    return Block(cast_table(pa.table({**texts, **filled}), drop.columns), dead, unknown)


def _json(lines: Iterator[TextLine], hive: dict[str, str | None], drop: Contract) -> Iterator[Block]:
    held: list[TextLine] = []
    size = 0
    for line in lines:
        if line.content.strip():
            held.append(line)
            size += len(line.content)
        if len(held) >= BLOCK_ROWS or size >= BLOCK_TEXT:
            yield _json_block(held, hive, drop)
            held, size = [], 0
    yield _json_block(held, hive, drop)


def _json_block(lines: Sequence[TextLine], hive: dict[str, str | None], drop: Contract) -> Block:
    whole = [line for line in lines if not line.omitted]
    found = decode([Message(0, line.number, _filled(line.content, hive), 0) for line in whole], drop)
    dead = [UnreadPiece(one.message.offset, one.message.payload[:KEPT_BYTES], one.reason) for one in found.dead]
    for line in lines:
        if line.omitted:
            reason = f"it has {len(line.content) + line.omitted:,} bytes (allowed: {LINE_BYTES:,})"
            dead.append(UnreadPiece(line.number, line.content[:KEPT_BYTES], reason))
    return Block(found.rows.drop("message"), tuple(dead), found.unknown)


def _filled(content: bytes, hive: dict[str, str | None]) -> bytes:
    """The JSON object of a line with the columns of its folders that it lacks."""
    if not hive:
        return content
    try:
        row: Any = orjson.loads(content)
    except orjson.JSONDecodeError:
        return content  # it becomes a dead letter, or has NaN
    return orjson.dumps({**hive, **row}) if isinstance(row, dict) else content


def _parquet(file: BinaryIO, size: int, hive: Hive, drop: Contract, name: str) -> Iterator[Block]:
    file.seek(0)
    if file.read(4) == b"PAR1":
        yield from _parquet_rows(file, hive, drop, name)
        return
    with temporary_file("sinet-pull-", in_memory_bytes=IN_MEMORY_BYTES) as whole:
        for block in unpacked(file, size):
            with disk_errors(TEMPORARY):
                whole.write(block)
                whole.flush()
        yield from _parquet_rows(whole, hive, drop, name)


def _parquet_rows(file: Any, hive: Hive, drop: Contract, name: str) -> Iterator[Block]:
    _, why = examine(file, drop)  # reads each page, so that no row lands of a file that is damaged further on
    if why:
        raise UnreadableError(f"it is no readable Parquet file ({why})")
    bad = [fault.message for fault in read_faults(file, drop, file=name, hive=hive) if fault.fails_the_day]
    if bad:
        raise UnreadableError("; ".join(bad[:3]))
    file.seek(0)
    names = pq.ParquetFile(pa.PythonFile(file, mode="r")).schema_arrow.names
    unknown = frozenset(names) - {column.name for column in drop.columns}
    try:
        for rows in read_drop_in_batches(file, drop, hive=hive):
            yield Block(rows, (), unknown)
    except UNREADABLE as error:
        raise UnreadableError(f"it is no readable Parquet file ({first_line(error)})") from error
