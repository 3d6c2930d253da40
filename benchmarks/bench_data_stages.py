"""The data stages under Dagster against the same library calls in a plain script: what the bookkeeping costs.

Three regions, 20 days, three assets (raw, validated with its check, window features). `dagster` is what `sinet run`
executes, on SQLite as dagster.yaml says, its progress thread included; `stock` is the same on Dagster's own SQLite
event log; `plain` reads, judges, computes and writes with the same library calls in the same chunks and records
nothing. Imports are made before the clock starts.

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

STAGES = ("raw_telemetry", "validated_telemetry", "window_features")
REGIONS_DAYS_STAGES = 3 * 20 * 3


def prepare(home: Path, rows: int) -> int:
    """Lands the fleet and finds its regimes, which both variants are given."""
    from fleet_rows import land_rows

    from sinet_pipelines.features.regimes import find_regimes, setting_cells
    from sinet_pipelines.ingestion.landing import LandingZone
    from sinet_pipelines.storage.blobs import BlobStore

    landed = land_rows(home, rows)
    zone = LandingZone(home / "landing")
    some = zone.read_day("EAST", zone.days("EAST")[0]).rows
    blobs = BlobStore(home / "blobs" / "EAST")
    blobs.point("operating_regimes", blobs.put(find_regimes(setting_cells(some)).to_json().encode()))
    return landed


def _fresh(home: str) -> Path:
    """A home that shares drops and blobs with the prepared one and has neither tables nor runs."""
    fresh = Path(tempfile.mkdtemp(prefix="run-", dir=Path(home).parent))
    for name in ("landing", "blobs"):
        (fresh / name).symlink_to(Path(home) / name)
    return fresh


def plain(said: argparse.Namespace) -> Mapping[str, float]:
    """The stages as a script."""
    import plain_stages as stages

    from sinet_pipelines.regions import REGIONS

    home = _fresh(said.home)
    stages.warm()
    clock = measure.Clock()
    for stage in (stages.ingest, stages.validate, stages.describe):
        for region in REGIONS:
            stage(home, region.name)
    figures = clock.read()
    shutil.rmtree(home)
    return figures


def dagster(said: argparse.Namespace) -> Mapping[str, float]:
    """The stages as one run of nine assets, as `sinet run` starts it."""
    return _as_a_run(said, stock=False)


def stock(said: argparse.Namespace) -> Mapping[str, float]:
    """The same on Dagster's own SQLite storage."""
    return _as_a_run(said, stock=True)


def _as_a_run(said: argparse.Namespace, *, stock: bool) -> Mapping[str, float]:
    from sinet_pipelines.cli.home import make_home
    from sinet_pipelines.cli.orchestrator import enter, load_definitions, opened_instance

    home = make_home(_fresh(said.home))
    enter(measure.ROOT, home)
    from plain_stages import warm  # the assets read the home as they are imported: entered first

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
    said = yaml.safe_load(file.read_text())
    file.write_text(yaml.safe_dump({**said, "storage": {"sqlite": {"base_dir": str(home / "dagster")}}}))


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


def compare(said: argparse.Namespace) -> None:
    with tempfile.TemporaryDirectory(prefix="sinet-bench-") as folder:
        home = Path(folder) / "prepared"
        rows = prepare(home, said.rows)
        variants = ["plain", "dagster", *(["stock"] if said.stock else [])]
        found = measure.rounds(__file__, variants, repeats=said.repeats, arguments=["--home", str(home)])
    table = measure.Table(f"data stages: {rows:,} rows, 3 regions x 20 days x 3 assets")
    for variant in variants:
        table.add(f"{variant}: wall", found[variant]["wall_s"], unit="s")
        table.add(f"{variant}: CPU", found[variant]["cpu_s"], unit="s")
        table.add(f"{variant}: peak memory", found[variant]["peak_mib"], unit="MiB")
    large = said.rows >= 10_000_000
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
