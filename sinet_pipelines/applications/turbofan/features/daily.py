"""Features of many days at once, equal to those of each day made alone: a window reaches back `REACH_DAYS` days.

With few cycles a day, 30 cycles reach further back. A late row would then change more days than those that are made
again, and a table would depend on the order in which its rows arrived. So a window has rows of its own day and of the
day before alone.
"""

from collections.abc import Collection
from datetime import date, timedelta

import polars as pl

from sinet_pipelines.applications.turbofan.features.regimes import OperatingRegimes
from sinet_pipelines.applications.turbofan.features.windows import rolling_statistics
from sinet_pipelines.applications.turbofan.schemas.features import REACH_DAYS, WINDOW_CYCLES
from sinet_pipelines.storage.tables import DAY_COLUMN


def daily_statistics(
    history: pl.DataFrame, *, days: Collection[date], first_cycles: pl.DataFrame, regimes: OperatingRegimes
) -> pl.DataFrame:
    """Features of the rows of some days (contract `window_features`), sorted by unit and cycle.

    Args:
        history: validated telemetry of these days and of the `REACH_DAYS` days before each of them.
        days: the days.
        first_cycles: as of `rolling_statistics`.
        regimes: as of `rolling_statistics`.

    Raises:
        ContractError: an engine has one cycle twice.
    """
    if not reaches_further(history):
        found = rolling_statistics(history, first_cycles=first_cycles, regimes=regimes)
        return found.filter(pl.col(DAY_COLUMN).is_in(list(days)))
    parts = [rolling_statistics(history.clear(), first_cycles=first_cycles, regimes=regimes)]
    for day in sorted(days):
        near = history.filter(pl.col(DAY_COLUMN).is_between(day - timedelta(days=REACH_DAYS), day))
        made = rolling_statistics(near, first_cycles=first_cycles, regimes=regimes)
        parts.append(made.filter(pl.col(DAY_COLUMN) == day))
    return pl.concat(parts).sort("unit", "cycle")


def reaches_further(history: pl.DataFrame) -> bool:
    """Whether a window of 30 cycles may have a row of a later day, or of a day more than `REACH_DAYS` before its own.

    A row of a later day has a smaller cycle where its engine's clock was wrong, or was set back.

    Args:
        history: telemetry with `event_date`, `unit` and `cycle`, of any number of days.
    """
    flown = history.group_by("unit", DAY_COLUMN).agg(first=pl.col("cycle").min(), last=pl.col("cycle").max())
    other = flown.select("unit", other=DAY_COLUMN, since="first", until="last")
    pairs = flown.join(other, on="unit")
    is_far = pl.col("other") < pl.col(DAY_COLUMN) - pl.duration(days=REACH_DAYS)
    is_later = (pl.col("other") > pl.col(DAY_COLUMN)) & (pl.col("since") <= pl.col("last"))
    is_in_reach = pl.col("until") > pl.col("first") - WINDOW_CYCLES
    return pairs.select(((is_far | is_later) & is_in_reach).any()).item()
