"""Versions of a table's rows: the instants from which and until which each row was known.

The table itself has the present rows. Beside it, `<table>_arrivals` has the instant from which a present row is known;
a row without an entry there is known from the end of its day. `<table>_history` has the former rows. They are read
here, and written by `revisions.py`.
"""

from collections.abc import Callable, Sequence
from datetime import date, datetime

import polars as pl

from sinet_pipelines.schemas.arrival import KNOWN_FROM, KNOWN_UNTIL, arrivals_of, history_of
from sinet_pipelines.schemas.contract import Contract
from sinet_pipelines.storage.beside import scan_sound
from sinet_pipelines.storage.tables import DAY_COLUMN, TableStore

ROW = "row_hash"
INSTANT = pl.Datetime("us", "UTC")
#: From a day and the hashes of rows that are new on it, the instant of arrival of each (`row_hash`, `known_from`);
#: null is the end of the day.
ArrivalsOf = Callable[[date, pl.Series], pl.DataFrame]


def end_of_day(column: str = DAY_COLUMN) -> pl.Expr:
    """The instant at which a day ends: the next midnight, UTC.

    >>> pl.select(end_of_day=pl.date(2026, 3, 1)).select(end_of_day("end_of_day")).item().isoformat()
    '2026-03-02T00:00:00+00:00'
    """
    return pl.col(column).cast(pl.Datetime("us")).dt.offset_by("1d").dt.replace_time_zone("UTC")


def has_versions(store: TableStore, contract: Contract) -> bool:
    """Whether any row of the table has an arrival or a history; else each row is known from the end of its day."""
    return any(store.exists(one) for one in (arrivals_of(contract), history_of(contract)))


def scan_versions(
    store: TableStore, contract: Contract, *, where: pl.Expr | None = None, present: Contract | None = None
) -> pl.LazyFrame:
    """All versions of all rows: the columns of the table, `known_from`, and `known_until`, null for a present row.

    A former row without a value that the contract requires now is left out. So is a damaged day of the tables beside.

    Args:
        store: tables of one region.
        contract: of a table with `event_date` and `row_hash`.
        where: condition on `event_date`, `row_hash` and the key; None for all rows.
        present: a smaller table with copies of the present rows that are needed, of whose days alone the arrivals are
            read; None for the table itself.

    Raises:
        StorageError: the table is damaged.
    """
    required = [column.name for column in contract.columns if not column.nullable]
    history = scan_sound(store, history_of(contract)).drop_nulls(required)
    tables = (store.scan(present or contract), scan_sound(store, arrivals_of(contract)), history)
    rows, arrivals, history = (one if where is None else one.filter(where) for one in tables)
    if present is not None:
        days = rows.select(pl.col(DAY_COLUMN).unique()).collect()[DAY_COLUMN]
        arrivals = arrivals.filter(pl.col(DAY_COLUMN).is_in(days.implode()))
    return join_versions(rows, arrivals, history, key=contract.key)


def join_versions(
    present: pl.LazyFrame, arrivals: pl.LazyFrame, history: pl.LazyFrame, *, key: Sequence[str]
) -> pl.LazyFrame:
    """The versions in a table and the two tables beside it; columns as of `scan_versions`.

    The tables beside are written first: an entry of the history that is a row of the table still is left out. Of a key
    that moved to another day, at most one row is known at an instant.

    Args:
        present: rows of the table.
        arrivals: rows of its `arrivals_of`.
        history: rows of its `history_of`.
        key: columns that identify a row of the table.
    """
    names = list(dict.fromkeys((DAY_COLUMN, *key, ROW)))
    known = present.join(arrivals.select(*names, KNOWN_FROM), on=names, how="left").with_columns(
        pl.col(KNOWN_FROM).fill_null(end_of_day()), pl.lit(None, INSTANT).alias(KNOWN_UNTIL)
    )
    former = history.join(known, on=[DAY_COLUMN, ROW, KNOWN_FROM], how="anti").select(known.collect_schema().names())
    if key and DAY_COLUMN not in key:
        former = _ended_on_other_days(former, known, key=key)
    return pl.concat([known, former], how="vertical_relaxed")


def _ended_on_other_days(former: pl.LazyFrame, known: pl.LazyFrame, *, key: Sequence[str]) -> pl.LazyFrame:
    """The former rows, each until the next row of its key on another day at the latest; without those of no duration.

    The days of a key that moved may be revised by several writes, none of which has the rows of both days.
    """
    own = [DAY_COLUMN, ROW, KNOWN_FROM]
    others = pl.concat([known, former], how="vertical_relaxed").select(
        *key,
        pl.col(DAY_COLUMN).alias("_day"),
        pl.col(KNOWN_FROM).alias("_from"),
        pl.col(KNOWN_UNTIL).is_null().alias("_is_present"),
    )
    pairs = former.select(*key, *own).join(others, on=list(key)).filter(pl.col(DAY_COLUMN) != pl.col("_day"))
    is_same = (pl.col("_from") == pl.col(KNOWN_FROM)) & (pl.col("_day") > pl.col(DAY_COLUMN))
    is_next = (pl.col("_from") > pl.col(KNOWN_FROM)) | is_same | pl.col("_is_present")
    ends = pairs.filter(is_next).group_by(own).agg(pl.max_horizontal("_from", KNOWN_FROM).min().alias("_end"))
    ended = former.join(ends, on=own, how="left").with_columns(
        pl.min_horizontal(KNOWN_UNTIL, "_end").alias(KNOWN_UNTIL)
    )
    return ended.drop("_end").filter(pl.col(KNOWN_FROM) < pl.col(KNOWN_UNTIL))


def known_at(versions: pl.LazyFrame, instant: datetime | pl.Expr) -> pl.LazyFrame:
    """The versions that were known at an instant, without the columns of the two instants.

    Args:
        versions: result of `scan_versions`.
        instant: the instant with its time zone, or a column of them.
    """
    at = instant if isinstance(instant, pl.Expr) else pl.lit(instant).cast(INSTANT)
    return versions.filter(is_known(at)).drop(KNOWN_FROM, KNOWN_UNTIL)


def is_known(instant: pl.Expr) -> pl.Expr:
    """Whether a version was known at an instant: from `known_from`, which is included, until `known_until`."""
    return (pl.col(KNOWN_FROM) <= instant) & (pl.col(KNOWN_UNTIL).is_null() | (pl.col(KNOWN_UNTIL) > instant))
