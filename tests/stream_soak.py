"""Kills `sinet ingest` every ten seconds for two minutes while messages arrive, for each broker, and counts rows.

    python -m tests.stream_soak [--seconds 120] [--kill-s 10] [--rate 200] [mqtt nats kafka]

It prints, for each broker, the messages that were published, the rows and dead letters of the tables, the rows of the
landing zone, how many are lost or doubled, and the time from publishing a message until its row can be read from
`landed_stream`. It exits with 1 where a row is lost or doubled.
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import deltalake
import polars as pl

from sinet_pipelines.applications.milling.delivery import land_simulated
from sinet_pipelines.applications.milling.landed import RECORDS
from sinet_pipelines.errors import StorageError
from sinet_pipelines.ingestion.streams.stream_tables import DEAD_LETTERS, LANDED_STREAM
from sinet_pipelines.storage.tables import tables_of
from tests.brokers import BROKERS, start_broker
from tests.inventory import NAMES
from tests.milling_rows import FIRST_RECORD, milling_row
from tests.zones import landing_zone

POISONED = 50  # of how many messages one has no rows
PART_S = 0.1  # between two publications
LOOK_S = 0.1  # between two looks at the table
REST_S = 300.0  # for what is left after the last kill


@dataclass
class Published:
    """The messages of one broker, and when they were published and could first be read.

    Attributes:
        at: by number of the record, the instant after its broker had it, in seconds of the monotonic clock.
        poison: number of messages without rows.
        seen: by number of the record, the instant at which its row could be read.
    """

    at: dict[int, float] = field(default_factory=dict)
    poison: int = 0
    seen: dict[int, float] = field(default_factory=dict)

    def delays(self) -> list[float]:
        """The seconds of each message from its publication until its row could be read."""
        return sorted(self.seen[one] - at for one, at in self.at.items() if one in self.seen)


def publish(broker, published, *, seconds, rate, over):
    """Publishes messages at a rate; then ends."""
    number, end, size = 0, time.monotonic() + seconds, max(1, int(rate * PART_S))
    while time.monotonic() < end:
        began = time.monotonic()
        now = datetime.now(UTC)
        part = range(number, number + size)
        rows = [milling_row(n, recorded_at=now) for n in part]
        broker.publish(
            [json.dumps(one if n % POISONED else {"n": n}).encode() for n, one in zip(part, rows, strict=True)]
        )
        published.at |= {FIRST_RECORD + n: time.monotonic() for n in part if n % POISONED}
        published.poison += sum(n % POISONED == 0 for n in part)
        number += size
        time.sleep(max(0.0, PART_S - (time.monotonic() - began)))
    over.set()


def look(home, published, over):
    """Notes when each row can first be read from the table."""
    uri, version, batch = tables_of(home, "EAST", "milling").uri(LANDED_STREAM), -1, 0
    while not over.is_set():
        time.sleep(LOOK_S)
        try:
            table = deltalake.DeltaTable(uri)
        except deltalake.exceptions.TableNotFoundError:
            continue
        if table.version() == version:
            continue
        version, now = table.version(), time.monotonic()
        rows = pl.scan_pyarrow_dataset(table.to_pyarrow_dataset()).filter(pl.col("stream_batch") > batch)
        found = rows.select("stream_batch", "record_id").collect()
        batch = max([batch, *found["stream_batch"]])
        published.seen |= {record: now for record in found["record_id"] if record not in published.seen}


def ingest(url, home, *more):
    """A process of `sinet ingest`."""
    command = [
        sys.executable,
        "-m",
        "sinet_pipelines.cli",
        "ingest",
        url,
        "--region",
        "EAST",
        "--application",
        "milling",
    ]
    options = ("--home", str(home), "--land-seconds", "1", *more)
    return subprocess.Popen([*command, *options], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def soak(kind, folder, chosen):
    """One broker: what was published, and what the tables and the landing zone have of it."""
    home, over, ended = folder / "home", threading.Event(), threading.Event()
    land_simulated(home, regions=NAMES, records=300, with_faults=False)
    broker, published, kills = start_broker(kind, folder / "broker"), Published(), 0
    try:
        ingest(broker.url, home, "--idle", "0").communicate(timeout=300)  # makes the session of MQTT
        pace = {"seconds": chosen.seconds, "rate": chosen.rate, "over": over}
        threads = [
            threading.Thread(target=publish, args=(broker, published), kwargs=pace),
            threading.Thread(target=look, args=(home, published, ended)),
        ]
        for thread in threads:
            thread.start()
        while not over.is_set():
            process = ingest(broker.url, home)
            over.wait(chosen.kill_s)
            process.kill()
            process.communicate(timeout=60)
            kills += 1
        rest = ingest(broker.url, home, "--idle", "5", "--json")
        out, errors = rest.communicate(timeout=REST_S)
        time.sleep(2 * LOOK_S)
        ended.set()
        for thread in threads:
            thread.join()
        if rest.returncode:
            raise StorageError(f"the last `sinet ingest` failed: {errors}")
        return {"kills": kills, **compare(home, published), "loss": json.loads(out)["loss"]}
    finally:
        over.set()
        ended.set()
        broker.stop()


def compare(home, published):
    """Counts of rows: published, stored, landed, lost and doubled, and the delays."""
    store = tables_of(home, "EAST", "milling")
    rows, dead = (
        pl.DataFrame(deltalake.DeltaTable(store.uri(name)).to_pyarrow_table()) for name in (LANDED_STREAM, DEAD_LETTERS)
    )
    zone = landing_zone(home, RECORDS)
    landed = pl.concat(zone.read_day("EAST", day).rows for day in zone.days("EAST"))
    landed = landed.filter(pl.col("record_id") >= FIRST_RECORD)
    sent = set(published.at)
    delays = published.delays()
    return {
        "published": len(sent),
        "rows": rows.height,
        "lost": len(sent - set(rows["record_id"])) + len(sent - set(landed["record_id"])),
        "doubled": rows.height - rows["record_id"].n_unique() + landed.height - landed["record_id"].n_unique(),
        "poisoned": published.poison,
        "dead_letters": dead["payload"].n_unique(),
        "dead_doubled": dead.height - dead["payload"].n_unique(),
        "p50_s": round(statistics.median(delays), 2),
        "p99_s": round(delays[int(0.99 * len(delays))], 2),
    }


def main():
    """Prints one line a broker; returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, default in (("seconds", 120.0), ("kill-s", 10.0), ("rate", 200.0)):
        parser.add_argument(f"--{name}", type=float, default=default)
    parser.add_argument("brokers", nargs="*", default=list(BROKERS))
    chosen, is_wrong = parser.parse_args(), False
    for kind in chosen.brokers:
        with tempfile.TemporaryDirectory(prefix="sinet-soak-") as folder:
            found = soak(kind, Path(folder), chosen)
        print(kind, json.dumps(found), flush=True)
        wrong = [found["lost"], found["doubled"], found["dead_doubled"], found["poisoned"] - found["dead_letters"]]
        is_wrong = is_wrong or any(wrong)
    return int(is_wrong)


if __name__ == "__main__":
    sys.exit(main())
