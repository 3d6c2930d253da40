"""Measures time and peak memory of one drop of two million rows: landing, validation and features in own processes.

The file has one row group, engines of 200 cycles, readings that compress well, and columns that no contract has.

    python benchmarks/bench_large_drop.py [--rows 2000000] [--engine-cycles 200] [--keep FOLDER]
        [--observed] [--corrected] [--refused]

With `--observed`, the arrival of the drop is known, so each row's is recorded. With `--corrected`, a second version
replaces the file, with other readings in one row of `--changed`. With `--refused`, one row of ten breaks the contract.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import measure

from sinet_pipelines.storage.layout import blobs_root, landing_root, record_file

DAY = date(2026, 1, 5)
REGION = "EAST"
STEPS = ("raw_telemetry", "validated_telemetry", "window_features")
LAND = "land"
EXTRA_COLUMNS = 20


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=2_000_000)
    parser.add_argument("--engine-cycles", type=int, default=200)
    parser.add_argument("--keep", type=Path, help="a folder for the home, which stays")
    parser.add_argument("--observed", action="store_true", help="the region observes the drop on its day")
    parser.add_argument("--corrected", action="store_true", help="a second version of the drop follows")
    parser.add_argument("--refused", action="store_true", help="the day is refused")
    parser.add_argument("--changed", type=int, default=1000, help="the second version changes one row of so many")
    parser.add_argument("--version", type=int, default=1, help=argparse.SUPPRESS)
    parser.add_argument("--step", choices=(LAND, *STEPS), help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.step:
        is_land = args.step == LAND
        home = Path(os.environ["SINET_HOME"])
        found = land(home, args) if is_land else _step(args.step, is_refused=args.refused)
        print(measure.REPORTED + json.dumps(found))
        return
    home = args.keep or Path(tempfile.mkdtemp(prefix="sinet-large-"))
    try:
        for version in (1, 2) if args.corrected else (1,):
            _chain(home, version, is_refused=args.refused)
    finally:
        if not args.keep:
            shutil.rmtree(home)


def _chain(home: Path, version: int, *, is_refused: bool) -> None:
    """Lands a version of the drop, and executes each step, in processes: a peak begins with that of the parent."""
    options = sys.argv[1:]
    size = _in_process(home, LAND, *options, "--version", str(version))
    print(
        f"version {version}: one drop of {size['rows']:,} rows, {size['bytes'] / 1e6:.1f} MB, one row group, "
        f"{EXTRA_COLUMNS} unknown columns"
    )
    total = 0.0
    for step in STEPS[: 2 if is_refused else 3]:
        found = _in_process(home, step, *options)
        total += found["wall_s"]
        print(f"{step:22} {found['wall_s']:7.1f} s {found['cpu_s']:7.1f} s of CPU, peak {found['peak_mib']:6.0f} MiB")
    print(f"{'all steps':22} {total:7.1f} s", flush=True)


def land(home: Path, args: argparse.Namespace) -> dict[str, float]:
    """Writes a version of the drop into the landing zone; returns its rows and its size in bytes."""
    import numpy as np
    import pyarrow as pa
    import pyarrow.parquet as pq

    from sinet_pipelines.applications.turbofan.schemas.telemetry import SENSORS, SETTINGS

    rows, cycles = args.rows, args.engine_cycles
    folder = landing_root(home, REGION, "turbofan") / DAY.isoformat()
    folder.mkdir(parents=True, exist_ok=True)
    record_file(home, "turbofan").parent.mkdir(exist_ok=True)
    record_file(home, "turbofan").write_text(
        json.dumps({"name": "large", "simulated": True, "first_day": DAY.isoformat()})
    )
    if args.observed and args.version == 1:
        _observe(home, hour=0)
    number = np.arange(rows)
    midnight = datetime(DAY.year, DAY.month, DAY.day, tzinfo=UTC)
    instants = np.datetime64(midnight.replace(tzinfo=None), "us") + (number % 86_400) * np.timedelta64(1, "s")
    middle = {c.name: (c.minimum + c.maximum) / 2 for c in SETTINGS + SENSORS}
    table = {
        "unit": pa.array(number // cycles).cast(pa.string()),
        "role": pa.array(np.full(rows, "history")).dictionary_encode(),
        "cycle": pa.array((number % cycles + 1).astype(np.int32)),
        "recorded_at": pa.array(instants, pa.timestamp("us", tz="UTC")),
        **{name: pa.array(value * (1 + 0.001 * (number % 7))) for name, value in middle.items()},
        **{f"note_{n}": pa.array(np.full(rows, "x" * 200)).dictionary_encode() for n in range(EXTRA_COLUMNS)},
    }
    sensor = SENSORS[0]
    if args.version == 2:
        is_changed = number % args.changed == 0
        table[sensor.name] = pa.array(middle[sensor.name] * (1 + 0.001 * (number % 7) + 0.0001 * is_changed))
    if args.refused:
        table[sensor.name] = pa.array(np.where(number % 10 == 0, 10 * sensor.maximum, middle[sensor.name]))
    path = folder / "large.parquet"
    pq.write_table(pa.table(table), folder / ".large", compression="zstd", row_group_size=rows)
    (folder / ".large").replace(path)
    if args.observed:
        _observe(home, hour=10 * args.version)
    return {"rows": rows, "bytes": path.stat().st_size}


def _observe(home: Path, *, hour: int) -> None:
    """The region observes its landing zone at an hour of the day."""
    from sinet_pipelines.applications.turbofan.landed import TELEMETRY
    from sinet_pipelines.ingestion.arrivals import observe_arrivals
    from sinet_pipelines.ingestion.landing import LandingZone
    from sinet_pipelines.storage.tables import tables_of

    now = datetime(DAY.year, DAY.month, DAY.day, tzinfo=UTC) + timedelta(hours=hour)
    observe_arrivals(LandingZone(home, TELEMETRY, (REGION,)), tables_of(home, REGION, "turbofan"), REGION, now=now)


def _in_process(home: Path, step: str, *options: str) -> Mapping[str, float]:
    environment = {**os.environ, "SINET_HOME": str(home), "DAGSTER_HOME": "", "PYTHONPATH": str(measure.ROOT)}
    command = [sys.executable, "-W", "ignore", __file__, "--step", step, *options]
    done = subprocess.run(command, env=environment, check=True, stdout=subprocess.PIPE, text=True, cwd=measure.ROOT)
    line = next(line for line in done.stdout.splitlines() if line.startswith(measure.REPORTED))
    return json.loads(line.removeprefix(measure.REPORTED))


def _step(name: str, *, is_refused: bool) -> dict[str, float]:
    """Executes one asset for the day, like a run; the regimes for features exist already."""
    import dagster as dg

    from assets.definitions import build_defs
    from assets.turbofan.keys import regional_key
    from resources.deployment import this_deployment
    from resources.regions import region_resources
    from schedules.backfills import PlannedRun
    from sinet_pipelines.inventory.regions import this_inventory

    deployment = this_deployment()
    if name == "window_features":
        _find_regimes(deployment.home)
    key = regional_key(this_inventory().region(REGION), name)
    with dg.DagsterInstance.ephemeral() as instance:
        clock = measure.Clock()
        result = dg.materialize(
            [asset for asset in build_defs(deployment).assets if key in getattr(asset, "keys", ())],
            selection=[key],
            resources={"deployment": deployment, **region_resources(deployment)},
            instance=instance,
            tags=PlannedRun(frozenset([key]), (DAY, DAY)).tags,
            raise_on_error=not is_refused,
        )
        assert result.success != (is_refused and name == "validated_telemetry")
        return {**clock.read(), "peak_mib": measure.peak_mib()}


def _find_regimes(home: Path) -> None:
    """Finds regimes from one row for each cell of a small fleet; this is not measured."""
    import polars as pl

    from sinet_pipelines.applications.turbofan.features.regimes import REGIMES, find_regimes, setting_cells
    from sinet_pipelines.applications.turbofan.schemas.telemetry import VALIDATED_TELEMETRY
    from sinet_pipelines.storage.blobs import BlobStore
    from sinet_pipelines.storage.tables import tables_of

    tables = tables_of(home, REGION, "turbofan")
    rows: pl.DataFrame = next(iter(tables.read_in_batches(VALIDATED_TELEMETRY, day=DAY, rows=10_000)))
    blobs = BlobStore(blobs_root(home, REGION), "turbofan")
    blobs.point(REGIMES, blobs.put(find_regimes(setting_cells(rows)).to_json().encode()))


if __name__ == "__main__":
    main()
