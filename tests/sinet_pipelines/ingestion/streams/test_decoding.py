"""Messages to rows: what is read, what is a dead letter, and that no message depends on its neighbours."""

import io
import json
from datetime import UTC, datetime

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from sinet_pipelines.ingestion.drops import encode_drop, read_drop
from sinet_pipelines.ingestion.landed import landed_rows
from sinet_pipelines.ingestion.streams import decoding
from sinet_pipelines.ingestion.streams.decoding import decode
from sinet_pipelines.ingestion.streams.drops_of_streams import as_sent
from sinet_pipelines.ingestion.streams.source import Message
from sinet_pipelines.schemas.contract import Column

COLUMNS = (
    Column("unit", pa.string(), "a machine"),
    Column("cycle", pa.int32(), "its cycle"),
    Column("speed_rpm", pa.float64(), "its speed", "rpm"),
    Column("note", pa.string(), "a remark", nullable=True),
)
DROP = landed_rows("plant", "samples", COLUMNS, key=("unit", "recorded_at")).drop
ROW = {"unit": "M1", "cycle": 1, "speed_rpm": 2.5, "recorded_at": "2026-03-01T10:00:00Z"}


def decoded(*payloads):
    return decode([Message(0, place, payload, 0) for place, payload in enumerate(payloads)], DROP)


def reason(payload):
    found = decoded(payload)
    assert found.rows.is_empty()
    (letter,) = found.dead
    assert letter.message.payload == payload
    return letter.reason


def a_file(rows, *, unit=None):
    table = pa.Table.from_pylist(rows)
    if unit:
        place = table.schema.get_field_index("speed_rpm")
        field = table.schema.field(place).with_metadata({"unit": unit})
        table = table.cast(table.schema.set(place, field))
    buffer = io.BytesIO()
    pq.write_table(table, buffer)
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("payload", "words"),
    [
        (b"", "empty"),
        (b"hello", "neither JSON"),
        (b"42", "JSON without columns"),
        (b"[1, 2]", "JSON without columns"),
        (json.dumps(ROW).encode("utf-16"), "not UTF-8"),
        (json.dumps(ROW).encode()[:-1], "neither JSON"),
        (b"[" * 100_000, "neither JSON"),
        (json.dumps({**ROW, "unit": "\ud800"}).encode(), "neither JSON"),
        (a_file([ROW])[:-7], "no readable table"),
        (b"ARROW1\0\0damaged", "no readable table"),
        (a_file([{"unit": "M1"}]), "it has no cycle, speed_rpm, note, recorded_at"),
        (a_file([{**ROW, "note": None}], unit="Hz"), "'Hz' .allowed: 'rpm'"),
        (b'{"unit": "M1", "cycle": 1}', "it has no recorded_at, speed_rpm .found: unit, cycle"),
    ],
)
def test_a_message_that_has_no_rows_has_a_reason(payload, words):
    with pytest.raises(ValueError, match=words):
        raise ValueError(reason(payload))


def test_a_message_is_limited_in_bytes_and_rows(monkeypatch):
    monkeypatch.setattr(decoding, "MESSAGE_BYTES", 1000)
    assert "1,001 bytes (allowed: 1,000)" in reason(b"x" * 1001)
    monkeypatch.undo()
    monkeypatch.setattr(decoding, "MESSAGE_ROWS", 2)
    for payload in json.dumps([ROW] * 3).encode(), a_file([{**ROW, "note": None}] * 3):
        assert "3 rows (allowed: 2)" in reason(payload)
    monkeypatch.setattr(decoding, "UNPACKED_BYTES", 10)
    assert "bytes unpacked (allowed: 10)" in reason(a_file([{**ROW, "note": None}]))


def test_a_value_of_another_type_makes_no_dead_letter():
    odd = [float("nan"), "fast", [1], {"a": 1}, True, None, "2.5"]
    found = decoded(*(json.dumps({**ROW, "speed_rpm": value}).encode() for value in odd))
    assert not found.dead
    assert found.rows["speed_rpm"].to_list() == [None] * 6 + [2.5]
    texts = ["fast", "[1]", '{"a": 1}', "true"]
    assert [json.loads(one)["speed_rpm"] for one in found.rows["unparsed"].drop_nulls()] == texts


def test_unknown_columns_are_named_and_optional_ones_may_be_absent():
    found = decoded(json.dumps([{**ROW, "extra": 1}, {**ROW, "note": "new"}]).encode())
    assert found.unknown == {"extra"}
    assert found.rows["note"].to_list() == [None, "new"]


VALUES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(allow_nan=False, width=64),
    st.text(max_size=5),
    st.lists(st.integers(), max_size=2),
)
ROWS = st.fixed_dictionaries(
    {"unit": VALUES, "cycle": VALUES, "speed_rpm": VALUES, "recorded_at": VALUES, "note": VALUES}
)
PAYLOADS = st.one_of(
    st.lists(ROWS, max_size=3).map(lambda rows: json.dumps(rows).encode()), st.just(json.dumps(ROW).encode())
)


@settings(deadline=None, max_examples=25)
@example([json.dumps({**ROW, "recorded_at": odd}).encode() for odd in (0.0, False)])
@example([json.dumps({**ROW, "cycle": odd}).encode() for odd in (2**40, 7.5)])
@example([json.dumps({**ROW, "unit": odd}).encode() for odd in (7, 7.5, 2**60, True)])
@given(st.lists(PAYLOADS, min_size=1, max_size=6))
def test_the_rows_of_a_message_do_not_depend_on_its_neighbours(payloads):
    together = decoded(*payloads)
    alone = [decoded(payload).rows.with_columns(message=pl.lit(place)) for place, payload in enumerate(payloads)]
    expected = pl.concat(alone, how="vertical_relaxed").cast(together.rows.schema)
    assert_frame_equal(together.rows, expected)


@settings(deadline=None, max_examples=25)
@given(st.lists(ROWS, min_size=1, max_size=6))
def test_a_drop_made_of_the_rows_is_read_back_as_the_same_rows(rows):
    found = decoded(*(json.dumps(row).encode() for row in rows)).rows
    again, faults = read_drop(encode_drop(as_sent(found, DROP), DROP), DROP, file="a")
    assert faults == ()
    values = [column.name for column in DROP.columns]
    assert_frame_equal(again.select(values), found.select(values), check_exact=True)
    assert again["unparsed"].is_null().to_list() == found["unparsed"].is_null().to_list()


def test_a_refused_name_stays_refused_in_the_drop():
    found = decoded(*(json.dumps({**ROW, "unit": unit}).encode() for unit in (True, 7.5, [1], "M2", 7))).rows
    again, _ = read_drop(encode_drop(as_sent(found, DROP), DROP), DROP, file="a")
    assert again["unit"].to_list() == found["unit"].to_list() == [None, None, None, "M2", "7"]
    assert again["unparsed"].null_count() == 2
    mixed = decoded(json.dumps([{**ROW, "unit": unit} for unit in (True, 7.5, [1], "M2", 7)]).encode()).rows
    assert mixed["unit"].to_list() == found["unit"].to_list()


def test_an_instant_with_a_zone_is_converted():
    found = decoded(json.dumps({**ROW, "recorded_at": "2026-03-01T01:30:00+02:00"}).encode())
    assert found.rows["recorded_at"][0] == datetime(2026, 2, 28, 23, 30, tzinfo=UTC)
