"""Conflicting rows: one key, such as a cycle of an engine, that was recorded on more than one day.

A plant may send a row again a day later with another clock, or an engine may count its cycles from 1 again. All such
rows are set aside, like two rows of one day (docs/decisions/0006), since otherwise the order of arrival would decide.
So the conflicts depend only on what has landed. A row that breaks a rule by itself is set aside for that and conflicts
with no other row: a day in another unit does not affect the day before.
"""

from collections.abc import Sequence
from datetime import date

import polars as pl

from sinet_pipelines.schemas.contract import RECORDED_AT, Contract
from sinet_pipelines.storage.fingerprint import fingerprint
from sinet_pipelines.storage.key_ranges import ranges_of
from sinet_pipelines.storage.tables import DAY_COLUMN, TableStore
from sinet_pipelines.validation.rules import column_rules

OTHER_DAYS = "other_days"
ROWS_AT_ONCE = 500_000  # their days and keys, grouped, take about 120 MB


def keeps_its_rules(contract: Contract) -> pl.Expr:
    """Whether a row is complete, finite and in bounds, independent of other rows.

    Args:
        contract: the contract of the columns.
    """
    rules = [rule.broken for rule in column_rules(contract) if rule.broken is not None]
    return ~pl.any_horizontal(rules) if rules else pl.lit(value=True)


def rows_in_doubt(rows: pl.DataFrame, *, key: Sequence[str]) -> pl.DataFrame:
    """The keys that were recorded on more than one day.

    A row whose time is not on its own day conflicts with no other row: it is set aside for that alone.

    Args:
        rows: rows that satisfy their rules, with `event_date`, `recorded_at` and the key columns, of all days of a
        region.
        key: columns that identify a row.

    Returns:
        `event_date`, the key, and `other_days` (text); one row for each day and conflicting key.
    """
    known = pl.all_horizontal(pl.col(name).is_not_null() for name in key)
    own = rows.filter(known & (pl.col(RECORDED_AT).dt.date() == pl.col(DAY_COLUMN))).select(DAY_COLUMN, *key).unique()
    shared = own.filter(pl.len().over(key) > 1)
    days = shared.group_by(key).agg(pl.col(DAY_COLUMN).sort().alias("days"))
    others = pl.col("days").list.set_difference(pl.concat_list(DAY_COLUMN)).list.sort()
    return (
        shared.join(days, on=key)
        .with_columns(others.list.eval(pl.element().cast(pl.String)).list.join(", ").alias(OTHER_DAYS))
        .select(DAY_COLUMN, *key, OTHER_DAYS)
        .sort(DAY_COLUMN, *key)
    )


def doubted_rows(
    tables: TableStore, *, raw: Contract, validated: Contract, rows_at_once: int = ROWS_AT_ONCE
) -> pl.DataFrame:
    """Keys of a region's raw rows that are on more than one day, as `rows_in_doubt` returns them.

    Args:
        tables: of the region.
        raw: contract of the rows.
        validated: contract whose rules a row must satisfy to conflict with others, and whose key identifies a row.
        rows_at_once: number of rows that are compared in memory at once, those of one range of the key.
    """
    scanned = tables.scan(raw)
    rows = scanned.filter(keeps_its_rules(validated)).select(DAY_COLUMN, RECORDED_AT, *validated.key)
    ranges = ranges_of([scanned], validated.key, rows_at_once=rows_at_once)
    parts = [rows_in_doubt(rows.filter(span.condition).collect(), key=validated.key) for span in ranges]
    return pl.concat(parts).sort(DAY_COLUMN, *validated.key)


def doubt_of_days(doubted: pl.DataFrame) -> dict[date, str]:
    """The fingerprint of the conflicts of each day; days without a conflict are left out.

    Args:
        doubted: result of `rows_in_doubt`.
    """
    days = doubted.partition_by(DAY_COLUMN, as_dict=True, include_key=False)
    return {key[0]: fingerprint(*(repr(row) for row in part.iter_rows())) for key, part in sorted(days.items())}


def settled(rows: pl.DataFrame, *, key: Sequence[str]) -> pl.DataFrame:
    """The rows whose key occurs once, in their order.

    Validation sets conflicting rows aside. Between two runs of it a table may contain both of them for a short time.

    Args:
        rows: (n, columns) with the key.
        key: columns that identify a row.
    """
    return rows.filter(~pl.struct(key).is_duplicated())
