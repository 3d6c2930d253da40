"""Casts a table to a contract's types: what cannot be cast becomes null, and its text is kept beside it."""

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
# 1678 to 2262, what every clock in use can say, nanoseconds included
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
#: Types whose values can be names; an instant, a list or true is none.
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
_NO_NAME = ("", "nan", "-nan", "none", "null", "na", "n/a", "#n/a", "<na>", "nat")  # how writers spell what is missing
_INVISIBLE = r"[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Co}\x{FFFD}]"  # control, format and private characters; no valid text
_EXACT = float(2**53)  # floats beyond are not the number that was meant
_LONGEST_TEXT = 1_000  # characters of a value that is kept beside its row


def cast_table(table: pa.Table, columns: Sequence[Column]) -> pl.DataFrame:
    """The table in the columns and types of a contract, and `unparsed` beside them.

    Text is read as a number or as an instant in ISO 8601; an instant without a zone is UTC; true is no number, and
    not-a-number is no value. A text column holds names, spelled as `_Cast._name` says.

    Args:
        table: (n, any columns) of any types; a column that is not there becomes null.
        columns: of the contract; their types are string, int32, float64 or an instant.

    Returns:
        (n, columns + 1); `unparsed` is a JSON object of column and text for a row with values that are none of their
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
    """The same for a column whose distinct values stand in a dictionary: each is cast once, however long it is.

    Rows are never spelled out: a file of some kilobytes can say that a million rows have a text of a million letters.
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
    """How one column becomes what its contract says.

    Attributes:
        found: (n,) what came, as polars can hold it.
        value: the value in the contract's type, null where there is none.
        may_fail: whether a value may be none of the type.
        is_text: whether the contract wants a text.
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
        """The text of a value that is none of the type, null for all others."""
        failed = self.value.is_null()
        if self.found.dtype.is_float():
            failed &= self._column.is_not_nan()
        elif self.found.dtype == pl.String:
            missing = _NO_NAME if self.is_text else ("nan",)
            failed &= ~self._column.str.strip_chars().str.to_lowercase().is_in(missing)
        return pl.when(failed).then(self._column.cast(pl.String))

    def _name(self, kind: pa.DataType, longest: int | None) -> pl.Expr:
        """The name in its one spelling, null for what is none.

        A whole number is its digits, also where a neighbour that is missing or a decimal type made `7.0` of it; white
        space around it is stripped, and any in it is a blank; text is in Unicode's normal form C. What is empty, the
        word of a program for what is missing, longer than `longest` characters, or has characters that are not seen,
        is no name.
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
    """Each text in the one spelling that `_Cast._name` describes, null for what is no name."""
    text = pl.col(names.name).str.replace_all(r"\p{Zs}", " ").str.strip_chars().str.normalize("NFC")
    text = text.str.replace(r"^([+-]?[0-9]+)\.0*$", "${1}")
    sound = ~text.str.to_lowercase().is_in(_NO_NAME) & ~text.str.contains(_INVISIBLE)
    if longest is not None:
        sound &= text.str.len_chars() <= longest
    return names.to_frame().select(pl.when(sound).then(text)).to_series()


def _plain(values: pa.ChunkedArray | pa.Array) -> pl.Series:
    """Numbers, booleans and strings as they are; every other type as the text of its values."""
    kind = values.type
    if pa.types.is_dictionary(kind):
        return _plain(pc.cast(values, kind.value_type))
    if any(is_kind(kind) for is_kind in _PLAIN):
        return pl.Series(values)
    if pa.types.is_temporal(kind):  # not every instant that a file can hold is one that Python can say
        ticks = pl.Series(pc.cast(values, pa.int32() if kind.bit_width == 32 else pa.int64()))
        return ticks.cast(pl.String) + f" {kind}"
    whole = values.combine_chunks() if isinstance(values, pa.ChunkedArray) else values
    return pl.Series([_text(whole, place) for place in range(len(whole))], dtype=pl.String)


def _text(values: pa.Array, place: int) -> str | None:
    """The text of a value of a type that is no number and no string; a hash of it where Python cannot hold it."""
    try:
        value = values[place].as_py()
    except (OverflowError, ValueError, KeyError):  # an instant within a list, out of range or in a zone that is none
        alone = pa.RecordBatch.from_arrays([values.slice(place, 1)], ["value"]).serialize()
        return f"{values.type} of BLAKE2b {blake2b(alone, digest_size=8).hexdigest()}"
    if value is None:
        return None
    return value.decode(errors="replace") if isinstance(value, bytes) else str(value)


def _shortened(text: str) -> str:
    """The text, or how it begins, its length and a hash of it: what a page and a table row show stays short."""
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
