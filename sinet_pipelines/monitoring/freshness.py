"""Checks that rows keep arriving: rows by day compared with the reference days, and days without any row.

Landed rows count, not validated ones: a day that failed its contract is not a day without rows.
"""

from dataclasses import dataclass
from datetime import date

import polars as pl

from sinet_pipelines.monitoring.input_drift import reference_span
from sinet_pipelines.schemas.contract import Contract
from sinet_pipelines.storage.tables import DAY_COLUMN
from sinet_pipelines.words import counted

THIN_SHARE = 0.25  # of the reference's rows: fewer are an outage; another mix of groups changes a day by 2 to 3 times


@dataclass(frozen=True)
class Freshness:
    """Whether a region's rows keep arriving.

    Attributes:
        region: name of the region.
        expected: the day that must have rows.
        rows: rows of that day.
        share_of_reference: these divided by the median of the reference days; None before there is a reference.
        last_day: last day with rows; None where there was none.
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
        """The fault of the expected day, with the region's name; empty where there is none."""
        if not self.rows:
            since = f"the last rows are of {self.last_day}" if self.last_day else "none ever came"
            return f"{self.region} sent no row on {self.expected}; {since}"
        if self.share_of_reference is not None and self.share_of_reference < THIN_SHARE:
            share = f"{self.share_of_reference:.0%} of the reference days' (allowed: {THIN_SHARE:.0%} or more)"
            return f"{self.region} sent {counted(self.rows, 'row')} on {self.expected}, {share}"
        return ""


def count_by_day(
    rows: pl.DataFrame, *, region: str, first_day: date, until: date, group: str, groups: str, contract: Contract
) -> pl.DataFrame:
    """Rows and groups of each day, including days without rows.

    Args:
        rows: `event_date` and the group of the region's landed rows; days beyond `until` are left out.
        region: its name.
        first_day: of the landed days.
        until: the last day that should have rows.
        group: column of the group: `unit`.
        groups: column of the number of groups: `engines`.
        contract: of the result (`schemas.monitoring.rows_by_day`).
    """
    days = pl.DataFrame({DAY_COLUMN: pl.date_range(first_day, until, eager=True)})
    counts = rows.group_by(DAY_COLUMN).agg(
        pl.len().cast(pl.Int64).alias("rows"), pl.col(group).n_unique().cast(pl.Int64).alias(groups)
    )
    counted = days.join(counts, on=DAY_COLUMN, how="left").with_columns(pl.col("rows", groups).fill_null(0))
    usual = counted.filter(pl.col(DAY_COLUMN).is_between(*reference_span(first_day)))["rows"].cast(pl.Float64).median()
    return (
        counted.with_columns(
            region=pl.lit(region), share_of_reference=pl.col("rows") / pl.lit(usual or None, pl.Float64)
        )
        .select(contract.schema.names)
        .sort(DAY_COLUMN)
    )


def freshness_of(by_day: pl.DataFrame, *, region: str, expected: date) -> Freshness:
    """Whether the expected day has its rows, and the days without any row.

    Args:
        by_day: result of `count_by_day`.
        region: its name.
        expected: the day that must have rows.
    """
    there = by_day.filter(pl.col("rows") > 0)
    expected_rows = by_day.filter(pl.col(DAY_COLUMN) == expected)
    last = there[DAY_COLUMN].max()
    return Freshness(
        region=region,
        expected=expected,
        rows=int(expected_rows["rows"].sum()),
        share_of_reference=expected_rows["share_of_reference"][0] if expected_rows.height else None,
        last_day=last if isinstance(last, date) else None,
        silent_days=tuple(by_day.filter(pl.col("rows") == 0)[DAY_COLUMN]),
    )
