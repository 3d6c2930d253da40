"""Watches that rows keep coming: rows by day beside the reference days, and the days on which a region was silent.

What landed counts, not what was kept: a day that broke its contract was not silent.
"""

from dataclasses import dataclass
from datetime import date

import polars as pl

from sinet_pipelines.monitoring.input_drift import reference_span
from sinet_pipelines.schemas.monitoring import ROWS_BY_DAY
from sinet_pipelines.storage.tables import DAY_COLUMN
from sinet_pipelines.words import counted

THIN_SHARE = 0.25  # of the reference's rows: less is an outage; mixes of engines alone halve or treble a day


@dataclass(frozen=True)
class Freshness:
    """Whether a region's rows keep coming.

    Attributes:
        region: whose.
        expected: the day whose rows must be there.
        rows: rows of that day.
        share_of_reference: these over the median of the reference days; None before there is a reference.
        last_day: last day with rows, None where none ever came.
        silent_days: days without any row, in order.
    """

    region: str
    expected: date
    rows: int
    share_of_reference: float | None
    last_day: date | None
    silent_days: tuple[date, ...]

    @property
    def fault(self) -> str:
        """What is wrong with the expected day, naming the region; empty where nothing is."""
        if not self.rows:
            since = f"the last rows are of {self.last_day}" if self.last_day else "none ever came"
            return f"{self.region} sent no row on {self.expected}; {since}"
        if self.share_of_reference is not None and self.share_of_reference < THIN_SHARE:
            share = f"{self.share_of_reference:.0%} of the reference days' (allowed: {THIN_SHARE:.0%} or more)"
            return f"{self.region} sent {counted(self.rows, 'row')} on {self.expected}, {share}"
        return ""


def count_by_day(rows: pl.DataFrame, *, region: str, first_day: date, until: date) -> pl.DataFrame:
    """Rows and engines of each day, those without rows among them (contract `rows_by_day`).

    Args:
        rows: `event_date` and `unit` of the region's landed rows; days beyond `until` are left out.
        region: its name.
        first_day: day 0 of the fleet.
        until: the last day that should have rows.
    """
    days = pl.DataFrame({DAY_COLUMN: pl.date_range(first_day, until, eager=True)})
    counts = rows.group_by(DAY_COLUMN).agg(
        pl.len().cast(pl.Int64).alias("rows"), pl.col("unit").n_unique().cast(pl.Int64).alias("engines")
    )
    counted = days.join(counts, on=DAY_COLUMN, how="left").with_columns(pl.col("rows", "engines").fill_null(0))
    usual = counted.filter(pl.col(DAY_COLUMN).is_between(*reference_span(first_day)))["rows"].cast(pl.Float64).median()
    return (
        counted.with_columns(
            region=pl.lit(region), share_of_reference=pl.col("rows") / pl.lit(usual or None, pl.Float64)
        )
        .select(ROWS_BY_DAY.schema.names)
        .sort(DAY_COLUMN)
    )


def freshness_of(by_day: pl.DataFrame, *, region: str, expected: date) -> Freshness:
    """Whether the expected day's rows are there, and the days on which none came.

    Args:
        by_day: what `count_by_day` gives.
        region: its name.
        expected: the day that must have rows.
    """
    there = by_day.filter(pl.col("rows") > 0)
    asked = by_day.filter(pl.col(DAY_COLUMN) == expected)
    last = there[DAY_COLUMN].max()
    return Freshness(
        region=region,
        expected=expected,
        rows=int(asked["rows"].sum()),
        share_of_reference=asked["share_of_reference"][0] if asked.height else None,
        last_day=last if isinstance(last, date) else None,
        silent_days=tuple(by_day.filter(pl.col("rows") == 0)[DAY_COLUMN]),
    )
