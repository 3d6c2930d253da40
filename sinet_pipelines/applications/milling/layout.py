"""Assigns place and time to process records: where and when a product is made, and when its outcome is known.

A machine uses its tools one after the other, so a tool and its products stay together: tools are assigned to the
regions in turn. The products of a region are evenly spaced from the first day's midnight to the end of the last day,
in the order of production.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta

import polars as pl

from sinet_pipelines.applications.milling.production import Production
from sinet_pipelines.applications.milling.tables import DROP, OUTCOME_EVENTS
from sinet_pipelines.ingestion.casting import INSTANT

_DAY_US = 24 * 60 * 60 * 1_000_000
_DROP_COLUMNS = tuple(column.name for column in DROP.columns)
_EVENT_COLUMNS = tuple(column.name for column in OUTCOME_EVENTS.columns)


@dataclass(frozen=True)
class DayRows:
    """Rows that land together.

    Attributes:
        region: the region.
        day: the day, UTC.
        rows: (n, columns) in the columns of a drop, in the order of production; n >= 1.
    """

    region: str
    day: date
    rows: pl.DataFrame


@dataclass(frozen=True)
class Layout:
    """Process records with a place and a time.

    Attributes:
        days: rows by region and day.
        outcomes: outcomes of all products, by region, in the columns of `OUTCOME_EVENTS`.
    """

    days: tuple[DayRows, ...]
    outcomes: Mapping[str, pl.DataFrame]


def lay_out(records: pl.DataFrame, production: Production) -> Layout:
    """The records by region and day, and the outcomes; equal arguments return an equal layout.

    Args:
        records: of the contract `PROCESS_RECORDS`, in the order of production.
        production: the days and regions.
    """
    placed = _placed(records, production)
    parts = placed.partition_by("region", "day_number", as_dict=True, maintain_order=True)
    days = tuple(
        DayRows(region, production.day(number), part.select(_DROP_COLUMNS)) for (region, number), part in parts.items()
    )
    by_region = placed.partition_by("region", as_dict=True, maintain_order=True)
    outcomes = {str(region): part.select(_EVENT_COLUMNS).sort("product_id") for (region,), part in by_region.items()}
    return Layout(days, outcomes)


def tool_of_each(wear_min: pl.Series) -> pl.Series:
    """(n,) number of the tool at each product, from 0: where wear decreases, a new tool begins.

    >>> tool_of_each(pl.Series([0, 3, 5, 0, 2])).to_list()
    [0, 0, 0, 1, 1]
    """
    return (wear_min.diff().fill_null(0) < 0).cast(pl.Int64).cum_sum()


def _placed(records: pl.DataFrame, production: Production) -> pl.DataFrame:
    """The records with `region`, `day_number`, `recorded_at` and `inspected_at`."""
    regions = production.regions
    tool = tool_of_each(records["tool_wear_min"])
    region = (tool % len(regions)).replace_strict(range(len(regions)), regions, return_dtype=pl.String)
    span_us = production.days * _DAY_US
    midnight = pl.lit(datetime.combine(production.first_day, time(), tzinfo=UTC)).cast(INSTANT)
    since_us = pl.int_range(pl.len(), dtype=pl.Int64).over("region") * span_us // pl.len().over("region")
    day_number = pl.col("since_us") // _DAY_US
    return (
        records.with_columns(region=region)
        .with_columns(since_us=since_us)
        .with_columns(
            day_number=day_number,
            recorded_at=midnight + pl.duration(microseconds=pl.col("since_us")),
            inspected_at=midnight + pl.duration(days=day_number + 1),  # the midnight after the product was made
        )
        .sort("region", "day_number", "record_id", maintain_order=True)
    )


def known_by(production: Production) -> datetime:
    """The instant at which every outcome is known, UTC: the midnight after the last day."""
    return datetime.combine(production.last_day + timedelta(days=1), time(), tzinfo=UTC)
