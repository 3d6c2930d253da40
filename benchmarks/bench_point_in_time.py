"""Compares the point-in-time join of a training set with `polars.join_asof`, one million feature rows, 100k entities.

The bare variant has sorted frames and only joins; `sorted` adds the necessary sort. Our join accepts rows in any order,
resolves ties, and returns rows in the order of the entities. Rows have the order of the table of features, by day and
engine; `--shuffled` is the worst order for our join.

    python benchmarks/bench_point_in_time.py [--rows 1000000] [--entities 100000] [--features 24] [--shuffled]
"""

import argparse
import statistics
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

import measure

INNER = 3  # joins in one process; the median is used, since the first includes the setup of polars


def frames(args: argparse.Namespace) -> tuple[Any, Any, list[str]]:
    """Features of engines at random instants of 25 days, and entities at other instants."""
    import numpy as np
    import polars as pl

    rng = np.random.default_rng(0)
    engines = max(1, args.rows // 200)
    unit = rng.integers(0, engines, args.rows)
    start = int(datetime(2026, 1, 1, tzinfo=UTC).timestamp() * 1e6)
    instants = pl.Datetime("us", "UTC")
    width = [f"f{n}" for n in range(args.features)]
    features = pl.DataFrame(
        {
            "unit": pl.Series(unit).cast(pl.String).str.zfill(6),
            "recorded_at": pl.Series(start + rng.integers(0, 25 * 86_400_000, args.rows) * 1000).cast(instants),
            **{name: rng.normal(size=args.rows).astype("f4") for name in width},
        }
    )
    wanted = pl.Series(rng.integers(0, engines, args.entities)).cast(pl.String).str.zfill(6)
    at = pl.Series(start + rng.integers(0, 25 * 86_400_000, args.entities) * 1000).cast(instants)
    if not args.shuffled:
        features = features.sort(pl.col("recorded_at").dt.date(), "unit", "recorded_at")
    return pl.DataFrame({"unit": wanted, "event_timestamp": at}), features, width


def _times(join: Callable[[], object]) -> Mapping[str, float]:
    took = []
    for _ in range(INNER):
        clock = measure.Clock()
        join()
        took.append(clock.read())
    return {name: statistics.median(one[name] for one in took) for name in took[0]}


def ours(args: argparse.Namespace) -> Mapping[str, float]:
    """Our join of rows in any order."""
    from sinet_pipelines.features.point_in_time import point_in_time_join

    entities, features, width = frames(args)
    return _times(lambda: point_in_time_join(entities, features, columns=width))


def bare(args: argparse.Namespace) -> Mapping[str, float]:
    """`join_asof` of frames that are sorted before the clock starts."""
    entities, features, _ = frames(args)
    left, right = entities.sort("event_timestamp"), features.sort("recorded_at")
    return _times(lambda: _join(left, right))


def with_sort(args: argparse.Namespace) -> Mapping[str, float]:
    """`join_asof` and its necessary sorts."""
    entities, features, _ = frames(args)
    return _times(lambda: _join(entities.sort("event_timestamp"), features.sort("recorded_at")))


def _join(left: Any, right: Any) -> object:
    import warnings

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # polars warns that it cannot check the order within groups
        return left.join_asof(right, left_on="event_timestamp", right_on="recorded_at", by="unit")


def compare(args: argparse.Namespace) -> None:
    options = [f"--{name}={getattr(args, name)}" for name in ("rows", "entities", "features")]
    options += ["--shuffled"] if args.shuffled else []
    found = measure.rounds(__file__, ["ours", "bare", "sorted"], repeats=args.repeats, arguments=options)
    table = measure.Table(
        f"point in time: {args.entities:,} entities against {args.rows:,} rows of {args.features} features"
    )
    for variant, figures in found.items():
        table.add(f"{variant}: wall", [1000 * s for s in figures["wall_s"]], unit="ms")
        table.add(f"{variant}: peak memory", figures["peak_mib"], unit="MiB")
    for kind in ("wall_s", "cpu_s"):
        for peer, aim in (("bare", "<= 1.2"), ("sorted", "")):
            ratios = measure.ratios(found["ours"][kind], found[peer][kind])
            table.add(f"ours / {peer}, {kind[:-2]}", ratios, unit="x", aim=aim if kind == "wall_s" else "")
    table.print()


if __name__ == "__main__":
    measure.main(
        __doc__.splitlines()[0],
        variants={"ours": ours, "bare": bare, "sorted": with_sort},
        compare=compare,
        options={
            "--rows": {"type": int, "default": 1_000_000},
            "--entities": {"type": int, "default": 100_000},
            "--features": {"type": int, "default": 24},
            "--shuffled": {"action": "store_true", "help": "feature rows in random order"},
            "--repeats": {"type": int, "default": 5},
        },
    )
