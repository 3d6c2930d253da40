"""Hashes the content of a row: BLAKE2b-128 over canonical bytes, independent of drop, order and chunk.

The canonical bytes of a row are words of 8 bytes, little-endian: two of a digest of its texts (`unparsed` the last),
then one for each other column in the order of the contract: integers as int64, instants in microseconds, numbers as
float64. -0.0 equals 0.0, and null equals NaN.
"""

from dataclasses import dataclass
from hashlib import blake2b

import numpy as np
import polars as pl
import pyarrow as pa

from sinet_pipelines.ingestion.casting import UNPARSED
from sinet_pipelines.schemas.contract import Column, Contract

_DIGEST_BYTES = 16
_CHUNK_ROWS = 1 << 16  # 14 MiB of canonical bytes of 28 words at a time, for any size of frame
_NONE = np.iinfo(np.int64).min  # no integer or instant has this value


def row_hash(rows: pl.DataFrame, drop: Contract) -> pl.Series:
    """32 hex digits for each row.

    Args:
        rows: (n, columns) with the columns of a drop; without `unparsed`, every row counts as parsed.
        drop: contract of a drop, whose columns are the content of a row.

    Returns:
        (n,) strings named `row_hash`, equal if and only if the content of the rows is equal.
    """
    if "unparsed" not in rows.columns:
        rows = rows.with_columns(unparsed=pl.lit(None, pl.String))
    columns = _Columns.of(drop)
    names = _text_digests(rows, columns.texts)
    chunks = [
        _hash_chunk(rows[i : i + _CHUNK_ROWS], names[i : i + _CHUNK_ROWS], columns)
        for i in range(0, len(rows), _CHUNK_ROWS)
    ]
    return _hex_series(b"".join(chunks))


@dataclass(frozen=True)
class _Columns:
    """The columns of a drop by their conversion to words."""

    texts: tuple[str, ...]
    others: tuple[Column, ...]

    @classmethod
    def of(cls, drop: Contract) -> "_Columns":
        texts = tuple(column.name for column in drop.columns if pa.types.is_string(column.dtype))
        return cls((*texts, UNPARSED), tuple(column for column in drop.columns if column.name not in texts))


def _hash_chunk(rows: pl.DataFrame, names: np.ndarray, columns: _Columns) -> bytes:
    matrix = memoryview(_canonical(rows, names, columns).data).cast("B")
    width = (2 + len(columns.others)) * 8
    return b"".join(
        [blake2b(matrix[i : i + width], digest_size=_DIGEST_BYTES).digest() for i in range(0, len(matrix), width)]
    )


def _canonical(rows: pl.DataFrame, names: np.ndarray, columns: _Columns) -> np.ndarray:
    """Canonical bytes as words, (n, 2 + number of columns that are not text) uint64."""
    words = np.empty((len(rows), 2 + len(columns.others)), dtype="<u8")
    words[:, :2] = names
    numbers = []
    for place, column in enumerate(columns.others, start=2):
        if pa.types.is_floating(column.dtype):
            numbers.append((place, column.name))
            continue
        values = rows[column.name]
        whole = values.dt.timestamp("us") if pa.types.is_timestamp(column.dtype) else values.cast(pl.Int64)
        words[:, place] = whole.fill_null(_NONE).to_numpy().view("u8")
    if numbers:
        places, names_of = zip(*numbers, strict=True)
        channels = rows.select(names_of).cast(pl.Float64).fill_null(float("nan")).to_numpy() + 0.0  # -0.0 + 0.0 is 0.0
        channels[np.isnan(channels)] = np.nan  # NaN has many bit patterns; this is one of them
        words[:, list(places)] = channels.astype("<f8", order="C").view("<u8")
    return words


def _text_digests(rows: pl.DataFrame, names: tuple[str, ...]) -> np.ndarray:
    """BLAKE2b-128 of each row's texts as two words, (n, 2) uint64; computed once for rows of equal texts."""
    texts = rows.select(pl.col(names).cast(pl.String))
    distinct = texts.unique()
    digests = b"".join(blake2b(_framed(row), digest_size=_DIGEST_BYTES).digest() for row in distinct.iter_rows())
    pairs = np.frombuffer(digests, dtype="<u8").reshape(-1, 2)
    numbered = distinct.with_columns(place=pl.int_range(pl.len()))
    places = texts.join(numbered, on=names, how="left", nulls_equal=True, maintain_order="left")["place"]
    return pairs[places.to_numpy()]


def _framed(texts: tuple[str | None, ...]) -> bytes:
    """Texts with their lengths before them, so that different rows have different bytes; None differs from ''."""
    encoded = (None if text is None else text.encode() for text in texts)
    return b"".join(b"\0" if text is None else b"\1" + len(text).to_bytes(8, "little") + text for text in encoded)


def _hex_series(digests: bytes) -> pl.Series:
    digits = digests.hex().encode()
    width = 2 * _DIGEST_BYTES
    offsets = np.arange(0, len(digits) + 1, width, dtype=np.int64)
    buffers = [None, pa.py_buffer(offsets), pa.py_buffer(digits)]
    return pl.Series("row_hash", pa.Array.from_buffers(pa.large_string(), len(offsets) - 1, buffers), dtype=pl.String)
