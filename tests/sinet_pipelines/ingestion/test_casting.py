import json
from datetime import UTC, datetime
from decimal import Decimal

import polars as pl
import pyarrow as pa
import pytest

from sinet_pipelines.ingestion.casting import cast_table
from sinet_pipelines.schemas.contract import Column
from sinet_pipelines.schemas.telemetry import INSTANT

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
