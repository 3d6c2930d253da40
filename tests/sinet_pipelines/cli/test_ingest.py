"""`sinet ingest` as an operator uses it: one process on a home, stopped, killed, refused."""

import json
import signal
import subprocess
import sys
import threading
import time
import warnings
from datetime import UTC, datetime

import deltalake
import polars as pl
import pytest

with warnings.catch_warnings():  # typer takes names from click.utils that click says it will move
    warnings.filterwarnings("ignore", r"'click\.utils\.\w+' is deprecated", DeprecationWarning)
    import typer
    from typer.testing import CliRunner

    from sinet_pipelines.cli import ingest

from sinet_pipelines.applications.milling.delivery import land_simulated
from sinet_pipelines.applications.milling.landed import RECORDS
from sinet_pipelines.errors import BusyError, SinetError, UnreachableError
from sinet_pipelines.ingestion.streams.stream_tables import DEAD_LETTERS, LANDED_STREAM
from sinet_pipelines.storage import locks
from sinet_pipelines.storage.tables import tables_of
from tests.brokers import BROKERS, start_broker
from tests.inventory import NAMES
from tests.loopback import free_port
from tests.milling_rows import milling_row
from tests.waiting import until
from tests.zones import landing_zone

NOW = datetime.now(UTC)


def messages(first, last):
    """Records of milling of today, one in ten without most columns."""
    rows = (milling_row(number, recorded_at=NOW) for number in range(first, last))
    return [json.dumps(one if one["record_id"] % 10 else {"record_id": one["record_id"]}).encode() for one in rows]


@pytest.fixture(scope="module")
def landed_home(tmp_path_factory):
    home = tmp_path_factory.mktemp("home")
    land_simulated(home, regions=NAMES, records=300, with_faults=False)
    return home


@pytest.fixture
def home(landed_home, tmp_path):
    import shutil

    return shutil.copytree(landed_home, tmp_path / "my plant #1")


@pytest.fixture
def nats(tmp_path):
    broker = start_broker("nats", tmp_path / "broker")
    yield broker
    broker.stop()


def _invoke(*arguments):
    app = typer.Typer()
    app.command()(ingest.command)
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def _into(home, *more):
    return "--region", "EAST", "--application", "milling", "--home", home, *more


def _start(url, home, *more):
    command = [sys.executable, "-m", "sinet_pipelines.cli", "ingest", url, *map(str, _into(home, *more))]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def _table(home, name):
    path = tables_of(home, "EAST", "milling").uri(name)
    try:
        return pl.DataFrame(deltalake.DeltaTable(path).to_pyarrow_table())
    except deltalake.exceptions.TableNotFoundError:
        return pl.DataFrame()


def _today(home):
    """The day of today's drops in EAST."""
    return landing_zone(home, RECORDS).read_day("EAST", NOW.date())


def test_the_summary_counts_messages_rows_and_drops(nats, home):
    nats.publish(messages(0, 40))
    result = _invoke(nats.url, *_into(home, "--idle", "0.5", "--land-seconds", "60", "--json"))
    assert result.exit_code == 0, result.exception
    said = json.loads(result.stdout)
    assert {name: said[name] for name in ("source", "messages", "rows", "dead_letters", "drops", "offsets")} == {
        "source": "nats/plant",
        "messages": 40,
        "rows": 36,
        "dead_letters": 4,
        "drops": 1,
        "offsets": {"0": 40},
    }
    assert (_today(home).sent, _today(home).duplicates) == (36, 0)
    words = _invoke(nats.url, *_into(home, "--idle", "0.1")).stdout
    assert "nats/plant: 0 rows of 0 messages in EAST/milling" in words


@pytest.mark.slow
def test_sigterm_stores_and_lands_what_was_read(nats, home):
    process = _start(nats.url, home, "--batch-seconds", "3600", "--json")
    nats.publish(messages(0, 20))
    until(lambda: (home / "ingest-EAST-milling.lock").exists())
    nats.publish(messages(20, 30))

    def has_read():
        """The server has delivered all messages."""
        return nats.delivered() == 30

    until(has_read)
    process.send_signal(signal.SIGTERM)
    out, errors = process.communicate(timeout=300)
    assert process.returncode == 0, errors
    assert json.loads(out)["rows"] == 27
    assert _today(home).rows.height == 27


def test_a_second_ingester_of_a_table_is_refused_with_one_sentence(home):
    path = home / "ingest-EAST-milling.lock"
    with locks.held(path):
        result = _invoke("nats://127.0.0.1:1/plant", *_into(home))
    assert isinstance(result.exception, BusyError)
    assert "another `sinet ingest` (process" in str(result.exception)
    assert "--wait" in str(result.exception)


@pytest.mark.parametrize("scheme", ["mqtt", "nats", "kafka"])
def test_a_broker_that_does_not_answer_fails_with_one_sentence(home, scheme, monkeypatch):
    monkeypatch.setattr(f"sinet_pipelines.ingestion.streams.{ingest_module(scheme)}.ANSWER_S", 0.5)
    result = _invoke(f"{scheme}://127.0.0.1:{free_port()}/plant", *_into(home))
    assert isinstance(result.exception, UnreachableError), result.exception
    assert "does not answer" in str(result.exception)


def ingest_module(scheme):
    from sinet_pipelines.ingestion.streams.source import BROKERS as MODULES

    return MODULES[scheme][0]


@pytest.mark.parametrize(
    ("url", "options", "words"),
    [
        ("amqp://h/q", (), "names no broker .allowed: mqtt"),
        ("nats://h", (), "names no host or no stream"),
        ("nats://me:secret@h/s", (), "put them into a file"),
        ("nats://h:port/s", (), "is no URL"),
        ("nats://h/s", ("--application", "lathes"), "no application 'lathes' lands rows .known: turbofan, milling"),
        ("nats://h/s", ("--application", "turbofan"), "turbofan landed nothing in .* yet"),
        ("nats://h/s", ("--region", "MARS"), "no region 'MARS'"),
        ("nats://h/s", ("--options", "/nowhere.json"), "cannot be read as JSON"),
    ],
)
def test_what_is_asked_wrongly_ends_with_two(home, url, options, words):
    result = _invoke(url, *_into(home), *options)
    assert isinstance(result.exception, SinetError), result.output
    assert result.exception.exit_code == 2
    with pytest.raises(SinetError, match=words):
        raise result.exception


@pytest.mark.slow
@pytest.mark.parametrize("kind", BROKERS)
def test_kills_at_any_moment_lose_and_double_nothing(kind, home, tmp_path):
    broker = start_broker(kind, tmp_path / "broker")
    _start(broker.url, home, "--idle", "0").communicate(timeout=300)  # makes the session of MQTT
    parts = [messages(first, first + 50) for first in range(0, 4000, 50)]
    publisher = threading.Thread(target=lambda: [(broker.publish(part), time.sleep(0.05)) for part in parts])
    publisher.start()
    limits = ("--batch-seconds", "0.1", "--land-seconds", "0.3")
    for kill in range(6):
        process = _start(broker.url, home, *limits)
        before = _table(home, LANDED_STREAM).height

        def stores(before=before, process=process):
            """The ingester stores rows."""
            assert process.poll() is None, process.communicate()
            return _table(home, LANDED_STREAM).height > before or not publisher.is_alive()

        until(stores)
        time.sleep(0.07 * kill)  # another moment each time
        process.kill()
        process.communicate(timeout=60)
    publisher.join()
    out, errors = _start(broker.url, home, *limits, "--idle", "5", "--json").communicate(timeout=300)
    assert json.loads(out)["source"].startswith(kind), errors
    rows, dead = _table(home, LANDED_STREAM), _table(home, DEAD_LETTERS)
    assert (rows.height, rows["record_id"].n_unique()) == (3600, 3600)
    assert (dead.height, dead["payload"].n_unique()) == (400, 400)
    assert (_today(home).sent, _today(home).rows.height) == (3600, 3600)
    broker.stop()
