"""Rows as line protocol: escaped names and texts, numbers that exist, and which columns are tags."""

import datetime as dt

import polars as pl
import pyarrow as pa
import pytest

from sinet_pipelines.errors import InventoryError
from sinet_pipelines.schemas.contract import Column, Contract, DataClass
from sinet_pipelines.time_series.lines import lines_of, shape_of

INSTANT = pa.timestamp("us", tz="UTC")
AT = dt.datetime(2026, 3, 1, 12, 0, 0, 250, dt.UTC)
COLUMNS = (
    Column("unit", pa.string(), ""),
    Column("role", pa.string(), "", allowed=("live",)),
    Column("cycle", pa.int32(), ""),
    Column("recorded_at", INSTANT, ""),
    Column("event_date", pa.date32(), ""),
    Column("t30_degr", pa.float64(), "", nullable=True),
    Column("is_late", pa.bool_(), "", nullable=True),
    Column("row_hash", pa.string(), "", nullable=True),
)
READINGS = Contract("readings", "", DataClass.RAW, COLUMNS, key=("unit", "cycle"))
SHAPE = shape_of("mill", READINGS, region="EAST")
TYPES = pl.Schema(READINGS.schema)


def row(**values):
    usual = {"unit": "A1", "role": "live", "cycle": 3, "recorded_at": AT, "event_date": AT.date(), "t30_degr": 1.5}
    return {**usual, "is_late": False, "row_hash": "ab", **values}


def text_of(*, keeps_texts=False, **values):
    (line,) = lines_of(pl.DataFrame([row(**values)], schema=TYPES), SHAPE, keeps_texts=keeps_texts).texts
    return line


HEAD = "mill_readings,application=mill,table=readings,region=EAST,"


def test_a_row_is_a_line_with_its_instant_in_nanoseconds():
    assert text_of() == (
        HEAD + "unit=A1,role=live,event_date=2026-03-01 cycle=3i,t30_degr=1.5,is_late=false 1772366400000250000"
    )


@pytest.mark.parametrize(
    ("name", "escaped"),
    [
        ("a,b", r"a\,b"),
        ("a b", r"a\ b"),
        ("a=b", r"a\=b"),
        ('a"b', 'a"b'),
        ("a\nb", r"a\nb"),
        ("a\r\tb", r"a\r\tb"),
        ("a\\", r"a\\"),
        ("a\x01b", r"a\x01b"),
        ("ü 日本", r"ü\ 日本"),
    ],
)
def test_a_name_of_a_unit_is_escaped_in_a_tag(name, escaped):
    line = text_of(unit=name)
    assert f",unit={escaped},role=live" in line
    assert len(line.splitlines()) == 1


def test_an_empty_name_is_no_tag():
    assert ",unit=" not in text_of(unit="")


@pytest.mark.parametrize(
    ("text", "escaped"), [('say "a"', r'"say \"a\""'), ("a\\b", r'"a\\b"'), ("a\nb", r'"a\nb"'), ("a, =b", '"a, =b"')]
)
def test_a_text_is_quoted_where_the_store_keeps_texts(text, escaped):
    assert f"row_hash={escaped} " in text_of(row_hash=text, keeps_texts=True)
    assert "row_hash" not in text_of(row_hash=text)


@pytest.mark.parametrize("value", [None, float("nan"), float("inf"), float("-inf")])
def test_a_value_that_is_no_number_is_left_out(value):
    line = text_of(t30_degr=value)
    assert "cycle=3i,is_late=false " in line


@pytest.mark.parametrize("value", [1e-300, -0.1, 123456789.125, 3.0, 1e22, 5e-324])
def test_a_number_is_the_same_after_the_line(value):
    found = text_of(t30_degr=value).partition("t30_degr=")[2].partition(",")[0]
    assert float(found) == value


def test_a_row_without_an_instant_or_a_number_is_left_out_and_counted():
    rows = [row(), row(recorded_at=None), row(cycle=None, t30_degr=None, is_late=None)]
    made = lines_of(pl.DataFrame(rows, schema=TYPES), SHAPE, keeps_texts=False)
    assert (len(made.texts), made.left_out, made.counted) == (1, 2, 1)


def test_a_row_without_the_counted_field_is_a_line_that_is_not_counted():
    made = lines_of(pl.DataFrame([row(), row(cycle=None)], schema=TYPES), SHAPE, keeps_texts=False)
    assert (len(made.texts), made.counted) == (2, 1)


def test_rows_of_one_series_and_millisecond_are_one_point():
    later = AT + dt.timedelta(microseconds=300)
    rows = [row(), row(recorded_at=later), row(unit="B"), row(recorded_at=AT + dt.timedelta(milliseconds=1))]
    assert lines_of(pl.DataFrame(rows, schema=TYPES), SHAPE, keeps_texts=False).points.n_unique() == 3


def test_tags_are_what_identifies_a_series_and_no_text_that_differs_in_each_row():
    assert SHAPE.tags == ("unit", "role")
    assert SHAPE.texts == ("row_hash",)
    assert SHAPE.counted == "cycle"
    alone = Contract("products", "", DataClass.RAW, COLUMNS, key=("unit",))
    assert shape_of("mill", alone, region="EAST").tags == ("role",)


def test_the_predictions_of_two_versions_are_two_series_where_a_table_has_no_days():
    predicted = (Column("model", pa.string(), ""), Column("version", pa.string(), ""))
    without = tuple(column for column in COLUMNS if column.name != "event_date")
    whole = Contract("predictions", "", DataClass.RAW, (*without, *predicted), key=("unit", "cycle"))
    assert shape_of("mill", whole, region="EAST").tags == ("unit", "role", "model", "version")
    daily = Contract("predictions", "", DataClass.RAW, (*COLUMNS, *predicted), key=("unit", "cycle"))
    assert shape_of("mill", daily, region="EAST").tags == ("unit", "role")


def test_a_table_without_an_instant_is_refused():
    without = Contract("cells", "", DataClass.FEATURE, COLUMNS[:3], key=("unit",))
    with pytest.raises(InventoryError, match="mill/cells has no column recorded_at"):
        shape_of("mill", without, region="EAST")
