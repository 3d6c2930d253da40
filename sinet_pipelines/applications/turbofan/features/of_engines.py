"""Window features of some engines: one function of frames, in a step's process and on workers alike.

A window has rows of one engine only, so parts with some engines each have the result of all engines at once.
"""

from collections.abc import Collection, Iterator
from datetime import date
from functools import partial

import polars as pl

from sinet_pipelines.applications.turbofan.features.daily import daily_statistics
from sinet_pipelines.applications.turbofan.features.regimes import OperatingRegimes
from sinet_pipelines.applications.turbofan.features.settled import settled
from sinet_pipelines.features.in_parts import IN_PROCESS, Part, PartMap

FEW_ROWS = 5_000  # computed in half a second, less than workers cost


def features_of_engines(
    history: pl.DataFrame, early: pl.DataFrame, *, days: Collection[date], regimes: OperatingRegimes
) -> pl.DataFrame:
    """Features of some engines on some days (contract `window_features`), sorted by unit and cycle.

    Args:
        history: validated telemetry of these engines, of these days and of the `REACH_DAYS` days before each of them.
        early: validated rows of cycles 1 to 10 of those engines, of any day.
        days: the days.
        regimes: regimes for the standardisation of sensors.
    """
    return daily_statistics(settled(history), days=days, first_cycles=settled(early), regimes=regimes)


def features_of_days(
    history: pl.DataFrame,
    early: pl.DataFrame,
    *,
    days: Collection[date],
    regimes: OperatingRegimes,
    parts: PartMap = IN_PROCESS,
) -> pl.DataFrame:
    """The same for all engines of a frame; with workers, in parts of some engines each.

    Args:
        history: as of `features_of_engines`.
        early: as of `features_of_engines`.
        days: the days.
        regimes: regimes for the standardisation of sensors.
        parts: where they are computed.

    Raises:
        ClusterError: workers failed.
    """
    compute = partial(features_of_engines, days=tuple(days), regimes=regimes)
    if parts.rows_at_once is None or history.height <= FEW_ROWS:
        return compute(history, early)
    return pl.concat(parts.map(compute, _by_engines(history, early, rows=parts.rows_at_once)))


def of_engines_in(history: pl.DataFrame, early: pl.DataFrame) -> pl.DataFrame:
    """The rows of first cycles of the engines in some telemetry.

    Args:
        history: with `unit`.
        early: rows of first cycles, of any engines.
    """
    return early.join(history.select("unit").unique(), on="unit", how="semi", maintain_order="left")


def _by_engines(history: pl.DataFrame, early: pl.DataFrame, *, rows: int) -> Iterator[Part]:
    """The frames in parts of whole engines, in the order of their names."""
    counts = history.group_by("unit").len().sort("unit")
    part = (pl.col("len").cum_sum() - pl.col("len")) // rows
    for (_,), engines in counts.group_by(part.alias("part"), maintain_order=True):
        among = pl.col("unit").is_in(engines["unit"].implode())
        yield history.filter(among), early.filter(among)
