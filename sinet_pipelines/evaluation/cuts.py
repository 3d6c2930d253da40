"""Cuts: the moments at which a finished life is asked about, as if it were still running.

Drawn by the engine's name, so every model is asked the same questions, and a new engine changes no other's.
"""

import numpy as np
import polars as pl
from numpy.typing import NDArray

from sinet_pipelines.features.splits import held_out, unit_fraction

CUTS = 8  # an engine; more would mostly ask the same again, since neighbouring cycles are nearly one row


def cut_times(unit: str, *, life: int, n: int = CUTS) -> NDArray[np.int32]:
    """Cycles at which an engine's life is cut: n different ones, any cycle but the last as likely as another.

    Args:
        unit: the engine, by whose name the cycles are drawn.
        life: its last cycle.
        n: how many; fewer where the life has not so many.

    Returns:
        At most (n,), ascending, in [1, life - 1].
    """
    generator = np.random.default_rng(int(unit_fraction(unit, salt="cuts") * 2**53))
    cycles = generator.permutation(np.arange(1, life, dtype=np.int32))[:n]
    return np.sort(cycles)


def held_out_cuts(failures: pl.DataFrame, *, n: int = CUTS) -> pl.DataFrame:
    """The questions about history engines that no model is trained on.

    Args:
        failures: failure events: `unit`, and `cycle`, the last before the failure.
        n: cuts an engine.

    Returns:
        `unit`, `cycle` (asked), `rul_cycles` (left then), sorted.
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
    """One truth an engine: of two, the one known later counts, since the other was revised; sorted by unit.

    Args:
        truth: rows of `truth_events`.
    """
    return truth.sort("known_at", "cycle").group_by("unit").last().sort("unit")
