"""Compares the data stages under Dagster with the same library calls in a plain script: the cost of orchestration.

Three regions, 20 days, three assets (raw, validated with its check, window features). `dagster` executes the same as
`sinet run`, on SQLite according to dagster.yaml, including its progress thread; `stock` is the same on Dagster's own
SQLite event log; `plain` reads, validates, computes and writes with the same library calls in the same chunks and
records nothing. Imports are made before the clock starts.

    python benchmarks/bench_data_stages.py [--rows 100000] [--repeats 3] [--stock]
"""

import argparse
import io
import shutil
import tempfile
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

import measure

from sinet_pipelines.applications.turbofan.landed import TELEMETRY
from sinet_pipelines.storage.layout import blobs_root

STAGES = ("raw_telemetry", "validated_telemetry", "window_features")
REGIONS_DAYS_STAGES = 3 * 20 * 3


def prepare(home: Path, rows: int) -> int:
    """Lands the fleet and finds its regimes, the input of both variants."""
    from fleet_rows import land_rows

    from sinet_pipelines.applications.turbofan.features.regimes import find_regimes, setting_cells
    from sinet_pipelines.ingestion.landing import LandingZone
    from sinet_pipelines.storage.blobs import BlobStore

    landed = land_rows(home, rows)
    zone = LandingZone(home, TELEMETRY, ("EAST",))
    some = zone.read_day("EAST", zone.days("EAST")[0]).rows
    blobs = BlobStore(blobs_root(home, "EAST"), "turbofan")
    blobs.point("operating_regimes", blobs.put(find_regimes(setting_cells(some)).to_json().encode()))
    return landed


def _fresh(home: str) -> Path:
    """A home with the drops and blobs of the prepared one, without tables and runs."""
    fresh = Path(tempfile.mkdtemp(prefix="run-", dir=Path(home).parent))
    for region in ("EAST", "WEST", "NULL_ISLAND"):
        (fresh / region).mkdir()
        for name in ("landing", "blobs"):
            (fresh / region / name).symlink_to(Path(home) / region / name)
    return fresh


def plain(args: argparse.Namespace) -> Mapping[str, float]:
    """The stages as a script."""
    import plain_stages as stages

    from sinet_pipelines.inventory.regions import this_inventory

    home = _fresh(args.home)
    stages.warm()
    clock = measure.Clock()
    for stage in (stages.ingest, stages.validate, stages.describe):
        for region in this_inventory().regions:
            stage(home, region.name)
    figures = clock.read()
    shutil.rmtree(home)
    return figures


def dagster(args: argparse.Namespace) -> Mapping[str, float]:
    """The stages as one run of nine assets, like in `sinet run`."""
    return _as_a_run(args, stock=False)


def stock(args: argparse.Namespace) -> Mapping[str, float]:
    """The same on Dagster's own SQLite storage."""
    return _as_a_run(args, stock=True)


def _as_a_run(args: argparse.Namespace, *, stock: bool) -> Mapping[str, float]:
    from sinet_pipelines.cli.home import make_home
    from sinet_pipelines.cli.orchestrator import enter, load_definitions, opened_instance

    home = make_home(_fresh(args.home))
    enter(measure.ROOT, home)
    from plain_stages import warm  # entered first, because the assets read the home at import

    if stock:
        _with_stock_storage(home)
    warm()
    with opened_instance() as instance:
        graph = load_definitions().resolve_asset_graph()
        figures = _execute(instance, graph)
    shutil.rmtree(home)
    return figures


def _with_stock_storage(home: Path) -> None:
    import yaml

    file = home / "dagster" / "dagster.yaml"
    settings = yaml.safe_load(file.read_text())
    file.write_text(yaml.safe_dump({**settings, "storage": {"sqlite": {"base_dir": str(home / "dagster")}}}))


def _execute(instance: Any, graph: Any) -> Mapping[str, float]:
    from dagster._core.execution.api import execute_run
    from fleet_rows import DAYS, FIRST_DAY
    from rich.console import Console

    from schedules.backfills import PlannedRun
    from sinet_pipelines.cli.orchestrator import create_run
    from sinet_pipelines.cli.progress import AssetProgress, RunProgress, watched

    keys = frozenset(key for key in graph.get_all_asset_keys() if key.path[-1] in STAGES)
    clock = measure.Clock()
    run, job = create_run(instance, PlannedRun(keys, (FIRST_DAY, FIRST_DAY + timedelta(days=DAYS - 1))))
    progress = RunProgress({key.to_user_string(): AssetProgress(key.to_user_string()) for key in keys}, {})
    with watched(instance, run.run_id, progress, Console(file=io.StringIO())):
        result = execute_run(job, run, instance)
    figures = clock.read()
    recorded = sum(asset.days for asset in progress.assets.values())
    if not result.success or recorded != REGIONS_DAYS_STAGES:
        raise SystemExit(f"the run recorded {recorded} days of {REGIONS_DAYS_STAGES}; success: {result.success}")
    return {**figures, "events": len(instance.all_logs(run.run_id))}


def compare(args: argparse.Namespace) -> None:
    with tempfile.TemporaryDirectory(prefix="sinet-bench-") as folder:
        home = Path(folder) / "prepared"
        rows = prepare(home, args.rows)
        variants = ["plain", "dagster", *(["stock"] if args.stock else [])]
        found = measure.rounds(__file__, variants, repeats=args.repeats, arguments=["--home", str(home)])
    table = measure.Table(f"data stages: {rows:,} rows, 3 regions x 20 days x 3 assets")
    for variant in variants:
        table.add(f"{variant}: wall", found[variant]["wall_s"], unit="s")
        table.add(f"{variant}: CPU", found[variant]["cpu_s"], unit="s")
        table.add(f"{variant}: peak memory", found[variant]["peak_mib"], unit="MiB")
    large = args.rows >= 10_000_000
    for variant in variants[1:]:
        mine, peer = found[variant], found["plain"]
        for kind in ("wall_s", "cpu_s"):
            per_day = [1000 * (a - b) / REGIONS_DAYS_STAGES for a, b in zip(mine[kind], peer[kind], strict=True)]
            aim = "<= 25" if kind == "wall_s" and variant == "dagster" else ""
            table.add(f"{variant}: bookkeeping per day and asset ({kind[:-2]})", per_day, unit="ms", aim=aim)
        aim = "<= 1.15" if large and variant == "dagster" else ""
        table.add(f"{variant} / plain, wall", measure.ratios(mine["wall_s"], peer["wall_s"]), unit="x", aim=aim)
    table.print()


if __name__ == "__main__":
    measure.main(
        __doc__.splitlines()[0],
        variants={"plain": plain, "dagster": dagster, "stock": stock},
        compare=compare,
        options={
            "--rows": {"type": int, "default": 100_000},
            "--repeats": {"type": int, "default": 3},
            "--stock": {"action": "store_true", "help": "also on Dagster's own SQLite event log"},
            "--home": {"help": argparse.SUPPRESS},
        },
    )
