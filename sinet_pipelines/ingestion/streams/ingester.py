"""Stores the messages of one source in micro-batches, each message exactly once, and lands their rows as drops.

A batch is at most some rows, bytes and seconds long; while it is stored, no message is taken, so that a slow disk
slows the broker and fills no memory. Dead letters are committed first, then the rows together with the offsets, then
the broker is informed. A process that is killed in between continues after the offsets of `landed_stream`: dead
letters beyond them are recognised by offset, and messages of a broker without offsets by their id.
"""

import time
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import polars as pl

from sinet_pipelines.errors import SourceError
from sinet_pipelines.ingestion.landing import LandingZone
from sinet_pipelines.ingestion.streams.decoding import Decoded, decode
from sinet_pipelines.ingestion.streams.drops_of_streams import land_stored
from sinet_pipelines.ingestion.streams.source import UNNUMBERED, Message, Stored, StreamSource
from sinet_pipelines.ingestion.streams.stream_tables import StreamTables
from sinet_pipelines.schemas.contract import Contract

TAKEN = 5_000  # messages in one read from the broker
WAIT_S = 0.2  # for messages, so that a stop is noticed
IDS = 1 << 18  # of messages, remembered to recognise repeated ones; brokers repeat at most 65,535


@dataclass(frozen=True)
class Limits:
    """When a batch is stored, and what happens after it.

    Attributes:
        rows: of a batch; one message may exceed it.
        payload_bytes: of a batch; one message may exceed it.
        seconds: from the first message of a batch until it is stored.
        land_s: seconds between two landings of stored rows as drops.
        compact_batches: batches between two compactions.
    """

    rows: int = 50_000
    payload_bytes: int = 64 << 20
    seconds: float = 1.0
    land_s: float = 10.0
    compact_batches: int = 100


@dataclass
class Totals:
    """What an ingester did since it started.

    Attributes:
        messages: stored messages.
        rows: stored rows.
        dead_letters: messages stored without rows.
        repeated: messages that the broker sent again, which were stored before.
        batches: commits of `landed_stream` with messages.
        drops: files written into the landing zone.
        unknown: ignored columns.
    """

    messages: int = 0
    rows: int = 0
    dead_letters: int = 0
    repeated: int = 0
    batches: int = 0
    drops: int = 0
    unknown: set[str] = field(default_factory=set)


@dataclass
class _Batch:
    """Messages that are not stored yet; they are decoded many at a time, since each decoding takes milliseconds."""

    drop: Contract
    parts: list[tuple[list[Message], Decoded]] = field(default_factory=list)
    waiting: list[Message] = field(default_factory=list)
    ranges: dict[int, tuple[int, int]] = field(default_factory=dict)
    sent_ms: dict[int, int] = field(default_factory=dict)
    messages: int = 0
    decoded_rows: int = 0
    payload_bytes: int = 0
    since: float = 0.0

    @property
    def rows(self) -> int:
        """The number of rows; a message that is not decoded yet counts as one."""
        return self.decoded_rows + len(self.waiting)

    def add(self, messages: list[Message]) -> None:
        self.since = self.since if self.messages else time.monotonic()
        self.waiting += messages
        self.messages += len(messages)
        self.payload_bytes += sum(len(message.payload) for message in messages)
        for message in messages:
            first, _ = self.ranges.get(message.partition, (message.offset, 0))
            self.ranges[message.partition] = first, message.offset
            self.sent_ms[message.partition] = message.sent_ms
        if len(self.waiting) >= TAKEN:
            self.decode()

    def decode(self) -> None:
        if self.waiting:
            self.parts.append((self.waiting, decode(self.waiting, self.drop)))
            self.decoded_rows += self.parts[-1][1].rows.height
            self.waiting = []


class Ingester:
    """Stores one source in the tables of one region and application.

    Args:
        source: the source, not yet started.
        tables: the tables; this process is their only writer.
        zone: the landing zones of the application.
        region: region of the rows.
        limits: limits of a batch.
    """

    def __init__(
        self, source: StreamSource, tables: StreamTables, *, zone: LandingZone, region: str, limits: Limits
    ) -> None:
        self.totals = Totals()
        self._source, self._tables, self._zone, self._region, self._limits = source, tables, zone, region, limits
        self._batch = _Batch(tables.data.drop)
        self._last: dict[int, int] = {}  # last offset of each partition that is stored or in the batch
        self._dead: dict[int, frozenset[int]] = {}
        self._ids: OrderedDict[str, None] = OrderedDict.fromkeys(tables.recent_ids(source.name, IDS))
        self._number = tables.last_offset(source.name, 0)  # of the last message of a broker without offsets
        self._landed_at = self._received_at = time.monotonic()
        self._expired, self._loss = 0, ""  # of former connections

    @property
    def source(self) -> StreamSource:
        """The present connection."""
        return self._source

    @property
    def expired(self) -> int:
        """Messages that the broker removed before they were read, as far as it is known."""
        return self._expired + self._source.expired

    @property
    def loss(self) -> str:
        """How the broker may have lost messages, and the remedy; empty if it did not."""
        return self._loss or self._source.loss

    def connect_by(self, source: StreamSource) -> None:
        """Uses another connection to the same stream from the next `run` on, for example with new credentials.

        Args:
            source: the source, not yet started; its messages and offsets are those of the former one.
        """
        self._expired, self._loss = self.expired, self.loss
        self._source = source

    @property
    def positions(self) -> Mapping[int, int]:
        """The last stored offset of each partition of the source that was read."""
        found = {partition: self._tables.position(self._source.name, partition) for partition in self._last or {0: 0}}
        return {partition: offset for partition, offset in sorted(found.items()) if offset >= 0}

    def run(self, stop: Callable[[], bool], *, idle_s: float | None = None, report: Callable[[], None]) -> None:
        """Stores messages until it is stopped, then stores and lands the rest.

        Args:
            stop: whether to end.
            idle_s: also ends when no message arrived for this long; None for never.
            report: is called after each read.

        Raises:
            UnreachableError: the broker does not answer at the start; later, its return is waited for.
            SourceError: the stream does not exist, was created again, or ends otherwise; what was read is stored.
            BusyError: another process appends to the tables.
            StorageError: a table or a drop cannot be written.
        """
        self._land()  # what an earlier process stored
        self._source.start(self._stored)
        try:
            self._read(stop, idle_s, report)
            self._store()
            self._land()
        except SourceError:  # its messages may be gone from the broker
            self._store()
            self._land()
            raise
        finally:
            self._source.close()
        report()

    def _read(self, stop: Callable[[], bool], idle_s: float | None, report: Callable[[], None]) -> None:
        self._received_at = time.monotonic()
        while not stop() and not (idle_s is not None and time.monotonic() - self._received_at > idle_s):
            self._step()
            report()

    def _step(self) -> None:
        room = min(self._source.most_unacknowledged - self._batch.messages, self._limits.rows - self._batch.rows)
        taken = self._source.take(max(1, min(TAKEN, room)), wait_s=min(WAIT_S, self._limits.seconds))
        if taken:
            self._received_at = time.monotonic()
            new = [one for message in taken if (one := self._accepted(message)) is not None]
            self.totals.repeated += len(taken) - len(new)
            if new:
                self._batch.add(new)
            elif not self._batch.messages:
                self._source.acknowledge()
        if self._is_full():
            self._store()
        if time.monotonic() - self._landed_at >= self._limits.land_s and not self._batch.messages:
            self._land()

    def _position(self, partition: int) -> int:
        """The last offset that was read; a partition that is added later begins after its stored offset."""
        if partition not in self._last:
            name = self._source.name
            self._last[partition] = self._tables.position(name, partition)
            self._dead[partition] = self._tables.dead_beyond(name, partition)
        return self._last[partition]

    def _stored(self, partition: int) -> Stored:
        """The last message that was read; its instant is that of the last stored one, which it is at the start."""
        return Stored(self._position(partition), self._tables.sent_ms(self._source.name, partition))

    def _accepted(self, message: Message) -> Message | None:
        """The message with its offset; None where it was stored before, or is in the batch."""
        if message.offset == UNNUMBERED:
            return self._numbered(message)
        if message.offset <= self._position(message.partition):
            return None
        self._last[message.partition] = message.offset
        return None if message.offset in self._dead[message.partition] else message

    def _numbered(self, message: Message) -> Message | None:
        if message.is_redelivered and message.message_id in self._ids:
            return None
        self._ids[message.message_id] = None
        self._ids.move_to_end(message.message_id)
        while len(self._ids) > IDS:
            self._ids.popitem(last=False)
        self._number += 1
        return message._replace(offset=self._number)

    def _is_full(self) -> bool:
        batch, limits = self._batch, self._limits
        return batch.messages > 0 and (
            batch.rows >= limits.rows
            or batch.payload_bytes >= limits.payload_bytes
            or batch.messages >= self._source.most_unacknowledged
            or time.monotonic() - batch.since >= limits.seconds
        )

    def _store(self) -> None:
        if not self._batch.messages:
            return
        batch, name = self._batch, self._source.name
        batch.decode()
        letters = [(one.message, one.reason) for _, decoded in batch.parts for one in decoded.dead]
        if letters:
            origin = _origin(name, [message for message, _ in letters])
            self._tables.store_dead(
                origin.with_columns(
                    stream_row=pl.lit(0, pl.Int32),
                    topic=pl.Series([message.topic for message, _ in letters], dtype=pl.String),
                    reason=pl.Series([reason for _, reason in letters], dtype=pl.String),
                    payload=pl.Series([message.payload for message, _ in letters], dtype=pl.Binary),
                ),
                name,
                batch.ranges,
            )
        rows = pl.concat([_with_origin(name, messages, decoded) for messages, decoded in batch.parts])
        self._tables.store_rows(rows, name, batch.ranges, batch.sent_ms)
        self._source.acknowledge()
        self._count(batch, len(letters))
        self._batch = _Batch(self._tables.data.drop)
        if self.totals.batches % self._limits.compact_batches == 0:
            self._tables.compact()

    def _count(self, batch: _Batch, letters: int) -> None:
        totals = self.totals
        totals.messages += batch.messages
        totals.rows += batch.rows
        totals.dead_letters += letters
        totals.batches += 1
        totals.unknown.update(*(decoded.unknown for _, decoded in batch.parts))

    def _land(self) -> None:
        self.totals.drops += len(land_stored(self._tables, self._zone, self._region))
        self._landed_at = time.monotonic()


def _origin(source: str, messages: list[Message]) -> pl.DataFrame:
    """Where each message came from: the columns of `ORIGIN` except `stream_batch` and `stream_row`."""
    return pl.DataFrame(
        {
            "stream_partition": pl.Series([one.partition for one in messages], dtype=pl.Int32),
            "stream_offset": pl.Series([one.offset for one in messages], dtype=pl.Int64),
            "message_id": pl.Series([one.message_id for one in messages], dtype=pl.String),
            "arrived_at": pl.Series([one.arrived_us for one in messages], dtype=pl.Int64),
        }
    ).with_columns(pl.lit(source).alias("stream_source"), pl.col("arrived_at").cast(pl.Datetime("us", "UTC")))


def _with_origin(source: str, messages: list[Message], decoded: Decoded) -> pl.DataFrame:
    """The rows with the origin of their message, and their place in it (`stream_row`)."""
    places = decoded.rows["message"]
    rows = decoded.rows.with_columns(stream_row=pl.int_range(pl.len(), dtype=pl.Int32).over("message"))
    return pl.concat([_origin(source, messages)[places], rows.drop("message")], how="horizontal")
