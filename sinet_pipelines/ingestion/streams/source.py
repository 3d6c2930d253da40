"""What a stream's source is: messages with positions, from a broker that is one file of this package.

A broker joins the platform with one module that has a function `open_source(address, client) -> StreamSource`, and one
line in `BROKERS`. The suite `tests/contracts/test_streams.py` runs over every broker of that table.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import Any, NamedTuple, Protocol
from urllib.parse import unquote, urlsplit

from sinet_pipelines.errors import SourceError, UsageError

UNNUMBERED = -1  # the offset of a message of a broker without offsets
UNDATED = -1  # the instant of a message of a broker without instants
ANSWER_S = 10.0  # for a broker to answer when a source opens
FRAMES_OF_URLS = "mqtt://HOST:1883/TOPIC, nats://HOST:4222/STREAM, kafka://HOST:9092/TOPIC, pulsar://HOST:6650/TOPIC"

#: The schemes of a source's URL, each with its module and the default port.
BROKERS: Mapping[str, tuple[str, int]] = {
    "mqtt": ("mqtt", 1883),
    "mqtts": ("mqtt", 8883),
    "nats": ("jetstream", 4222),
    "kafka": ("kafka", 9092),
    "pulsar": ("pulsar_topic", 6650),
    "pulsar+ssl": ("pulsar_topic", 6651),
}
_EXTRAS = {"pulsar_topic": "pulsar"}  # of the modules whose client is not in the extra `streams`


class Message(NamedTuple):
    """One message of a stream.

    Attributes:
        partition: partition of the stream; 0 for a broker without partitions.
        offset: position in its partition, increasing but not always by one; `UNNUMBERED` where the broker has none.
        payload: the bytes as they were sent.
        arrived_us: instant of arrival in microseconds since 1970, UTC.
        topic: topic or subject.
        message_id: identifies a message without an offset; empty otherwise.
        is_redelivered: whether the broker sent it before, according to the broker.
        sent_ms: its instant at the broker in milliseconds since 1970, UTC, the same at each reading; else `UNDATED`.
    """

    partition: int
    offset: int
    payload: bytes
    arrived_us: int
    topic: str = ""
    message_id: str = ""
    is_redelivered: bool = False
    sent_ms: int = UNDATED


class Stored(NamedTuple):
    """The last stored message of a partition.

    Attributes:
        offset: its offset, -1 for none.
        sent_ms: its instant at the broker as in `Message`.
    """

    offset: int
    sent_ms: int = UNDATED

    def is_other(self, sent_ms: int) -> bool:
        """Whether a message with the same offset, sent at another instant, is a message of another stream."""
        return UNDATED not in (self.sent_ms, sent_ms) and abs(self.sent_ms - sent_ms) > 1  # one for rounding


NOTHING = Stored(-1)
Position = Callable[[int], Stored]  # the last stored message of a partition
REMEDY = "give the stream another name with --name, to store it from its oldest message"


class StreamSource(Protocol):
    """A connection to one stream. It is used by one thread."""

    @property
    def name(self) -> str:
        """Name of the stream, part of the ids of its transactions: `kafka/telemetry`."""

    @property
    def most_unacknowledged(self) -> int:
        """The number of messages after which the broker sends no more without an acknowledgement."""

    @property
    def problem(self) -> str:
        """Why no message can arrive at the moment; empty while the broker is reachable."""

    @property
    def expired(self) -> int:
        """Number of messages that the broker removed before they were read, as far as it is known."""

    @property
    def loss(self) -> str:
        """How the broker may have lost an unknown number of messages, and the remedy; empty if it did not."""

    def start(self, position: Position) -> None:
        """Connects, and continues after the stored offsets.

        A stream that was created again under the same name has other messages at the same offsets. It is recognised
        by its end, or by the instant of the message at the stored offset.

        Args:
            position: the last stored message of a partition; also called later, when partitions are added.

        Raises:
            UnreachableError: the broker does not answer.
            SourceError: there is no such stream, or it is not the one whose offsets are stored.
        """

    def take(self, most: int, *, wait_s: float) -> list[Message]:
        """The next messages, at least one unless none arrives within the time; none while the broker is away.

        Within a partition, offsets increase; a message that was taken before may be among them.

        Raises:
            SourceError: the stream was removed, created again, or lost its next messages. All messages that were
                returned before are of the stream that was read from the start.
        """

    def receipt(self) -> Any:
        """What `acknowledge` needs for the messages that were taken since the last receipt."""

    def acknowledge(self, receipt: Any) -> None:
        """Informs the broker that the messages of a receipt are stored; errors only delay what it learns.

        Args:
            receipt: of this source since its start; a receipt is acknowledged after all receipts before it.
        """

    def close(self) -> None:
        """Ends the connection. Messages without acknowledgement stay at the broker."""


@dataclass(frozen=True)
class Address:
    """The address of a stream.

    Attributes:
        scheme: one of `BROKERS`.
        host: name or address of the broker.
        port: its port.
        stream: topic, topic filter or name of the stream.
    """

    scheme: str
    host: str
    port: int
    stream: str

    @property
    def broker(self) -> str:
        """Host and port."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


@dataclass(frozen=True)
class Client:
    """The client's side of a connection.

    Attributes:
        name: name of the client or consumer group at the broker, the same after a restart.
        options: options of the broker's client: user, password, certificates; for Kafka those of librdkafka.
        stream: name of the stream in the table; empty for its name at the broker.
    """

    name: str
    options: Mapping[str, Any] = field(default_factory=dict, repr=False)
    stream: str = ""

    def source_name(self, broker: str, address: "Address") -> str:
        """The name of the stream in the table: `kafka/telemetry`."""
        return f"{broker}/{self.stream or address.stream}"

    def only(self, *allowed: str) -> dict[str, Any]:
        """The options.

        Raises:
            UsageError: one of them is not among the allowed.
        """
        if unknown := sorted(set(self.options) - set(allowed)):
            raise UsageError(f"no option {', '.join(unknown)} (allowed: {', '.join(allowed)}); remove it from the file")
        return dict(self.options)


def parse_url(url: str) -> Address:
    """The address in a URL.

    Raises:
        UsageError: it is no URL of a stream, or contains a password.

    >>> parse_url("mqtt://plant/lathes/+/telemetry")
    Address(scheme='mqtt', host='plant', port=1883, stream='lathes/+/telemetry')
    """
    try:
        parts = urlsplit(url.replace("#", "%23"))  # `#` is a wildcard of MQTT and begins no fragment here
        port = parts.port
    except ValueError as error:
        raise UsageError(f"{url!r} is no URL ({error}); give one like {FRAMES_OF_URLS}") from error
    if parts.scheme not in BROKERS:
        raise UsageError(f"{url!r} names no broker (allowed: {', '.join(BROKERS)}); give one like {FRAMES_OF_URLS}")
    if parts.username or parts.password:
        raise UsageError(
            "the URL has a user or a password, which every process of this machine can read; put them into a file and "
            "give it with --options"
        )
    stream = unquote(parts.path.removeprefix("/"))
    if not parts.hostname or not stream:
        raise UsageError(f"{url!r} names no host or no stream; give one like {FRAMES_OF_URLS}")
    return Address(parts.scheme, parts.hostname, port or BROKERS[parts.scheme][1], stream)


def open_source(address: Address, client: Client) -> StreamSource:
    """The source at an address, not yet connected.

    Raises:
        UsageError: the client library of its broker is not installed, or an option is unknown.
    """
    name = BROKERS[address.scheme][0]
    try:
        module = import_module(f"{__package__}.{name}")
    except ModuleNotFoundError as error:
        raise UsageError(
            f"{address.scheme}:// needs the module {error.name}; install it with `pip install "
            f"'sinet-pipelines[{_EXTRAS.get(name, 'streams')}]'`"
        ) from error
    source: StreamSource = module.open_source(address, client)
    return source


def read_options(path: Path | None) -> dict[str, Any]:
    """The options of a client in a JSON file; none without a file.

    Raises:
        SourceError: the file cannot be read or is not one JSON object.
    """
    if path is None:
        return {}
    try:
        found = json.loads(path.read_text())
    except (OSError, ValueError, RecursionError) as error:
        raise SourceError(f"{path} cannot be read as JSON: {error}; give one object of options and values") from error
    if not isinstance(found, dict):
        raise SourceError(f"{path} has a {type(found).__name__} (allowed: one JSON object); correct it")
    return found
