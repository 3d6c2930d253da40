"""Compares landing, validation and Delta writes of ten times the rows with the single amount: time and peak memory.

Three regions and 20 days, so ten times the rows are ten times the rows of each day. Peak memory is that of a separate
process, and its increase since before the first row.

    python benchmarks/bench_scaling.py [--rows 50000] [--repeats 2]
"""

import argparse
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path

import measure

TIMES = 10


def once(args: argparse.Namespace) -> Mapping[str, float]:
    """Lands and validates the requested number of rows."""
    return _measure(args.rows)


def ten_times(args: argparse.Namespace) -> Mapping[str, float]:
    """Lands and validates ten times as many rows."""
    return _measure(args.rows * TIMES)


def _measure(rows: int) -> Mapping[str, float]:
    import plain_stages as stages
    from fleet_rows import land_rows

    from sinet_pipelines.inventory.regions import this_inventory

    home = Path(tempfile.mkdtemp(prefix="sinet-bench-"))
    try:
        stages.warm()
        before = measure.resident_mib()
        clock = measure.Clock()
        landed = land_rows(home, rows)
        land_s = clock.read()["wall_s"]
        for region in this_inventory().regions:
            stages.ingest(home, region.name)
            stages.validate(home, region.name)
        return {**clock.read(), "land_s": land_s, "rows": landed, "grown_mib": measure.peak_mib() - before}
    finally:
        shutil.rmtree(home)


def compare(args: argparse.Namespace) -> None:
    found = measure.rounds(__file__, ["once", "ten_times"], repeats=args.repeats, arguments=["--rows", str(args.rows)])
    small, large = found["once"], found["ten_times"]
    table = measure.Table(f"scaling: {int(small['rows'][0]):,} and {int(large['rows'][0]):,} rows")
    for name, figures in found.items():
        table.add(f"{name}: wall", figures["wall_s"], unit="s")
        table.add(f"{name}: peak memory", figures["peak_mib"], unit="MiB")
        table.add(f"{name}: memory above the start", figures["grown_mib"], unit="MiB")
    share = large["rows"][0] / small["rows"][0] / TIMES  # fleets have whole engines: not exactly ten times the rows
    per_ten = {kind: [r / share for r in measure.ratios(large[kind], small[kind])] for kind in ("wall_s", "cpu_s")}
    table.add("ten times the rows: wall", per_ten["wall_s"], unit="x", aim="<= 10.5")
    table.add("ten times the rows: CPU", per_ten["cpu_s"], unit="x")
    table.add("ten times the rows: peak", measure.ratios(large["peak_mib"], small["peak_mib"]), unit="x", aim="<= 1.3")
    table.add("ten times the rows: growth", measure.ratios(large["grown_mib"], small["grown_mib"]), unit="x")
    table.print()


if __name__ == "__main__":
    measure.main(
        __doc__.splitlines()[0],
        variants={"once": once, "ten_times": ten_times},
        compare=compare,
        options={"--rows": {"type": int, "default": 50_000}, "--repeats": {"type": int, "default": 2}},
    )
