"""A stream continues with new credentials, whether the broker or the file has them first; each message lands once."""

import asyncio
import json
import signal
import time
from datetime import UTC, datetime, timedelta

import pyarrow as pa
import pytest

from sinet_pipelines.errors import RejectedError
from sinet_pipelines.ingestion.landed import landed_rows
from sinet_pipelines.ingestion.streams import rotation
from sinet_pipelines.ingestion.streams.ingester import Ingester, Limits
from sinet_pipelines.ingestion.streams.rotation import Options, run_with_rotation
from sinet_pipelines.ingestion.streams.source import Client, open_source, parse_url, read_options
from sinet_pipelines.ingestion.streams.stream_tables import StreamTables
from sinet_pipelines.schemas.contract import Column
from sinet_pipelines.storage.tables import tables_of
from tests.brokers import NatsServer
from tests.waiting import LIMIT_S, until
from tests.zones import landing_zone

DATA = landed_rows("plant", "samples", (Column("unit", pa.string(), "a machine"),), key=("unit", "recorded_at"))
START = datetime(2026, 3, 1, tzinfo=UTC)
WAITS = "waits: NATS at"


class GuardedNats(NatsServer):
    """A NATS server with a password, which can be changed while it runs."""

    password = "first"

    def command(self):
        """The command of the server; its settings are in a file, so that it can read them again."""
        self._configure()
        return [super().command()[0], "-c", str(self.folder / "nats.conf")]

    def rotate(self, password):
        """Accepts only another password from now on; who is connected with the old one is disconnected."""
        self.password = password
        self._configure()
        self._process.send_signal(signal.SIGHUP)
        until(self._accepts)

    def _configure(self):
        user = f'{{user: plant, password: "{self.password}"}}'
        store = f'{{store_dir: "{self.folder / "jetstream"}"}}'
        settings = [f"listen: 127.0.0.1:{self.port}", f"jetstream {store}", f"authorization {user}"]
        (self.folder / "nats.conf").write_text("\n".join(settings))

    def _accepts(self):
        from nats.errors import Error

        try:
            asyncio.run(self._with_jetstream(lambda stream: stream.stream_info("plant")))
        except (Error, OSError):  # refused, or disconnected while it was connecting
            return False
        return True

    async def _with_jetstream(self, use):
        import nats

        connection = await nats.connect(
            f"nats://127.0.0.1:{self.port}", user="plant", password=self.password, allow_reconnect=False
        )
        try:
            await use(connection.jetstream(timeout=60))
        finally:
            await connection.close()


@pytest.fixture
def broker(tmp_path):
    pytest.importorskip("nats", reason="no client of nats; install the extra `streams`")
    (tmp_path / "broker").mkdir()
    found = GuardedNats(tmp_path / "broker")
    yield found
    found.stop()


@pytest.fixture
def options(tmp_path, monkeypatch):
    """A file with the broker's password, which is looked at often."""
    monkeypatch.setattr(rotation, "LOOK_S", 0.0)
    monkeypatch.setattr(rotation, "RETRY_S", 0.1)
    path = tmp_path / "options.json"
    write(path, "first")
    return path


def write(path, password):
    partial = path.with_name(".options")
    partial.write_text(json.dumps({"user": "plant", "password": password}))
    partial.replace(path)


def messages(first, last):
    at = [(START + timedelta(seconds=number)).isoformat() for number in range(last)]
    return [json.dumps({"unit": f"M{number}", "recorded_at": at[number]}).encode() for number in range(first, last)]


def ingest(broker, home, options, *, then, told, messages):
    """Runs until so many messages are stored; calls `then` after each read with the number so far."""

    def connect():
        return open_source(parse_url(broker.url), Client("sinet-test", read_options(options)))

    tables = StreamTables(tables_of(home, "EAST", "plant"), DATA)
    limits = Limits(rows=10, seconds=0.05, land_s=0.0)
    made = Ingester(connect(), tables, zone=landing_zone(home, DATA), region="EAST", limits=limits)
    deadline = time.monotonic() + LIMIT_S

    def stop():
        assert time.monotonic() < deadline, (made.totals, told)
        return made.totals.messages >= messages

    watched = Options(options)
    run_with_rotation(made, watched, connect, stop=stop, report=lambda: then(made.totals.messages), notify=told.append)
    rows = landing_zone(home, DATA).read_day("EAST", START.date())
    assert (rows.sent, sorted(rows.rows["unit"])) == (messages, sorted(f"M{number}" for number in range(messages)))


def once(action):
    """Calls the action when the first five messages are stored, and not again."""
    done = []

    def then(stored):
        if stored >= 5 and not done:
            done.append(True)
            action()

    return then


def test_a_password_that_the_broker_changed_first_is_used_once_the_file_has_it(broker, options, tmp_path):
    def rotate():
        broker.rotate("second")
        broker.publish(messages(5, 10))
        write(options, "second")

    told = []
    broker.publish(messages(0, 5))
    ingest(broker, tmp_path / "home", options, then=once(rotate), told=told, messages=10)
    assert told == ["connects again with the new options"]


@pytest.mark.slow  # the broker's refusal is waited for
def test_a_password_that_the_file_has_first_is_tried_until_the_broker_accepts_it(
    broker, options, tmp_path, monkeypatch
):
    monkeypatch.setattr("sinet_pipelines.ingestion.streams.jetstream.ANSWER_S", 1.0)

    class Told(list):
        def append(self, text):
            super().append(text)
            if text.startswith(WAITS) and broker.password == "first":
                broker.rotate("second")
                broker.publish(messages(5, 10))

    told = Told()
    broker.publish(messages(0, 5))
    ingest(broker, tmp_path / "home", options, then=once(lambda: write(options, "second")), told=told, messages=10)
    assert told[1].startswith(WAITS)
    assert "second" not in " ".join(told)


def test_a_file_that_cannot_be_used_leaves_the_old_connection(broker, options, tmp_path):
    class Told(list):
        def append(self, text):
            broker.publish(messages(5, 10))
            super().append(text)

    def spoil():
        options.write_text("{")
        options.write_text('{"user": "plant", "pasword": "first"}')

    told = Told()
    broker.publish(messages(0, 5))
    ingest(broker, tmp_path / "home", options, then=once(spoil), told=told, messages=10)
    assert len(told) == 1
    assert all(one.startswith("the new options are not used: no option pasword") for one in told)


class Refused:
    """An ingester whose first connection ends for new options, and whose next ones are rejected some times."""

    def __init__(self, rejected):
        self.rejected, self.connected = rejected, []

    def connect_by(self, source):
        self.connected.append(source)

    def run(self, stop, *, idle_s, report):
        if not self.connected:
            until(stop)
        elif len(self.connected) <= self.rejected:
            raise RejectedError("MQTT at plant refuses 'lathes': Not authorized; correct it")


def test_options_that_a_broker_rejects_are_tried_until_it_accepts_them(options):
    told, watched, ingester = [], Options(options), Refused(rejected=2)
    write(options, "second")
    run_with_rotation(ingester, watched, object, stop=lambda: False, report=lambda: None, notify=told.append)
    assert len(ingester.connected) == 3
    assert [one.partition(" ")[0] for one in told] == ["connects", "waits:", "connects", "waits:", "connects"]


@pytest.mark.parametrize(
    ("url", "of_client", "module"),
    [
        ("mqtts://127.0.0.1/lathes", {"ca_file": "no/such.crt"}, "paho.mqtt"),
        ("pulsar+ssl://127.0.0.1/lathes", {"ca_file": "no/such.crt"}, "pulsar"),
        ("pulsar+ssl://127.0.0.1/lathes", {"certificate_file": "no/such.crt", "key_file": "no/such.key"}, "pulsar"),
        ("kafka://127.0.0.1/lathes", {"no.such.option": "1"}, "confluent_kafka"),
        ("kafka://127.0.0.1/lathes", {"security.protocol": "ssl", "ssl.ca.location": "no/such.crt"}, "confluent_kafka"),
    ],
)
def test_options_that_no_client_can_use_are_found_before_the_old_connection_is_closed(url, of_client, module):
    pytest.importorskip(module, reason="no client; install the extra `streams`")
    with pytest.raises(RejectedError, match="correct the"):
        open_source(parse_url(url), Client("sinet-test", of_client))


def test_options_change_with_a_file_of_the_working_folder_too(tmp_path, monkeypatch):
    monkeypatch.setattr(rotation, "LOOK_S", 0.0)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "ca.crt").write_text("one")
    (tmp_path / "options.json").write_text(json.dumps({"ca_file": "ca.crt", "password": "x" * 5000}))
    options = Options(tmp_path / "options.json")
    assert not options.have_changed()
    (tmp_path / "ca.crt").write_text("another")
    assert options.have_changed()


def test_options_change_with_the_files_that_they_name_and_not_while_they_cannot_be_read(tmp_path, monkeypatch):
    monkeypatch.setattr(rotation, "LOOK_S", 0.0)
    path, certificate = tmp_path / "options.json", tmp_path / "ca.crt"
    certificate.write_text("one")
    path.write_text(json.dumps({"ca_file": str(certificate)}))
    options = Options(path)
    assert not options.have_changed()
    certificate.write_text("another")
    assert [options.have_changed(), options.have_changed()] == [True, False]
    path.write_text("{")
    assert not options.have_changed()
    assert not Options(None).have_changed()
