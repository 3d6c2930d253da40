"""Messages that are not stored yet, and the rows and dead letters that they become.

What is needed of every message is in arrays: a loop over messages in Python takes longer than reading them as JSON.
"""

import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from operator import itemgetter
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from sinet_pipelines.ingestion.streams.decoding import Decoded, decode
from sinet_pipelines.ingestion.streams.source import Message
from sinet_pipelines.schemas.contract import Contract

DECODED = 5_000  # messages of one decoding; each takes milliseconds
_ONE_ROW = b"{"  # begins an object; any other message may have many rows
_PARTITION, _OFFSET, _PAYLOAD, _ARRIVED, _ID = map(Message._fields.index, Message._fields[:4] + ("message_id",))


@dataclass(frozen=True)
class Taken:
    """Messages in the order in which they were taken.

    Attributes:
        messages: n messages.
        partitions: (n,) their partitions.
        offsets: (n,) their offsets.
    """

    messages: list[Message]
    partitions: npt.NDArray[np.int32]
    offsets: npt.NDArray[np.int64]

    @classmethod
    def of(cls, messages: list[Message]) -> "Taken":
        """The messages with their arrays."""
        return cls(messages, _column(messages, _PARTITION, np.int32), _column(messages, _OFFSET, np.int64))

    def where(self, is_kept: npt.NDArray[np.bool_]) -> "Taken":
        """The messages for which the array (n,) is true."""
        kept = [self.messages[place] for place in np.flatnonzero(is_kept)]
        return Taken(kept, self.partitions[is_kept], self.offsets[is_kept])

    def by_partition(self) -> Iterator[tuple[int, npt.NDArray[np.intp]]]:
        """Each partition, and the places of its messages in order."""
        for partition in np.unique(self.partitions):
            yield int(partition), np.flatnonzero(self.partitions == partition)


def are_new(
    offsets: npt.NDArray[np.int64], last: int, dead: npt.NDArray[np.int64] | None = None
) -> npt.NDArray[np.bool_]:
    """Whether each message of a partition lies beyond the last offset and all before it, and is no dead letter.

    Args:
        offsets: (n,) offsets as they were taken, n >= 1.
        last: the last offset that was read before.
        dead: (m,) offsets of dead letters that are stored, though messages before them are not.

    >>> are_new(np.array([5, 6, 6, 7, 9]), 5, np.array([7]))
    array([False,  True, False, False,  True])
    """
    found = offsets > np.maximum.accumulate(np.concatenate([[last], offsets[:-1]]))
    return found if dead is None or not len(dead) else found & ~np.isin(offsets, dead)


def _column(messages: list[Message], place: int, dtype: Any) -> npt.NDArray[Any]:
    return np.fromiter(map(itemgetter(place), messages), dtype, len(messages))


@dataclass
class Batch:
    """The messages of one commit.

    Attributes:
        drop: contract of a row.
        parts: messages with their rows.
        waiting: messages that are not decoded yet; they are decoded many at a time.
        ranges: first and last offset of each partition.
        sent_ms: instant at the broker of the last message of each partition.
        messages: number of messages.
        payload_bytes: of all messages.
        since: instant of the first message, in seconds of the monotonic clock.
        receipt: of the source for these messages, and those before them that were stored already.
    """

    drop: Contract
    parts: list[tuple[list[Message], Decoded]] = field(default_factory=list)
    waiting: list[Message] = field(default_factory=list)
    ranges: dict[int, tuple[int, int]] = field(default_factory=dict)
    sent_ms: dict[int, int] = field(default_factory=dict)
    messages: int = 0
    payload_bytes: int = 0
    since: float = 0.0
    receipt: Any = None
    _decoded_rows: int = 0

    @property
    def rows(self) -> int:
        """The number of rows; a message that is not decoded yet is one object."""
        return self._decoded_rows + len(self.waiting)

    @property
    def rows_per_message(self) -> float:
        """The mean of the messages so far, at least one."""
        return max(1.0, self.rows / max(1, self.messages))

    def add(self, taken: Taken) -> None:
        """Appends new messages, at least one."""
        self.since = self.since if self.messages else time.monotonic()
        self.waiting += taken.messages
        self.messages += len(taken.messages)
        self.payload_bytes += sum(map(len, map(itemgetter(_PAYLOAD), taken.messages)))
        for partition, places in taken.by_partition():
            first, _ = self.ranges.get(partition, (int(taken.offsets[places[0]]), 0))
            self.ranges[partition] = first, int(taken.offsets[places[-1]])
            self.sent_ms[partition] = taken.messages[places[-1]].sent_ms
        if len(self.waiting) >= DECODED or not all(one.payload.startswith(_ONE_ROW) for one in taken.messages):
            self.decode()

    def decode(self) -> None:
        """Decodes the waiting messages."""
        if self.waiting:
            self.parts.append((self.waiting, decode(self.waiting, self.drop)))
            self._decoded_rows += self.parts[-1][1].rows.height
            self.waiting = []

    def dead_letters(self, source: str) -> pl.DataFrame:
        """The messages without rows, in the columns of `LETTER` except `stream_batch`."""
        letters = [letter for _, decoded in self.parts for letter in decoded.dead]
        messages = [letter.message for letter in letters]
        return _origin(source, messages).with_columns(
            stream_row=pl.lit(0, pl.Int32),
            topic=pl.Series([message.topic for message in messages], dtype=pl.String),
            reason=pl.Series([letter.reason for letter in letters], dtype=pl.String),
            payload=pl.Series([message.payload for message in messages], dtype=pl.Binary),
        )

    def stored_rows(self, source: str) -> pl.DataFrame:
        """The rows in the columns of `landed_stream` except `stream_batch`; all messages are decoded."""
        return pl.concat([_with_origin(source, messages, decoded) for messages, decoded in self.parts])


def _origin(source: str, messages: list[Message]) -> pl.DataFrame:
    """Where each message came from: the columns of `ORIGIN` except `stream_batch` and `stream_row`."""
    ids = list(map(itemgetter(_ID), messages))
    arrived = pl.Series(_column(messages, _ARRIVED, np.int64)).cast(pl.Datetime("us", "UTC"))
    return pl.DataFrame(
        {
            "stream_partition": pl.Series(_column(messages, _PARTITION, np.int32)),
            "stream_offset": pl.Series(_column(messages, _OFFSET, np.int64)),
            "message_id": pl.Series(ids, dtype=pl.String) if any(ids) else pl.repeat("", len(ids), eager=True),
            "arrived_at": arrived,
        }
    ).with_columns(stream_source=pl.lit(source))


def _with_origin(source: str, messages: list[Message], decoded: Decoded) -> pl.DataFrame:
    """The rows with the origin of their message, and their place in it (`stream_row`)."""
    places, origin = decoded.rows["message"].to_numpy(), _origin(source, messages)
    if np.array_equal(places, np.arange(len(messages))):  # each message is one row
        rows = decoded.rows.with_columns(stream_row=pl.lit(0, pl.Int32))
    else:
        rows = decoded.rows.with_columns(stream_row=pl.int_range(pl.len(), dtype=pl.Int32).over("message"))
        origin = origin[places]
    return pl.concat([origin, rows.drop("message")], how="horizontal")
