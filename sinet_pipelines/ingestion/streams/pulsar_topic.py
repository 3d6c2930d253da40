"""Pulsar: all partitions of a topic, each read in an exclusive subscription from the place in the table.

The subscription keeps messages at the broker until they are stored, and its tools show the lag. At each start its
cursor is set to the offset of the table; a message that comes again is recognised by its offset, which
`pulsar_position.py` derives from the message id.
"""

import os
import ssl
import time
from contextlib import ExitStack, suppress
from typing import Any

import pulsar

from sinet_pipelines.errors import RejectedError, SinetError, SourceError, UnreachableError
from sinet_pipelines.ingestion.streams.pulsar_position import NO_BATCH, Place, place_of
from sinet_pipelines.ingestion.streams.source import (
    ANSWER_S,
    REMEDY,
    Address,
    Client,
    Message,
    Position,
    Stored,
)

LOOK_S = 10.0  # between two looks for added partitions
QUEUE = 5_000  # messages of all partitions in memory before they are taken
_WAIT_MS = 20  # for a message of one partition, at most, before the next partition is asked
_OPTIONS = ("token", "username", "password", "ca_file", "certificate_file", "key_file")
_PARTITION = "-partition-"
_FIRST_CHUNK = b"\x3a"  # is in the bytes of the id of a message in several chunks: field 7 of `MessageIdData`
_REJECTED = pulsar.AuthenticationError, pulsar.AuthorizationError
Receipt = dict[int, Any]  # the id of the last message of each partition


def open_source(address: Address, client: Client) -> "PulsarTopic":
    """The source of a topic; a RejectedError where an option or a file that one names cannot be used."""
    topic = PulsarTopic(address, client)
    topic.require_options()
    return topic


class PulsarTopic:
    """A topic of a Pulsar cluster, with or without partitions."""

    most_unacknowledged = 1 << 30  # the broker waits for no acknowledgement of an exclusive subscription
    expired = 0  # ids have gaps of their own

    def __init__(self, address: Address, client: Client) -> None:
        self._options = client.only(*_OPTIONS)
        self._address, self._subscription = address, client.name
        self._topic = _full_name(address.stream)
        self.name = client.source_name("pulsar", address)
        self.problem = self.loss = ""
        self._consumers: dict[int, pulsar.Consumer] = {}
        self._unopened = ""  # why a partition could not be opened, at the last look
        self._fault: SourceError | None = None  # of the next `take`
        self._beyond: dict[int, Place] = {}  # the stored place of partitions whose messages are gone from the broker
        self._taken: Receipt = {}
        self._looked_at = 0.0

    def require_options(self) -> None:
        """Raises a RejectedError where the options, or the files that they name, cannot be used."""
        context, options = ssl.create_default_context(), self._options
        try:
            if "ca_file" in options:
                context.load_verify_locations(options["ca_file"])
            if "certificate_file" in options:
                context.load_cert_chain(options["certificate_file"], options.get("key_file"))
        except (OSError, TypeError) as error:
            raise RejectedError(f"a certificate file cannot be used: {error}; correct the options") from error
        self._connect().close()

    def start(self, position: Position) -> None:
        """Connects, and sets each cursor to the stored place; see `StreamSource.start`."""
        self._position = position
        self._client = self._connect()
        with ExitStack() as unless_open:
            unless_open.callback(self._client.close)
            try:
                self._open_partitions()
            except pulsar.PulsarException as error:
                raise self._failed(error) from error
            unless_open.pop_all()

    def take(self, most: int, *, wait_s: float) -> list[Message]:
        """The next messages; see `StreamSource.take`."""
        self._look()
        if self._fault is not None:
            raise self._fault
        found: list[Message] = []
        end, share = time.monotonic() + wait_s, max(1, most // len(self._consumers))
        wait_ms = max(1, min(_WAIT_MS, int(1000 * wait_s / len(self._consumers))))
        while not found:
            for partition, consumer in self._consumers.items():
                found += self._receive(partition, consumer, share, wait_ms)
            if self._fault is not None or (not found and time.monotonic() >= end):
                break
        away = [partition for partition, consumer in self._consumers.items() if not consumer.is_connected()]
        self.problem = f"the connection of partition {away[0]} was lost" if away else self._unopened
        return found

    def receipt(self) -> Receipt:
        """The last message of each partition; see `StreamSource.receipt`."""
        found, self._taken = self._taken, {}
        return found

    def acknowledge(self, receipt: Receipt) -> None:
        """Acknowledges the last message of each partition, and all before it."""
        for partition, last in receipt.items():
            try:
                self._consumers[partition].acknowledge_cumulative(last)
            except pulsar.PulsarException as error:
                self.problem = str(error)

    def close(self) -> None:
        """Disconnects; the subscription stays at the broker."""
        with suppress(pulsar.PulsarException):  # of a broker that is away
            self._client.close()

    def _connect(self) -> pulsar.Client:
        try:
            return pulsar.Client(
                f"{self._address.scheme}://{self._address.broker}",
                authentication=self._authentication(),
                operation_timeout_seconds=int(ANSWER_S),
                connection_timeout_ms=int(1000 * ANSWER_S),
                tls_trust_certs_file_path=self._options.get("ca_file"),
                tls_validate_hostname=True,
                logger=pulsar.FileLogger(pulsar.LoggerLevel.Error, os.devnull),  # the state is in `problem`
            )
        except (pulsar.PulsarException, ValueError) as error:
            raise RejectedError(f"Pulsar's client rejects the options: {error}; correct the file") from error

    def _authentication(self) -> pulsar.Authentication | None:
        options = self._options
        if "token" in options:
            return pulsar.AuthenticationToken(options["token"])
        if "username" in options:
            return pulsar.AuthenticationBasic(options["username"], options.get("password", ""))
        if "certificate_file" in options:
            return pulsar.AuthenticationTLS(options["certificate_file"], options.get("key_file"))
        return None

    def _open_partitions(self) -> None:
        """Opens the partitions of the topic that are not open yet."""
        self._looked_at = time.monotonic()
        names = self._client.get_topic_partitions(self._topic)
        for name in names:
            _, is_part, number = name.rpartition(_PARTITION)
            partition = int(number) if is_part and name != self._topic else 0
            if partition not in self._consumers:
                self._consumers[partition] = self._open(name, partition, queue=max(1, QUEUE // len(names)))

    def _look(self) -> None:
        """Opens partitions that were added to the topic; looks now and then."""
        if time.monotonic() - self._looked_at >= LOOK_S and self.problem == self._unopened:
            try:
                self._open_partitions()
                self._unopened = ""
            except pulsar.PulsarException as error:  # of a broker that is away, or of rights that come later
                self._unopened = f"a partition cannot be opened ({error})"

    def _open(self, name: str, partition: int, *, queue: int) -> pulsar.Consumer:
        with ExitStack() as unless_open:
            consumer = self._client.subscribe(
                name,
                self._subscription,
                consumer_type=pulsar.ConsumerType.Exclusive,
                initial_position=pulsar.InitialPosition.Earliest,
                receiver_queue_size=queue,
            )
            unless_open.callback(_close, consumer)
            consumer.seek(self._first(name, partition, consumer))  # a person may have moved the cursor
            unless_open.pop_all()
        return consumer

    def _first(self, name: str, partition: int, consumer: pulsar.Consumer) -> pulsar.MessageId:
        """Where reading begins; raises where the topic is not the one whose offsets are stored."""
        stored = self._position(partition)
        if stored.offset < 0:
            return pulsar.MessageId.earliest
        place, last = place_of(stored.offset), consumer.get_last_message_id()
        first = pulsar.MessageId(partition, place.ledger, place.entry, NO_BATCH)
        if last.entry_id() < 0:  # the broker removed all messages, since all were acknowledged
            self._beyond[partition] = place
            return first
        if (last.ledger_id(), last.entry_id()) < (place.ledger, place.entry):
            raise self._other(name, f"ends at {last.ledger_id()}:{last.entry_id()}", place)
        self._require_same(name, first, stored)
        return first

    def _other(self, name: str, what: str, place: Place) -> SourceError:
        return SourceError(
            f"{name} {what}, and the table has it up to {place.ledger}:{place.entry}: the topic was created again, or "
            f"is that of another cluster; {REMEDY}"
        )

    def _require_same(self, name: str, first: pulsar.MessageId, stored: Stored) -> None:
        """Reads the last stored message again, from its entry on; raises where another one is in its place."""
        reader = self._client.create_reader(name, first, start_message_id_inclusive=True)
        try:
            while reader.has_message_available():
                found = reader.read_next(timeout_millis=int(1000 * ANSWER_S))
                offset = _place(found.message_id()).offset
                if offset == stored.offset and stored.is_other(found.publish_timestamp()):
                    raise SourceError(
                        f"{name} has another message at {first.ledger_id()}:{first.entry_id()} than the table: the "
                        f"topic is that of another cluster; {REMEDY}"
                    )
                if offset >= stored.offset:
                    return
        finally:
            reader.close()

    def _receive(self, partition: int, consumer: pulsar.Consumer, most: int, wait_ms: int) -> list[Message]:
        """Messages of one partition, until none is there at once."""
        found: list[Message] = []
        try:
            while len(found) < most:
                one = consumer.receive(1 if found else wait_ms)
                last = one.message_id()
                place, now = _place(last), time.time_ns() // 1000
                offset, sent_ms = place.offset, one.publish_timestamp()
                if _FIRST_CHUNK in last.serialize() and ";" in str(last):
                    raise SourceError(
                        f"{one.topic_name()} has a message in several chunks at {last}, which a restart between them "
                        "would lose; publish to another topic without chunking"
                    )
                if self._beyond:
                    self._require_beyond(partition, place, one.topic_name())
                found.append(Message(partition, offset, one.data(), now, one.topic_name(), "", False, sent_ms))
                self._taken[partition] = last
        except pulsar.Timeout:
            pass
        except SourceError as error:  # the messages before it are in the receipt, so they are returned first
            self._fault = error
        except pulsar.PulsarException as error:  # the client gave the consumer up
            self._fault = RejectedError(
                f"Pulsar at {self._address.broker} ended the reading of partition {partition} ({error}); correct the "
                "options or the rights, then start again"
            )
        return found

    def _require_beyond(self, partition: int, place: Place, name: str) -> None:
        """Compares the first message of a partition, whose messages were gone at the start, with the stored place."""
        stored = self._beyond.pop(partition, None)
        if stored is not None and place.ledger < stored.ledger:
            raise self._other(name, f"continues at {place.ledger}:{place.entry}", stored)

    def _failed(self, error: Exception) -> SinetError:
        """The meaning of an error at the start."""
        where = f"Pulsar at {self._address.broker}"
        if isinstance(error, _REJECTED):
            return RejectedError(f"{where} rejects the client ({error}); correct the options")
        if isinstance(error, pulsar.ConsumerBusy):
            return UnreachableError(
                f"{where} has another consumer of subscription {self._subscription} ({error}); end it, or wait until "
                "the broker notices that it is gone"
            )
        if isinstance(error, pulsar.TopicNotFound):
            return SourceError(f"{where} has no topic {self._topic}; create it or correct the URL")
        return UnreachableError(f"{where} does not answer ({error}); start it, or correct the URL or the options")


def _close(consumer: pulsar.Consumer) -> None:
    with suppress(pulsar.PulsarException):  # of a broker that is away
        consumer.close()


def _place(found: Any) -> Place:
    return Place(found.ledger_id(), found.entry_id(), found.batch_index())


def _full_name(stream: str) -> str:
    """The topic with tenant and namespace.

    >>> _full_name("mills")
    'persistent://public/default/mills'
    """
    parts = stream.split("/")
    if len(parts) not in (1, 3) or not all(parts):
        raise SourceError(f"{stream!r} is no topic (allowed: TOPIC, or TENANT/NAMESPACE/TOPIC); correct the URL")
    tenant, namespace, topic = parts if len(parts) == 3 else ("public", "default", stream)
    return f"persistent://{tenant}/{namespace}/{topic}"
