"""The content hash of a table: equal for equal rows, independent of order, chunks, integer widths and ingest times."""

import hashlib
from collections.abc import Iterator
from functools import lru_cache

import polars as pl

from sinet_pipelines.schemas.contract import Contract

UNVERSIONED = ("ingested_at",)  # the time at which a row was rebuilt is not part of its content
HASH_DIGITS = 16


class ContentHash:
    """Hashes rows in the order of the contract's key, in any number of batches.

    Each column has its own digests (nulls, lengths, values), so that the result is independent of batches; the hash is
    the SHA-256 of all digests.
    """

    def __init__(self, contract: Contract) -> None:
        self._columns = _versioned(contract)
        self._digests = {name: [hashlib.sha256() for _ in range(_PARTS)] for name, _ in self._columns}
        self.rows = 0

    def take(self, rows: pl.DataFrame) -> None:
        """Adds the next rows, each column in the type of the contract or one that casts to it."""
        self.rows += rows.height
        if not rows.height:
            return
        for name, dtype in self._columns:
            for digest, part in zip(self._digests[name], _canonical(rows[name].cast(dtype)), strict=True):
                digest.update(part)

    @property
    def value(self) -> str:
        """The hash of the rows so far: 16 hex digits; without rows, of the SHA-256 of no bytes."""
        whole = hashlib.sha256()
        if self.rows:
            for digests in self._digests.values():
                for digest in digests:
                    whole.update(digest.digest())
        return whole.hexdigest()[:HASH_DIGITS]


def content_hash(rows: pl.DataFrame, contract: Contract) -> str:
    """The hash of the content of the rows: 16 hex digits.

    >>> from sinet_pipelines.applications.turbofan.schemas.events import TRUTH_EVENTS
    >>> content_hash(pl.DataFrame(schema=["unit", "cycle"]), TRUTH_EVENTS)
    'e3b0c44298fc1c14'
    """
    found = ContentHash(contract)
    if rows.height:
        found.take(rows.sort(contract.order))
    return found.value


@lru_cache
def _versioned(contract: Contract) -> tuple[tuple[str, pl.DataType], ...]:
    """The versioned columns with their types; cached, since a frame of 200 columns takes as long as its hash."""
    schema = pl.Schema(contract.schema)
    return tuple((name, dtype) for name, dtype in schema.items() if name not in UNVERSIONED)


_PARTS = 4  # of a column: lengths of lists, nulls, lengths of texts, values


def _canonical(series: pl.Series) -> Iterator[bytes]:
    """The bytes of a column in four parts, the same for equal values."""
    if isinstance(series.dtype, pl.List):
        yield series.list.len().fill_null(0).to_numpy().tobytes()
        series = series.explode(empty_as_null=False)
    else:
        yield b""
    full = not series.null_count()
    yield bytes(len(series)) if full else series.is_null().to_numpy().tobytes()  # most columns have no nulls
    if series.dtype == pl.String:
        texts = series if full else series.fill_null("")
        yield texts.str.len_bytes().to_numpy().tobytes()
        yield "".join(texts.to_list()).encode()
    elif series.dtype.is_float():
        values = series if full else series.fill_null(0.0)
        yield b""
        yield (values.to_numpy() + 0.0).tobytes()  # -0.0 + 0.0 is 0.0; in numpy, since polars optimises it away
    else:
        whole = series.to_physical()
        yield b""
        yield (whole if full else whole.fill_null(0)).to_numpy().tobytes()
