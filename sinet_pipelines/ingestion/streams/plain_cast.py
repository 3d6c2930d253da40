"""Casts the columns of plain JSON messages to a contract's types where no value needs a decision.

A column with any other value (a name with white space at its ends, an instant without a zone, a large number) is left
to `cast_table`, whose result is the same for plain columns and takes ten times as long.
"""

from collections.abc import Sequence
from datetime import UTC, datetime

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.compute as pc

from sinet_pipelines.ingestion.casting import UNPARSED, cast_table
from sinet_pipelines.schemas.contract import Column

_INSTANT = pa.timestamp("us", tz="UTC")
#: An instant as `datetime.isoformat` writes it, with its zone.
_ISO = r"^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,6})?(Z|[+-][0-9]{2}:[0-9]{2})$"
_FIRST, _LAST = (pa.scalar(datetime(year, 1, 1, tzinfo=UTC), _INSTANT) for year in (1678, 2262))  # as in `casting`
#: A name of ASCII that is its own spelling: it begins with a letter and ends without a blank, or is a whole number.
_NAME = r"^([A-Za-z]([ -~]*[!-~])?|[0-9]+)$"
_MISSING = r"(?i)^(nan|none|null|na|n/a|nat)$"  # the words for a missing value that begin with a letter
_MISSING_LETTERS = 4  # of the longest of them
_INT32 = np.iinfo(np.int32)


def cast_plain(table: pa.Table, columns: Sequence[Column]) -> pl.DataFrame:
    """The same as `cast_table`, for a table of plain messages.

    Args:
        table: (n, columns) of float64, int64 and texts, from `read_plain`.
        columns: columns of the contract, of any type that `cast_table` has.
    """
    found = {column.name: _cast(table[column.name], column) for column in columns}
    odd = [column for column in columns if found[column.name] is None]
    plain = pl.DataFrame({name: pl.Series(name, values) for name, values in found.items() if values is not None})
    numbers = [pl.col(one.name) + 0.0 for one in columns if plain.schema.get(one.name) == pl.Float64]  # -0.0 is 0.0
    rest = cast_table(table.select([column.name for column in odd]), odd) if odd else _nothing_unparsed(len(table))
    rows = pl.concat([plain.with_columns(numbers), rest], how="horizontal")
    return rows.select(*(column.name for column in columns), UNPARSED)


def _nothing_unparsed(height: int) -> pl.DataFrame:
    return pl.Series(UNPARSED, [None], dtype=pl.String).new_from_index(0, height).to_frame()


def _cast(values: pa.ChunkedArray, column: Column) -> pa.ChunkedArray | None:
    """The values in the type of the column; None where one of them is not plain."""
    if pa.types.is_timestamp(column.dtype):
        return _instants(values)
    if pa.types.is_string(column.dtype):
        return values if _are_names(values, column.max_characters) else None
    if pa.types.is_integer(column.dtype):
        ends = pc.min_max(values).as_py()
        is_small = ends["min"] is None or (ends["min"] >= _INT32.min and ends["max"] <= _INT32.max)
        return values.cast(pa.int32()) if is_small else None
    return values


def _instants(values: pa.ChunkedArray) -> pa.ChunkedArray | None:
    if not _all(pc.match_substring_regex(values, _ISO)):
        return None
    try:
        found = values.cast(_INSTANT)
    except pa.ArrowInvalid:  # no such day, or a leap second
        return None
    return found if _all(pc.and_(pc.greater_equal(found, _FIRST), pc.less_equal(found, _LAST))) else None


def _are_names(values: pa.ChunkedArray, longest: int | None) -> bool:
    """Whether each text is a name in its normalised spelling, or null."""
    if not _all(pc.match_substring_regex(values, _NAME)):
        return False
    characters = pc.binary_length(values)  # of ASCII
    if longest is not None and not _all(pc.less_equal(characters, longest)):
        return False
    short = values.filter(pc.less_equal(characters, _MISSING_LETTERS))
    return not pc.any(pc.match_substring_regex(short, _MISSING), min_count=0).as_py()


def _all(is_so: pa.ChunkedArray) -> bool:
    return bool(pc.all(is_so, min_count=0).as_py())
