"""Kafka: all partitions of a topic, each read from the offset in the table, never from that of the broker.

The table has one writer, so the partitions are assigned here and not by a consumer group: a restart after a kill waits
for no time-out of a group. Partitions that are added to the topic are found within seconds; one that is taken away ends
the reading. The offsets of the table are also committed at the broker, as those of the group with the client's name,
only so that its tools show the lag.
"""

import time
from contextlib import ExitStack, suppress
from threading import Thread
from typing import Any

from confluent_kafka import TIMESTAMP_NOT_AVAILABLE, Consumer, KafkaError, KafkaException, TopicPartition
from confluent_kafka import Message as Received

from sinet_pipelines.errors import RejectedError, SourceError, UnreachableError
from sinet_pipelines.ingestion.streams.source import (
    ANSWER_S,
    REMEDY,
    UNDATED,
    Address,
    Client,
    Message,
    Position,
    Stored,
)

LOOK_S = 10.0  # between two looks for partitions that were added or taken away
LOOKS = 3  # without a partition after which it is gone; a broker that starts may not know it yet
AWAY_S = 1.0  # to answer such a look, for a broker that was away before
COMMIT_S = 2.0  # for the last offsets to reach the broker at the end
CLOSE_S = 3.0  # for the connections to end then
_BEYOND = 100  # partitions beyond those of the topic that the table is searched for
_FIXED = (
    "bootstrap.servers",
    "group.id",
    "group.instance.id",
    "enable.auto.commit",
    "enable.auto.offset.store",
    "auto.offset.reset",
    "default.topic.config",  # which replaces `auto.offset.reset`
    "on_commit",
    "on_delivery",
    "logger",
)
_CALLBACK = "_cb"  # the end of the names of librdkafka's callbacks, which are no values of JSON


def open_source(address: Address, client: Client) -> "KafkaTopic":
    """The source of a topic; the client's options are those of librdkafka, which raise a RejectedError if unusable."""
    topic = KafkaTopic(address, client)
    topic.require_options()
    return topic


class KafkaTopic:
    """A topic of a Kafka cluster."""

    most_unacknowledged = 1 << 30  # the broker waits for no acknowledgement

    def __init__(self, address: Address, client: Client) -> None:
        if fixed := sorted(one for one in client.options if one in _FIXED or one.endswith(_CALLBACK)):
            raise SourceError(f"the options {', '.join(fixed)} follow from the URL and the table; remove them")
        self.name = client.source_name("kafka", address)
        self.problem = ""
        self.expired = 0
        self.loss = ""
        self._address = address
        self._settings: dict[str, Any] = {
            "queued.max.messages.kbytes": 32_768,  # of all partitions, in memory before they are taken
            "fetch.wait.max.ms": 100,
            "reconnect.backoff.max.ms": 2_000,
            "log_level": 0,  # the state of the connection is in `problem`
            **client.options,
            "bootstrap.servers": address.broker,
            "group.id": client.name,
            "enable.auto.commit": False,
            "enable.auto.offset.store": False,
            "auto.offset.reset": "error",
            "error_cb": self._on_error,
            "on_commit": self._on_commit,
        }
        self._fault: SourceError | None = None
        self._assigned: set[int] = set()
        self._looked_at = 0.0
        self._gone = 0  # in how many looks a partition was missing
        self._taken: dict[int, int] = {}  # the offset after the last message of each partition that has no receipt
        self._stored: dict[int, int] = {}  # the offset after the last stored message, where it is not committed yet
        self._commits = 0  # that the broker has not answered, at most one

    def require_options(self) -> None:
        """Raises a RejectedError where librdkafka rejects an option, or cannot read a file that one names."""
        self._consume().close()

    def start(self, position: Position) -> None:
        """Assigns all partitions; see `StreamSource.start`."""
        self._position = position
        self._consumer = self._consume()
        with ExitStack() as unless_assigned:
            unless_assigned.callback(self._consumer.close)
            self._assign(self._present())
            unless_assigned.pop_all()

    def _consume(self) -> Consumer:
        try:
            return Consumer(self._settings)
        except KafkaException as error:
            why = error.args[0].str()
            raise RejectedError(f"Kafka's client rejects the options: {why}; correct the file") from error

    def take(self, most: int, *, wait_s: float) -> list[Message]:
        """The next messages; see `StreamSource.take`."""
        self._look()
        received = self._consumer.consume(min(most, 10_000), timeout=wait_s)
        if self._fault is not None:
            raise self._fault
        now, topic, taken, found = time.time_ns() // 1000, self._address.stream, self._taken, []
        for one in received:
            if (error := one.error()) is None:
                partition, offset, payload = one.partition(), one.offset(), one.value() or b""
                assert partition is not None  # only messages to be sent have none
                assert offset is not None
                found.append(Message(partition, offset, payload, now, topic, "", False, _sent_ms(one)))
                taken[partition] = offset + 1
            else:
                self._on_error(error)
        if found:
            self.problem = ""
        self._commit()
        return found

    def receipt(self) -> dict[int, int]:
        """The offset after the last message of each partition; see `StreamSource.receipt`."""
        found, self._taken = self._taken, {}
        return found

    def acknowledge(self, receipt: dict[int, int]) -> None:
        """Commits the offsets at the broker, for its tools alone."""
        self._stored |= receipt
        self._commit()

    def _commit(self) -> None:
        """Commits what is stored; a broker that is away or has not answered the last commit gets it later."""
        if not self._stored or self.problem or self._commits:
            return
        offsets = [TopicPartition(self._address.stream, partition, one) for partition, one in self._stored.items()]
        try:
            self._consumer.commit(offsets=offsets, asynchronous=True)
            self._commits, self._stored = 1, {}
        except KafkaException as error:
            self._on_error(error.args[0])

    def _on_commit(self, _: KafkaError | None, __: list[TopicPartition]) -> None:
        self._commits = 0  # an error only delays what the broker's tools show

    def close(self) -> None:
        """Disconnects, once the broker has the last offsets or does not answer within seconds."""
        end = time.monotonic() + COMMIT_S
        self._commit()
        while self._commits and not self.problem and time.monotonic() < end:
            self._consumer.poll(0.05)
            self._commit()
        # librdkafka waits up to 45 s for a commit without an answer
        closing = Thread(target=self._consumer.close, name="kafka-closes", daemon=True)
        closing.start()
        closing.join(CLOSE_S)

    def _partitions(self, *, wait_s: float = ANSWER_S) -> tuple[set[int], KafkaError | None]:
        """The partitions of the topic at present, none where there is no such topic, and the broker's error."""
        self._looked_at = time.monotonic()
        try:
            found = self._consumer.list_topics(self._address.stream, timeout=wait_s)
        except KafkaException as error:
            raise UnreachableError(
                f"Kafka at {self._address.broker} does not answer ({self.problem or error.args[0].str()}); start it, "
                "or correct the URL or the options"
            ) from error
        topic = found.topics.get(self._address.stream)
        if topic is None or topic.error is not None:
            return set(), None if topic is None else topic.error
        if all(one.error is None and one.leader >= 0 for one in topic.partitions.values()):
            self.problem = ""  # an error of one connection; where it lasts, the next try reports it again
        return set(topic.partitions), None

    def _present(self) -> set[int]:
        """The partitions of the topic; raises where there are none, or fewer than in the table."""
        found, error = self._partitions()
        if not found:
            why = "" if error is None else f" ({error.str()})"
            raise SourceError(
                f"Kafka at {self._address.broker} has no topic {self._address.stream!r}{why}; create it or correct the "
                "URL"
            )
        beyond = range(len(found), len(found) + _BEYOND)
        self._require_all([partition for partition in beyond if self._position(partition).offset >= 0])
        return found

    def _look(self) -> None:
        """Assigns partitions that were added to the topic, and notices those that are gone; looks now and then."""
        if time.monotonic() - self._looked_at < LOOK_S:
            return
        with suppress(UnreachableError):  # of a broker that is away; it is waited for
            found, error = self._partitions(wait_s=AWAY_S if self.problem else ANSWER_S)
            if error is not None and error.code() != KafkaError.UNKNOWN_TOPIC_OR_PART:
                self._on_error(error)
                return
            self._assign(found - self._assigned)
            missing = sorted(self._assigned - found)
            self._gone = self._gone + 1 if missing else 0
            if self._gone >= LOOKS:
                self._require_all(missing)

    def _require_all(self, missing: list[int]) -> None:
        """Raises where the topic lacks partitions that were read."""
        if missing:
            names = ", ".join(map(str, missing))
            raise SourceError(
                f"{self._address.stream} no longer has partition {names}: it was removed, or created again with fewer "
                f"partitions; {REMEDY}"
            )

    def _assign(self, partitions: set[int]) -> None:
        """Assigns partitions, each after the offset that is stored."""
        first: list[TopicPartition] = []
        again: dict[int, Stored] = {}
        expired = 0
        for partition in sorted(partitions):
            stored = self._position(partition)
            one = TopicPartition(self._address.stream, partition)
            try:
                low, high = self._consumer.get_watermark_offsets(one, timeout=ANSWER_S)
            except KafkaException as error:
                raise UnreachableError(
                    f"Kafka at {self._address.broker} does not answer ({error.args[0].str()}); start it"
                ) from error
            if stored.offset >= high:
                raise SourceError(
                    f"partition {partition} of {self._address.stream} ends at offset {high}, and the table has it up "
                    f"to {stored.offset}: the topic was created again; {REMEDY}"
                )
            if stored.offset >= low:
                again[partition] = stored
            one.offset = max(stored.offset + 1, low)
            expired += max(0, low - stored.offset - 1) if stored.offset >= 0 else 0
            first.append(one)
        self._require_same(again)
        if first:
            self._consumer.incremental_assign(first)
            self._assigned |= partitions
            self.expired += expired
            self.acknowledge({one.partition: one.offset for one in first if self._position(one.partition).offset >= 0})

    def _require_same(self, stored: dict[int, Stored]) -> None:
        """Reads the last stored message of each partition again; raises where another one is in its place."""
        if not stored:
            return
        one_by_one = {"queued.min.messages": 1, "enable.partition.eof": True}
        reader, end = Consumer(self._settings | one_by_one), time.monotonic() + ANSWER_S
        try:
            reader.assign([TopicPartition(self._address.stream, one, stored[one].offset) for one in stored])
            while stored and time.monotonic() < end:
                left = len(stored)
                for found in reader.consume(100, timeout=0.1):
                    self._require_one(found, stored)
                end = end if len(stored) == left else time.monotonic() + ANSWER_S
        finally:
            reader.close()
        if stored:
            raise UnreachableError(
                f"Kafka at {self._address.broker} did not return the last stored messages of partition "
                f"{', '.join(map(str, sorted(stored)))} of {self._address.stream} within {ANSWER_S:.0f} s; start it"
            )

    def _require_one(self, found: Received, stored: dict[int, Stored]) -> None:
        """Compares a message with the stored one of its partition, which it removes from the dictionary."""
        error, partition = found.error(), found.partition()
        if partition not in stored or (error is not None and error.code() != KafkaError._PARTITION_EOF):
            return
        last = stored.pop(partition)
        if error is None and found.offset() == last.offset and last.is_other(_sent_ms(found)):
            raise SourceError(
                f"partition {partition} of {self._address.stream} has another message at offset {last.offset} than the "
                f"table: the topic was created again, or is that of another cluster; {REMEDY}"
            )

    def _on_error(self, error: KafkaError) -> None:
        if error.code() in (KafkaError._AUTO_OFFSET_RESET, KafkaError._LOG_TRUNCATION):
            self._fault = SourceError(
                f"{self._address.stream} no longer has the next offset ({error.str()}); start again to continue with "
                "the oldest message that is left"
            )
        elif error.code() != KafkaError._PARTITION_EOF:
            self.problem = error.str()


def _sent_ms(one: Received) -> int:
    kind, sent = one.timestamp()
    return UNDATED if kind == TIMESTAMP_NOT_AVAILABLE else sent
