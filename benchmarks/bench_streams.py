"""Measures how many messages a second of one core stores in `landed_stream`, beside a client that only acknowledges.

    python benchmarks/bench_streams.py [--messages 50000] [--brokers nats mqtt kafka]

Both variants read the same messages of a broker on this machine. `bare` takes and acknowledges them with the platform's
client of that broker; `stored` is the whole ingester: decoding, commits of the table, and drops of the landing zone.
Their ratio is that of CPU seconds, since the broker shares the machine. `decoded` reads the payloads without a broker.
"""

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import measure

START = datetime(2026, 3, 1, tzinfo=UTC)
AIM = 0.7  # of the bare client's rate
PART = 5_000  # messages of one publication


def bare(args: argparse.Namespace) -> Mapping[str, float]:
    """Takes and acknowledges all messages, and nothing else."""
    from sinet_pipelines.ingestion.streams.source import NOTHING

    source, taken, clock = _source(args, "bare"), 0, measure.Clock()
    source.start(lambda _: NOTHING)
    while taken < args.messages:
        taken += len(source.take(PART, wait_s=0.2))
        source.acknowledge()
    found = clock.read()
    source.close()
    return found


def stored(args: argparse.Namespace) -> Mapping[str, float]:
    """Stores and lands all messages as `sinet ingest` does."""
    from sinet_pipelines.applications.milling.landed import RECORDS
    from sinet_pipelines.ingestion.landing import LandingZone
    from sinet_pipelines.ingestion.streams.ingester import Ingester, Limits
    from sinet_pipelines.ingestion.streams.stream_tables import StreamTables
    from sinet_pipelines.storage.tables import tables_of

    with tempfile.TemporaryDirectory(prefix="sinet-streams-") as folder:
        home = Path(folder)
        tables = StreamTables(tables_of(home, "EAST", "milling"), RECORDS)
        zone = LandingZone(home, RECORDS, ("EAST",))
        made = Ingester(_source(args, "stored"), tables, zone=zone, region="EAST", limits=Limits())
        clock = measure.Clock()
        made.run(lambda: made.totals.messages >= args.messages, report=lambda: None)
        found = clock.read()
        if made.totals.rows != args.messages:
            sys.exit(f"{made.totals.rows} rows of {args.messages} messages were stored")
    return found


def decoded(args: argparse.Namespace) -> Mapping[str, float]:
    """Decodes the payloads of all messages."""
    from sinet_pipelines.applications.milling.tables import DROP
    from sinet_pipelines.ingestion.streams.decoding import decode
    from sinet_pipelines.ingestion.streams.source import Message

    messages = [Message(0, number, one, 0) for number, one in enumerate(_payloads(args.messages))]
    decode(messages[:PART], DROP)
    clock = measure.Clock()
    for first in range(0, len(messages), PART):
        decode(messages[first : first + PART], DROP)
    return clock.read()


def _source(args: argparse.Namespace, name: str) -> Any:
    from sinet_pipelines.ingestion.streams.source import Client, open_source, parse_url

    return open_source(parse_url(args.url), Client(f"bench-{name}"))


def _payloads(count: int) -> list[bytes]:
    """JSON messages of milling, one record each."""
    row = {
        "product_type": "L",
        "air_temperature_k": 298.1,
        "process_temperature_k": 308.6,
        "rotational_speed_rpm": 1551,
        "torque_nm": 42.8,
        "tool_wear_min": 0,
    }
    return [
        json.dumps(
            {
                **row,
                "record_id": number + 1,
                "product_id": f"L{number}",
                "recorded_at": (START + timedelta(seconds=number)).isoformat(),
            }
        ).encode()
        for number in range(count)
    ]


def compare(args: argparse.Namespace) -> None:
    """Publishes the messages to each broker, runs the variants and prints their figures."""
    from sinet_pipelines.ingestion.streams.source import NOTHING
    from tests.brokers import start_broker

    table = measure.Table(f"{args.messages:,} JSON messages of one row")
    options = [f"--messages={args.messages}"]
    cpu = measure.in_process_of_its_own(__file__, "decoded", options)["cpu_s"]
    table.add("decoding", [cpu / args.messages * 1e6], unit="us of CPU a message")
    payloads = _payloads(args.messages)
    for kind in args.brokers:
        with tempfile.TemporaryDirectory(prefix="sinet-broker-") as folder:
            broker = start_broker(kind, Path(folder) / "broker")
            try:
                args.url = broker.url
                for name in ("bare", "stored") if kind == "mqtt" else ():  # it keeps messages for sessions it knows
                    session = _source(args, name)
                    session.start(lambda _: NOTHING)
                    session.close()
                for first in range(0, len(payloads), PART):
                    broker.publish(payloads[first : first + PART])
                time.sleep(1.0)
                url = [*options, f"--url={broker.url}"]
                found = {one: measure.in_process_of_its_own(__file__, one, url)["cpu_s"] for one in ("bare", "stored")}
            finally:
                broker.stop()
        for name, seconds in found.items():
            table.add(f"{kind}: {name}", [args.messages / seconds], unit="rows per second of one core")
        table.add(f"{kind}: stored / bare", [found["bare"] / found["stored"]], unit="", aim=f">= {AIM}")
    table.print()


if __name__ == "__main__":
    sys.path.insert(0, str(measure.ROOT))
    measure.main(
        __doc__.splitlines()[0],
        variants={"bare": bare, "stored": stored, "decoded": decoded},
        compare=compare,
        options={
            "--messages": {"type": int, "default": 50_000},
            "--brokers": {"nargs": "+", "choices": ("nats", "mqtt", "kafka"), "default": ["nats", "mqtt", "kafka"]},
            "--url": {"default": "", "help": argparse.SUPPRESS},
        },
    )
