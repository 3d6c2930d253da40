"""Kafka's partitions: added, taken away, on a broker that restarts; and the offsets that the group shows."""

import json
import time
from datetime import UTC, datetime, timedelta

import pyarrow as pa
import pytest

from sinet_pipelines.errors import SourceError, UnreachableError
from sinet_pipelines.ingestion.landed import landed_rows
from sinet_pipelines.ingestion.streams.ingester import Ingester, Limits
from sinet_pipelines.ingestion.streams.source import NOTHING, Client, Stored, open_source, parse_url
from sinet_pipelines.ingestion.streams.stream_tables import LANDED_STREAM, StreamTables
from sinet_pipelines.schemas.contract import Column
from sinet_pipelines.storage.tables import tables_of
from tests.brokers import start_broker
from tests.waiting import until
from tests.zones import landing_zone

DATA = landed_rows("plant", "samples", (Column("unit", pa.string(), "a machine"),), key=("unit", "recorded_at"))
START = datetime(2026, 3, 1, tzinfo=UTC)
GROUP = "sinet-test"
UNKNOWN_TOPIC = 3  # the code of the protocol
NAME = "kafka/plant"


@pytest.fixture
def kafka(tmp_path):
    broker = start_broker("kafka", tmp_path / "broker")
    yield broker
    broker.stop()


@pytest.fixture(autouse=True)
def looks_often(monkeypatch):
    monkeypatch.setattr("sinet_pipelines.ingestion.streams.kafka.LOOK_S", 0.05)


def messages(first, last):
    return [
        json.dumps({"unit": f"M{number}", "recorded_at": (START + timedelta(seconds=number)).isoformat()}).encode()
        for number in range(first, last)
    ]


def a_source(broker):
    return open_source(parse_url(broker.url), Client(GROUP))


def an_ingester(broker, home):
    tables = StreamTables(tables_of(home, "EAST", "plant"), DATA)
    limits = Limits(rows=10, seconds=0.05, land_s=0.0)
    return Ingester(a_source(broker), tables, zone=landing_zone(home, DATA), region="EAST", limits=limits)


def units(home):
    import deltalake

    found = deltalake.DeltaTable(tables_of(home, "EAST", "plant").uri(LANDED_STREAM)).to_pyarrow_table()
    return sorted(found["unit"].to_pylist(), key=lambda unit: int(unit[1:]))


def committed(broker):
    """The offsets of the group as any tool reads them from the broker, by partition."""
    from confluent_kafka import Consumer, TopicPartition

    tool = Consumer({"bootstrap.servers": broker.address, "group.id": GROUP, "log_level": 0})
    try:
        found = tool.committed([TopicPartition("plant", partition) for partition in range(4)], timeout=60)
    finally:
        tool.close()
    return {one.partition: one.offset for one in found if one.offset >= 0}


def of_table(home):
    """The offset after the last stored one of each partition."""
    tables = StreamTables(tables_of(home, "EAST", "plant"), DATA)
    found = {partition: tables.position(NAME, partition) + 1 for partition in range(4)}
    return {partition: offset for partition, offset in found.items() if offset}


def test_the_group_has_the_offsets_of_the_table(kafka, tmp_path):
    kafka.publish(messages(0, 10))
    made = an_ingester(kafka, tmp_path)
    made.run(lambda: made.totals.messages == 10, report=lambda: None)
    assert committed(kafka) == of_table(tmp_path) == {0: 3, 1: 3, 2: 2, 3: 2}


def test_a_start_tells_the_group_what_a_killed_process_stored(kafka, tmp_path):
    kafka.publish(messages(0, 10))
    killed = an_ingester(kafka, tmp_path)
    killed.source.acknowledge = lambda _: None
    killed.run(lambda: killed.totals.messages == 10, report=lambda: None)
    assert committed(kafka) == {}
    again = an_ingester(kafka, tmp_path)
    again.run(lambda: True, report=lambda: None)
    assert committed(kafka) == of_table(tmp_path) == {0: 3, 1: 3, 2: 2, 3: 2}


def test_a_partition_that_is_added_is_read_from_its_start(kafka, tmp_path, monkeypatch):
    kafka.publish(messages(0, 8))
    made = an_ingester(kafka, tmp_path)
    real, seen = made.source._partitions, {0, 1}
    monkeypatch.setattr(made.source, "_partitions", lambda **more: (real(**more)[0] & seen, None))

    def report():
        if made.totals.messages >= 4:
            seen.update({2, 3})

    made.run(lambda: made.totals.messages == 8, report=report)
    assert units(tmp_path) == [f"M{number}" for number in range(8)]
    assert made.positions == {0: 1, 1: 1, 2: 1, 3: 1}


def test_a_partition_that_is_taken_away_ends_the_reading_with_all_that_was_read(kafka, tmp_path, monkeypatch):
    kafka.publish(messages(0, 8))
    made = an_ingester(kafka, tmp_path)
    real, seen = made.source._partitions, {0, 1, 2, 3}
    monkeypatch.setattr(made.source, "_partitions", lambda **more: (real(**more)[0] & seen, None))

    def report():
        if made.totals.messages == 8:
            seen.discard(3)

    with pytest.raises(SourceError, match=r"plant no longer has partition 3: it was removed, or .* with --name"):
        made.run(lambda: False, report=report)
    assert units(tmp_path) == [f"M{number}" for number in range(8)]


def test_a_topic_that_is_removed_while_it_is_read_ends_the_reading(kafka):
    source = a_source(kafka)
    source.start(lambda _: NOTHING)
    try:
        kafka.order(f"topic-error plant {UNKNOWN_TOPIC}")
        with pytest.raises(SourceError, match="plant no longer has partition 0, 1, 2, 3"):
            until(lambda: source.take(10, wait_s=0.1) and False)
    finally:
        source.close()


def test_a_topic_with_fewer_partitions_than_the_table_is_refused(kafka):
    source = a_source(kafka)
    with pytest.raises(SourceError, match="plant no longer has partition 4"):
        source.start(lambda partition: Stored(7) if partition == 4 else NOTHING)


def test_brokers_that_restart_lose_and_double_nothing(kafka, tmp_path):
    kafka.publish(messages(0, 8))
    made, restarts = an_ingester(kafka, tmp_path), []

    def report():
        if made.totals.messages == 8 and not restarts:
            for command in ("down", "up"):
                for broker in (1, 2, 3):
                    kafka.order(f"{command} {broker}")
            restarts.append(kafka.publish(messages(8, 16)))

    made.run(lambda: made.totals.messages == 16, report=report)
    assert units(tmp_path) == [f"M{number}" for number in range(16)]
    assert made.totals.rows == 16
    assert committed(kafka) == of_table(tmp_path)


@pytest.mark.parametrize(
    "options", [{"default.topic.config": {"auto.offset.reset": "latest"}}, {"stats_cb": "x"}, {"on_commit": 1}]
)
def test_options_that_would_replace_those_of_the_source_are_refused(options):
    with pytest.raises(SourceError, match=f"the options {next(iter(options))} follow from the URL and the table"):
        open_source(parse_url("kafka://h/plant"), Client(GROUP, options))


class Silent:
    """A consumer of a broker that returns nothing; it counts commits."""

    def __init__(self, *_):
        self.commits, self.answer = [], None

    def assign(self, _):
        """Begins to read."""

    def consume(self, _, timeout):
        """No message."""
        return []

    def commit(self, *, offsets, asynchronous):
        """Notes the offsets."""
        self.commits.append({one.partition: one.offset for one in offsets})

    def poll(self, _):
        """Answers the last commit."""
        self.answer(None, [])

    def close(self):
        """Ends."""


def test_a_start_without_the_last_stored_message_to_compare_is_refused(monkeypatch):
    source = open_source(parse_url("kafka://h/plant"), Client(GROUP))
    monkeypatch.setattr("sinet_pipelines.ingestion.streams.kafka.ANSWER_S", 0.01)
    monkeypatch.setattr("sinet_pipelines.ingestion.streams.kafka.Consumer", Silent)
    with pytest.raises(UnreachableError, match="did not return the last stored messages of partition 2, 3 of plant"):
        source._require_same({3: Stored(5, 1), 2: Stored(6, 1)})


def test_one_commit_at_a_time_is_sent_to_the_broker_and_none_while_it_is_away():
    source = open_source(parse_url("kafka://h/plant"), Client(GROUP))
    source._consumer = made = Silent()
    made.answer = source._on_commit
    source.acknowledge({0: 5})
    source.acknowledge({0: 6, 1: 2})
    source.acknowledge({0: 7})
    assert made.commits == [{0: 5}]
    source.problem = "all brokers are down"
    source._on_commit(None, [])
    source.acknowledge({2: 1})
    assert made.commits == [{0: 5}]
    source.problem = ""
    source.close()
    assert made.commits == [{0: 5}, {0: 7, 1: 2, 2: 1}]


def test_a_stop_ends_in_seconds_while_the_brokers_are_down_and_a_commit_is_sent(kafka, monkeypatch):
    for name in ("COMMIT_S", "CLOSE_S"):
        monkeypatch.setattr(f"sinet_pipelines.ingestion.streams.kafka.{name}", 0.1)
    source = a_source(kafka)
    source.start(lambda _: NOTHING)
    for broker in (1, 2, 3):
        kafka.order(f"down {broker}")
    source.acknowledge({0: 1})
    began = time.monotonic()
    source.close()
    assert time.monotonic() - began < 20  # librdkafka alone takes 45 s


def test_a_problem_ends_when_the_brokers_answer_though_no_message_arrives(kafka):
    source = a_source(kafka)
    source.start(lambda _: NOTHING)
    try:
        source.problem = "broker 2 is down"
        until(lambda: source.take(1, wait_s=0.01) or not source.problem)
    finally:
        source.close()
    assert source.problem == ""
