import hashlib
import io
from datetime import UTC, datetime

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sinet_pipelines.applications.turbofan.schemas.telemetry import DROP
from sinet_pipelines.ingestion.drops import (
    FaultKind,
    count_rows,
    drop_id,
    encode_drop,
    read_drop,
    read_drop_in_batches,
    read_faults,
)


def _as_file(table):
    buffer = io.BytesIO()
    pq.write_table(table, buffer)
    return buffer.getvalue()


def _kinds(faults):
    return [fault.kind for fault in faults]


def test_what_was_encoded_is_read_back(make_rows):
    rows = make_rows()
    back, faults = read_drop(encode_drop(rows, DROP), DROP, file="a.parquet")
    assert back.drop("unparsed").equals(rows)
    assert back["unparsed"].null_count() == rows.height
    assert faults == ()


def test_equal_rows_give_equal_bytes_in_whatever_chunks_they_are(make_rows):
    rows = make_rows()
    pieces = pl.concat([rows[:3], rows[3:]], rechunk=False)
    assert encode_drop(pieces, DROP) == encode_drop(rows, DROP)
    assert encode_drop(rows[::-1], DROP) != encode_drop(rows, DROP)


def test_a_drop_is_named_by_its_bytes(make_rows):
    content = encode_drop(make_rows(), DROP)
    assert drop_id(content, DROP) == hashlib.sha256(content).hexdigest()[:16]


def test_columns_of_a_drop_name_the_units_of_the_contract(make_rows):
    schema = pq.read_schema(io.BytesIO(encode_drop(make_rows(), DROP)))
    metadata = {field.name: (field.metadata or {}).get(b"unit", b"").decode() for field in schema}
    assert metadata == {column.name: column.unit for column in DROP.columns}


def test_text_in_a_number_is_kept_as_text_and_the_other_numbers_to_the_last_bit(make_rows):
    rows = make_rows()
    texts = rows.with_columns(pl.col("nc_rpm").cast(pl.String))
    texts[3, "nc_rpm"] = "ERR"
    back, faults = read_drop(encode_drop(texts, DROP), DROP, file="a.parquet")
    assert back["unparsed"].to_list() == [None] * 3 + ['{"nc_rpm": "ERR"}'] + [None] * 6
    assert back["nc_rpm"].drop_nulls().to_list() == [v for i, v in enumerate(rows["nc_rpm"]) if i != 3]
    assert faults == ()


@pytest.mark.parametrize("is_int96", [False, True])
def test_an_instant_beyond_what_nanoseconds_can_say_is_set_aside_and_never_another_day(make_rows, is_int96):
    sent = make_rows()
    noon = datetime(2026, 3, 1, 12)
    instants = [noon, datetime(9999, 12, 31), datetime(1, 1, 1)] + [noon] * (sent.height - 3)
    table = sent.to_arrow(compat_level=pl.CompatLevel.oldest())
    place = table.schema.get_field_index("recorded_at")
    table = table.set_column(place, "recorded_at", pa.array(instants, pa.timestamp("us")))
    buffer = io.BytesIO()
    pq.write_table(table, buffer, use_deprecated_int96_timestamps=is_int96)
    found, _ = read_drop(buffer.getvalue(), DROP, file="spark.parquet")
    expected = [noon.replace(tzinfo=UTC), None, None]
    assert found["recorded_at"].to_list()[:3] == expected
    assert ["recorded_at" in (text or "") for text in found["unparsed"].to_list()[:3]] == [False, True, True]
    assert pl.concat(read_drop_in_batches(buffer.getvalue(), DROP))["recorded_at"].to_list()[:3] == expected


def test_a_missing_column_is_null_and_fails_the_day(make_rows):
    content = _as_file(make_rows().drop("t30_degr").to_arrow())
    rows, faults = read_drop(content, DROP, file="a.parquet")
    assert rows["t30_degr"].null_count() == rows.height == 10
    assert _kinds(faults) == [FaultKind.MISSING_COLUMN]
    assert faults[0].fails_the_day
    assert faults[0].message == "drop a.parquet has no column t30_degr; drop the day again with it"


def test_an_unknown_column_is_ignored_and_named_and_fails_nothing(make_rows):
    rows, faults = read_drop(_as_file(make_rows().with_columns(mood=pl.lit("fine")).to_arrow()), DROP, file="a.parquet")
    assert "mood" not in rows.columns
    assert _kinds(faults) == [FaultKind.UNKNOWN_COLUMN]
    assert "mood" in faults[0].message
    assert not faults[0].fails_the_day


def test_columns_in_another_order_and_type_are_the_same_rows(make_rows):
    rows = make_rows()
    table = rows.select(reversed(rows.columns)).with_columns(
        pl.col("cycle").cast(pl.Int64), pl.col("unit").cast(pl.Categorical)
    )
    assert read_drop(_as_file(table.to_arrow()), DROP, file="a")[0].drop("unparsed").equals(rows)


def test_a_unit_that_contradicts_the_contract_fails_the_day(make_rows):
    table = make_rows().to_arrow()
    index = table.schema.get_field_index("t2_degr")
    kelvin = table.schema.field(index).with_metadata({b"unit": b"K"})
    rows, faults = read_drop(_as_file(table.cast(table.schema.set(index, kelvin))), DROP, file="a.parquet")
    assert rows.height == 10
    assert _kinds(faults) == [FaultKind.OTHER_UNIT]
    assert faults[0].message == "drop a.parquet has t2_degr in 'K' (allowed: 'degR'); drop the day again in that unit"


def test_a_drop_without_rows_is_no_fault():
    content = _as_file(pa.table({"mood": pa.array([], pa.string())}))
    assert read_drop(content, DROP, file="a.parquet")[1] == ()
    assert read_drop(content, DROP, file="a.parquet")[0].height == 0
    assert read_faults(content, DROP, file="a.parquet") == ()


@pytest.mark.parametrize("content", [b"", b"PAR1", b"unit,cycle\n1,2\n", b"PAR1" * 100])
def test_a_file_that_is_no_table_is_set_aside(content):
    rows, faults = read_drop(content, DROP, file="notes.txt")
    assert rows.height == 0
    assert count_rows(content) == 0
    assert _kinds(faults) == [FaultKind.UNREADABLE]
    assert faults[0].message.startswith("drop notes.txt is no readable Parquet file (")
    assert not faults[0].fails_the_day
    assert read_faults(content, DROP, file="notes.txt") == faults


def test_a_column_that_stands_there_twice_makes_no_table(make_rows):
    table = make_rows().to_arrow()
    rows, faults = read_drop(_as_file(table.append_column("unit", table.column("unit"))), DROP, file="a")
    assert (rows.height, _kinds(faults)) == (0, [FaultKind.UNREADABLE])
    assert "columns unit stand in it twice" in faults[0].message


@pytest.mark.parametrize("keeps_schema", [True, False])
@pytest.mark.parametrize("column", ["unit", "t2_degr", "recorded_at"])
def test_a_small_file_whose_rows_have_a_huge_text_needs_little_memory(make_rows, column, keeps_schema):
    count = 4_000
    table = make_rows(engines=1, cycles=count).to_arrow()
    huge = pa.DictionaryArray.from_arrays(pa.array([0] * count, pa.int32()), pa.array(["x" * 1_000_000]))
    table = table.set_column(table.schema.get_field_index(column), column, huge)  # 4 GB, were each row spelled out
    buffer = io.BytesIO()
    pq.write_table(table, buffer, dictionary_pagesize_limit=1 << 30, store_schema=keeps_schema)
    before = pa.default_memory_pool().max_memory()
    rows, faults = read_drop(buffer.getvalue(), DROP, file="a.parquet")
    assert pa.default_memory_pool().max_memory() - before < 500_000_000
    assert faults == ()
    assert rows[column].null_count() == rows.height == count
    assert all(len(text) < 250 for text in rows["unparsed"])


def test_text_that_is_no_utf8_makes_no_table():
    wrong = pa.array([b"\xff\xfe"]).cast(pa.binary())
    trusted = pa.Array.from_buffers(pa.string(), 1, wrong.buffers())
    rows, faults = read_drop(_as_file(pa.table({"unit": trusted})), DROP, file="a")
    assert (rows.height, _kinds(faults)) == (0, [FaultKind.UNREADABLE])


def test_a_column_whose_name_is_no_utf8_makes_no_table():
    content = _as_file(pa.table({"mood": [1]})).replace(b"mood", b"\xf4ood")
    rows, faults = read_drop(content, DROP, file="a")
    assert (rows.height, _kinds(faults)) == (0, [FaultKind.UNREADABLE])
    assert read_faults(content, DROP, file="a") == faults


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_a_damaged_file_is_read_or_set_aside_and_never_raises(data):
    table = pa.table({"unit": ["a", "b"], "cycle": pa.array([1, 2], pa.int32()), "t2_degr": [500.0, 501.0]})
    content = bytearray(_as_file(table))
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, len(content) - 1))] ^= data.draw(st.integers(1, 255))
    rows, faults = read_drop(bytes(content[: data.draw(st.integers(0, len(content)))]), DROP, file="a")
    assert rows.columns == [*(c.name for c in DROP.columns), "unparsed"]
    assert rows.height or faults


def test_faults_are_the_same_with_and_without_the_rows(make_rows):
    content = _as_file(make_rows().drop("t2_degr").with_columns(mood=pl.lit(1)).to_arrow())
    assert read_faults(content, DROP, file="a") == read_drop(content, DROP, file="a")[1]
    assert _kinds(read_faults(content, DROP, file="a")) == [FaultKind.MISSING_COLUMN, FaultKind.UNKNOWN_COLUMN]


@pytest.mark.parametrize(
    ("column", "dtype"),
    [("t2_degr", pa.float32()), ("cycle", pa.int16()), ("recorded_at", pa.date32())],
)
def test_a_type_narrower_than_the_contracts_is_named_and_fails_nothing(make_rows, column, dtype):
    table = make_rows().to_arrow()
    index = table.schema.get_field_index(column)
    narrow = table.set_column(index, column, table.column(index).cast(dtype, safe=False))
    _, faults = read_drop(_as_file(narrow), DROP, file="a.parquet")
    assert _kinds(faults) == [FaultKind.NARROWED_TYPE]
    assert faults[0].is_drift
    assert not faults[0].fails_the_day
    assert f"drop a.parquet has {column} as {dtype} (expected: " in faults[0].message
