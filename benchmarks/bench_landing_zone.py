"""Measures ticks of the sensor `landing` over a zone of many small files, beside a bare `os.scandir` of the same files.

    python benchmarks/bench_landing_zone.py --files 100000 --days 100

Each variant is a process of its own. `scan` lists the files with name, size and times, as any program must that notices
a change. `ticks` is the daemon's process: it observes a zone that it has never seen, observes it again unchanged, and
again after one new file. `restarted` is another process that finds one new file. A tick reads drops for a limited time,
so the first observation takes several; the longest one is what the other sensors wait for. `status` counts all rows.
"""

import argparse
import io
import os
import struct
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import measure

FIRST = date(2026, 1, 1)
REGION, APPLICATION = "EAST", "milling"
RECORD, RECORDED, PRODUCT = 0x1A2B3C4D, 0x0006123456789ABC, "L00000000"  # of the template; each file has its own
SETTLED_S = 2.5  # after it, a file that changed counts as one that no longer changes


def scan(args: argparse.Namespace) -> Mapping[str, float]:
    """Lists all files with their state, and does nothing with them."""
    clock = measure.Clock()
    files = sum(1 for _ in _states(str(_zone(args))))
    return {"files": files, **clock.read()}


def ticks(args: argparse.Namespace) -> Mapping[str, float]:
    """The first ticks until the zone is observed, one without a change, and those after a new file."""
    first = _until_observed(args)
    idle = _until_observed(args)
    _write_file(args, args.files, _template())
    time.sleep(SETTLED_S)
    later = _until_observed(args)
    return {
        "first_s": sum(first),
        "first_ticks": len(first),
        "longest_s": max(first),
        "idle_s": sum(idle),
        "new_file_s": sum(later),
    }


def restarted(args: argparse.Namespace) -> Mapping[str, float]:
    """The ticks after one new file, in a process that has read none."""
    _write_file(args, args.files + 1, _template())
    time.sleep(SETTLED_S)
    found = _until_observed(args)
    return {"new_file_s": sum(found), "ticks": len(found), "longest_s": max(found)}


def status(args: argparse.Namespace) -> Mapping[str, float]:
    """What `sinet status` needs of the zone, the count of all rows among it: first and again."""
    from resources.materializations.published import Published

    seconds, rows = [], 0
    for _ in range(2):
        clock = measure.Clock()
        rows = sum(day.sent for day in Published(_deployment(args)).of(REGION, APPLICATION).counts.values())
        seconds.append(clock.read()["wall_s"])
    return {"first_s": seconds[0], "again_s": seconds[1], "rows": rows}


def _until_observed(args: argparse.Namespace) -> list[float]:
    """The seconds of each tick until one leaves nothing for the next."""
    found, is_left = [], True
    while is_left:
        start = time.perf_counter()
        is_left = _tick(args)
        found.append(time.perf_counter() - start)
    return found


def _tick(args: argparse.Namespace) -> bool:
    """What a tick does before it plans: compares the state, and reads new drops; returns whether any are left."""
    from resources.materializations.published import Published
    from resources.materializations.publishing import landed_files
    from resources.materializations.zones import Zones
    from schedules.backfills import READ_S
    from sinet_pipelines.ingestion.reading_time import ReadingTime

    deployment = _deployment(args)
    zones = Zones(deployment)
    lines = sorted(landed_files(deployment, zones))
    if lines == vars(args).get("seen"):
        return False
    published = Published(deployment, ReadingTime(READ_S), zones)
    for region in deployment.inventory.names:
        published.unused(region, APPLICATION)
    if published.left:
        return True
    args.seen = lines
    return False


def _deployment(args: argparse.Namespace) -> Any:
    from resources.deployment import read_deployment
    from resources.settings import settings
    from sinet_pipelines.inventory.regions import this_inventory

    return read_deployment(replace(settings(), home=Path(args.home), executor="in_process"), this_inventory())


def _zone(args: argparse.Namespace) -> Path:
    return Path(args.home) / REGION / "landing" / APPLICATION


def _states(folder: str) -> Iterator[os.stat_result]:
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.is_dir(follow_symlinks=False):
                yield from _states(entry.path)
            else:
                yield entry.stat(follow_symlinks=False)


def _template() -> bytes:
    """A drop with one product as a file without compression, so that its numbers can be replaced in its bytes."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    from sinet_pipelines.applications.milling.tables import DROP

    row = {"product_id": PRODUCT, "record_id": RECORD, "recorded_at": RECORDED, "product_type": "L"}
    middle = {"air_temperature_k": 298.1, "process_temperature_k": 308.6, "rotational_speed_rpm": 1551.0}
    row |= middle | {"torque_nm": 42.8, "tool_wear_min": 0.0}
    columns = {}
    for one in DROP.columns:
        kind = pa.int64() if pa.types.is_timestamp(one.dtype) else one.dtype
        columns[one.name] = pa.array([row[one.name]], kind).cast(one.dtype)
    buffer = io.BytesIO()
    pq.write_table(pa.table(columns), buffer, compression="NONE", use_dictionary=False, write_statistics=False)
    return buffer.getvalue()


def _write_file(args: argparse.Namespace, number: int, template: bytes) -> None:
    """Lands the drop of a number, which no other file has; its folder is that of its day."""
    day = FIRST + timedelta(days=number % args.days)
    recorded = int(datetime(day.year, day.month, day.day, tzinfo=UTC).timestamp() * 1e6) + number // args.days
    content = template.replace(struct.pack("<i", RECORD), struct.pack("<i", number + 1))
    content = content.replace(struct.pack("<q", RECORDED), struct.pack("<q", recorded))
    content = content.replace(PRODUCT.encode(), b"L%08d" % number)
    folder = _zone(args) / day.isoformat()
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"drop_{number:07d}.parquet").write_bytes(content)


def compare(args: argparse.Namespace) -> None:
    """Makes the zone in a temporary folder, runs the variants and prints their figures."""
    from sinet_pipelines.ingestion.record import Record, write_record

    with tempfile.TemporaryDirectory(prefix="sinet-zone-", dir=args.folder) as home:
        args.home, template = home, _template()
        fields = {"name": "benchmark", "simulated": True, "first_day": FIRST}
        write_record(Path(home), APPLICATION, fields, Record.of)
        for number in range(args.files):
            _write_file(args, number, template)
        time.sleep(SETTLED_S)
        table = measure.Table(f"{args.files:,} files of one row in {args.days} days of one landing zone")
        options = [f"--{name}={getattr(args, name)}" for name in ("files", "days", "home")]
        bare = measure.in_process_of_its_own(__file__, "scan", options)
        table.add("bare os.scandir and stat", [bare["wall_s"]], unit="s", note=f"peak {bare['peak_mib']:.0f} MiB")
        for variant in ("ticks", "restarted", "status"):
            found = measure.in_process_of_its_own(__file__, variant, options)
            note = f"peak {found.pop('peak_mib'):.0f} MiB"
            for name, value in found.items():
                is_time = name.endswith("_s")
                aim = {"longest_s": "<= 5", "new_file_s": "<= 1", "idle_s": "<= 1"}.get(name, "")
                table.add(f"{variant}: {name}", [value], unit="s" if is_time else "", aim=aim, note=note)
        table.print()


if __name__ == "__main__":
    sys.path.insert(0, str(measure.ROOT))
    measure.main(
        __doc__.splitlines()[0],
        variants={"scan": scan, "ticks": ticks, "restarted": restarted, "status": status},
        compare=compare,
        options={
            "--files": {"type": int, "default": 20_000},
            "--days": {"type": int, "default": 100},
            "--folder": {"default": None, "help": "folder on disk for the zone"},
            "--home": {"default": "", "help": argparse.SUPPRESS},
        },
    )
