"""Names a row by its content: BLAKE2b-128 over canonical bytes, the same in whatever drop, order or chunk it comes.

The canonical bytes of a row are 28 words of 8 bytes, little-endian: two of a digest of its texts (unit, role,
`unparsed`), its cycle, its instant in microseconds, and its 24 channels as float64. -0.0 counts as 0.0, and no value
(null) and not-a-number as one and the same.
"""

from hashlib import blake2b

import numpy as np
import polars as pl
import pyarrow as pa

from sinet_pipelines.schemas.telemetry import CHANNELS

_TEXTS = ("unit", "role", "unparsed")
_DIGEST_BYTES = 16
_WORDS = 4 + len(CHANNELS)
_CHUNK_ROWS = 1 << 16  # 14 MiB of canonical bytes at a time, whatever the frame holds
_NONE = np.iinfo(np.int64).min  # no cycle or instant has this value


def row_hash(rows: pl.DataFrame) -> pl.Series:
    """32 hex digits for each row.

    Args:
        rows: (n, columns) with the columns of a drop; without `unparsed` every row counts as parsed.

    Returns:
        (n,) strings named `row_hash`; equal exactly for rows of equal content.
    """
    if "unparsed" not in rows.columns:
        rows = rows.with_columns(unparsed=pl.lit(None, pl.String))
    names = _text_digests(rows)
    chunks = [
        _hash_chunk(rows[i : i + _CHUNK_ROWS], names[i : i + _CHUNK_ROWS]) for i in range(0, len(rows), _CHUNK_ROWS)
    ]
    return _hex_series(b"".join(chunks))


def _hash_chunk(rows: pl.DataFrame, names: np.ndarray) -> bytes:
    matrix = memoryview(_canonical(rows, names).data).cast("B")
    width = _WORDS * 8
    return b"".join(
        [blake2b(matrix[i : i + width], digest_size=_DIGEST_BYTES).digest() for i in range(0, len(matrix), width)]
    )


def _canonical(rows: pl.DataFrame, names: np.ndarray) -> np.ndarray:
    """Canonical bytes as words, (n, 28) uint64."""
    words = np.empty((len(rows), _WORDS), dtype="<u8")
    words[:, :2] = names
    words[:, 2] = rows["cycle"].cast(pl.Int64).fill_null(_NONE).to_numpy().view("u8")
    words[:, 3] = rows["recorded_at"].dt.timestamp("us").fill_null(_NONE).to_numpy().view("u8")
    channels = rows.select(CHANNELS).cast(pl.Float64).fill_null(float("nan")).to_numpy() + 0.0  # -0.0 + 0.0 is 0.0
    channels[np.isnan(channels)] = np.nan  # not-a-number has many bit patterns, and this is one of them
    words[:, 4:] = channels.astype("<f8", order="C").view("<u8")
    return words


def _text_digests(rows: pl.DataFrame) -> np.ndarray:
    """BLAKE2b-128 of each row's texts as two words, (n, 2) uint64; rows of one engine share theirs, made once."""
    texts = rows.select(pl.col(_TEXTS).cast(pl.String))
    distinct = texts.unique()
    digests = b"".join(blake2b(_framed(row), digest_size=_DIGEST_BYTES).digest() for row in distinct.iter_rows())
    pairs = np.frombuffer(digests, dtype="<u8").reshape(-1, 2)
    numbered = distinct.with_columns(place=pl.int_range(pl.len()))
    places = texts.join(numbered, on=_TEXTS, how="left", nulls_equal=True, maintain_order="left")["place"]
    return pairs[places.to_numpy()]


def _framed(texts: tuple[str | None, ...]) -> bytes:
    """Texts with their lengths before them, so that no two rows run into one another; None is no empty text."""
    encoded = (None if text is None else text.encode() for text in texts)
    return b"".join(b"\0" if text is None else b"\1" + len(text).to_bytes(8, "little") + text for text in encoded)


def _hex_series(digests: bytes) -> pl.Series:
    digits = digests.hex().encode()
    width = 2 * _DIGEST_BYTES
    offsets = np.arange(0, len(digits) + 1, width, dtype=np.int64)
    buffers = [None, pa.py_buffer(offsets), pa.py_buffer(digits)]
    return pl.Series("row_hash", pa.Array.from_buffers(pa.large_string(), len(offsets) - 1, buffers), dtype=pl.String)
