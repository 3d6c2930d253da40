"""Reads CSV and JSON bytes as an Arrow table without type inference from the first rows.

CSV values remain text. A JSON column whose values are all numbers remains numeric; any other becomes text, value by
value. The contract decides the types (`casting.py`).
"""

import csv
import io
import json
import zlib
from collections.abc import Sequence
from typing import Any

import polars as pl
import pyarrow as pa

from sinet_pipelines.errors import SourceError, first_line

SEPARATORS = (",", ";", "\t", "|")
MAX_BYTES = 1 << 30  # decompressed; a file of a million rows has a quarter of this
GZIP = b"\x1f\x8b"
_MARKS = ((b"\xef\xbb\xbf", "utf-8-sig"), (b"\xff\xfe", "utf-16"), (b"\xfe\xff", "utf-16"))
_INT64 = range(-(2**63), 2**63)


def unpack(content: bytes) -> bytes:
    """The bytes of a file, decompressed if they are gzip.

    Raises:
        SourceError: the gzip stream is damaged, truncated, or larger than `MAX_BYTES` after decompression.
    """
    if not content.startswith(GZIP):
        return content
    parts, rest, left = [], content, MAX_BYTES
    while rest.startswith(GZIP):  # a gzip file may have several members, one after another
        stream = zlib.decompressobj(wbits=31)
        try:
            parts.append(stream.decompress(rest, left))
        except zlib.error as error:
            raise SourceError(f"its gzip data are damaged ({error}); pack it again") from error
        left -= len(parts[-1])
        if left <= 0:
            raise SourceError(f"it has more than {MAX_BYTES >> 20} MiB when unpacked; split it by engines")
        if not stream.eof:
            raise SourceError("its gzip data break off before their end; copy or pack it again")
        rest = stream.unused_data.lstrip(b"\x00")
    return b"".join(parts)


def decode(content: bytes) -> str:
    """The text of a file: UTF-8, or UTF-16 if it has that byte order mark; the mark is removed.

    Raises:
        SourceError: the bytes are not such text.
    """
    encoding = next((name for mark, name in _MARKS if content.startswith(mark)), "utf-8")
    try:
        text = content.decode(encoding)
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        raise SourceError(f"line {line} is no {error.encoding.upper()} text; save the file as UTF-8") from error
    if "\x00" in text:
        raise SourceError("it holds NUL characters, as no text file does; save the file as UTF-8 text")
    return text


def read_csv(text: str, *, known: Sequence[str]) -> pa.Table:
    """A CSV as a table of text; empty fields are null, empty lines are left out.

    The separator is the one of `SEPARATORS` with which the first line has the most names of `known`.

    Args:
        text: text with a header line.
        known: names of columns, in lower case.

    Raises:
        SourceError: the text is not such a table.
    """
    lines = text.replace("\r\n", "\n").replace("\r", "\n")
    head = lines.lstrip("\n ").split("\n", 1)[0]
    if not head.strip():
        raise SourceError("it is empty; give a header line and one row a cycle")
    found = {mark: _known_names(head, mark, known) for mark in SEPARATORS}
    separator = max(SEPARATORS, key=lambda mark: found[mark])
    try:
        rows = pl.read_csv(
            io.BytesIO(lines.lstrip("\n ").encode()),
            separator=separator,
            infer_schema=False,
            has_header=False,
        )
    except pl.exceptions.PolarsError as error:
        raise SourceError(f"it is no CSV with {separator!r} between its values: {first_line(error)}") from error
    names = [name or "" for name in rows.row(0)]
    blank = pl.all_horizontal(pl.all().is_null() | (pl.all().str.strip_chars() == ""))
    table = rows.slice(1).filter(~blank).to_arrow(compat_level=pl.CompatLevel.oldest())
    return table.rename_columns(names)


def _known_names(head: str, separator: str, known: Sequence[str]) -> int:
    try:
        names = next(csv.reader([head], delimiter=separator), [])
    except csv.Error:
        return 0
    return len({name.strip().lower() for name in names} & set(known))


def read_json(text: str) -> pa.Table:
    """JSON as a table: a list of objects, one object per line, or an object of columns (pandas writes all three).

    Raises:
        SourceError: the text is none of these.
    """
    records = _records(_load(text))
    names = list(dict.fromkeys(name for record in records for name in record))
    if not names:
        raise SourceError("it has no rows; give one object a cycle")
    columns = [_column([record.get(name) for record in records]) for name in names]
    return pa.table(columns, names=[_encodable(name) for name in names])


def _load(text: str) -> Any:
    try:
        return _parse(text)
    except SourceError as whole:
        lines = [line for line in text.splitlines() if line.strip()]
        if len(lines) < 2 or not lines[0].lstrip().startswith("{"):
            raise
        try:
            return [_parse(line) for line in lines]
        except SourceError:
            raise whole from None


def _parse(text: str) -> Any:
    try:
        return json.loads(text, object_pairs_hook=_once)
    except (ValueError, RecursionError) as error:
        raise SourceError(f"it is no JSON ({first_line(error)}); give a list of objects, one a cycle") from error


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise SourceError(f"an object has {twice!r} twice; give each column once")
    return found


def _records(found: Any) -> list[dict[str, Any]]:
    """The rows of parsed JSON."""
    if isinstance(found, dict) and found and all(isinstance(values, dict) for values in found.values()):
        if len({tuple(values) for values in found.values()}) > 1:
            raise SourceError("its columns have different rows; give each the same ones")
        found = {name: list(values.values()) for name, values in found.items()}
    if isinstance(found, dict) and found and all(isinstance(values, list) for values in found.values()):
        lengths = {len(values) for values in found.values()}
        if len(lengths) > 1:
            raise SourceError("its columns have different lengths; give each the same number of values")
        return [dict(zip(found, row, strict=True)) for row in zip(*found.values(), strict=True)]
    rows = [found] if isinstance(found, dict) else found
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise SourceError("its JSON is no list of objects; give one object a cycle")
    return rows


def _column(values: list[Any]) -> pa.Array:
    there = [value for value in values if value is not None]
    if all(type(value) is int and value in _INT64 for value in there):
        return pa.array(values, pa.int64())
    if all(type(value) in (int, float) for value in there):
        try:
            return pa.array([None if value is None else float(value) for value in values], pa.float64())
        except OverflowError:
            pass  # an integer larger than every float remains text
    return pa.array([None if value is None else _text(value) for value in values], pa.string())


def _text(value: object) -> str:
    """A value's text; a float without fraction is written as an integer, so that 7.0 next to 'A' is engine 7."""
    if isinstance(value, str):
        return _encodable(value)
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return json.dumps(value, ensure_ascii=False)


def _encodable(text: str) -> str:
    """The text without lone surrogates, which are possible in JSON but not in tables."""
    return text.encode("utf-8", "backslashreplace").decode()
