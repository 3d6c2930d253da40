"""MQTT 5: a topic filter, read with QoS 1 in a session that the broker keeps; each message is acknowledged when stored.

MQTT has no offsets. The broker sends a message again, marked as such, until it is acknowledged. A message is identified
by its user property `message-id`, or else by its topic and its bytes; a marked one that is stored is not stored again.
At most `RECEIVE_MAXIMUM` messages are on their way, which bounds the memory and the messages that may come again.
Messages that are published with QoS 0 may be lost before they are stored, as everywhere.
"""

import queue
import ssl
import threading
import time
from contextlib import suppress
from hashlib import blake2b
from typing import Any

from paho.mqtt import client as paho
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode
from paho.mqtt.subscribeoptions import SubscribeOptions

from sinet_pipelines.errors import RejectedError, UnreachableError
from sinet_pipelines.ingestion.streams.source import ANSWER_S, UNNUMBERED, Address, Client, Message, Position

RECEIVE_MAXIMUM = 10_000
SESSION_S = 0xFFFFFFFF  # the session and the messages in it do not expire
MESSAGE_ID = "message-id"
_OPTIONS = ("username", "password", "ca_file", "certificate_file", "key_file")


def open_source(address: Address, client: Client) -> "MqttTopics":
    """The source of a topic filter; a RejectedError where a certificate file cannot be used."""
    return MqttTopics(address, client)


class MqttTopics:
    """The topics of one filter at one broker."""

    most_unacknowledged = RECEIVE_MAXIMUM
    expired = 0  # a broker does not report what it dropped

    def __init__(self, address: Address, client: Client) -> None:
        self._options = client.only(*_OPTIONS)
        self._filter, self._address, self._name = address.stream, address, client.name
        self.name = client.source_name("mqtt", address)
        self.problem = self.loss = ""
        self._had_session = False  # whether the broker should have one of this client
        self._connection = 0  # number of the present connection
        self._refusal = ""
        self._answered = threading.Event()  # the subscription was accepted, or something was refused
        self._is_closing = False
        # one place for each message on its way; those of QoS 0 have no such bound and wait in the network
        self._received: queue.Queue[tuple[int, paho.MQTTMessage, int]] = queue.Queue(2 * RECEIVE_MAXIMUM)
        self._taken: list[tuple[int, int]] = []  # connection and packet of messages without receipt
        self._client = paho.Client(
            paho.CallbackAPIVersion.VERSION2, client_id=client.name, protocol=paho.MQTTv5, manual_ack=True
        )
        self._client.on_connect, self._client.on_disconnect = self._on_connect, self._on_disconnect
        self._client.on_subscribe, self._client.on_message = self._on_subscribe, self._on_message
        self._authenticate()
        self._client.reconnect_delay_set(1, 5)

    def start(self, position: Position) -> None:
        """Continues the session at the broker; see `StreamSource.start`."""
        self._had_session = position(0).offset >= 0
        properties = Properties(PacketTypes.CONNECT)
        properties.SessionExpiryInterval = SESSION_S
        properties.ReceiveMaximum = RECEIVE_MAXIMUM
        address = self._address
        try:
            self._client.connect(address.host, address.port, clean_start=False, properties=properties)
        except (OSError, ValueError) as error:
            raise UnreachableError(
                f"MQTT at {address.broker} does not answer ({error}); start it, or correct the URL"
            ) from error
        self._client.loop_start()
        is_answered = self._answered.wait(ANSWER_S)
        if is_answered and not self._refusal:
            return
        self.close()
        if self._refusal:
            raise RejectedError(f"MQTT at {address.broker} refuses {self._filter!r}: {self._refusal}; correct it")
        raise UnreachableError(f"MQTT at {address.broker} does not answer; start it, or correct the URL")

    def take(self, most: int, *, wait_s: float) -> list[Message]:
        """The next messages; see `StreamSource.take`."""
        found: list[Message] = []
        try:
            found.append(self._read(*self._received.get(timeout=wait_s)))
            while len(found) < most:
                found.append(self._read(*self._received.get_nowait()))
        except queue.Empty:
            pass
        return found

    def receipt(self) -> list[tuple[int, int]]:
        """Connection and packet of each message; see `StreamSource.receipt`."""
        found, self._taken = self._taken, []
        return found

    def acknowledge(self, receipt: list[tuple[int, int]]) -> None:
        """Acknowledges what was taken on the present connection; the rest is sent again and recognised."""
        for connection, packet in receipt:
            if connection == self._connection:
                self._client.ack(packet, 1)

    def close(self) -> None:
        """Disconnects; the session stays at the broker."""
        self._is_closing = True  # the client's thread may wait for a place, and `loop_stop` waits for the thread
        self._client.disconnect()
        self._client.loop_stop()

    def _authenticate(self) -> None:
        options = self._options
        if "username" in options:
            self._client.username_pw_set(options["username"], options.get("password"))
        if self._address.scheme == "mqtts":
            try:
                context = ssl.create_default_context(cafile=options.get("ca_file"))
                if "certificate_file" in options:
                    context.load_cert_chain(options["certificate_file"], options.get("key_file"))
            except OSError as error:  # also ssl.SSLError
                raise RejectedError(f"a certificate file cannot be used: {error}; correct the options") from error
            self._client.tls_set_context(context)

    def _read(self, connection: int, message: paho.MQTTMessage, arrived_us: int) -> Message:
        if message.qos:
            self._taken.append((connection, message.mid))
        return Message(
            0, UNNUMBERED, bytes(message.payload), arrived_us, message.topic, message_id_of(message), bool(message.dup)
        )

    def _on_connect(self, client: paho.Client, _: Any, flags: Any, reason: ReasonCode, __: Any) -> None:
        if reason.is_failure:
            self._refusal = self.problem = str(reason)
            self._answered.set()
            return
        if self._had_session and not flags.session_present:
            self.loss = (
                f"MQTT at {self._address.broker} had no session of {self._name}: what was published while this client "
                "was away may be lost; enable the persistence of the broker"
            )
        self._had_session = True
        self._connection += 1
        self.problem = self._refusal = ""
        try:  # a retained message comes only with a new subscription
            client.subscribe(self._filter, options=SubscribeOptions(qos=1, retainHandling=1))
        except ValueError as error:
            self._refusal = str(error)
            self._answered.set()

    def _on_subscribe(self, _: Any, __: Any, ___: int, reasons: list[ReasonCode], ____: Any) -> None:
        if any(one.is_failure for one in reasons):
            self._refusal = self.problem = str(reasons[0])
        self._answered.set()

    def _on_disconnect(self, _: Any, __: Any, ___: Any, reason: ReasonCode, ____: Any) -> None:
        self.problem = self._refusal or (str(reason) if reason.is_failure else "")

    def _on_message(self, _: Any, __: Any, message: paho.MQTTMessage) -> None:
        found = self._connection, message, time.time_ns() // 1000
        while not self._is_closing:
            with suppress(queue.Full):  # of messages of QoS 0, whose number the broker does not limit
                return self._received.put(found, timeout=0.1)
        return None


def message_id_of(message: paho.MQTTMessage) -> str:
    """What identifies a message: its user property `message-id`, else a hash of its topic and its bytes."""
    properties = message.properties
    for name, value in getattr(properties, "UserProperty", ()) if properties is not None else ():
        if name == MESSAGE_ID:
            return f"id:{value}"
    digest = blake2b(message.topic.encode(), digest_size=16)
    digest.update(b"\0")
    digest.update(message.payload)
    return digest.hexdigest()
