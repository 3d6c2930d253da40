import json
from datetime import UTC, datetime
from decimal import Decimal

import polars as pl
import pyarrow as pa
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from sinet_pipelines.applications.turbofan.schemas.telemetry import INSTANT
from sinet_pipelines.ingestion.casting import cast_table
from sinet_pipelines.schemas.contract import Column
from tests.examples import sampled

NUMBER, COUNT, WORD, WHEN = (
    Column("number", pa.float64(), ""),
    Column("count", pa.int32(), ""),
    Column("word", pa.string(), ""),
    Column("when", INSTANT, ""),
)
NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


def _cast(column, values):
    rows = cast_table(pa.table({column.name: values}), [column])
    return rows[column.name].to_list(), [None if text is None else json.loads(text) for text in rows["unparsed"]]


@pytest.mark.parametrize(
    ("values", "cast", "unparsed"),
    [
        (pa.array([1.5, None]), [1.5, None], [None, None]),
        (pa.array([1.5, float("nan")]), [1.5, None], [None, None]),
        (pa.array([3, None], pa.int16()), [3.0, None], [None, None]),
        (pa.array([1.5], pa.float32()), [1.5], [None]),
        (pa.array([Decimal("1.5")], pa.decimal128(5, 2)), [1.5], [None]),
        (pa.array([Decimal("1.5")], pa.decimal256(50, 2)), [1.5], [None]),
        (pa.array(["1.5", " 2e3 ", None, "NaN"]), [1.5, 2000.0, None, None], [None] * 4),
        (pa.array(["ERR", ""]), [None, None], [{"number": "ERR"}, {"number": ""}]),
        (pa.array(["1,5"]), [None], [{"number": "1,5"}]),
        (pa.array(["1.5", "x"]).dictionary_encode(), [1.5, None], [None, {"number": "x"}]),
        (pa.array([True, None]), [None, None], [{"number": "true"}, None]),
        (pa.array([[1.0], None]), [None, None], [{"number": "[1.0]"}, None]),
        (pa.array([b"1.5", b"\xff"]), [1.5, None], [None, {"number": "\ufffd"}]),
        (pa.array([2**60], pa.timestamp("s")), [None], [{"number": f"{2**60} timestamp[s]"}]),
        (pa.array([20_000], pa.date32()), [None], [{"number": "20000 date32[day]"}]),
        (pa.nulls(2), [None, None], [None, None]),
    ],
)
def test_a_number_is_read_from_what_says_a_number(values, cast, unparsed):
    assert _cast(NUMBER, values) == (cast, unparsed)


@pytest.mark.parametrize(
    ("values", "cast", "unparsed"),
    [
        (pa.array([7], pa.int32()), [7], [None]),
        (pa.array([7, 2**40]), [7, None], [None, {"count": str(2**40)}]),
        (pa.array([7.0, 7.5, float("nan")]), [7, None, None], [None, {"count": "7.5"}, None]),
        (
            pa.array(["7", "7.0", "seven", "7.5"]),
            [7, 7, None, None],
            [None, None, {"count": "seven"}, {"count": "7.5"}],
        ),
        (pa.array([float("inf")]), [None], [{"count": "inf"}]),
    ],
)
def test_a_whole_number_is_read_from_what_says_a_whole_number(values, cast, unparsed):
    assert _cast(COUNT, values) == (cast, unparsed)


@pytest.mark.parametrize(
    "values",
    [
        pa.array([NOON], pa.timestamp("us", tz="UTC")),
        pa.array([NOON.replace(tzinfo=None)], pa.timestamp("ns")),
        pa.array([NOON.replace(tzinfo=None)], pa.timestamp("s")),
        pa.array([NOON], pa.timestamp("ms", tz="Asia/Tokyo")),
        pa.array(["2026-03-01T12:00:00Z"]),
        pa.array(["2026-03-01 12:00:00"]),
        pa.array([" 2026-03-01T14:00:00.000+02:00"]),
    ],
)
def test_an_instant_is_read_in_every_spelling_and_a_naive_one_is_utc(values):
    assert _cast(WHEN, values) == ([NOON], [None])


@pytest.mark.parametrize(
    ("values", "text"),
    [
        (pa.array(["tomorrow"]), "tomorrow"),
        (pa.array(["2026-03-01"]), "2026-03-01"),
        (pa.array(["9999-01-01T00:00:00Z"]), "9999-01-01T00:00:00Z"),
        (pa.array([1_700_000_000]), "1700000000"),
        (pa.array([2**60], pa.timestamp("s")), str(2**60)),
        (pa.array([20_000], pa.date32()), "20000 date32[day]"),
    ],
)
def test_what_says_no_instant_keeps_its_text(values, text):
    assert _cast(WHEN, values) == ([None], [{"when": text}])


def test_microseconds_are_kept_and_finer_ones_cut():
    fine = pa.array([1_234_567_890_123_456_789], pa.timestamp("ns", tz="UTC"))
    assert _cast(WHEN, fine)[0] == [datetime(2009, 2, 13, 23, 31, 30, 123456, tzinfo=UTC)]


def test_a_word_is_whatever_can_be_written_down():
    assert _cast(WORD, pa.array([7, None])) == (["7", None], [None, None])
    assert _cast(WORD, pa.array(["a", "b"]).dictionary_encode()) == (["a", "b"], [None, None])


NAME = Column("name", pa.string(), "", max_characters=8)


@pytest.mark.parametrize(
    "values",
    [
        pa.array([7, 7]),
        pa.array([7, 7], pa.uint8()),
        pa.array([7.0, 7.0]),
        pa.array([7.0, 7.0], pa.float16()),
        pa.array([Decimal("7.00")] * 2, pa.decimal128(10, 2)),
        pa.array([Decimal("7.00")] * 2, pa.decimal256(50, 2)),
        pa.array(["7", "7.0"]),
        pa.array([" 7\t", "7.  "]),
        pa.array(["7", "7.00\u00a0"], pa.large_string()),
        pa.array([b"7", b"7.0 "]),
        pa.array([b"7  ", b"7.0"], pa.binary(3)),
        pa.array(["7", "7.0"]).dictionary_encode(),
        pa.array([7, 7]).dictionary_encode(),
    ],
)
def test_a_name_has_one_spelling_whatever_type_its_writer_gave_it(values):
    assert _cast(NAME, values) == (["7", "7"], [None, None])


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("0042", "0042"),
        ("T-1   ", "T-1"),
        ("T\u00a01", "T 1"),
        ("Zu\u0308rich", "Z\u00fcrich"),
        ("7.5", "7.5"),
        ("1e3", "1e3"),
        ("v1.0", "v1.0"),
        ("12345678", "12345678"),
        ("\u65e5\u672c", "\u65e5\u672c"),
    ],
)
def test_a_name_stays_what_it_is_but_for_white_space_and_normal_form(text, name):
    assert _cast(NAME, pa.array([text])) == ([name], [None])


@pytest.mark.parametrize("text", ["", "   ", "nan", "NaN", "None", "null", "NULL", "NA", "N/A", "<NA>", "NaT", None])
def test_a_word_for_what_is_missing_is_no_name(text):
    assert _cast(NAME, pa.array([text], pa.string())) == ([None], [None])


@pytest.mark.parametrize(
    "values",
    [
        pa.array(["T\x001"]),
        pa.array(["T\x1b[31m"]),
        pa.array(["T\n1"]),
        pa.array(["T-\u202e1"]),
        pa.array(["T-1\u200b"]),
        pa.array([b"T-\xff"]),
        pa.array(["123456789"]),
        pa.array([7.5]),
        pa.array([1e300]),
        pa.array([float("inf")]),
        pa.array([Decimal("7.50")], pa.decimal128(10, 2)),
        pa.array([Decimal("7.50")], pa.decimal256(50, 2)),
        pa.array([True]),
        pa.array([20_000], pa.date32()),
        pa.array([NOON], INSTANT),
        pa.array([["T-1"]]),
        pa.array([{"a": 1}]),
    ],
)
def test_what_can_be_no_name_is_set_aside_with_its_text(values):
    names, texts = _cast(NAME, values)
    assert names == [None]
    assert set(texts[0]) == {"name"}


def test_a_value_as_long_as_a_book_is_kept_by_its_beginning_its_length_and_a_hash():
    _, (first, second) = _cast(NAME, pa.array(["x" * 1_000_000, "x" * 999_999 + "y"]))
    assert first["name"].startswith("x" * 100 + "... (1000000 characters, BLAKE2b ")
    assert len(first["name"]) < 200
    assert first != second


@settings(deadline=None)
@given(st.lists(st.one_of(st.none(), st.text(max_size=12)), min_size=1, max_size=20))
def test_a_name_read_again_is_the_same_name(texts):
    once, _ = _cast(NAME, pa.array(texts, pa.string()))
    assert _cast(NAME, pa.array(once, pa.string())) == (once, [None] * len(once))


@settings(deadline=None)
@given(st.integers(-(2**53), 2**53))
def test_a_whole_number_is_one_name_as_integer_float_decimal_and_text(number):
    kinds = [pa.int64(), pa.float64(), pa.decimal128(38, 3), pa.string()]
    named = {_cast(COUNTED, pa.array([number]).cast(pa.decimal128(38, 0)).cast(kind))[0][0] for kind in kinds[1:]}
    assert named | {_cast(COUNTED, pa.array([number]))[0][0]} == {str(number)}


COUNTED = Column("name", pa.string(), "")


@settings(max_examples=sampled(300))
@given(st.data())
def test_a_dictionary_of_values_is_cast_as_the_values_are(data):
    values = data.draw(_arrays.filter(lambda array: not pa.types.is_nested(array.type)))
    try:
        encoded = pa.chunked_array([values.dictionary_encode(), values[:1].dictionary_encode()])
    except pa.ArrowNotImplementedError:
        assume(False)
    for column in (NUMBER, COUNT, NAME, WHEN):
        plain = _cast(column, pa.chunked_array([values, values[:1]]))
        if column is WHEN and pa.types.is_timestamp(values.type):
            continue  # text of an instant that is out of range: ticks alone, or with their type
        assert _cast(column, encoded) == plain


@settings(max_examples=sampled(300))
@given(st.data())
def test_whatever_type_a_column_has_each_row_is_cast_or_keeps_a_text_and_nothing_is_raised(data):
    values = data.draw(_arrays)
    for column in (NUMBER, COUNT, NAME, WHEN):
        cast, texts = _cast(column, values)
        assert len(cast) == len(texts) == len(values)


def _many(kind, values):
    return st.lists(st.one_of(st.none(), values), max_size=4).map(lambda found: pa.array(found, kind))


def _ticks(kind, bits):
    whole = st.integers(-(2 ** (bits - 1)), 2 ** (bits - 1) - 1)
    width = pa.int32() if bits == 32 else pa.int64()
    return st.lists(whole, max_size=4).map(lambda found: pa.array(found, width).view(kind))


def _nested(array):
    pairs = pa.ListArray.from_arrays(list(range(len(array) + 1)), array)
    return st.sampled_from([pairs, pa.StructArray.from_arrays([array], ["a"])])


_BYTES = st.binary(max_size=5)
_arrays = st.one_of(
    *(_many(kind, st.floats(width=16)) for kind in (pa.float16(), pa.float32(), pa.float64())),
    *(_many(kind, st.integers(0, 127)) for kind in (pa.int8(), pa.uint8(), pa.int32(), pa.uint32(), pa.int64())),
    _many(pa.uint64(), st.integers(0, 2**64 - 1)),
    *(_many(kind, st.text(max_size=5)) for kind in (pa.string(), pa.large_string(), pa.string_view())),
    *(_many(kind, _BYTES) for kind in (pa.binary(), pa.large_binary(), pa.binary_view())),
    _many(pa.binary(2), st.binary(min_size=2, max_size=2)),
    _many(pa.bool_(), st.booleans()),
    *(_many(kind, st.decimals(-9, 9, places=2)) for kind in (pa.decimal128(20, 2), pa.decimal256(50, 2))),
    _many(pa.list_(pa.int64()), st.lists(st.integers(0, 9), max_size=2)),
    _many(pa.struct({"a": pa.int64()}), st.fixed_dictionaries({"a": st.integers(0, 9)})),
    *(_ticks(pa.timestamp(unit, tz=zone), 64) for unit in ("s", "ms", "us", "ns") for zone in (None, "Asia/Tokyo")),
    *(_ticks(pa.timestamp("us", tz=zone), 64).flatmap(_nested) for zone in (None, "Nowhere/None")),
    *(_ticks(kind, 64).flatmap(_nested) for kind in (pa.duration("s"), pa.timestamp("ns"))),
    _ticks(pa.date32(), 32).flatmap(_nested),
    *(_ticks(kind, 32) for kind in (pa.date32(), pa.time32("s"), pa.time32("ms"))),
    *(_ticks(kind, 64) for kind in (pa.date64(), pa.time64("ns"), pa.duration("s"), pa.duration("ns"))),
)


def test_two_values_that_python_cannot_hold_keep_two_texts():
    ticks = pa.array([2**62, 2**62 + 1], pa.int64()).view(pa.timestamp("us"))
    _, (first, second) = _cast(NUMBER, pa.ListArray.from_arrays([0, 1, 2], ticks))
    assert first["number"].startswith("list<item: timestamp[us]> of BLAKE2b ")
    assert first != second


def test_minus_zero_is_zero():
    assert str(_cast(NUMBER, pa.array([-0.0]))[0][0]) == "0.0"


def test_a_column_that_is_not_there_is_null():
    rows = cast_table(pa.table({"number": ["x"]}), [NUMBER, COUNT, WORD, WHEN])
    assert rows.row(0) == (None, None, None, None, '{"number": "x"}')
    assert rows.schema == {
        "number": pl.Float64,
        "count": pl.Int32,
        "word": pl.String,
        "when": pl.Datetime("us", "UTC"),
        "unparsed": pl.String,
    }


def test_all_texts_of_a_row_stand_in_one_object():
    rows = cast_table(pa.table({"number": ["x"], "count": ["ü"]}), [NUMBER, COUNT])
    assert json.loads(rows["unparsed"].item()) == {"count": "ü", "number": "x"}


def test_a_table_without_rows_keeps_its_types():
    rows = cast_table(pa.table({"number": pa.array([], pa.string())}), [NUMBER, WHEN])
    assert rows.height == 0
    assert rows.dtypes == [pl.Float64, pl.Datetime("us", "UTC"), pl.String]
