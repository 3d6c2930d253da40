"""Measures how many messages a second of one core stores in `landed_stream`, beside a client that only acknowledges.

    python benchmarks/bench_streams.py [--messages 100000] [--rounds 3] [--seconds 20] [--rate N]
        [--brokers nats mqtt kafka]

Both variants read the same messages of a broker on this machine. `bare` takes and acknowledges them with the platform's
client of that broker, which decodes nothing; `stored` is the whole ingester: decoding, commits of the table, and drops
of the landing zone. Their ratio is that of CPU seconds, since the broker shares the machine. `decoded` reads the
payloads without a broker.

Then messages are published at a steady rate while the ingester runs, with its limits as they are by default: the time
from the begin of a publication until the row can be read from the table. The rate is half of what `stored` did in a
second of the clock, since the one who publishes, the broker and the ingester share the machine.
"""

import argparse
import gc
import json
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import measure
import numpy as np

START = datetime(2026, 3, 1, tzinfo=UTC)
AIM = 0.7  # of the bare client's rate
AIM_S = 3.0  # for 99 of 100 messages, from publication to row
PART = 5_000  # messages of one publication
PARTITIONS = 16  # of Kafka's topic: the mock cluster keeps 5 MB of each
STEP_S = 0.1  # between two publications at a steady rate
LOOK_S = 0.02  # between two looks at the table
LIMIT_S = 120.0  # for the rows of the last message


def bare(args: argparse.Namespace) -> Mapping[str, float]:
    """Takes and acknowledges all messages, and nothing else."""
    from sinet_pipelines.ingestion.streams.source import NOTHING

    gc.freeze()  # as `sinet ingest` does
    source, taken, clock = _source(args), 0, measure.Clock()
    source.start(lambda _: NOTHING)
    while taken < args.messages:
        taken += len(source.take(PART, wait_s=0.2))
        source.acknowledge(source.receipt())
    found = clock.read()
    source.close()
    return found


def stored(args: argparse.Namespace) -> Mapping[str, float]:
    """Stores and lands all messages as `sinet ingest` does."""
    with tempfile.TemporaryDirectory(prefix="sinet-streams-") as folder:
        made, clock = _ingester(args, Path(folder)), measure.Clock()
        made.run(lambda: made.totals.messages >= args.messages, report=lambda: None)
        found = clock.read()
        if made.totals.rows != args.messages:
            sys.exit(f"{made.totals.rows} rows of {args.messages} messages were stored")
    return found


def followed(args: argparse.Namespace) -> Mapping[str, float]:
    """Stores messages while they are published, in the home that is given."""
    made, clock = _ingester(args, args.home), measure.Clock()
    made.run(lambda: made.totals.messages >= args.messages, report=lambda: None)
    return clock.read()


def _ingester(args: argparse.Namespace, home: Path) -> Any:
    from sinet_pipelines.applications.milling.landed import RECORDS
    from sinet_pipelines.ingestion.landing import LandingZone
    from sinet_pipelines.ingestion.streams.ingester import Ingester, Limits
    from sinet_pipelines.ingestion.streams.stream_tables import StreamTables
    from sinet_pipelines.storage.tables import tables_of

    gc.freeze()  # as `sinet ingest` does
    tables = StreamTables(tables_of(home, "EAST", "milling"), RECORDS)
    zone = LandingZone(home, RECORDS, ("EAST",))
    return Ingester(_source(args), tables, zone=zone, region="EAST", limits=Limits())


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


def _source(args: argparse.Namespace) -> Any:
    from sinet_pipelines.ingestion.streams.source import Client, open_source, parse_url

    return open_source(parse_url(args.url), Client(f"bench-{args.client}"))


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
    table = measure.Table(f"{args.messages:,} JSON messages of one row")
    options = [f"--messages={args.messages}"]
    cpu = measure.in_process_of_its_own(__file__, "decoded", options)["cpu_s"]
    table.add("decoding", [cpu / args.messages * 1e6], unit="us of CPU a message")
    for kind in args.brokers:
        found = _throughput(kind, args)
        for name, one in found.items():
            for seconds, unit in (("cpu_s", "of one core"), ("wall_s", "of the clock")):
                table.add(f"{kind}: {name}", args.messages / np.array(one[seconds]), unit=f"rows per second {unit}")
        for seconds, unit, aim in (("cpu_s", "of one core", f">= {AIM}"), ("wall_s", "of the clock", "")):
            ratio = measure.ratios(found["bare"][seconds], found["stored"][seconds])
            table.add(f"{kind}: stored / bare", ratio, unit=unit, aim=aim)
        rate = args.rate or 0.5 * args.messages / float(np.median(found["stored"]["wall_s"]))
        delays, published = _delays(kind, args, rate)
        note = f"{published:,.0f} messages per second during {args.seconds:.0f} s"
        for share in (50, 99):
            aim = f"< {AIM_S:.0f}" if share == 99 else ""
            table.add(f"{kind}: to the row, p{share}", [np.percentile(delays, share)], unit="s", aim=aim, note=note)
    table.print()


def _throughput(kind: str, args: argparse.Namespace) -> dict[str, measure.Figures]:
    """The seconds of both variants for the same messages of one broker, in each round."""
    from tests.brokers import start_broker

    payloads, found = _payloads(args.messages), {"bare": {}, "stored": {}}
    clients = [(name, f"{name}-{number}") for number in range(args.rounds) for name in found]
    with tempfile.TemporaryDirectory(prefix="sinet-broker-") as folder:
        broker = start_broker(kind, Path(folder) / "broker", partitions=PARTITIONS)
        try:
            for _, client in clients:
                _begin_session(kind, broker.url, client)
            for first in range(0, len(payloads), PART):
                broker.publish(payloads[first : first + PART])
            time.sleep(1.0)
            for name, client in clients:
                options = [f"--messages={args.messages}", f"--url={broker.url}", f"--client={client}"]
                for figure, value in measure.in_process_of_its_own(__file__, name, options).items():
                    found[name].setdefault(figure, []).append(value)
        finally:
            broker.stop()
    return found


def _begin_session(kind: str, url: str, client: str) -> None:
    from sinet_pipelines.ingestion.streams.source import NOTHING

    if kind == "mqtt":  # it keeps messages for sessions it knows
        session = _source(argparse.Namespace(url=url, client=client))
        session.start(lambda _: NOTHING)
        session.close()


def _delays(kind: str, args: argparse.Namespace, rate: float) -> tuple[np.ndarray, float]:
    """The seconds of each message from its publication to its row, and the published messages per second."""
    from tests.brokers import start_broker

    size = max(1, round(rate * STEP_S))
    payloads = _payloads(1 + size * round(args.seconds / STEP_S))
    with tempfile.TemporaryDirectory(prefix="sinet-broker-") as folder:
        home, broker = Path(folder) / "home", start_broker(kind, Path(folder) / "broker", partitions=PARTITIONS)
        _begin_session(kind, broker.url, "followed")
        follow = ["--variant=followed", f"--messages={len(payloads)}", f"--url={broker.url}", f"--home={home}"]
        follow.append("--client=followed")
        process = subprocess.Popen([sys.executable, __file__, *follow], stdout=subprocess.DEVNULL)
        try:
            seen, ready = np.full(len(payloads), np.inf), threading.Event()
            looking = threading.Thread(target=_look, args=(home, seen, ready), daemon=True)
            looking.start()
            broker.publish(payloads[:1])  # the ingester has begun once its row is there
            ready.wait(LIMIT_S)
            at = _publish(broker, payloads[1:], size)
            looking.join(LIMIT_S)
            if process.wait(LIMIT_S) or not np.isfinite(seen).all():
                sys.exit(f"{np.isinf(seen).sum()} of {len(payloads)} messages have no row")
        finally:
            process.kill()
            broker.stop()
    return seen[1:] - np.repeat(at, size), (len(payloads) - 1) / (at[-1] - at[0] + STEP_S)


def _publish(broker: Any, payloads: list[bytes], size: int) -> np.ndarray:
    """Publishes so many messages at each step; returns when each publication began."""
    began, at = time.monotonic(), []
    for number, first in enumerate(range(0, len(payloads), size)):
        time.sleep(max(0.0, began + number * STEP_S - time.monotonic()))
        at.append(time.monotonic())
        broker.publish(payloads[first : first + size])
    return np.array(at)


def _look(home: Path, seen: np.ndarray, ready: threading.Event) -> None:
    """Notes when each row can first be read, until all can."""
    import deltalake
    import polars as pl

    from sinet_pipelines.ingestion.streams.stream_tables import LANDED_STREAM
    from sinet_pipelines.storage.tables import tables_of

    uri, version, batch = tables_of(home, "EAST", "milling").uri(LANDED_STREAM), -1, 0
    while not np.isfinite(seen).all():
        time.sleep(LOOK_S)
        if not (Path(uri) / "_delta_log").is_dir():
            continue
        table = deltalake.DeltaTable(uri)
        if table.version() == version:
            continue
        rows = pl.scan_pyarrow_dataset(table.to_pyarrow_dataset()).filter(pl.col("stream_batch") > batch)
        found = rows.select("stream_batch", "record_id").collect()
        version, batch = table.version(), max([batch, *found["stream_batch"].unique()])
        places = found["record_id"].to_numpy() - 1
        seen[places] = np.minimum(seen[places], time.monotonic())
        ready.set()


if __name__ == "__main__":
    sys.path.insert(0, str(measure.ROOT))
    measure.main(
        __doc__.splitlines()[0],
        variants={"bare": bare, "stored": stored, "decoded": decoded, "followed": followed},
        compare=compare,
        options={
            "--messages": {"type": int, "default": 100_000},
            "--rounds": {"type": int, "default": 3, "help": "of both variants, in turn"},
            "--seconds": {"type": float, "default": 20.0, "help": "of publishing at a steady rate"},
            "--rate": {"type": float, "default": 0.0, "help": "messages per second; default: half of what is stored"},
            "--brokers": {"nargs": "+", "choices": ("nats", "mqtt", "kafka"), "default": ["nats", "mqtt", "kafka"]},
            "--url": {"default": "", "help": argparse.SUPPRESS},
            "--client": {"default": "", "help": argparse.SUPPRESS},
            "--home": {"type": Path, "default": None, "help": argparse.SUPPRESS},
        },
    )
