import struct
from hashlib import blake2b

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sinet_pipelines.applications.turbofan.schemas.telemetry import CHANNELS, DROP
from sinet_pipelines.ingestion import hashing
from sinet_pipelines.ingestion.hashing import row_hash

SCHEMA = pl.DataFrame(DROP.schema.empty_table()).schema | {"unparsed": pl.String}
TEXT = st.none() | st.text(max_size=8)
ROW = st.tuples(
    TEXT,
    TEXT,
    st.none() | st.integers(-(2**31), 2**31 - 1),
    st.none() | st.datetimes(),
    *[st.none() | st.floats(width=64) for _ in range(3)],
    TEXT,
)


def _frame(rows):
    """Rows of the strategy as a frame; the channels after the third repeat the third."""
    wide = [(*row[:4], *row[4:7], *[row[6]] * (len(CHANNELS) - 3), row[7]) for row in rows]
    naive = dict(SCHEMA) | {"recorded_at": pl.Datetime("us")}
    frame = pl.DataFrame(wide, schema=naive, orient="row")
    return frame.with_columns(pl.col("recorded_at").dt.replace_time_zone("UTC"))


def _hash_by_hand(row):
    """The documented bytes, packed value by value."""
    texts = (row["unit"], row["role"], row["unparsed"])
    framed = b"".join(
        b"\0" if text is None else b"\1" + struct.pack("<Q", len(text.encode())) + text.encode() for text in texts
    )
    cycle = -(2**63) if row["cycle"] is None else row["cycle"]
    at = -(2**63) if row["recorded_at"] is None else round(row["recorded_at"].timestamp() * 1_000_000)
    numbers = [float("nan") if row[name] is None else row[name] + 0.0 for name in CHANNELS]
    canonical = blake2b(framed, digest_size=16).digest() + struct.pack(f"<qq{len(numbers)}d", cycle, at, *numbers)
    return blake2b(canonical, digest_size=16).hexdigest()


def test_the_hash_is_that_of_the_documented_bytes(make_rows):
    rows = make_rows().with_columns(unparsed=pl.lit(None, pl.String))
    rows = rows.with_columns(
        pl.when(pl.col("cycle") == 2).then(None).otherwise("t2_degr").alias("t2_degr"),
        pl.when(pl.col("cycle") == 3).then(pl.lit('{"x": "y"}')).alias("unparsed"),
        pl.when(pl.col("cycle") == 4).then(None).otherwise("recorded_at").alias("recorded_at"),
    )
    assert row_hash(rows, DROP).to_list() == [_hash_by_hand(row) for row in rows.iter_rows(named=True)]


@settings(max_examples=60, deadline=None)
@given(st.lists(ROW, max_size=12), st.randoms(use_true_random=False))
def test_the_hash_of_a_row_ignores_its_neighbours_and_their_order(rows, random):
    shuffled = random.sample(rows, len(rows))
    frame, other = _frame(rows), _frame(shuffled)
    alone = pl.concat([row_hash(frame[i : i + 1], DROP) for i in range(len(rows))]) if rows else row_hash(frame, DROP)
    assert row_hash(frame, DROP).to_list() == alone.to_list()
    assert sorted(row_hash(frame, DROP)) == sorted(row_hash(other, DROP))


@settings(max_examples=100, deadline=None)
@given(st.lists(ROW, min_size=2, max_size=6))
def test_hashes_are_equal_exactly_where_rows_are(rows):
    def canonical(value):
        return "nothing" if value is None or value != value else value + 0.0 if isinstance(value, float) else value

    contents = [(*row[:4], *map(canonical, row[4:7]), row[7]) for row in rows]
    hashes = row_hash(_frame(rows), DROP).to_list()
    for i in range(len(rows)):
        for j in range(i):
            assert (hashes[i] == hashes[j]) == (contents[i] == contents[j])


def test_chunks_and_their_bounds_do_not_show(make_rows, monkeypatch):
    rows = make_rows(engines=3, cycles=7)
    whole = row_hash(rows, DROP)
    monkeypatch.setattr(hashing, "_CHUNK_ROWS", 5)
    pieces = pl.concat([rows[:4], rows[4:]], rechunk=False)
    assert row_hash(pieces, DROP).to_list() == whole.to_list()


def test_the_sign_of_zero_and_the_bits_of_nan_do_not_show(make_rows):
    one = make_rows(engines=1, cycles=1)
    odd_nan = np.array([0x7FF8_DEAD_BEEF_0001], dtype="u8").view("f8")
    for column, first, second in [
        ("mach_number", 0.0, -0.0),
        ("t2_degr", float("nan"), odd_nan[0]),
        ("t2_degr", float("nan"), None),
    ]:
        hashes = [
            row_hash(one.with_columns(pl.Series(column, [value], dtype=pl.Float64)), DROP)[0]
            for value in (first, second)
        ]
        assert hashes[0] == hashes[1]


@pytest.mark.parametrize("column", [c.name for c in DROP.columns])
def test_every_column_of_a_drop_counts(make_rows, column):
    rows = make_rows(engines=1, cycles=1)
    changed = rows.with_columns(pl.lit(None, rows.schema[column]).alias(column))
    assert row_hash(changed, DROP)[0] != row_hash(rows, DROP)[0]


def test_no_rows_have_no_hashes(make_rows):
    assert row_hash(make_rows().clear(), DROP).to_list() == []
    assert row_hash(make_rows().clear(), DROP).dtype == pl.String
