"""Stores the messages of one source in micro-batches, each message exactly once, and lands their rows as drops.

A batch is at most some rows, bytes and seconds long. It is read and decoded while a thread stores the one before it;
where that takes longer, no message is taken, so that a slow disk slows the broker and fills no memory beyond about two
batches. The broker is informed once a batch is stored. A process that is killed in between continues after the
offsets of `landed_stream`: dead letters beyond them are recognised by offset, and messages of a broker without
offsets by their id.
"""

import math
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from itertools import islice

import numpy as np
import numpy.typing as npt

from sinet_pipelines.errors import SourceError
from sinet_pipelines.ingestion.landing import LandingZone
from sinet_pipelines.ingestion.streams.batch import Batch, Taken, are_new
from sinet_pipelines.ingestion.streams.source import NOTHING, UNNUMBERED, Message, Stored, StreamSource
from sinet_pipelines.ingestion.streams.stream_tables import StreamTables
from sinet_pipelines.ingestion.streams.writer import Writer, Written

TAKEN = 5_000  # messages in one read from the broker
FIRST = 100  # of them at most, while their size is not known
UNKNOWN = 1_000  # ignored columns that the totals have; messages with ids as names have one each
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
        unknown: ignored columns, the first `UNKNOWN` of them.
    """

    messages: int = 0
    rows: int = 0
    dead_letters: int = 0
    repeated: int = 0
    batches: int = 0
    drops: int = 0
    unknown: set[str] = field(default_factory=set)


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
        self._batch = Batch(tables.data.drop)
        self._last: dict[int, int] = {}  # last offset of each partition that is stored or in a batch
        self._dead: dict[int, npt.NDArray[np.int64]] = {}
        self._ids: OrderedDict[str, None] = OrderedDict.fromkeys(tables.recent_ids(source.name, IDS))
        self._number = tables.last_offset(source.name, 0)  # of the last message of a broker without offsets
        self._rows_a_message = max(1.0, limits.rows / FIRST)  # means of the last messages
        self._bytes_a_message = max(1.0, limits.payload_bytes / FIRST)
        self._writer = self._a_writer()
        self._received_at = time.monotonic()
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

    @property
    def unmerged(self) -> str:
        """Why small files could not be merged the last time; empty if they were."""
        return self._writer.unmerged

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
        read = [partition for partition, last in self._last.items() if last >= 0] if self._last else [0]
        found = {partition: self._tables.position(self._source.name, partition) for partition in read}
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
        with self._a_writer() as self._writer:
            self._land()  # what an earlier process stored
            self._source.start(self._stored)
            try:
                self._read(stop, idle_s, report)
                self._finish()
            except SourceError:  # its messages may be gone from the broker
                self._finish()
                raise
            finally:
                self._source.close()
        report()

    def _a_writer(self) -> Writer:
        limits, source = self._limits, self._source.name
        return Writer(
            self._tables,
            zone=self._zone,
            region=self._region,
            source=source,
            land_s=limits.land_s,
            compact_batches=limits.compact_batches,
        )

    def _read(self, stop: Callable[[], bool], idle_s: float | None, report: Callable[[], None]) -> None:
        self._received_at = time.monotonic()
        while not stop() and not (idle_s is not None and time.monotonic() - self._received_at > idle_s):
            self._step()
            report()

    def _step(self) -> None:
        self._settle(wait_s=0.0)
        if self._room() <= 0:
            self._settle()
        taken = self._source.take(max(1, min(TAKEN, self._room())), wait_s=min(WAIT_S, self._limits.seconds))
        if taken:
            self._received_at = time.monotonic()
            new = self._accepted(Taken.of(taken))
            self.totals.repeated += len(taken) - len(new.messages)
            if new.messages:
                self._batch.add(new)
                self._rows_a_message = self._batch.rows_per_message
                self._bytes_a_message = max(1.0, self._batch.payload_bytes / self._batch.messages)
            elif not self._batch.messages and not self._writer.is_busy:
                self._source.acknowledge(self._source.receipt())
        if self._is_full() or (self._is_old() and not self._writer.is_busy):
            self._store()
        if not self._batch.messages and not self._writer.is_busy and self._writer.is_landing_due:
            self._writer.land()

    def _room(self) -> int:
        """The number of messages that may be taken now, by the size of those before."""
        batch, limits = self._batch, self._limits
        rows = (limits.rows - batch.rows) / self._rows_a_message
        payloads = (limits.payload_bytes - batch.payload_bytes) / self._bytes_a_message
        unacknowledged = self._writer.unstored + batch.messages
        return min(self._source.most_unacknowledged - unacknowledged, math.ceil(rows), math.ceil(payloads))

    def _position(self, partition: int) -> int:
        """The last offset that was read; a partition that is added later begins after its stored offset."""
        if partition not in self._last:
            self._writer.wait()  # which alone uses the tables until then
            name = self._source.name
            self._last[partition] = self._tables.position(name, partition)
            self._dead[partition] = np.array([*sorted(self._tables.dead_beyond(name, partition))], np.int64)
        return self._last[partition]

    def _stored(self, partition: int) -> Stored:
        """The last message that was read; its instant is that of the last stored one, which it is at the start."""
        position = self._position(partition)
        return Stored(position, self._tables.sent_ms(self._source.name, partition)) if position >= 0 else NOTHING

    def _accepted(self, taken: Taken) -> Taken:
        """The messages with their offsets, without those that were stored before or are in a batch."""
        if taken.offsets[0] == UNNUMBERED:
            return Taken.of([one for message in taken.messages if (one := self._numbered(message)) is not None])
        is_new = np.ones(len(taken.messages), bool)
        for partition, places in taken.by_partition():
            offsets, position = taken.offsets[places], self._position(partition)
            is_new[places] = are_new(offsets, position, self._dead[partition])
            self._last[partition] = max(position, int(offsets.max()))
        return taken if is_new.all() else taken.where(is_new)

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
            or batch.messages + self._writer.unstored >= self._source.most_unacknowledged
        )

    def _is_old(self) -> bool:
        return self._batch.messages > 0 and time.monotonic() - self._batch.since >= self._limits.seconds

    def _store(self) -> None:
        """Begins to store the batch, once the one before it is stored."""
        self._batch.decode()
        self._batch.receipt = self._source.receipt()
        while self._writer.is_busy:
            self._settle()
        self._writer.store(self._batch)
        self._batch = Batch(self._tables.data.drop)

    def _settle(self, *, wait_s: float | None = None) -> None:
        """Acknowledges and counts the batch that was being stored, if it is complete within the time."""
        written = self._writer.result(wait_s=wait_s)
        if written is None:
            return
        self._count(written)
        if written.batch is not None:
            self._source.acknowledge(written.batch.receipt)
            if self._writer.is_landing_due:
                self._writer.land()

    def _count(self, written: Written) -> None:
        totals, batch = self.totals, written.batch
        totals.drops += written.drops
        if batch is not None:
            totals.messages += batch.messages
            totals.rows += batch.rows
            totals.dead_letters += written.dead_letters
            totals.batches += 1
            found = (name for _, decoded in batch.parts for name in sorted(decoded.unknown - totals.unknown))
            totals.unknown.update(islice(found, UNKNOWN - len(totals.unknown)))

    def _finish(self) -> None:
        """Stores and lands what was read."""
        if self._batch.messages:
            self._store()
        self._land()

    def _land(self) -> None:
        """Lands what is stored, when the task before is complete."""
        while self._writer.is_busy:
            self._settle()
        self._writer.land()
        self._settle()
