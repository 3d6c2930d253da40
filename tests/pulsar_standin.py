"""A stand-in for a Pulsar broker: its binary protocol for topics, cursors and consumers, with messages in memory.

    python tests/pulsar_standin.py PORT PARTITIONS

No Pulsar can be installed here. The client is the real one; this process answers it as `PulsarApi.proto` of Pulsar
describes. It proves nothing about durability, authentication or performance of a broker. Ledgers have few entries, so
that tests see many. A line of its input is a command, which it answers with `done`: `drop` ends all connections,
`partitions N` sets the number of partitions, `again` removes all messages and subscriptions, `trim` removes all
messages and leaves the ledgers as they are, as a broker does once all are acknowledged.
"""

import asyncio
import struct
import sys
from dataclasses import dataclass, field

CONNECT, CONNECTED, SUBSCRIBE, PRODUCER, SEND, RECEIPT, MESSAGE, ACK, FLOW = 2, 3, 4, 5, 6, 7, 9, 10, 11
SUCCESS, ERROR, CLOSE_PRODUCER, CLOSE_CONSUMER, PRODUCER_SUCCESS, PING, PONG, REDELIVER = 13, 14, 15, 16, 17, 18, 19, 20
METADATA, METADATA_FOUND, LOOKUP, LOOKUP_FOUND, SEEK, LAST_ID, LAST_ID_FOUND = 21, 22, 23, 24, 28, 29, 30
VERSION = 15  # of the protocol, before receipts of acknowledgements
CONSUMER_BUSY = 5
LEDGER_ENTRIES, LEDGER_STEP = 5, 3
NOTHING = (1 << 64) - 1  # -1 as an unsigned number


def varint(value):
    """A number in the variable length of protobuf."""
    value, found = value & NOTHING, bytearray()
    while value > 0x7F:
        found.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*found, value])


def encode(*fields):
    """A protobuf message of pairs: the number of a field, and a number, text or bytes."""
    parts = []
    for number, value in fields:
        if isinstance(value, int):
            parts.append(varint(number << 3) + varint(value))
        else:
            content = value.encode() if isinstance(value, str) else value
            parts.append(varint(number << 3 | 2) + varint(len(content)) + content)
    return b"".join(parts)


def decode(content):
    """The fields of a protobuf message by number; of a repeated one the last."""
    found, place = {}, 0

    def number():
        nonlocal place
        value = shift = 0
        while True:
            byte = content[place]
            place += 1
            value |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                return value

    while place < len(content):
        key = number()
        if key & 7 == 0:
            found[key >> 3] = number()
        elif key & 7 == 2:
            size = number()
            found[key >> 3] = content[place : place + size]
            place += size
        else:
            raise ValueError(f"wire type {key & 7}")
    return found


@dataclass
class Topic:
    """One partition: entries of one message or of a batch, and the number of acknowledged entries by subscription."""

    partition: int
    ledger: int
    entries: list = field(default_factory=list)  # number of messages, checksum with metadata and payload
    cursors: dict = field(default_factory=dict)
    trimmed: int = 0  # entries that were removed

    def message_id(self, place):
        """The id of an entry by its place; that of an empty topic for -1."""
        if place < 0:
            return encode((1, NOTHING), (2, NOTHING), (3, self.partition))
        ledger = self.ledger + LEDGER_STEP * (place // LEDGER_ENTRIES)
        return encode((1, ledger), (2, place % LEDGER_ENTRIES), (3, self.partition))

    def place(self, message_id):
        """The place of an entry by its id; that of the next entry where there is none of it."""
        found = decode(message_id)
        ledgers = max(0, (found[1] - self.ledger) // LEDGER_STEP) if found[1] != NOTHING else 0
        return 0 if found[1] == NOTHING else ledgers * LEDGER_ENTRIES + found[2]


@dataclass
class Consumer:
    """One consumer of a connection."""

    topic: Topic
    subscription: str  # empty for a reader, which has no cursor
    next: int
    permits: int = 0


class Broker:
    """All topics, and the connections of clients."""

    def __init__(self, port, partitions):
        self.port, self.partitions, self.ledger = port, partitions, 1_000
        self.topics, self.connections = {}, []

    def topic(self, name):
        """A topic, which is made where it is unknown."""
        _, _, number = name.rpartition("-partition-")
        if name not in self.topics:
            self.ledger += 100_000
            self.topics[name] = Topic(int(number) if number.isdigit() else -1, self.ledger)
        return self.topics[name]

    async def serve(self, reader, writer):
        """Answers one client until it goes."""
        connection = Connection(self, writer)
        self.connections.append(connection)
        try:
            while True:
                size, command = struct.unpack(">II", await reader.readexactly(8))
                content = await reader.readexactly(size - 4)
                connection.answer(decode(content[:command]), content[command:])
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            self.connections.remove(connection)
            writer.close()

    def order(self, line):
        """Carries out a command of the input."""
        match line.split():
            case ["drop"]:
                for one in self.connections:
                    one.writer.transport.abort()
            case ["partitions", number]:
                self.partitions = int(number)
            case ["trim"]:
                for one in self.topics.values():
                    one.trimmed = len(one.entries)
            case ["again"]:
                self.topics.clear()
        print("done", flush=True)


class Connection:
    """The producers and consumers of one client."""

    def __init__(self, broker, writer):
        self.broker, self.writer = broker, writer
        self.producers, self.consumers = {}, {}

    def send(self, kind, *fields, payload=b""):
        """Sends a command; the field of its content has the number of its type."""
        command = encode((1, kind), (kind, encode(*fields)))
        self.writer.write(struct.pack(">II", 4 + len(command) + len(payload), len(command)) + command + payload)

    def answer(self, command, payload):
        """Answers one command."""
        kind, found = command[1], decode(command[command[1]])
        match kind:
            case 2:  # CONNECT
                self.send(CONNECTED, (1, "stand-in"), (2, VERSION))
            case 18:  # PING
                self.send(PONG)
            case 21:  # METADATA
                count = 0 if b"-partition-" in found[1] else self.broker.partitions
                self.send(METADATA_FOUND, (1, count), (2, found[2]), (3, 0))
            case 23:  # LOOKUP
                url = f"pulsar://127.0.0.1:{self.broker.port}"
                self.send(LOOKUP_FOUND, (1, url), (3, 1), (4, found[2]), (5, 1))
            case 5:  # PRODUCER
                self.producers[found[2]] = self.broker.topic(found[1].decode())
                self.send(PRODUCER_SUCCESS, (1, found[3]), (2, f"producer-{found[2]}"), (3, NOTHING), (4, b""))
            case 6:  # SEND
                topic = self.producers[found[1]]
                topic.entries.append((found.get(3, 1), payload))
                message_id = topic.message_id(len(topic.entries) - 1)
                self.send(RECEIPT, (1, found[1]), (2, found[2]), (3, message_id))
                for one in self.broker.connections:
                    one.dispatch()
            case 4:  # SUBSCRIBE
                self.subscribe(found)
            case 11:  # FLOW
                self.consumers[found[1]].permits += found[2]
                self.dispatch()
            case 15 | 16:  # CLOSE_PRODUCER, CLOSE_CONSUMER
                (self.producers if kind == CLOSE_PRODUCER else self.consumers).pop(found[1], None)
                self.send(SUCCESS, (1, found[2]))
            case _:
                self.answer_consumer(kind, found)

    def subscribe(self, found):
        """Makes a consumer at the cursor of its subscription, or a reader at an entry."""
        topic, name, is_reader = self.broker.topic(found[1].decode()), found[2].decode(), not found.get(8, 1)
        busy = [one for other in self.broker.connections for one in other.consumers.values() if one.topic is topic]
        if not is_reader and any(one.subscription == name for one in busy):
            self.send(ERROR, (1, found[5]), (2, CONSUMER_BUSY), (3, "Exclusive consumer is already connected"))
            return
        start = topic.place(found[9]) if is_reader and 9 in found else topic.cursors.setdefault(name, 0)
        self.consumers[found[4]] = Consumer(topic, "" if is_reader else name, start)
        self.send(SUCCESS, (1, found[5]))

    def answer_consumer(self, kind, found):
        """Answers a command of one consumer."""
        consumer = self.consumers.get(found[1])
        if consumer is None:
            return
        topic, name = consumer.topic, consumer.subscription
        match kind:
            case 10:  # ACK, which has the whole entry where its batch is complete
                if name and found[2] == 1:
                    topic.cursors[name] = max(topic.cursors[name], topic.place(found[3]) + 1)
            case 20:  # REDELIVER
                consumer.next = topic.cursors.get(name, consumer.next)
                self.dispatch()
            case 28:  # SEEK, before which a broker ends the consumer
                topic.cursors[name] = topic.place(found[3])
                del self.consumers[found[1]]
                self.send(CLOSE_CONSUMER, (1, found[1]), (2, 0))
                self.send(SUCCESS, (1, found[2]))
            case 29:  # LAST_ID
                last = topic.message_id(-1 if topic.trimmed == len(topic.entries) else len(topic.entries) - 1)
                self.send(LAST_ID_FOUND, (1, last), (2, found[2]))

    def dispatch(self):
        """Sends entries for which consumers have permits."""
        for number, consumer in self.consumers.items():
            consumer.next = max(consumer.next, consumer.topic.trimmed)
            while consumer.permits > 0 and consumer.next < len(consumer.topic.entries):
                messages, payload = consumer.topic.entries[consumer.next]
                self.send(MESSAGE, (1, number), (2, consumer.topic.message_id(consumer.next)), payload=payload)
                consumer.permits -= messages
                consumer.next += 1


async def main(port, partitions):
    """Serves until the input ends."""
    broker = Broker(port, partitions)
    server = await asyncio.start_server(broker.serve, "127.0.0.1", port)
    loop = asyncio.get_running_loop()
    while line := await loop.run_in_executor(None, sys.stdin.readline):
        broker.order(line)
    server.close()


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]), int(sys.argv[2])))
