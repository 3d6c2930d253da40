"""Measures window features of one large day: seconds and peak memory in the step's process and on two Dask workers.

Both read the day's telemetry of engines of 200 cycles from its table and write the features in one commit. Their
content must be equal. With `--repeats 10` and 10 million rows, a variant computes 100 million rows in turn.

    python benchmarks/bench_features.py [--rows 1000000] [--workers 2] [--repeats 1]
"""

import argparse
import sys
import tempfile
from collections.abc import Iterator, Mapping
from datetime import UTC, date, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import measure

if TYPE_CHECKING:
    import polars as pl

    from sinet_pipelines.features.in_parts import PartMap
    from sinet_pipelines.storage.tables import TableStore

DAY = date(2026, 1, 5)
REGION = "EAST"
CYCLES = 200  # of an engine
BATCH_ENGINES = 500
SPREAD = 0.01  # of a reading, as a share of it: noise, which compresses badly like that of real sensors


def telemetry(args: argparse.Namespace) -> Mapping[str, float]:
    """Writes the telemetry of the day and its first cycles."""
    import polars as pl

    from sinet_pipelines.applications.turbofan.schemas.features import FIRST_CYCLES
    from sinet_pipelines.applications.turbofan.schemas.telemetry import EARLY_TELEMETRY, VALIDATED_TELEMETRY

    is_early = pl.col("cycle") <= FIRST_CYCLES
    store = _store(args)
    store.replace_day_from(VALIDATED_TELEMETRY, lambda: _engines(args.rows), day=DAY)
    store.replace_day_from(EARLY_TELEMETRY, lambda: (rows.filter(is_early) for rows in _engines(args.rows)), day=DAY)
    return {"bytes": store.extent(VALIDATED_TELEMETRY)[1]}


def _engines(rows: int) -> "Iterator[pl.DataFrame]":
    """Validated telemetry of the day, some engines at a time, in the order of their names."""
    import numpy as np
    import polars as pl

    from sinet_pipelines.applications.turbofan.schemas.telemetry import SENSORS, SETTINGS

    engines = max(1, rows // CYCLES)
    start = datetime(DAY.year, DAY.month, DAY.day, tzinfo=UTC)
    for first in range(0, engines, BATCH_ENGINES):
        number = np.repeat(np.arange(first, min(first + BATCH_ENGINES, engines)), CYCLES)
        cycle = np.tile(np.arange(1, CYCLES + 1, dtype=np.int32), len(number) // CYCLES)
        rng = np.random.default_rng(first)
        middle = {one.name: (one.minimum + one.maximum) / 2 for one in SETTINGS + SENSORS}
        seconds = pl.Series(cycle.astype(np.int64) * 60)
        yield pl.DataFrame(
            {
                "unit": pl.Series(number).cast(pl.String).str.zfill(8),
                "role": pl.Series(["history"]).new_from_index(0, len(number)),
                "cycle": cycle,
                "recorded_at": pl.select(pl.lit(start).cast(pl.Datetime("us", "UTC")) + pl.duration(seconds=seconds)),
                **{name: value * (1 + SPREAD * rng.normal(size=len(number))) for name, value in middle.items()},
                "event_date": pl.Series([DAY]).new_from_index(0, len(number)),
                "drop_id": pl.Series(["drop"]).new_from_index(0, len(number)),
                "row_hash": pl.Series(rng.bytes(16).hex() for _ in number),
            }
        )


def in_process(args: argparse.Namespace) -> Mapping[str, float]:
    """Features in this process."""
    from sinet_pipelines.features.in_parts import IN_PROCESS

    return _features(args, IN_PROCESS)


def on_dask(args: argparse.Namespace) -> Mapping[str, float]:
    """Features on Dask workers of this machine, their start included."""
    from sinet_pipelines.features.dask_workers import DaskWorkers
    from sinet_pipelines.inventory.dask import DaskCluster, DaskKind

    cluster = DaskCluster(DaskKind.LOCAL, min_workers=args.workers, max_workers=args.workers)
    with DaskWorkers(cluster, REGION) as workers:
        figures = dict(_features(args, workers))
    return {**figures, "worker_peak_mib": max(workers.peaks.values())}


def _features(args: argparse.Namespace, parts: "PartMap") -> Mapping[str, float]:
    from sinet_pipelines.applications.turbofan.features.large_days import features_in_batches
    from sinet_pipelines.applications.turbofan.features.regimes import find_regimes, setting_cells
    from sinet_pipelines.applications.turbofan.schemas.features import WINDOW_FEATURES

    regimes = find_regimes(setting_cells(next(_engines(20_000))))  # not measured
    store, clock = _store(args), measure.Clock()
    written = store.replace_day_from(
        WINDOW_FEATURES, lambda: features_in_batches(store, day=DAY, regimes=regimes, parts=parts), day=DAY
    )
    content = int(written.data_versions[DAY][:12], 16)
    return {**clock.read(), "rows": written.rows, "content": content}


def _store(args: argparse.Namespace) -> "TableStore":
    from sinet_pipelines.storage.tables import tables_of

    return tables_of(Path(args.home), REGION, "turbofan")


def compare(args: argparse.Namespace) -> None:
    with tempfile.TemporaryDirectory(prefix="sinet-features-", dir=args.folder) as home:
        options = [f"--rows={args.rows}", f"--workers={args.workers}", f"--home={home}"]
        size = measure.in_process_of_its_own(__file__, "telemetry", options)["bytes"]
        found = measure.rounds(__file__, ["in_process", "on_dask"], repeats=args.repeats, arguments=options)
    content = {one for figures in found.values() for one in figures["content"]}
    if len(content) > 1:
        sys.exit("the features of the two variants differ")
    rows = int(found["in_process"]["rows"][0])
    table = measure.Table(
        f"window features of a day of {rows:,} rows ({size / 1e6:,.0f} MB of telemetry), {args.workers} Dask workers; "
        "equal content"
    )
    for variant, figures in found.items():
        table.add(f"{variant}: wall", figures["wall_s"], unit="s")
        table.add(f"{variant}: rows a second", [rows / one for one in figures["wall_s"]], unit="")
        table.add(f"{variant}: peak memory of the step", figures["peak_mib"], unit="MiB")
    table.add("on_dask: peak memory of a worker", found["on_dask"]["worker_peak_mib"], unit="MiB")
    ratios = measure.ratios(found["on_dask"]["wall_s"], found["in_process"]["wall_s"])
    table.add("on_dask / in_process, wall", ratios, unit="x")
    table.print()


if __name__ == "__main__":
    measure.main(
        __doc__.splitlines()[0],
        variants={"telemetry": telemetry, "in_process": in_process, "on_dask": on_dask},
        compare=compare,
        options={
            "--rows": {"type": int, "default": 1_000_000},
            "--workers": {"type": int, "default": 2},
            "--repeats": {"type": int, "default": 1},
            "--folder": {"help": "where the tables are written and removed; default: the machine's temporary folder"},
            "--home": {"help": argparse.SUPPRESS},
        },
    )
