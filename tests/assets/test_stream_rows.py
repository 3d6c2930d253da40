"""Rows of a stream are rows of the raw table of their day, by the flow that every drop takes."""

from datetime import UTC, datetime

import dagster as dg
import orjson
import polars as pl
import pytest

from assets.turbofan.keys import regional_key
from sinet_pipelines.applications.turbofan.landed import TELEMETRY
from sinet_pipelines.applications.turbofan.schemas.telemetry import DROP, QUARANTINE, RAW_TELEMETRY, VALIDATED_TELEMETRY
from sinet_pipelines.ingestion.streams.ingester import Ingester, Limits
from sinet_pipelines.ingestion.streams.source import Client, open_source, parse_url
from sinet_pipelines.ingestion.streams.stream_tables import StreamTables
from sinet_pipelines.monitoring.row_account import account_of, count_days
from sinet_pipelines.storage.tables import tables_of
from tests.brokers import start_broker
from tests.inventory import EAST
from tests.zones import landing_zone

RAW, VALIDATED = (regional_key(EAST, name) for name in ("raw_telemetry", "validated_telemetry"))


@pytest.fixture
def broker(tmp_path):
    found = start_broker("nats", tmp_path / "broker")
    yield found
    found.stop()


def rows_of_today(zone):
    """The rows of the last day as the next cycles, measured now, as JSON objects."""
    last = zone.read_day(EAST.name, zone.days(EAST.name)[-1]).rows
    now = last.with_columns(cycle=pl.col("cycle") + 40, recorded_at=pl.lit(datetime.now(UTC).isoformat()))
    return now.select(column.name for column in DROP.columns).to_dicts()


@pytest.mark.slow
def test_rows_of_a_stream_become_rows_of_their_day(broker, home, carry_out):
    zone = landing_zone(home, TELEMETRY)
    sent = rows_of_today(zone)
    bad = {**sent[0], "t30_degr": "hot", "cycle": 9_000}
    broker.publish([orjson.dumps(row) for row in [*sent, sent[0], bad]])
    source = open_source(parse_url(broker.url), Client("sinet-test"))
    store = tables_of(home, EAST.name, "turbofan")
    tables = StreamTables(store, TELEMETRY)
    made = Ingester(source, tables, zone=zone, region=EAST.name, limits=Limits(seconds=0.1))
    made.run(lambda: made.totals.messages == len(sent) + 2, report=lambda: None)
    today = zone.days(EAST.name)[-1]
    with dg.DagsterInstance.ephemeral() as instance:
        assert carry_out(instance, [RAW, VALIDATED], (today, today)).success
    in_tables = {table.name: store.read(table, days=(today, today)) for table in (RAW_TELEMETRY, VALIDATED_TELEMETRY)}
    assert in_tables["raw_telemetry"].height == len(sent) + 1
    assert sorted(in_tables["validated_telemetry"]["unit"]) == sorted(row["unit"] for row in sent)
    (aside,) = store.read(QUARANTINE, days=(today, today)).to_dicts()
    assert '{"t30_degr": "hot"}' in aside["unparsed"]
    counted = count_days(zone, store, region=EAST.name, known={})
    account = account_of({today: counted[today].counts})
    assert (account.sent, account.duplicates, account.in_tables) == (len(sent) + 2, 1, len(sent))
    assert (account.quarantined, account.pending) == (1, 0)
