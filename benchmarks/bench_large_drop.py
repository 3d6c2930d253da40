"""Measures time and peak memory of one drop of two million rows: landing, validation and features in own processes.

The file has one row group, engines of 200 cycles, readings that compress well, and columns that no contract has.

    python benchmarks/bench_large_drop.py [--rows 2000000] [--engine-cycles 200] [--keep FOLDER]
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from datetime import UTC, date, datetime
from pathlib import Path

import measure

from sinet_pipelines.storage.layout import blobs_root, landing_root, record_file

DAY = date(2026, 1, 5)
REGION = "EAST"
STEPS = ("raw_telemetry", "validated_telemetry", "window_features")
LAND = "land"
EXTRA_COLUMNS = 20


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=2_000_000)
    parser.add_argument("--engine-cycles", type=int, default=200)
    parser.add_argument("--keep", type=Path, help="a folder for the home, which stays")
    parser.add_argument("--step", choices=(LAND, *STEPS), help="(of the benchmark itself) one step, in this process")
    args = parser.parse_args()
    if args.step:
        is_land = args.step == LAND
        home = Path(os.environ["SINET_HOME"])
        found = land(home, rows=args.rows, cycles=args.engine_cycles) if is_land else _step(args.step)
        print(measure.REPORTED + json.dumps(found))
        return
    home = args.keep or Path(tempfile.mkdtemp(prefix="sinet-large-"))
    try:
        # in a separate process: the peak of a process begins with that of its parent
        size = _in_process(home, LAND, "--rows", str(args.rows), "--engine-cycles", str(args.engine_cycles))
        print(
            f"one drop of {args.rows:,} rows, {size['bytes'] / 1e6:.1f} MB, one row group, "
            f"{EXTRA_COLUMNS} unknown columns"
        )
        for step in STEPS:
            found = _in_process(home, step)
            print(
                f"{step:22} {found['wall_s']:7.1f} s {found['cpu_s']:7.1f} s of CPU, peak {found['peak_mib']:6.0f} MiB"
            )
    finally:
        if not args.keep:
            shutil.rmtree(home)


def land(home: Path, *, rows: int, cycles: int) -> dict[str, float]:
    """Writes the drop into the landing zone; returns its size in bytes."""
    import numpy as np
    import pyarrow as pa
    import pyarrow.parquet as pq

    from sinet_pipelines.applications.turbofan.schemas.telemetry import SENSORS, SETTINGS

    folder = landing_root(home, REGION, "turbofan") / DAY.isoformat()
    folder.mkdir(parents=True, exist_ok=True)
    record_file(home, "turbofan").parent.mkdir(exist_ok=True)
    record_file(home, "turbofan").write_text(
        json.dumps({"name": "large", "simulated": True, "first_day": DAY.isoformat()})
    )
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
    path = folder / "large.parquet"
    pq.write_table(pa.table(table), path, compression="zstd", row_group_size=rows)
    return {"bytes": path.stat().st_size}


def _in_process(home: Path, step: str, *options: str) -> Mapping[str, float]:
    environment = {**os.environ, "SINET_HOME": str(home), "DAGSTER_HOME": "", "PYTHONPATH": str(measure.ROOT)}
    command = [sys.executable, "-W", "ignore", __file__, "--step", step, *options]
    done = subprocess.run(command, env=environment, check=True, capture_output=True, text=True, cwd=measure.ROOT)
    line = next(line for line in done.stdout.splitlines() if line.startswith(measure.REPORTED))
    return json.loads(line.removeprefix(measure.REPORTED))


def _step(name: str) -> dict[str, float]:
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
        )
        assert result.success
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
