"""Casts a table to a contract's types: a value that cannot be cast becomes null, and its text is kept in a column."""

import json
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from hashlib import blake2b

import polars as pl
import pyarrow as pa
import pyarrow.compute as pc

from sinet_pipelines.schemas.contract import Column

UNPARSED = "unparsed"
INSTANT = pl.Datetime("us", "UTC")
# 1678 to 2262, the range of nanosecond clocks
_FIRST_S, _LAST_S = (int(datetime(year, 1, 1, tzinfo=UTC).timestamp()) for year in (1678, 2262))
_TICKS = {"s": 1, "ms": 1_000, "us": 1_000_000, "ns": 1_000_000_000}
_PLAIN: tuple[Callable[[pa.DataType], bool], ...] = (
    pa.types.is_integer,
    pa.types.is_floating,
    pa.types.is_boolean,
    pa.types.is_decimal128,
    pa.types.is_string,
    pa.types.is_large_string,
    pa.types.is_string_view,
    pa.types.is_null,
)
#: Types whose values can be names; instants, lists and booleans cannot.
_NAMES: tuple[Callable[[pa.DataType], bool], ...] = (
    pa.types.is_integer,
    pa.types.is_floating,
    pa.types.is_decimal,
    pa.types.is_string,
    pa.types.is_large_string,
    pa.types.is_string_view,
    pa.types.is_binary,
    pa.types.is_binary_view,
    pa.types.is_large_binary,
    pa.types.is_fixed_size_binary,
)
_NO_NAME = ("", "nan", "-nan", "none", "null", "na", "n/a", "#n/a", "<na>", "nat")  # spellings of a missing value
_INVISIBLE = r"[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Co}\x{FFFD}]"  # control, format and private characters; no valid text
_EXACT = float(2**53)  # larger floats do not represent every integer exactly
_LONGEST_TEXT = 1_000  # characters of a value that is stored with its row


def cast_table(table: pa.Table, columns: Sequence[Column]) -> pl.DataFrame:
    """The table in the columns and types of a contract, with the additional column `unparsed`.

    Text is parsed as a number or as an instant in ISO 8601; an instant without a zone is UTC; `true` is not a number,
    and NaN is null. A text column has names, normalised by `_Cast._name`.

    Args:
        table: (n, any columns) of any types; a missing column becomes null.
        columns: columns of the contract, with the types string, int32, float64 or an instant.

    Returns:
        (n, columns + 1); `unparsed` is a JSON object of column and text for a row with values that do not have their
        column's type, else null.
    """
    casts = {column.name: _cast(table, column) for column in columns}
    found = pl.DataFrame({name: cast.found for name, cast in casts.items()})
    rows = found.select(cast.value.alias(name) for name, cast in casts.items())
    texts = found.select(cast.text.alias(name) for name, cast in casts.items() if cast.may_fail)
    return rows.with_columns(_json(texts, height=rows.height))


def _cast(table: pa.Table, column: Column) -> "_Cast | _DictionaryCast":
    values = table.column(column.name) if column.name in table.column_names else pa.nulls(table.num_rows)
    if pa.types.is_dictionary(values.type):
        return _DictionaryCast(values, column)
    return _Cast(values, column)


class _DictionaryCast:
    """The same for a dictionary-encoded column: each distinct value is cast once, independent of its length.

    Rows are never expanded: in a file of a few kilobytes, a million rows can have a text of a million letters.
    """

    may_fail = True

    def __init__(self, values: pa.ChunkedArray | pa.Array, column: Column) -> None:
        if isinstance(values, pa.ChunkedArray):
            values = values.unify_dictionaries().combine_chunks()
        each = _Cast(values.dictionary, column)
        distinct = each.found.alias(column.name).to_frame()
        texts = distinct.select(each.text).to_series() if each.may_fail else pl.Series([None] * len(distinct))
        short = pl.Series([None if text is None else _shortened(text) for text in texts], dtype=pl.String)
        self.found = pl.Series(values.indices).cast(pl.UInt32)
        self.value = pl.lit(distinct.select(each.value).to_series()).gather(pl.col(column.name))
        self.text = pl.lit(short).gather(pl.col(column.name))


class _Cast:
    """The cast of one column to the type of its contract.

    Attributes:
        found: (n,) original values in a type of polars.
        value: the value in the contract's type, else null.
        may_fail: whether a value may not have the type.
        is_text: whether the contract's type is text.
    """

    is_text = False

    def __init__(self, values: pa.ChunkedArray | pa.Array, column: Column) -> None:
        self._column = pl.col(column.name)
        if pa.types.is_timestamp(column.dtype) and pa.types.is_timestamp(values.type):
            self.found = pl.Series(pc.cast(values, pa.int64()))
            self.value, self.may_fail = self._from_ticks(_TICKS[values.type.unit]), True
        else:
            self.found = _plain(values)
            self.is_text = pa.types.is_string(column.dtype)
            if self.is_text:
                self.value, self.may_fail = self._name(values.type, column.max_characters), True
            else:
                self.value, self.may_fail = self._convert(column.dtype)

    @property
    def text(self) -> pl.Expr:
        """The text of a value that does not have the type, null for all others."""
        failed = self.value.is_null()
        if self.found.dtype.is_float():
            failed &= self._column.is_not_nan()
        elif self.found.dtype == pl.String:
            missing = _NO_NAME if self.is_text else ("nan",)
            failed &= ~self._column.str.strip_chars().str.to_lowercase().is_in(missing)
        return pl.when(failed).then(self._column.cast(pl.String))

    def _name(self, kind: pa.DataType, longest: int | None) -> pl.Expr:
        """The normalised name, null for a value that is not a name.

        An integer becomes its digits, also where a missing value in the column or a decimal type changed it to `7.0`.
        White space at both ends is removed, and other white space becomes a blank; text is in Unicode normal form C. An
        empty text, a word for a missing value, a text longer than `longest` characters, and a text with invisible
        characters are not names.
        """
        if not any(is_kind(kind) for is_kind in _NAMES):
            return pl.when(False).then(self._column.cast(pl.String))
        if self.found.dtype.is_float():
            number = self._column.cast(pl.Float64)
            is_whole = (number == number.floor()) & (number.abs() <= _EXACT)
            return pl.when(is_whole).then(number.cast(pl.Int64, strict=False).cast(pl.String))
        text = self._column.cast(pl.String)
        if self.found.dtype.is_integer():
            return text
        distinct = self.found.cast(pl.String).unique()  # a fleet has few names and many rows
        name = text.replace_strict(distinct, _spelled(distinct, longest), return_dtype=pl.String)
        return pl.when(name.str.contains(r"^-?[0-9]+$")).then(name) if pa.types.is_decimal(kind) else name

    def _convert(self, dtype: pa.DataType) -> tuple[pl.Expr, bool]:
        is_number = self.found.dtype.is_numeric()
        if pa.types.is_floating(dtype):
            return self._number().fill_nan(None) + 0.0, not is_number
        if pa.types.is_timestamp(dtype):
            return self._from_text(), True
        if self.found.dtype.is_integer():
            return self._column.cast(pl.Int32, strict=False), self.found.dtype != pl.Int32
        number = self._number()
        return pl.when(number == number.floor()).then(number).cast(pl.Int32, strict=False), True

    def _number(self) -> pl.Expr:
        column = self._column if self.found.dtype.is_numeric() else self._column.cast(pl.String).str.strip_chars()
        return column.cast(pl.Float64, strict=False)

    def _from_text(self) -> pl.Expr:
        iso = self._column.cast(pl.String).str.strip_chars().str.replace(" ", "T", literal=True)
        zoned = iso.str.to_datetime("%+", time_unit="us", time_zone="UTC", strict=False)
        naive = iso.str.to_datetime("%Y-%m-%dT%H:%M:%S%.f", time_unit="us", strict=False)
        instant = zoned.fill_null(naive.dt.replace_time_zone("UTC"))
        return pl.when(instant.dt.timestamp("us").is_between(_FIRST_S * 1_000_000, _LAST_S * 1_000_000)).then(instant)

    def _from_ticks(self, a_second: int) -> pl.Expr:
        sound = pl.when(self._column.is_between(_FIRST_S * a_second, _LAST_S * a_second)).then(self._column)
        micros = sound * (1_000_000 // a_second) if a_second <= 1_000_000 else sound // (a_second // 1_000_000)
        return micros.cast(INSTANT)


def _spelled(names: pl.Series, longest: int | None) -> pl.Series:
    """Each text normalised as described in `_Cast._name`, null for a text that is not a name."""
    text = pl.col(names.name).str.replace_all(r"\p{Zs}", " ").str.strip_chars().str.normalize("NFC")
    text = text.str.replace(r"^([+-]?[0-9]+)\.0*$", "${1}")
    sound = ~text.str.to_lowercase().is_in(_NO_NAME) & ~text.str.contains(_INVISIBLE)
    if longest is not None:
        sound &= text.str.len_chars() <= longest
    return names.to_frame().select(pl.when(sound).then(text)).to_series()


def _plain(values: pa.ChunkedArray | pa.Array) -> pl.Series:
    """Numbers, booleans and strings unchanged; every other type as the text of its values."""
    kind = values.type
    if pa.types.is_dictionary(kind):
        return _plain(pc.cast(values, kind.value_type))
    if any(is_kind(kind) for is_kind in _PLAIN):
        return pl.Series(values)
    if pa.types.is_temporal(kind):  # Python cannot represent every instant of a file
        ticks = pl.Series(pc.cast(values, pa.int32() if kind.bit_width == 32 else pa.int64()))
        return ticks.cast(pl.String) + f" {kind}"
    whole = values.combine_chunks() if isinstance(values, pa.ChunkedArray) else values
    return pl.Series([_text(whole, place) for place in range(len(whole))], dtype=pl.String)


def _text(values: pa.Array, place: int) -> str | None:
    """The text of a value that is neither number nor string; a hash of it where Python cannot represent it."""
    try:
        value = values[place].as_py()
    except (OverflowError, ValueError, KeyError):  # an instant within a list, out of range or in an invalid zone
        alone = pa.RecordBatch.from_arrays([values.slice(place, 1)], ["value"]).serialize()
        return f"{values.type} of BLAKE2b {blake2b(alone, digest_size=8).hexdigest()}"
    if value is None:
        return None
    return value.decode(errors="replace") if isinstance(value, bytes) else str(value)


def _shortened(text: str) -> str:
    """The text, or its beginning, length and hash, so that pages and table rows stay short."""
    if len(text) <= _LONGEST_TEXT:
        return text
    digest = blake2b(text.encode(errors="surrogatepass"), digest_size=8).hexdigest()
    return f"{text[:100]}... ({len(text)} characters, BLAKE2b {digest})"


def _json(texts: pl.DataFrame, *, height: int) -> pl.Series:
    """One JSON object for each row that has a text, null for the others."""
    failed = texts.select(text for text in texts if text.null_count() < height)
    if not failed.width:
        return pl.Series(UNPARSED, [None], dtype=pl.String).new_from_index(0, height)
    objects = (
        {name: _shortened(value) for name, value in row.items() if value is not None}
        for row in failed.iter_rows(named=True)
    )
    rows = [json.dumps(found, ensure_ascii=False, sort_keys=True) if found else None for found in objects]
    return pl.Series(UNPARSED, rows, dtype=pl.String)
