"""Pulsar: the offset of a message id is exact, and the table decides where reading begins, not the cursor."""

import os
from types import SimpleNamespace

import pytest

pulsar = pytest.importorskip("pulsar", reason="no client of Pulsar; install the extra `pulsar`")

from hypothesis import given  # noqa: E402
from hypothesis import strategies as st  # noqa: E402

from sinet_pipelines.errors import RejectedError, SourceError, UnreachableError, UsageError  # noqa: E402
from sinet_pipelines.ingestion.streams.pulsar_position import (  # noqa: E402
    BATCH_BITS,
    ENTRY_BITS,
    LEDGER_BITS,
    Place,
    place_of,
)
from sinet_pipelines.ingestion.streams.source import NOTHING, Client, Stored, open_source, parse_url  # noqa: E402
from tests.brokers import start_broker  # noqa: E402
from tests.waiting import LIMIT_S, until  # noqa: E402

NAME = "sinet-test"
PLACES = st.builds(
    Place,
    st.integers(0, (1 << LEDGER_BITS) - 1),
    st.integers(0, (1 << ENTRY_BITS) - 1),
    st.integers(0, (1 << BATCH_BITS) - 1),
)


@pytest.fixture
def broker(tmp_path):
    found = start_broker("pulsar", tmp_path / "broker", partitions=2)
    yield found
    found.stop()


@pytest.fixture
def looks_often(monkeypatch):
    monkeypatch.setattr("sinet_pipelines.ingestion.streams.pulsar_topic.LOOK_S", 0.05)


def a_source(broker):
    return open_source(parse_url(broker.url), Client(NAME))


def payloads(first, last):
    return [b"%d" % number for number in range(first, last)]


def read(broker, count, position=lambda _: NOTHING):
    """Takes so many messages and acknowledges them; returns them by partition."""
    source, found = a_source(broker), []
    source.start(position)
    try:
        until(lambda: found.extend(source.take(100, wait_s=0.1)) or len(found) >= count, every_s=0.0)
        source.acknowledge(source.receipt())
    finally:
        source.close()
    by_partition = {}
    for one in found:
        by_partition.setdefault(one.partition, []).append(one)
    return by_partition


def at_the_end(found):
    """The position after some messages."""
    last = {partition: Stored(rows[-1].offset, rows[-1].sent_ms) for partition, rows in found.items()}
    return lambda partition: last.get(partition, NOTHING)


def sent(found):
    return sorted(int(one.payload) for rows in found.values() for one in rows)


@given(PLACES, PLACES)
def test_offsets_are_in_the_order_of_places_and_each_place_has_its_own(one, other):
    assert (one.offset < other.offset, one.offset == other.offset) == (one < other, one == other)
    assert place_of(one.offset) == one
    assert 0 <= one.offset < 1 << 63


def test_a_message_that_was_sent_alone_lies_between_the_entries_beside_it():
    assert Place(5, 1, 9).offset < Place(5, 2).offset < Place(5, 3, 0).offset < Place(6, 0).offset


@pytest.mark.parametrize(
    ("place", "words"),
    [
        (Place(1 << LEDGER_BITS, 0), "the ledger 268435456 .allowed: 0 to 268,435,455"),
        (Place(1, 1 << ENTRY_BITS), "the entry 8388608 .*; lower `managedLedgerMaxEntriesPerLedger`"),
        (Place(1, 1, 1 << BATCH_BITS), "the batch index 4096 .*; lower `batchingMaxMessages`"),
        (Place(-1, -1), "the ledger -1"),
    ],
)
def test_an_id_beyond_the_limits_is_refused(place, words):
    with pytest.raises(SourceError, match=words):
        assert place.offset


def test_messages_of_many_ledgers_and_batches_are_in_order_with_offsets_that_increase(broker):
    broker.publish(payloads(0, 100), batch=3)
    found = read(broker, 100)
    assert sent(found) == list(range(100))
    for rows in found.values():
        offsets = [one.offset for one in rows]
        assert offsets == sorted(set(offsets))
        assert [int(one.payload) for one in rows] == sorted(int(one.payload) for one in rows)
        places = [place_of(offset) for offset in offsets]
        assert len({place.ledger for place in places}) > 1
        assert {place.batch_index for place in places} == {0, 1, 2}


def test_reading_begins_at_the_stored_offset_within_a_batch(broker):
    broker.publish(payloads(0, 40), batch=4)
    found = read(broker, 40)
    middle = {partition: rows[:10] for partition, rows in found.items()}  # the second message of a batch
    again = read(broker, 20, at_the_end(middle))
    for partition, rows in again.items():
        last = middle[partition][-1].offset
        beyond = [one.offset for one in rows if one.offset > last]
        assert beyond == [one.offset for one in found[partition] if one.offset > last]


def test_a_cursor_that_a_person_moved_forward_skips_nothing(broker):
    broker.publish(payloads(0, 10))
    read(broker, 10)  # acknowledges all, and nothing is stored
    assert sent(read(broker, 10)) == list(range(10))


def test_the_broker_knows_what_is_stored(broker):
    broker.publish(payloads(0, 10))
    read(broker, 10)
    silent = pulsar.FileLogger(pulsar.LoggerLevel.Error, os.devnull)
    client = pulsar.Client(f"pulsar://127.0.0.1:{broker.port}", logger=silent)
    try:
        tool = client.subscribe("persistent://public/default/plant", NAME)
        with pytest.raises(pulsar.Timeout):
            tool.receive(timeout_millis=300)
    finally:
        client.close()


def test_a_partition_that_is_added_is_read_from_its_start(broker, looks_often):
    broker.publish(payloads(0, 4))
    source, found = a_source(broker), []
    source.start(lambda _: NOTHING)
    try:
        broker.order("partitions 3")
        broker._partitions = 3
        broker.publish(payloads(4, 10))
        until(lambda: found.extend(source.take(100, wait_s=0.1)) or len(found) >= 10, every_s=0.0)
    finally:
        source.close()
    assert sorted(int(one.payload) for one in found) == list(range(10))
    assert {one.partition for one in found} == {0, 1, 2}


def test_a_topic_that_ends_before_the_stored_offset_is_refused(broker):
    broker.publish(payloads(0, 4))
    beyond = Stored(Place((1 << LEDGER_BITS) - 1, 0).offset)
    with pytest.raises(SourceError, match=r"ends at .*, and the table has it up to 268435455:0: .* with --name"):
        a_source(broker).start(lambda _: beyond)


def test_another_message_at_the_stored_offset_is_refused(broker):
    broker.publish(payloads(0, 4))
    found = read(broker, 4)
    last = found[0][-1]
    with pytest.raises(SourceError, match=r"has another message at .* than the table: .* with --name"):
        a_source(broker).start(lambda partition: NOTHING if partition else Stored(last.offset, last.sent_ms + 60_000))


def test_a_topic_whose_stored_messages_the_broker_removed_continues_with_the_next_one(broker):
    broker.publish(payloads(0, 8))
    position = at_the_end(read(broker, 8))
    broker.order("trim")
    source, found = a_source(broker), []
    source.start(position)
    try:
        broker.publish(payloads(8, 12))
        until(lambda: found.extend(source.take(100, wait_s=0.1)) or len(found) >= 4, every_s=0.0)
    finally:
        source.close()
    assert sorted(int(one.payload) for one in found) == [8, 9, 10, 11]


def test_a_message_in_several_chunks_is_refused_and_the_one_before_it_is_returned(broker):
    silent = pulsar.FileLogger(pulsar.LoggerLevel.Error, os.devnull)
    client = pulsar.Client(f"pulsar://127.0.0.1:{broker.port}", logger=silent)
    topic = "persistent://public/default/plant-partition-0"
    producer = client.create_producer(topic, batching_enabled=False, chunking_enabled=True)
    producer.send(b"1")
    producer.send(bytes(6 << 20))  # more than the 5 MiB of one entry
    client.close()
    source, found = a_source(broker), []
    source.start(lambda _: NOTHING)
    try:
        with pytest.raises(SourceError, match="has a message in several chunks at .*; publish to another topic"):
            until(lambda: found.extend(source.take(10, wait_s=0.1)), every_s=0.0)
        assert [one.payload for one in found] == [b"1"]
        assert source.receipt()[0].entry_id() == 0
    finally:
        source.close()


class Received:
    """A consumer whose messages have the given ids; then it raises an error."""

    def __init__(self, *places, error=pulsar.Timeout):
        self.ids, self.error = [pulsar.MessageId(0, *place) for place in places], error

    def receive(self, _):
        """The next message."""
        if not self.ids:
            raise self.error
        found = self.ids.pop(0)
        values = {"message_id": found, "publish_timestamp": 0, "data": b"", "topic_name": "plant"}
        return SimpleNamespace(**{name: lambda value=value: value for name, value in values.items()})

    def is_connected(self):
        """Whether it is connected."""
        return True


def a_source_of(consumer):
    source = open_source(parse_url("pulsar://h/plant"), Client(NAME))
    source._consumers, source._looked_at = {0: consumer}, float("inf")
    return source


@pytest.mark.parametrize(
    ("consumer", "error", "words"),
    [
        (Received((7, 1), (7, 2), (7, 1 << ENTRY_BITS)), SourceError, "the entry 8388608"),
        (Received((7, 1), (7, 2), error=pulsar.AlreadyClosed), RejectedError, "ended the reading of partition 0"),
    ],
)
def test_messages_before_an_error_are_returned_before_it_and_are_those_of_the_receipt(consumer, error, words):
    source = a_source_of(consumer)
    found = source.take(10, wait_s=0.01)
    assert [place_of(one.offset).entry for one in found] == [1, 2]
    assert source.receipt()[0].entry_id() == 2
    with pytest.raises(error, match=words):
        source.take(10, wait_s=0.01)
    assert source.receipt() == {}


@pytest.mark.parametrize(("ledger", "is_refused"), [(6, True), (7, False), (9, False)])
def test_the_first_message_after_removed_ones_is_not_that_of_another_cluster(ledger, is_refused):
    source = a_source_of(Received((ledger, 0)))
    source._beyond = {0: Place(7, 4)}
    assert len(source.take(10, wait_s=0.01)) == (not is_refused)
    if is_refused:
        with pytest.raises(SourceError, match=r"plant continues at 6:0, and the table has it up to 7:4: .* --name"):
            source.take(10, wait_s=0.01)


def test_a_partition_that_could_not_be_opened_has_no_consumer_left_and_is_named():
    closed = []

    def time_out(_):
        raise pulsar.Timeout("no answer")

    consumer = SimpleNamespace(seek=time_out, close=lambda: closed.append(True))
    source = a_source_of(Received())
    source._position, source._looked_at = lambda _: NOTHING, 0.0
    source._client = SimpleNamespace(
        get_topic_partitions=lambda topic: [f"{topic}-partition-{number}" for number in (0, 1)],
        subscribe=lambda *_, **__: consumer,
    )
    assert source.take(10, wait_s=0.01) == []
    assert closed == [True]
    assert source.problem.startswith("a partition cannot be opened (")


def test_a_second_consumer_of_the_subscription_is_refused(broker):
    first = a_source(broker)
    first.start(lambda _: NOTHING)
    try:
        with pytest.raises(UnreachableError, match="has another consumer of subscription sinet-test"):
            a_source(broker).start(lambda _: NOTHING)
    finally:
        first.close()


def test_a_lost_connection_is_a_problem_until_it_is_back(broker):
    source, problems = a_source(broker), []
    source.start(lambda _: NOTHING)
    try:
        broker.order("drop")
        until(lambda: source.take(1, wait_s=0.01) or problems.append(source.problem) or any(problems), every_s=0.0)
        assert "was lost" in problems[-1]
        until(lambda: source.take(1, wait_s=0.01) or not source.problem, limit_s=LIMIT_S)
    finally:
        source.close()


@pytest.mark.parametrize(
    ("url", "options", "error", "words"),
    [
        ("pulsar://h/a/b", {}, SourceError, "'a/b' is no topic .allowed: TOPIC, or TENANT/NAMESPACE/TOPIC"),
        ("pulsar://h/a", {"user": "me"}, UsageError, "no option user .allowed: token, username"),
    ],
)
def test_what_cannot_be_used_is_refused_with_one_sentence(url, options, error, words):
    with pytest.raises(error, match=words):
        open_source(parse_url(url), Client(NAME, options))
