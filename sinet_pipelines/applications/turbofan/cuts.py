"""Cuts: cycles at which a complete life is predicted as if the engine were still running.

They are drawn from the engine's name, so every model predicts the same cycles, and a new engine changes no other cuts.
"""

import numpy as np
import polars as pl
from numpy.typing import NDArray

from sinet_pipelines.features.splits import held_out, unit_fraction

CUTS = 8  # for each engine; more add little information, since neighbouring cycles are nearly equal


def cut_times(unit: str, *, life: int, n: int = CUTS) -> NDArray[np.int32]:
    """Cycles at which an engine's life is cut: n different ones, uniform over all cycles but the last.

    Args:
        unit: name of the engine, the seed of the draw.
        life: its last cycle.
        n: number of cuts; fewer where the life is shorter.

    Returns:
        At most (n,), ascending, in [1, life - 1].
    """
    generator = np.random.default_rng(int(unit_fraction(unit, salt="cuts") * 2**53))
    cycles = generator.permutation(np.arange(1, life, dtype=np.int32))[:n]
    return np.sort(cycles)


def held_out_cuts(failures: pl.DataFrame, *, n: int = CUTS) -> pl.DataFrame:
    """The cuts of history engines that are in no training set.

    Args:
        failures: failure events: `unit`, and `cycle`, the last before the failure.
        n: cuts of each engine.

    Returns:
        `unit`, `cycle` (of the prediction), `rul_cycles` (left at that cycle), sorted.
    """
    lives = dict(failures.select("unit", "cycle").iter_rows())
    rows = [
        (unit, int(cycle), lives[unit] - int(cycle))
        for unit in held_out(lives)
        for cycle in cut_times(unit, life=lives[unit], n=n)
    ]
    schema = {"unit": pl.String, "cycle": pl.Int32, "rul_cycles": pl.Int32}
    return pl.DataFrame(rows, schema=schema, orient="row")


def newest_truths(truth: pl.DataFrame) -> pl.DataFrame:
    """One truth for each engine: of two, the later known one, which revises the other; sorted by unit.

    Args:
        truth: rows of `truth_events`.
    """
    return truth.sort("known_at", "cycle").group_by("unit").last().sort("unit")
