"""Real brokers on ports of this machine, each with one stream `plant` that tests publish to."""

import asyncio
import getpass
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.loopback import await_port, free_port

BROKERS = ("mqtt", "nats", "kafka", "pulsar")
CLIENTS = {"mqtt": "paho.mqtt", "nats": "nats", "kafka": "confluent_kafka", "pulsar": "pulsar"}


def start_broker(kind, folder, *, partitions=4):
    """A running broker; skips the test where its server or its client is not installed.

    Args:
        kind: one of `BROKERS`.
        folder: of its own.
        partitions: of the stream, with a broker that has partitions.
    """
    for module in CLIENTS[kind], "deltalake":
        extra = "pulsar" if kind == "pulsar" else "streams"
        pytest.importorskip(module, reason=f"no client of {kind}; install the extra `{extra}`")
    folder.mkdir(exist_ok=True)
    if kind in ("kafka", "pulsar"):
        return {"kafka": KafkaMock, "pulsar": PulsarStandIn}[kind](folder, partitions)
    return {"mqtt": Mosquitto, "nats": NatsServer}[kind](folder)


def _server(name):
    path = shutil.which(name) or shutil.which(name, path="/usr/sbin")
    if path is None:
        pytest.skip(f"no {name} (looked in the PATH and /usr/sbin); install the Debian package {name}")
    return path


class Broker:
    """A broker in a process of its own, which keeps its messages when it is stopped and started."""

    def __init__(self, folder):
        self.folder, self.port = folder, free_port()
        self._log = folder / "broker.log"
        self.start()

    def start(self):
        """Starts the server, with the messages it had."""
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(self.command(), stdout=log, stderr=log, stdin=subprocess.DEVNULL)
        await_port(self.port, self._process, log=self._log)

    def stop(self):
        """Ends the server in order, so that it writes what it has."""
        self._process.send_signal(signal.SIGCONT)
        self._process.terminate()
        self._process.wait(60)

    def pause(self):
        """Stops the server from answering."""
        self._process.send_signal(signal.SIGSTOP)

    def resume(self):
        """Lets the server answer again."""
        self._process.send_signal(signal.SIGCONT)


class Mosquitto(Broker):
    """Mosquitto with persistence."""

    is_anonymous_allowed = True

    def command(self):
        """The command of the server."""
        settings = self.folder / "mosquitto.conf"
        settings.write_text(
            f"listener {self.port} 127.0.0.1\nallow_anonymous {str(self.is_anonymous_allowed).lower()}\n"
            f"persistence true\npersistence_location {self.folder}/\nuser {getpass.getuser()}\n"
            "max_queued_messages 0\nmax_inflight_messages 0\n"
        )
        settings.chmod(0o644)
        return [_server("mosquitto"), "-c", str(settings)]

    @property
    def url(self):
        """The stream of all machines."""
        return f"mqtt://127.0.0.1:{self.port}/plant/%23"

    def publish(self, payloads, *, topic="plant/lathe", qos=1):
        """Publishes messages and waits until the broker has them."""
        from paho.mqtt import client as paho

        client = paho.Client(paho.CallbackAPIVersion.VERSION2, client_id="", protocol=paho.MQTTv5)
        client.max_inflight_messages_set(2000)
        client.connect("127.0.0.1", self.port)
        client.loop_start()
        for sent in [client.publish(topic, payload, qos=qos) for payload in payloads]:
            sent.wait_for_publish(60)
        client.disconnect()
        client.loop_stop()


class NatsServer(Broker):
    """A NATS server with JetStream on disk."""

    def __init__(self, folder):
        super().__init__(folder)
        asyncio.run(self._with_jetstream(lambda stream: stream.add_stream(name="plant", subjects=["plant.>"])))

    def command(self):
        """The command of the server."""
        store = str(self.folder / "jetstream")
        return [_server("nats-server"), "-a", "127.0.0.1", "-p", str(self.port), "-js", "-sd", store]

    @property
    def url(self):
        """The stream of all machines."""
        return f"nats://127.0.0.1:{self.port}/plant"

    def publish(self, payloads, *, topic="plant.lathe"):
        """Publishes messages and waits until the stream has them."""

        async def send(stream):
            for start in range(0, len(payloads), 500):
                await asyncio.gather(*(stream.publish(topic, one) for one in payloads[start : start + 500]))

        asyncio.run(self._with_jetstream(send))

    def delivered(self):
        """The number of messages that the only consumer of the stream has received, 0 without a consumer."""
        found = []

        async def look(stream):
            found.extend(one.delivered.stream_seq for one in await stream.consumers_info("plant"))

        asyncio.run(self._with_jetstream(look))
        return sum(found)

    def expire(self, *, up_to):
        """Removes the messages up to a sequence, as a limit of the stream does."""
        asyncio.run(self._with_jetstream(lambda stream: stream.purge_stream("plant", seq=up_to + 1)))

    def remove(self, sequence):
        """Removes one message, as a limit for each subject does."""
        asyncio.run(self._with_jetstream(lambda stream: stream.delete_msg("plant", sequence)))

    def remove_consumers(self):
        """Removes all consumers of the stream; returns whether there was one."""
        found = []

        async def remove(stream):
            for one in await stream.consumers_info("plant"):
                found.append(await stream.delete_consumer("plant", one.name))

        asyncio.run(self._with_jetstream(remove))
        return bool(found)

    def make_again(self, *, only_remove=False):
        """Removes the stream with all messages and makes an empty one."""

        async def again(stream):
            await stream.delete_stream("plant")
            if not only_remove:
                await stream.add_stream(name="plant", subjects=["plant.>"])

        asyncio.run(self._with_jetstream(again))

    async def _with_jetstream(self, use):
        import nats

        connection = await nats.connect(f"nats://127.0.0.1:{self.port}")
        try:
            await use(connection.jetstream(timeout=60))
        finally:
            await connection.close()


class KafkaMock(Broker):
    """The mock cluster of librdkafka, whose messages are gone when it is stopped."""

    def __init__(self, folder, partitions):
        self._partitions = partitions
        super().__init__(folder)

    def start(self):
        """Starts the cluster on ports that it chooses."""
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, str(Path(__file__).with_name("kafka_mock.py")), str(self._partitions)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
            )
        self.address = self._process.stdout.readline().partition(",")[0].strip()  # of broker 1
        assert self.address, self._log.read_text()
        self.publish([])

    def order(self, command):
        """Gives the cluster a command of `kafka_mock.py`."""
        self._process.stdin.write(f"{command}\n")
        self._process.stdin.flush()
        assert self._process.stdout.readline().strip() == "0"

    def stop(self):
        """Ends the cluster."""
        self.resume()
        self._process.stdin.close()
        self._process.wait(60)
        self._process.stdout.close()

    def make_again(self):
        """Another cluster with a topic of the same name."""
        self.stop()
        self.start()

    @property
    def url(self):
        """The topic of all machines."""
        return f"kafka://{self.address}/plant"

    def publish(self, payloads, *, topic="plant"):
        """Publishes messages, over all partitions, and waits until the cluster has them."""
        from confluent_kafka import Producer

        producer = Producer({"bootstrap.servers": self.address, "linger.ms": 5, "log_level": 0})
        producer.list_topics(topic, timeout=60)  # makes the topic
        for number, payload in enumerate(payloads):
            producer.produce(topic, payload, partition=number % self._partitions)
            producer.poll(0)
        assert producer.flush(60) == 0


class PulsarStandIn(Broker):
    """The stand-in for a Pulsar broker, whose messages are gone when it is stopped."""

    def __init__(self, folder, partitions):
        self._partitions = partitions
        super().__init__(folder)

    def start(self):
        """Starts the broker."""
        script = str(Path(__file__).with_name("pulsar_standin.py"))
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, script, str(self.port), str(self._partitions)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
            )
        await_port(self.port, self._process, log=self._log)

    def stop(self):
        """Ends the broker."""
        self.resume()
        self._process.stdin.close()
        self._process.wait(60)
        self._process.stdout.close()

    def order(self, command):
        """Gives the broker a command of `pulsar_standin.py`."""
        self._process.stdin.write(f"{command}\n")
        self._process.stdin.flush()
        assert self._process.stdout.readline().strip() == "done"

    @property
    def url(self):
        """The topic of all machines."""
        return f"pulsar://127.0.0.1:{self.port}/plant"

    def publish(self, payloads, *, topic="plant", batch=4):
        """Publishes messages in batches, over all partitions, and waits until the broker has them."""
        import pulsar

        client = pulsar.Client(
            f"pulsar://127.0.0.1:{self.port}", logger=pulsar.FileLogger(pulsar.LoggerLevel.Error, str(self._log))
        )
        for number in range(self._partitions):
            producer = client.create_producer(
                f"persistent://public/default/{topic}-partition-{number}",
                batching_enabled=True,
                batching_max_messages=batch,
                block_if_queue_full=True,
            )
            for payload in payloads[number :: self._partitions]:
                producer.send_async(payload, None)
            producer.flush()
        client.close()
