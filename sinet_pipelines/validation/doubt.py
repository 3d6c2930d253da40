"""Rows in doubt: one cycle of one engine that was recorded on more than one day.

A plant sends a row again a day later with another clock, or an engine counts its cycles from 1 again. Of such rows none
is believed, as of two rows of one day (docs/decisions/0006): which came first would decide otherwise. So what is in
doubt depends on what has landed alone, and not on the order in which it came. A row that
breaks a rule by itself is set aside for that and casts no doubt: a day in another unit takes no row of the day before
with it.
"""

from collections.abc import Sequence
from datetime import date

import polars as pl

from sinet_pipelines.schemas.contract import Column, Contract
from sinet_pipelines.storage.fingerprint import fingerprint
from sinet_pipelines.storage.tables import DAY_COLUMN

CLOCK = "recorded_at"
OTHER_DAYS = "other_days"


def keeps_its_rules(contract: Contract) -> pl.Expr:
    """Whether a row is complete, finite and in bounds, whatever other rows there are.

    Args:
        contract: its columns are looked at.
    """
    return pl.all_horizontal(_is_sound(column) for column in contract.columns)


def _is_sound(column: Column) -> pl.Expr:
    value = pl.col(column.name)
    rules = [] if column.nullable else [value.is_not_null()]
    if column.minimum is not None:
        rules.append(value >= column.minimum)
    if column.maximum is not None:
        rules.append(value <= column.maximum)  # NaN is above every number
    if column.allowed:
        rules.append(value.is_in(column.allowed))
    return pl.all_horizontal(rules).fill_null(column.nullable) if rules else pl.lit(value=True)


def rows_in_doubt(rows: pl.DataFrame, *, key: Sequence[str]) -> pl.DataFrame:
    """The keys that were recorded on more than one day.

    A row whose clock is not on its own day casts no doubt on others: it is set aside for that alone.

    Args:
        rows: those that keep their rules, with `event_date`, `recorded_at` and the key columns of all days of a region.
        key: columns that name a row.

    Returns:
        `event_date`, the key, and `other_days` (text); one row for each day and key in doubt.
    """
    known = pl.all_horizontal(pl.col(name).is_not_null() for name in key)
    own = rows.filter(known & (pl.col(CLOCK).dt.date() == pl.col(DAY_COLUMN))).select(DAY_COLUMN, *key).unique()
    shared = own.filter(pl.len().over(key) > 1)
    days = shared.group_by(key).agg(pl.col(DAY_COLUMN).sort().alias("days"))
    others = pl.col("days").list.set_difference(pl.concat_list(DAY_COLUMN)).list.sort()
    return (
        shared.join(days, on=key)
        .with_columns(others.list.eval(pl.element().cast(pl.String)).list.join(", ").alias(OTHER_DAYS))
        .select(DAY_COLUMN, *key, OTHER_DAYS)
        .sort(DAY_COLUMN, *key)
    )


def doubt_of_days(doubted: pl.DataFrame) -> dict[date, str]:
    """The fingerprint of what is in doubt on each day; a day without doubt has none.

    Args:
        doubted: as `rows_in_doubt` returns them.
    """
    days = doubted.partition_by(DAY_COLUMN, as_dict=True, include_key=False)
    return {key[0]: fingerprint(*(repr(row) for row in part.iter_rows())) for key, part in sorted(days.items())}


def settled(telemetry: pl.DataFrame) -> pl.DataFrame:
    """The rows whose engine and cycle stand there once, in their order.

    Validation sets rows in doubt aside. Between two runs of it a table may hold both of them for a moment.

    Args:
        telemetry: (n, columns) with `unit` and `cycle`.
    """
    return telemetry.filter(~pl.struct("unit", "cycle").is_duplicated())
