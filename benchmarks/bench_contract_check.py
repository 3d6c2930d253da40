"""Compares the compiled check of a contract with one DuckDB SELECT and pandera on polars, 1 million rows x 15 rules.

Every variant finds the number of rows that break each rule: six columns are not null, five are in bounds, one has
values of a set, one is empty, two dates are equal, and keys are unique. The rows are in random order, and one in a
thousand breaks a rule. `ours` also finds which rows break which rule; `scan` does so for a Parquet file in a stream,
which no step does: a step checks a large day in batches.
`expectations` is Great Expectations itself, without values of rows.

    python benchmarks/bench_contract_check.py [--rows 1000000] [--repeats 5]
"""

import argparse
import statistics
import tempfile
from collections.abc import Callable, Mapping
from datetime import date
from pathlib import Path
from typing import Any

import measure

INNER = 3  # checks in one process; the median is used, since the first includes the setup of the library
FLOATS = ("load_kw", "torque_nm", "speed_rpm", "temperature_c")
LEAST, MOST = 20.0, 80.0
STATES = ("history", "live")
AIM = "<= 1.2"


def contract() -> Any:
    """The contract with 15 rules."""
    import pyarrow as pa

    from sinet_pipelines.schemas.contract import Column, Contract, DataClass

    columns = (
        Column("unit", pa.string(), "name"),
        Column("role", pa.string(), "role", allowed=STATES, nullable=True),
        Column("cycle", pa.int32(), "number", "cycles", 1, 100_000),
        *(Column(name, pa.float64(), "reading", "1", LEAST, MOST) for name in FLOATS),
    )
    return Contract("rows", "A row.", DataClass.RAW, columns, key=("unit", "cycle"))


def frame(rows: int) -> Any:
    """Rows of units with 200 cycles each, in random order; one row in a thousand breaks a rule."""
    import numpy as np
    import polars as pl

    rng = np.random.default_rng(0)
    noon = 1_767_268_800_000_000  # 2026-01-01 12:00 UTC, microseconds
    readings = {name: np.clip(rng.normal(50, 5, rows), LEAST, MOST) for name in FLOATS}
    made = pl.DataFrame(
        {
            "unit": pl.Series(np.arange(rows) // 200).cast(pl.String).str.zfill(6),
            "role": np.where(rng.random(rows) < 0.5, *STATES),
            "cycle": pl.Series(np.arange(rows) % 200 + 1, dtype=pl.Int32),
            **readings,
            "recorded_at": pl.Series(noon + rng.integers(0, 40_000_000_000, rows)).cast(pl.Datetime("us", "UTC")),
        }
    ).with_columns(event_date=pl.lit(date(2026, 1, 1)), unparsed=pl.lit(None, pl.String))
    faulty = pl.Series(np.arange(rows) % 1000)
    made = made.with_columns(
        load_kw=pl.when(faulty == 1).then(None).otherwise("load_kw"),
        torque_nm=pl.when(faulty == 2).then(1e9).otherwise("torque_nm"),
        role=pl.when(faulty == 3).then(pl.lit("spare")).otherwise("role"),
        unparsed=pl.when(faulty == 4).then(pl.lit("{}")).otherwise("unparsed"),
        recorded_at=pl.when(faulty == 5).then(pl.col("recorded_at").dt.offset_by("3d")).otherwise("recorded_at"),
        cycle=pl.when(faulty == 6).then(pl.col("cycle") + 1).otherwise("cycle"),
    )
    return made.sample(fraction=1.0, shuffle=True, seed=1)


def expected(rows: int) -> int:
    """How often rows break a rule: of six faults, the repeated keys concern two rows each."""
    return 7 * (rows // 1000)


def timed(args: argparse.Namespace, check: Callable[[], int], *, before_mib: float) -> Mapping[str, float]:
    """Median time of a check, which must find every fault, and the memory that it added."""
    took = []
    for _ in range(INNER):
        clock = measure.Clock()
        found = check()
        took.append(clock.read())
        if found != expected(args.rows):
            raise SystemExit(f"found {found} faults, not {expected(args.rows)}")
    middle = {name: statistics.median(one[name] for one in took) for name in took[0]}
    return {**middle, "added_mib": measure.peak_mib() - before_mib}


def ours(args: argparse.Namespace) -> Mapping[str, float]:
    """The compiled check of a frame."""
    from sinet_pipelines.validation.compiled import check_rows

    rows, wanted = frame(args.rows), contract()
    return timed(args, lambda: sum(check_rows(rows, wanted).counts), before_mib=measure.peak_mib())


def scan(args: argparse.Namespace) -> Mapping[str, float]:
    """The compiled check of a file, which is written by another process, so that the rows were never in memory."""
    import subprocess
    import sys

    import polars as pl

    from sinet_pipelines.validation.compiled import check_rows

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "rows.parquet"
        write = f"import bench_contract_check as b; b.frame({args.rows}).write_parquet({str(path)!r})"
        subprocess.run([sys.executable, "-c", write], check=True, cwd=Path(__file__).parent)
        wanted = contract()
        return timed(args, lambda: sum(check_rows(pl.scan_parquet(path), wanted).counts), before_mib=measure.peak_mib())


def duckdb(args: argparse.Namespace) -> Mapping[str, float]:
    """One SELECT with a count for each rule."""
    import duckdb as db

    rows = frame(args.rows).to_arrow()
    connection = db.connect()
    connection.register("found", rows)
    counts = [f"count(*) FILTER ({name} IS NULL)" for name in ("unit", "cycle", *FLOATS)]
    counts += [f"count(*) FILTER ({name} < {LEAST} OR {name} > {MOST})" for name in FLOATS]
    counts += ["count(*) FILTER (cycle < 1 OR cycle > 100000)", f"count(*) FILTER (role NOT IN {STATES})"]
    counts += ["count(*) FILTER (unparsed IS NOT NULL)"]
    counts += [
        "count(*) FILTER (epoch_us(recorded_at) // 86400000000 <> date_diff('day', DATE '1970-01-01', event_date))"
    ]
    same = (
        "SELECT coalesce(sum(n), 0) FROM (SELECT count(*) n FROM found GROUP BY event_date, unit, cycle HAVING n > 1)"
    )
    query = f"SELECT {', '.join(counts)}, ({same}) FROM found"
    return timed(args, lambda: int(sum(connection.execute(query).fetchone())), before_mib=measure.peak_mib())


def pandera(args: argparse.Namespace) -> Mapping[str, float]:
    """The same rules as a schema of pandera, with all faults collected."""
    import pandera.polars as pa
    import polars as pl
    from pandera.errors import SchemaErrors

    rows = frame(args.rows).with_columns(recorded_date=pl.col("recorded_at").dt.date())
    columns = {
        "unit": pa.Column(pl.String, nullable=False),
        "role": pa.Column(pl.String, pa.Check.isin(STATES), nullable=True),
        "cycle": pa.Column(pl.Int32, pa.Check.in_range(1, 100_000), nullable=False),
        **{name: pa.Column(pl.Float64, pa.Check.in_range(LEAST, MOST), nullable=False) for name in FLOATS},
        "unparsed": pa.Column(
            pl.String, pa.Check(lambda data: data.lazyframe.select(pl.col(data.key).is_null())), nullable=True
        ),
    }
    same_day = pa.Check(lambda data: data.lazyframe.select(pl.col("recorded_date") == pl.col("event_date")))
    schema = pa.DataFrameSchema(columns, checks=same_day, unique=["event_date", "unit", "cycle"])

    def check() -> int:
        try:
            schema.validate(rows, lazy=True)
        except SchemaErrors as errors:
            return int(errors.failure_cases.height)
        return 0

    return timed(args, check, before_mib=measure.peak_mib())


def expectations(args: argparse.Namespace) -> Mapping[str, float]:
    """Great Expectations itself, which only returns whether and how often a rule is broken."""
    from sinet_pipelines.validation.expectations import run_great_expectations

    rows, wanted = frame(args.rows), contract()

    def check() -> int:
        result = run_great_expectations(rows, wanted, result_format="BASIC")
        return sum(one.result["unexpected_count"] for one in result.results)

    return timed(args, check, before_mib=measure.peak_mib())


VARIANTS = {"ours": ours, "scan": scan, "duckdb": duckdb, "pandera": pandera, "expectations": expectations}


def compare(args: argparse.Namespace) -> None:
    found = measure.rounds(__file__, list(VARIANTS), repeats=args.repeats, arguments=[f"--rows={args.rows}"])
    table = measure.Table(f"contract check: {args.rows:,} rows x 15 rules")
    for variant, figures in found.items():
        table.add(f"{variant}: wall", [1000 * s for s in figures["wall_s"]], unit="ms")
        table.add(f"{variant}: memory added", figures["added_mib"], unit="MiB")
    for kind in ("wall_s", "cpu_s"):
        faster = [min(pair) for pair in zip(found["duckdb"][kind], found["pandera"][kind], strict=True)]
        for variant in ("ours", "scan"):
            ratio = measure.ratios(found[variant][kind], faster)
            table.add(
                f"{variant} / faster of both, {kind[:-2]}",
                ratio,
                unit="x",
                aim=AIM if (variant, kind) == ("ours", "wall_s") else "",
            )
    table.add(
        "expectations / ours, wall", measure.ratios(found["expectations"]["wall_s"], found["ours"]["wall_s"]), unit="x"
    )
    table.print()


if __name__ == "__main__":
    measure.main(
        __doc__.splitlines()[0],
        variants=VARIANTS,
        compare=compare,
        options={"--rows": {"type": int, "default": 1_000_000}, "--repeats": {"type": int, "default": 5}},
    )
