"""Compares an epoch of the convolution whose sequences are read from Delta with one that reads a mapped file.

A cold epoch reads the regions' tables, arranges the sequences, writes the cache and trains. A warm epoch maps the file
and trains. `resident` is the memory that the process has more after the arrays are there.

    python benchmarks/bench_training_cache.py [--engines 300] [--repeats 3]
"""

import argparse
import tempfile
from collections.abc import Mapping
from datetime import date
from functools import lru_cache
from pathlib import Path
from typing import Any

import measure

LIFE = 200  # cycles of each engine
KEY = "a" * 16


@lru_cache(maxsize=1)
def _home(engines: int) -> tuple[tempfile.TemporaryDirectory[str], Any, Any]:
    """A folder with the sequences of simulated engines in one table, the frame of their keys, and the store."""
    import numpy as np
    import polars as pl

    from sinet_pipelines.applications.turbofan.schemas.features import SCALED_SENSORS, TRAINING_SEQUENCES
    from sinet_pipelines.storage.tables import tables_of

    rng, n = np.random.default_rng(0), engines * LIFE
    keys = pl.DataFrame(
        {
            "unit": [f"U{number:05d}" for number in range(engines) for _ in range(LIFE)],
            "cycle": np.tile(np.arange(1, LIFE + 1, dtype=np.int32), engines),
        }
    )
    fixed = {"event_date": date(2026, 1, 1), "row_hash": "0" * 16, "regimes_version": "0" * 16}
    rows = keys.with_columns(
        *(pl.lit(value).alias(name) for name, value in fixed.items()),
        *(pl.Series(name, rng.normal(size=n).astype("f4")) for name in SCALED_SENSORS),
    )
    folder = tempfile.TemporaryDirectory(prefix="sinet-training-cache-")  # removed when the process ends
    store = tables_of(Path(folder.name), "EAST", "turbofan")
    store.replace(TRAINING_SEQUENCES, rows.select(TRAINING_SEQUENCES.schema.names))
    return folder, keys, store


def _epoch(args: argparse.Namespace, *, is_warm: bool) -> Mapping[str, float]:
    """Seconds of the arrays and of one epoch."""
    import numpy as np

    from sinet_pipelines.applications.turbofan.features.scaled import ScaledSequences, scaled_sequences
    from sinet_pipelines.applications.turbofan.schemas.features import TRAINING_SEQUENCES
    from sinet_pipelines.applications.turbofan.task import RUL
    from sinet_pipelines.models.model import Examples, Inputs
    from sinet_pipelines.models.temporal_convolution import TemporalConvolution
    from sinet_pipelines.training.array_cache import ArrayCache

    folder, keys, store = _home(args.engines)

    def make() -> Mapping[str, Any]:
        return vars(scaled_sequences(store.read(TRAINING_SEQUENCES), at=keys))

    cache = ArrayCache(Path(folder.name) / "cache")
    if is_warm:
        ArrayCache(cache.folder).arrays(KEY, make)
    before, clock = measure.resident_mib(), measure.Clock()
    arrays = ScaledSequences(**cache.arrays(KEY, make))
    arrays_s, resident = clock.read()["wall_s"], measure.resident_mib() - before
    cycle_B = keys["cycle"].to_numpy()
    features_BF = np.linspace(0, 1, len(keys), dtype=np.float32)[:, None]
    inputs = Inputs(features_BF, ("noise",), arrays)
    unit_B, truth_B = keys["unit"].to_numpy().astype(np.str_), (LIFE - cycle_B).astype(np.float64)
    examples = Examples(inputs, unit_B, cycle_B, truth_B, RUL)
    TemporalConvolution(epochs=1).fit(examples, seed=0)
    print(cache.summary)
    return {**clock.read(), "arrays_s": arrays_s, "resident_mib": resident, "hits": cache.hits}


def cold(args: argparse.Namespace) -> Mapping[str, float]:
    """An epoch without a cached file."""
    return _epoch(args, is_warm=False)


def warm(args: argparse.Namespace) -> Mapping[str, float]:
    """An epoch with a cached file."""
    return _epoch(args, is_warm=True)


def compare(args: argparse.Namespace) -> None:
    found = measure.rounds(__file__, ["cold", "warm"], repeats=args.repeats, arguments=[f"--engines={args.engines}"])
    table = measure.Table(f"training cache: {args.engines} engines of {LIFE} cycles, one epoch")
    for variant, figures in found.items():
        table.add(f"{variant} epoch: arrays", [1000 * s for s in figures["arrays_s"]], unit="ms")
        table.add(f"{variant} epoch: whole", figures["wall_s"], unit="s")
        table.add(f"{variant} epoch: resident", figures["resident_mib"], unit="MiB")
        table.add(f"{variant} epoch: hit rate", figures["hits"], unit="of 1")
    ratios = measure.ratios(found["warm"]["arrays_s"], found["cold"]["arrays_s"])
    table.add("arrays, warm / cold", ratios, unit="x", aim="<= 0.2")
    table.print()


if __name__ == "__main__":
    measure.main(
        __doc__.splitlines()[0],
        variants={"cold": cold, "warm": warm},
        compare=compare,
        options={
            "--engines": {"type": int, "default": 300},
            "--repeats": {"type": int, "default": 3},
        },
    )
