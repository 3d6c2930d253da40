"""What the source of a stream keeps, for every broker: each message is stored and landed exactly once."""

import io
import itertools
import json
import threading
import time
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

import deltalake
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from sinet_pipelines.errors import SourceError
from sinet_pipelines.ingestion.landed import landed_rows
from sinet_pipelines.ingestion.streams.ingester import Ingester, Limits
from sinet_pipelines.ingestion.streams.source import NOTHING, Client, open_source, parse_url
from sinet_pipelines.ingestion.streams.stream_tables import DEAD_LETTERS, LANDED_STREAM, StreamTables
from sinet_pipelines.schemas.contract import Column
from sinet_pipelines.storage.tables import tables_of
from tests.brokers import BROKERS, start_broker
from tests.waiting import LIMIT_S, until
from tests.zones import landing_zone

COLUMNS = (Column("unit", pa.string(), "a machine"), Column("speed_rpm", pa.float64(), "its speed", "rpm"))
DATA = landed_rows("plant", "samples", COLUMNS, key=("unit", "recorded_at"))
START = datetime(2026, 3, 1, 23, 59, 50, tzinfo=UTC)
LIMITS = Limits(rows=10, seconds=0.05, land_s=0.0)


class KilledError(BaseException):
    """The process ends here."""


@pytest.fixture(params=BROKERS)
def broker(request, tmp_path):
    found = start_broker(request.param, tmp_path / "broker")
    if request.param == "mqtt":  # a broker keeps messages for sessions that were there before
        session = a_source(found)
        session.start(lambda _: NOTHING)
        session.close()
    yield found
    found.stop()


def a_row(number):
    return {
        "unit": f"M{number}",
        "speed_rpm": number / 3,
        "recorded_at": (START + timedelta(seconds=number)).isoformat(),
    }


def messages(first, last):
    return [json.dumps(a_row(number)).encode() for number in range(first, last)]


def a_source(broker, stream=""):
    return open_source(parse_url(broker.url), Client("sinet-test", stream=stream))


def an_ingester(broker, home, limits=LIMITS, stream=""):
    source = a_source(broker, stream)
    tables = StreamTables(tables_of(home, "EAST", "plant"), DATA)
    return Ingester(source, tables, zone=landing_zone(home, DATA), region="EAST", limits=limits)


def ingest(broker, home, messages, *, limits=LIMITS, stream=""):
    """Runs an ingester until it has stored so many messages, then stops it as SIGTERM does."""
    made = an_ingester(broker, home, limits, stream)
    end = until_messages(made, messages)
    made.run(end, report=lambda: None)
    return made


def until_messages(ingester, count):
    deadline = time.monotonic() + LIMIT_S

    def ends():
        assert time.monotonic() < deadline, f"{ingester.totals} of {count} messages"
        return ingester.totals.messages >= count

    return ends


def table(home, name):
    path = tables_of(home, "EAST", "plant").uri(name)
    return deltalake.DeltaTable(path)


def stored(home):
    return sorted(table(home, LANDED_STREAM).to_pyarrow_table()["unit"].to_pylist())


def landed(home):
    """The units of all rows in the landing zone's drops, copies included."""
    zone = landing_zone(home, DATA)
    days = [zone.read_day("EAST", day) for day in zone.days("EAST")]
    assert [day.duplicates for day in days] == [0] * len(days)
    return sorted(unit for day in days for unit in day.rows["unit"])


def units(first, last):
    return sorted(f"M{number}" for number in range(first, last))


def test_each_message_is_stored_and_landed_once_over_restarts(broker, tmp_path):
    broker.publish(messages(0, 25))
    ingest(broker, tmp_path, 25)
    broker.publish(messages(25, 40))
    again = ingest(broker, tmp_path, 15)
    assert stored(tmp_path) == landed(tmp_path) == units(0, 40)
    assert again.totals.rows == 15
    assert again._source.problem == again._source.loss == ""
    assert landing_zone(tmp_path, DATA).days("EAST") == [date(2026, 3, 1), date(2026, 3, 2)]


def test_the_offsets_are_in_the_transactions_of_the_table(broker, tmp_path):
    broker.publish(messages(0, 12))
    made = ingest(broker, tmp_path, 12)
    found = table(tmp_path, LANDED_STREAM)
    name = broker.url.split(":")[0] + "/plant" + ("/#" if broker.url.startswith("mqtt") else "")
    for partition, offset in made.positions.items():
        assert found.transaction_version(f"{name}/{partition}") == offset
    ranges = [one for commit in found.history() for one in json.loads(commit.get("offsets", "[]"))]
    rows = pl.DataFrame(found.to_pyarrow_table())
    for one in ranges:
        inside = rows.filter(
            (pl.col("stream_partition") == one["partition"])
            & pl.col("stream_offset").is_between(one["first"], one["last"])
        )
        assert inside.height
        assert one["source"] == name
    assert sum(rows["stream_batch"].unique().is_in(range(1, 100))) == made.totals.batches
    assert rows["arrived_at"].min() > START


def test_a_message_without_rows_is_kept_with_its_bytes_and_the_reason(broker, tmp_path):
    odd = [b"\xff\xfe{\x00}\x00", b'{"unit": "M1"}', b"", json.dumps([a_row(2), a_row(3)]).encode()]
    broker.publish([*messages(0, 2), *odd])
    made = ingest(broker, tmp_path, 6)
    dead = pl.DataFrame(table(tmp_path, DEAD_LETTERS).to_pyarrow_table())
    assert sorted(dead["payload"]) == sorted(odd[:3])
    reasons = dict(zip(dead["payload"], dead["reason"], strict=True))
    assert "not UTF-8" in reasons[odd[0]]
    assert reasons[odd[1]].startswith("it has no recorded_at, speed_rpm (found: unit)")
    assert "empty" in reasons[odd[2]]
    assert stored(tmp_path) == landed(tmp_path) == units(0, 4)
    assert (made.totals.dead_letters, made.totals.rows) == (3, 4)


def test_tables_are_messages_too(broker, tmp_path):
    sent = pa.Table.from_pylist([a_row(0), a_row(1)])
    file, stream = io.BytesIO(), io.BytesIO()
    pq.write_table(sent, file)
    with pa.ipc.new_stream(stream, sent.schema) as writer:
        writer.write_table(sent.slice(1))
    broker.publish([file.getvalue(), stream.getvalue(), *messages(2, 3)])
    ingest(broker, tmp_path, 3)
    assert stored(tmp_path) == ["M0", "M1", "M1", "M2"]


STEPS = ("store_dead", "store_rows", "acknowledge", "mark")


@pytest.mark.slow
def test_a_killed_ingester_loses_and_doubles_nothing(broker, tmp_path):
    """Kills one ingester after the other, before and after each step of a batch, while messages arrive."""
    kills = list(itertools.product(STEPS, ("before", "after")))
    odd = [f"no JSON {number}".encode() for number in range(len(kills))]
    for number, (step, when) in enumerate(kills):
        broker.publish(
            [*messages(12 * number, 12 * number + 6), odd[number], *messages(12 * number + 6, 12 * number + 12)]
        )
        made = an_ingester(broker, tmp_path)
        _kill_at(made._source if step == "acknowledge" else made._tables, step, when)
        with pytest.raises(KilledError):
            made.run(until_messages(made, 10**9), report=lambda: None)
    rows = 12 * len(kills)
    rest = an_ingester(broker, tmp_path)
    rest.run(until_complete(tmp_path, rest, rows=rows, dead=len(odd)), report=lambda: None)
    assert stored(tmp_path) == landed(tmp_path) == units(0, rows)
    assert sorted(table(tmp_path, DEAD_LETTERS).to_pyarrow_table()["payload"].to_pylist()) == odd


def until_complete(home, ingester, *, rows, dead):
    """Ends when no row and no dead letter is missing."""
    deadline = time.monotonic() + LIMIT_S

    def ends():
        found = len(set(stored(home))), table(home, DEAD_LETTERS).to_pyarrow_table().num_rows
        assert time.monotonic() < deadline, (found, ingester.totals)
        return found[0] == rows and found[1] >= dead

    return ends


def _kill_at(owner, step, when):
    """Makes the next call of a step end the process, before or after it took effect."""
    real = getattr(owner, step)

    def killed(*arguments):
        if when == "after":
            real(*arguments)
        raise KilledError

    setattr(owner, step, killed)


def test_a_broker_that_goes_away_is_waited_for(broker, tmp_path):
    broker.publish(messages(0, 10))
    made, was_away = an_ingester(broker, tmp_path), []

    def report():
        if made.totals.messages >= 10 and not was_away:
            was_away.append(True)
            if broker.url.startswith("kafka"):
                broker.pause()
                broker.resume()
            elif broker.url.startswith("pulsar"):
                broker.order("drop")
            else:
                broker.stop()
                broker.start()
            broker.publish(messages(10, 20))

    made.run(until_messages(made, 20), report=report)
    assert stored(tmp_path) == landed(tmp_path) == units(0, 20)


@pytest.fixture(params=["nats", "kafka"])
def numbered(request, tmp_path):
    """A broker with offsets."""
    found = start_broker(request.param, tmp_path / "broker")
    yield found
    found.stop()


def test_a_stream_that_was_made_again_and_is_longer_is_refused(numbered, tmp_path):
    """Its first messages have offsets that are stored, and would be skipped."""
    numbered.publish(messages(0, 8))
    ingest(numbered, tmp_path, 8)
    numbered.make_again()
    numbered.publish(messages(100, 120))
    with pytest.raises(SourceError, match=r"has another message at .*, or is that of another .*with --name"):
        ingest(numbered, tmp_path, 1)
    assert stored(tmp_path) == landed(tmp_path) == units(0, 8)
    ingest(numbered, tmp_path, 20, stream="again")
    assert stored(tmp_path) == landed(tmp_path) == sorted(units(0, 8) + units(100, 120))


def test_a_stream_goes_on_whose_last_stored_message_was_removed(tmp_path):
    broker = start_broker("nats", tmp_path / "broker")
    try:
        broker.publish(messages(0, 5))
        ingest(broker, tmp_path, 5)
        broker.remove(5)
        broker.publish(messages(5, 7))
        ingest(broker, tmp_path, 2)
        assert stored(tmp_path) == landed(tmp_path) == units(0, 7)
        broker.make_again()
        broker.publish(messages(100, 120))
        broker.remove(7)
        with pytest.raises(SourceError, match="has another message at 7"):
            ingest(broker, tmp_path, 1)
    finally:
        broker.stop()


@pytest.fixture
def looks_often(monkeypatch):
    monkeypatch.setattr("sinet_pipelines.ingestion.streams.jetstream.LOOK_S", 0.05)


def test_a_stream_that_is_removed_while_it_is_read_ends_the_ingester_with_all_messages_stored(tmp_path, looks_often):
    broker = start_broker("nats", tmp_path / "broker")
    try:
        broker.publish(messages(0, 5))
        made = an_ingester(broker, tmp_path, replace(LIMITS, seconds=3600.0))
        end, removed = until_messages(made, 10**9), []

        def report():
            if made._batch.messages == 5 and not removed:
                removed.append(broker.make_again(only_remove=True))

        with pytest.raises(SourceError, match="has no stream 'plant'"):
            made.run(end, report=report)
        assert stored(tmp_path) == landed(tmp_path) == units(0, 5)
    finally:
        broker.stop()


def test_a_consumer_that_is_removed_while_it_is_read_is_made_again(tmp_path, looks_often):
    broker = start_broker("nats", tmp_path / "broker")
    try:
        broker.publish(messages(0, 5))
        made, sent = an_ingester(broker, tmp_path), []

        def report():
            if made.totals.messages == 5 and not sent and broker.remove_consumers():
                sent.append(broker.publish(messages(5, 9)))

        made.run(until_messages(made, 9), report=report)
        assert stored(tmp_path) == landed(tmp_path) == units(0, 9)
    finally:
        broker.stop()


def test_more_poisoned_messages_than_may_be_unacknowledged_do_not_stop_the_stream(tmp_path, monkeypatch):
    monkeypatch.setattr("sinet_pipelines.ingestion.streams.mqtt.RECEIVE_MAXIMUM", 5)
    broker = start_broker("mqtt", tmp_path / "broker")
    try:
        made = an_ingester(broker, tmp_path, replace(LIMITS, rows=1000))
        sent = []

        def report():
            if not sent:
                sent.append(broker.publish([*[b"poison %d" % number for number in range(20)], *messages(0, 2)]))

        made.run(until_messages(made, 22), report=report)
        assert (made.totals.dead_letters, stored(tmp_path)) == (20, units(0, 2))
    finally:
        broker.stop()


def test_a_broker_that_forgot_the_session_is_reported(tmp_path):
    broker = start_broker("mqtt", tmp_path / "broker")
    try:
        first, sent = an_ingester(broker, tmp_path), []
        first.run(until_messages(first, 2), report=lambda: sent or sent.append(broker.publish(messages(0, 2))))
        assert first._source.loss == ""
        broker.stop()
        (tmp_path / "broker" / "mosquitto.db").unlink()
        broker.start()
        broker.publish(messages(2, 4))  # no session keeps them
        again = an_ingester(broker, tmp_path)
        again.run(lambda: True, report=lambda: None)
        assert "had no session of sinet-test: what was published" in again._source.loss
    finally:
        broker.stop()


@pytest.mark.slow
def test_a_broker_that_no_longer_accepts_the_client_is_named(tmp_path):
    broker = start_broker("mqtt", tmp_path / "broker")
    try:
        source = a_source(broker)
        source.start(lambda _: NOTHING)
        broker.stop()
        broker.is_anonymous_allowed = False
        broker.start()
        disconnected, problems = source._client.on_disconnect, []
        source._client.on_disconnect = lambda *found: problems.append(disconnected(*found) or source.problem)
        until(lambda: "Not authorized" in problems)
        source.close()
        assert source.loss == ""  # the session stays at the broker
    finally:
        broker.stop()


def test_a_flood_without_acknowledgements_does_not_keep_the_ingester_from_ending(tmp_path, monkeypatch):
    broker = start_broker("mqtt", tmp_path / "broker")
    try:
        monkeypatch.setattr("sinet_pipelines.ingestion.streams.mqtt.RECEIVE_MAXIMUM", 5)
        source = a_source(broker)
        source.start(lambda _: NOTHING)
        broker.publish(messages(0, 50), qos=0)
        until(source._received.full)
        closing = threading.Thread(target=source.close, daemon=True)
        closing.start()
        closing.join(LIMIT_S)
        assert not closing.is_alive()
    finally:
        broker.stop()


def test_a_stream_that_was_made_again_is_refused(tmp_path):
    broker = start_broker("nats", tmp_path / "broker")
    try:
        broker.publish(messages(0, 5))
        ingest(broker, tmp_path, 5)
        broker.make_again()
        with pytest.raises(SourceError, match="ends at 0, and the table has it up to 5: it was created again"):
            ingest(broker, tmp_path, 1)
    finally:
        broker.stop()


def test_messages_that_expired_before_they_were_read_are_counted(tmp_path):
    broker = start_broker("nats", tmp_path / "broker")
    try:
        broker.publish(messages(0, 5))
        ingest(broker, tmp_path, 5)
        broker.publish(messages(5, 10))
        broker.expire(up_to=7)
        made = ingest(broker, tmp_path, 3)
        assert made._source.expired == 2
        assert stored(tmp_path) == landed(tmp_path) == units(0, 5) + units(7, 10)
    finally:
        broker.stop()
