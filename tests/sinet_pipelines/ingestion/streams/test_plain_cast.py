"""Columns of plain messages are cast as `cast_table` casts them, whatever their values are."""

from datetime import timedelta, timezone

import pyarrow as pa
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from sinet_pipelines.ingestion.casting import cast_table
from sinet_pipelines.ingestion.landed import landed_rows
from sinet_pipelines.ingestion.streams import plain_cast
from sinet_pipelines.ingestion.streams.plain_cast import cast_plain
from sinet_pipelines.schemas.contract import Column

COLUMNS = landed_rows(
    "plant",
    "samples",
    (
        Column("unit", pa.string(), "a machine", max_characters=8),
        Column("cycle", pa.int32(), "its cycle", nullable=True),
        Column("speed_rpm", pa.float64(), "its speed", "rpm"),
    ),
    key=("unit", "recorded_at"),
).drop.columns
PLAIN = ("M1", 1, 2.5, "2026-03-01T10:00:00+00:00")

ZONES = st.timedeltas(timedelta(hours=-23, minutes=-59), timedelta(hours=23, minutes=59)).map(
    lambda found: timezone(timedelta(minutes=found // timedelta(minutes=1)))
)
INSTANTS = st.one_of(
    st.datetimes(timezones=ZONES).map(lambda instant: instant.isoformat()),
    st.datetimes(timezones=ZONES).map(lambda instant: instant.isoformat().replace("T", " ")),
    st.datetimes().map(lambda instant: f"{instant.isoformat()}Z"),
    st.datetimes().map(lambda instant: instant.isoformat()),
    st.from_regex(plain_cast._ISO, fullmatch=True),
    st.sampled_from(
        [
            "2026-03-01T10:00:60Z",
            "2026-03-01T24:00:00Z",
            "2026-02-30T00:00:00Z",
            "2026-03-01T10:00:00+24:00",
            "2026-03-01T10:00:00-00:00",
            "2026-03-01T10:00:00.1234567Z",
            "2026-03-01T10:00Z",
            "2026-03-01t10:00:00z",
            "1677-12-31T23:59:59Z",
            "1678-01-01T00:00:00Z",
            "2262-01-01T00:00:00Z",
            "2262-01-01T00:00:01Z",
            "0000-01-01T00:00:00Z",
            "2026-03-01T10:00:00Z\n",
            "",
        ]
    ),
)
NAMES = st.one_of(
    st.none(),
    st.text(max_size=10),
    st.text(st.characters(codec="ascii"), max_size=10),
    st.from_regex(plain_cast._NAME, fullmatch=True),
    st.sampled_from(
        [
            "nan",
            "NaN",
            "None",
            "NULL",
            "na",
            "N/A",
            "nat",
            "#N/A",
            "<na>",
            "7.0",
            "7.",
            "+7",
            "007",
            "L 1",
            "L1 ",
            "M1\n",
        ]
    ),
)
CYCLES = st.one_of(
    st.none(), st.integers(-(2**63), 2**63 - 1), st.sampled_from([2**31 - 1, 2**31, -(2**31), -(2**31) - 1])
)
SPEEDS = st.floats(allow_nan=False, allow_infinity=False)


def a_table(rows):
    names = [column.name for column in COLUMNS]
    kinds = {"unit": pa.string(), "cycle": pa.int64(), "speed_rpm": pa.float64(), "recorded_at": pa.string()}
    by_name = {
        name: [dict(zip(("unit", "cycle", "speed_rpm", "recorded_at"), row, strict=True))[name] for row in rows]
        for name in names
    }
    return pa.table({name: pa.chunked_array([pa.array(values, kinds[name])]) for name, values in by_name.items()})


@settings(max_examples=40)
@given(st.lists(st.tuples(NAMES, CYCLES, SPEEDS, INSTANTS), max_size=4))
@example([("M1", 1, -0.0, "2026-03-01T10:00:00Z")])
def test_any_values_are_cast_as_in_a_drop(rows):
    table = a_table(rows)
    assert_frame_equal(cast_plain(table, COLUMNS), cast_table(table, COLUMNS), check_exact=True)


@settings(max_examples=40)
@given(st.sampled_from(range(4)), st.data())
def test_one_column_of_any_values_beside_plain_ones_is_cast_as_in_a_drop(place, data):
    value = data.draw((NAMES, CYCLES, SPEEDS, INSTANTS)[place])
    table = a_table([PLAIN, (*PLAIN[:place], value, *PLAIN[place + 1 :])])
    assert_frame_equal(cast_plain(table, COLUMNS), cast_table(table, COLUMNS), check_exact=True)


@pytest.mark.parametrize("instant", ["2026-03-01T10:00:00Z", "2026-03-01T12:00:00.25+02:00"])
def test_plain_columns_need_no_cast_of_a_drop(monkeypatch, instant):
    monkeypatch.setattr(plain_cast, "cast_table", None)
    found = cast_plain(a_table([("M1", 7, -0.0, instant)] * 3), COLUMNS)
    assert found["unparsed"].null_count() == found.height == 3
    assert found["recorded_at"].dt.hour().to_list() == [10] * 3
