"""NATS JetStream: a stream, read through a durable pull consumer that starts after the sequence in the table.

The sequences of the stream are the offsets. The consumer is made again at each start, and whenever its deliveries have
a gap: a response that was lost with its connection would else come after later messages. One acknowledgement stands
for all messages before it.
"""

import asyncio
import time
from contextlib import AsyncExitStack, ExitStack, suppress
from datetime import datetime
from typing import Any

import nats
from nats.aio.client import Client as Connection
from nats.aio.msg import Msg
from nats.errors import Error, NoServersError
from nats.js.api import AckPolicy, ConsumerConfig, DeliverPolicy, StreamInfo
from nats.js.client import JetStreamContext
from nats.js.errors import APIError, NotFoundError

from sinet_pipelines.errors import SourceError, UnreachableError
from sinet_pipelines.ingestion.streams.source import (
    ANSWER_S,
    NOTHING,
    REMEDY,
    UNDATED,
    Address,
    Client,
    Message,
    Position,
    Stored,
)

MAX_ACK_PENDING = 20_000
FETCH = 2_000  # stays below MAX_ACK_PENDING: above it, each fetch would wait for its time-out
ACK_WAIT_S = 60.0
LOOK_S = 5.0  # without a message, between two looks whether the consumer exists: the server does not report its end
Receipt = tuple[int, Msg | None]
_OPTIONS = ("user", "password", "token", "user_credentials", "nkeys_seed")


def open_source(address: Address, client: Client) -> "JetStream":
    """The source of a stream."""
    return JetStream(address, client)


class JetStream:
    """A stream of a NATS server."""

    most_unacknowledged = MAX_ACK_PENDING - FETCH

    def __init__(self, address: Address, client: Client) -> None:
        self._options = client.only(*_OPTIONS)
        self._address, self._durable = address, client.name
        self.name = client.source_name("nats", address)
        self.problem = ""
        self.expired = 0
        self.loss = ""
        self._last = NOTHING  # the message that was taken last; its offset is its sequence
        self._looked_at = 0.0
        self._delivered = 0  # the number of that delivery to the consumer
        self._newest: Msg | None = None
        self._acknowledged: Msg | None = None
        self._consumers = 0  # how many were made since the start
        self._is_current = False  # whether the consumer continues after the last message
        self._runner = asyncio.Runner()

    def start(self, position: Position) -> None:
        """Connects and makes the consumer; see `StreamSource.start`."""
        self._last = position(0)
        with ExitStack() as unless_started:
            unless_started.callback(self._runner.close)
            self._runner.run(self._start())
            unless_started.pop_all()

    def take(self, most: int, *, wait_s: float) -> list[Message]:
        """The next messages; see `StreamSource.take`."""
        return self._runner.run(self._take(min(most, FETCH), max(wait_s, 0.05)))

    def receipt(self) -> Receipt:
        """The newest message with the number of its consumer; see `StreamSource.receipt`."""
        return self._consumers, self._newest

    def acknowledge(self, receipt: Receipt) -> None:
        """Acknowledges the newest message, and all before it; not to a consumer that was made later."""
        consumer, newest = receipt
        if newest is not None and consumer == self._consumers and newest is not self._acknowledged:
            self._runner.run(self._acknowledge(newest))

    def close(self) -> None:
        """Disconnects; the consumer stays at the server, so that its tools show the lag."""
        self._runner.run(self._close())
        self._runner.close()

    async def _start(self) -> None:
        try:
            async with asyncio.timeout(ANSWER_S):  # the client itself would try for ever
                self._connection: Connection = await nats.connect(
                    f"nats://{self._address.broker}",
                    connect_timeout=int(max(ANSWER_S, 1)),
                    allow_reconnect=True,
                    max_reconnect_attempts=-1,
                    reconnect_time_wait=1,
                    error_cb=self._on_error,
                    disconnected_cb=self._on_disconnected,
                    reconnected_cb=self._on_reconnected,
                    **self._options,
                )
        except (NoServersError, TimeoutError, OSError, Error) as error:
            raise UnreachableError(
                f"NATS at {self._address.broker} does not answer ({self.problem or 'no answer'}); start it, or correct "
                "the URL or the options"
            ) from error
        self._jetstream: JetStreamContext = self._connection.jetstream(timeout=ANSWER_S)
        async with AsyncExitStack() as unless_consuming:
            unless_consuming.push_async_callback(self._connection.close)
            await self._make_consumer(await self._stream())
            unless_consuming.pop_all()

    async def _stream(self) -> StreamInfo:
        try:
            found = await self._jetstream.stream_info(self._address.stream)
        except NotFoundError as error:
            raise SourceError(
                f"NATS at {self._address.broker} has no stream {self._address.stream!r} ({error.description}); create "
                "it or correct the URL"
            ) from error
        except (TimeoutError, Error) as error:
            raise UnreachableError(
                f"NATS at {self._address.broker} has no JetStream that answers ({error}); enable it"
            ) from error
        if self._last.offset > found.state.last_seq:
            raise SourceError(
                f"stream {self._address.stream} ends at {found.state.last_seq}, and the table has it up to "
                f"{self._last.offset}: it was created again; {REMEDY}"
            )
        if found.state.first_seq <= self._last.offset and self._last.is_other(await self._sent_ms(found)):
            raise SourceError(
                f"stream {self._address.stream} has another message at {self._last.offset} than the table: it was "
                f"created again, or is that of another server; {REMEDY}"
            )
        return found

    async def _sent_ms(self, stream: StreamInfo) -> int:
        """The instant of the message that was taken last; if it was removed, that of a later creation of the stream."""
        try:
            sent = (await self._jetstream.get_msg(self._address.stream, seq=self._last.offset)).time
        except NotFoundError:
            is_copy = stream.config.mirror is not None or bool(stream.config.sources)  # of older messages
            created = UNDATED if stream.created is None or is_copy else _milliseconds(stream.created)
            return created if created > self._last.sent_ms else UNDATED
        except (TimeoutError, Error) as error:
            raise UnreachableError(f"NATS at {self._address.broker} does not answer ({error}); start it") from error
        return UNDATED if sent is None else _milliseconds(sent)

    async def _make_consumer(self, stream: StreamInfo) -> None:
        after = max(self._last.offset + 1, 1)
        if self._last.offset >= 0:
            self.expired += max(0, stream.state.first_seq - after)
        await self._remove_consumer()
        config = ConsumerConfig(
            durable_name=self._durable,
            deliver_policy=DeliverPolicy.BY_START_SEQUENCE,
            opt_start_seq=after,
            ack_policy=AckPolicy.ALL,
            ack_wait=ACK_WAIT_S,
            max_ack_pending=MAX_ACK_PENDING,
        )
        try:
            await self._jetstream.add_consumer(self._address.stream, config)
        except APIError as error:
            raise SourceError(
                f"stream {self._address.stream} refuses a consumer that starts at a sequence ({error.description}); it "
                "must have the retention `limits`"
            ) from error
        self._pull = await self._jetstream.pull_subscribe_bind(self._durable, self._address.stream)
        self._consumers += 1
        self._delivered, self._newest, self._is_current = 0, None, True

    async def _remove_consumer(self) -> None:
        with suppress(NotFoundError):
            await self._jetstream.delete_consumer(self._address.stream, self._durable)

    async def _take(self, most: int, wait_s: float) -> list[Message]:
        if not self._connection.is_connected:
            await asyncio.sleep(wait_s)
            return []
        try:
            if not self._is_current:
                await self._pull.unsubscribe()
                await self._make_consumer(await self._stream())
            received = await self._pull.fetch(most, timeout=wait_s)
        except TimeoutError:
            await self._look()
            return []
        except (UnreachableError, APIError, Error) as error:
            self.problem, self._is_current = str(error), False
            await asyncio.sleep(wait_s)
            return []
        self.problem = ""
        return self._in_order(received)

    async def _look(self) -> None:
        """Notices now and then that the consumer was removed, alone or with its stream."""
        if time.monotonic() - self._looked_at < LOOK_S:
            return
        self._looked_at = time.monotonic()
        try:
            await self._pull.consumer_info()
        except NotFoundError:
            self._is_current = False
        except (TimeoutError, Error) as error:
            self.problem = str(error)

    def _in_order(self, received: list[Msg]) -> list[Message]:
        """The messages before the first gap of deliveries; after a gap, the consumer is made again."""
        now, found = time.time_ns() // 1000, []
        for one in received:
            sequence = one.metadata.sequence
            if sequence.consumer != self._delivered + 1:
                self._is_current = False
                break
            self._delivered, self._newest = sequence.consumer, one
            if sequence.stream > self._last.offset:
                self._last = Stored(sequence.stream, _milliseconds(one.metadata.timestamp))
                found.append(Message(0, sequence.stream, one.data, now, one.subject, sent_ms=self._last.sent_ms))
        return found

    async def _acknowledge(self, newest: Msg) -> None:
        if not self._connection.is_connected:
            return
        try:
            await newest.ack()
            await self._connection.flush(int(ANSWER_S))
        except (TimeoutError, Error) as error:
            self.problem = str(error)
        self._acknowledged = newest

    async def _close(self) -> None:
        with suppress(TimeoutError, Error):
            await self._connection.flush(1)
        before = self.problem
        await self._connection.close()
        self.problem = before  # a connection that is closed here is not lost

    async def _on_error(self, error: Exception) -> None:
        self.problem = str(error) or type(error).__name__

    async def _on_disconnected(self) -> None:
        self.problem = "the connection was lost"

    async def _on_reconnected(self, *_: Any) -> None:
        self.problem, self._is_current = "", False


def _milliseconds(instant: datetime) -> int:
    return int(instant.timestamp() * 1000)
