"""Messages of a batch in arrays: which are new, what their ranges are, and where each row came from."""

import json

import numpy as np
import polars as pl
import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from sinet_pipelines.ingestion.landed import landed_rows
from sinet_pipelines.ingestion.streams.batch import Batch, Taken, are_new
from sinet_pipelines.ingestion.streams.source import Message
from sinet_pipelines.schemas.contract import Column

DATA = landed_rows("plant", "samples", (Column("unit", pa.string(), "a machine"),), key=("unit", "recorded_at"))


def a_row(number):
    return {"unit": f"M{number}", "recorded_at": "2026-03-01T10:00:00Z"}


def a_message(partition, offset, payload=None):
    sent = json.dumps(a_row(offset)).encode() if payload is None else payload
    return Message(partition, offset, sent, 1_000_000 * offset, "plant", sent_ms=1_000 * offset)


OFFSETS = st.integers(0, 9)


@given(st.lists(OFFSETS, min_size=1, max_size=12), st.integers(-1, 9), st.frozensets(OFFSETS))
def test_a_message_is_new_beyond_the_last_one_unless_it_is_a_dead_letter(offsets, last, dead):
    expected, so_far = [], last
    for offset in offsets:
        expected.append(offset > so_far and offset not in dead)
        so_far = max(so_far, offset)
    assert are_new(np.array(offsets), last, np.array(sorted(dead), np.int64)).tolist() == expected


def test_messages_are_taken_apart_by_partition_in_order():
    taken = Taken.of([a_message(1, 5), a_message(0, 2), a_message(1, 9)])
    assert [(partition, places.tolist()) for partition, places in taken.by_partition()] == [(0, [1]), (1, [0, 2])]
    assert taken.where(np.array([True, False, True])).messages == [a_message(1, 5), a_message(1, 9)]


def test_the_ranges_of_a_batch_are_the_first_and_last_offset_of_each_partition():
    batch = Batch(DATA.drop)
    batch.add(Taken.of([a_message(1, 5), a_message(0, 2), a_message(1, 9)]))
    batch.add(Taken.of([a_message(2, 4), a_message(1, 10)]))
    assert batch.ranges == {0: (2, 2), 1: (5, 10), 2: (4, 4)}
    assert batch.sent_ms == {0: 2_000, 1: 10_000, 2: 4_000}
    assert (batch.messages, batch.rows) == (5, 5)
    assert batch.payload_bytes == sum(len(a_message(0, offset).payload) for offset in (5, 2, 9, 4, 10))


def test_each_row_has_the_origin_of_its_message_and_its_place_in_it():
    several = json.dumps([a_row(7), a_row(8)]).encode()
    batch = Batch(DATA.drop)
    batch.add(Taken.of([a_message(0, 1), a_message(0, 2, b"odd"), a_message(3, 7, several)]))
    batch.decode()
    batch.add(Taken.of([a_message(0, 3)]))
    batch.decode()
    rows, letters = batch.stored_rows("kafka/plant"), batch.dead_letters("kafka/plant")
    assert rows.select("unit", "stream_partition", "stream_offset", "stream_row").rows() == [
        ("M1", 0, 1, 0),
        ("M7", 3, 7, 0),
        ("M8", 3, 7, 1),
        ("M3", 0, 3, 0),
    ]
    assert rows["arrived_at"].dt.epoch("s").to_list() == [1, 7, 7, 3]
    assert letters.select("stream_offset", "payload", "topic").rows() == [(2, b"odd", "plant")]
    assert rows.schema["arrived_at"] == letters.schema["arrived_at"] == pl.Datetime("us", "UTC")
