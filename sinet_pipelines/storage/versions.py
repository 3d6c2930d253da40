"""Versions of a table's rows: the instants from which and until which each row was known.

The table itself has the present rows. Beside it, `<table>_arrivals` has the instant from which a present row is known;
a row without an entry there is known from the end of its day. `<table>_history` has the former rows. Both are written
before the table: a process that is killed in between leaves entries that the next write replaces.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime

import polars as pl

from sinet_pipelines.schemas.arrival import KNOWN_FROM, KNOWN_UNTIL, arrivals_of, history_of
from sinet_pipelines.schemas.contract import Contract
from sinet_pipelines.storage.beside import damaged_days, replace_where_changed, rows_of_days, scan_sound
from sinet_pipelines.storage.tables import DAY_COLUMN, TableStore, empty

ROW = "row_hash"
INSTANT = pl.Datetime("us", "UTC")
#: Recorded in place of the arrival of a row whose day was refused: it is known from the step that takes it in.
REFUSED = datetime(9999, 1, 1, tzinfo=UTC)
_NOTED = "__noted"

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

    The tables beside are written first: an entry of the history that is a row of the table still is left out.

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
    return pl.concat([known, former], how="vertical_relaxed")


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


@dataclass(frozen=True)
class Revision:
    """The change of some days of a table, before it is written.

    Attributes:
        days: the days that are replaced.
        rows: their new rows: `event_date`, the key and `row_hash`.
        arrivals: the instants of arrival of new rows.
        at: instant of the change, UTC.
        withheld: rows that were set aside until now: `event_date` and `row_hash`; None for none.
    """

    days: Sequence[date]
    rows: pl.DataFrame
    arrivals: ArrivalsOf
    at: datetime
    withheld: pl.DataFrame | None = None


def keep_versions(store: TableStore, contract: Contract, revision: Revision) -> None:
    """Records the arrivals of the new rows and the history of the former ones; call it before the days are replaced.

    A row that stays has its instant still. A new row is known from its arrival; one that was there before and comes
    back, or that was set aside until now, from now on. A former row was known until the arrival of the row with its key
    that replaces it, else until now, and the row that replaces it is known from then on: of one key, at most one row is
    known at an instant. Where all rows of a day have other hashes but their arrivals still, their contract changed, and
    they are the same rows. Nothing is written where no arrival is known and nothing was replaced.

    Args:
        store: tables of one region.
        contract: of a table with `event_date` and `row_hash`.
        revision: the change.

    Raises:
        StorageError: a table cannot be read or written.
    """
    days = sorted(set(revision.days))
    _mend_arrivals(store, contract, revision.arrivals)
    names = _row_names(contract)
    new = revision.rows.select(names)
    before = _present_rows(store, contract, days)
    arrivals, history = (rows_of_days(store, one, days) for one in (arrivals_of(contract), history_of(contract)))
    aside = 0 if revision.withheld is None else revision.withheld.height
    if not (before.height or arrivals.height or history.height or aside) and not _is_any_known(new, revision.arrivals):
        return  # days that come for the first time, with nothing to note: a large day needs no join
    known = before.select(names).join(arrivals.select(ROW, DAY_COLUMN, KNOWN_FROM), on=[DAY_COLUMN, ROW], how="left")
    stay = known.join(new, on=[DAY_COLUMN, ROW], how="semi")
    fresh = new.join(known, on=[DAY_COLUMN, ROW], how="anti")
    gone = known.join(new, on=[DAY_COLUMN, ROW], how="anti")
    came = _arrivals_of(fresh, revision, recorded=arrivals)
    renamed = _renamed(gone, came, stay, key=contract.key)
    came = _from_now_on(came, revision, renamed=renamed, returned=history, changed=known[DAY_COLUMN].unique())
    former = _former(store, contract, gone.join(renamed, on=[DAY_COLUMN, ROW], how="anti"), came, at=revision.at)
    kept = history.join(_instants(known), on=[DAY_COLUMN, ROW, KNOWN_FROM], how="anti")  # without those of a kill
    came = _after(came, pl.concat([kept, former]), key=contract.key)
    noted = pl.concat([stay, came, gone]).filter(pl.col(KNOWN_FROM).is_not_null())  # of `gone`: until it is replaced
    replace_where_changed(store, history_of(contract), pl.concat([kept, former]), was=history, days=days)
    if fresh.height or gone.height:
        replace_where_changed(store, arrivals_of(contract), noted, was=arrivals, days=days)


def withhold(store: TableStore, contract: Contract, rows: pl.DataFrame) -> None:
    """Records rows of refused days, so that they are known from the step that takes them in, not from their arrival.

    Args:
        store: tables of one region.
        contract: of the table that does not get these rows now.
        rows: `event_date`, the key and `row_hash`; a row without its key is left out.

    Raises:
        StorageError: a table cannot be read or written.
    """
    rows = rows.select(_row_names(contract)).drop_nulls().unique([DAY_COLUMN, ROW], maintain_order=True)
    days, beside = sorted(rows[DAY_COLUMN].unique()), arrivals_of(contract)
    recorded = rows_of_days(store, beside, days)
    known = pl.concat([one.select(DAY_COLUMN, ROW) for one in (_present_rows(store, contract, days), recorded)])
    refused = rows.join(known, on=[DAY_COLUMN, ROW], how="anti").with_columns(_literal(REFUSED).alias(KNOWN_FROM))
    if refused.height:
        replace_where_changed(store, beside, pl.concat([recorded, refused]), was=recorded, days=days)


def _row_names(contract: Contract) -> list[str]:
    return list(dict.fromkeys((DAY_COLUMN, *contract.key, ROW)))


def _present_rows(store: TableStore, contract: Contract, days: Sequence[date]) -> pl.DataFrame:
    """The names of the rows of these days; none of a damaged day, which is made again."""
    if not store.days(contract).intersection(days):
        return empty(contract).select(_row_names(contract))
    return scan_sound(store, contract).filter(pl.col(DAY_COLUMN).is_in(days)).select(_row_names(contract)).collect()


def _mend_arrivals(store: TableStore, contract: Contract, arrivals: ArrivalsOf) -> None:
    """Fills the damaged days of the table of arrivals from those of the files, for the present rows."""
    beside = arrivals_of(contract)
    damaged = damaged_days(store, beside)
    days = sorted(store.days(contract) if None in damaged else map(date.fromisoformat, filter(None, damaged)))
    for day in days:
        rows = _present_rows(store, contract, [day])
        found = rows.join(arrivals(day, rows[ROW]).select(ROW, KNOWN_FROM), on=ROW, how="left").drop_nulls(KNOWN_FROM)
        replace_where_changed(store, beside, found, was=empty(beside), days=[day])


def _is_any_known(rows: pl.DataFrame, arrivals: ArrivalsOf) -> bool:
    """Whether the instant of arrival of any row of these days may be known.

    One row of each day suffices: the instants are those of the day's files, or the same for all of its rows.
    """
    one_of_each = rows.group_by(DAY_COLUMN, maintain_order=True).agg(pl.col(ROW).first())
    return any(
        arrivals(day, pl.Series(ROW, [row]))[KNOWN_FROM].is_not_null().any() for day, row in one_of_each.iter_rows()
    )


def _arrivals_of(fresh: pl.DataFrame, revision: Revision, *, recorded: pl.DataFrame) -> pl.DataFrame:
    """The new rows with `known_from`: their arrival, or a later instant that a killed or lost write has recorded."""
    parts = [fresh.clear().with_columns(pl.lit(None, INSTANT).alias(KNOWN_FROM))]
    for (day,), rows in fresh.group_by(DAY_COLUMN, maintain_order=True):
        parts.append(rows.join(revision.arrivals(day, rows[ROW]).select(ROW, KNOWN_FROM), on=ROW, how="left"))
    noted = recorded.select(DAY_COLUMN, ROW, pl.col(KNOWN_FROM).alias(_NOTED))
    known = pl.concat(parts).join(noted, on=[DAY_COLUMN, ROW], how="left", maintain_order="left")
    return known.with_columns(pl.max_horizontal(KNOWN_FROM, _NOTED).alias(KNOWN_FROM)).drop(_NOTED)


def _renamed(gone: pl.DataFrame, came: pl.DataFrame, stay: pl.DataFrame, *, key: Sequence[str]) -> pl.DataFrame:
    """The rows of `gone` that are there still with another hash, on days all of whose rows have another one."""
    names = list(dict.fromkeys((DAY_COLUMN, *key)))
    other = came.join(stay, on=DAY_COLUMN, how="anti").select(*names, KNOWN_FROM)
    return gone.join(other, on=[*names, KNOWN_FROM], how="semi", nulls_equal=True)


def _from_now_on(
    came: pl.DataFrame, revision: Revision, *, renamed: pl.DataFrame, returned: pl.DataFrame, changed: pl.Series
) -> pl.DataFrame:
    """The new rows, with the present instant in place of their arrival where they were in no table until now.

    Among them is a row whose arrival is unknown, on a day that had rows before: it was not among them.
    """
    now, keys = _literal(revision.at), [name for name in came.columns if name not in (ROW, KNOWN_FROM)]
    back = returned[ROW] if revision.withheld is None else pl.concat([returned[ROW], revision.withheld[ROW]])
    is_new = pl.col(KNOWN_FROM).is_null() & pl.col(DAY_COLUMN).is_in(changed.implode())
    is_new |= pl.col(KNOWN_FROM) == _literal(REFUSED)
    same = came.join(renamed, on=keys, how="semi", maintain_order="left")
    others = came.join(renamed, on=keys, how="anti", maintain_order="left").with_columns(
        pl.when(is_new | pl.col(ROW).is_in(back.implode())).then(now).otherwise(KNOWN_FROM).alias(KNOWN_FROM)
    )
    return pl.concat([same, others])


def _after(came: pl.DataFrame, former: pl.DataFrame, *, key: Sequence[str]) -> pl.DataFrame:
    """The new rows, none of them known before the last former row with its key ended."""
    ends = former.group_by(list(key)).agg(pl.col(KNOWN_UNTIL).max())
    ended = came.join(ends, on=list(key), how="left", maintain_order="left")
    begins = pl.col(KNOWN_FROM).fill_null(end_of_day())
    is_early = (begins < pl.col(KNOWN_UNTIL)).fill_null(value=False)
    return ended.with_columns(pl.when(is_early).then(KNOWN_UNTIL).otherwise(KNOWN_FROM).alias(KNOWN_FROM)).drop(
        KNOWN_UNTIL
    )


def _former(
    store: TableStore, contract: Contract, gone: pl.DataFrame, came: pl.DataFrame, *, at: datetime
) -> pl.DataFrame:
    """The rows of `gone` with all columns and both instants; without those that never were known."""
    if not gone.height:
        return empty(history_of(contract))
    former = history_of(contract)
    scanned = (
        scan_sound(store, replace(former, name=contract.name))
        .drop(KNOWN_FROM, KNOWN_UNTIL)
        .filter(pl.col(DAY_COLUMN).is_in(gone[DAY_COLUMN].unique().implode()))
    )
    rows = scanned.join(_instants(gone).lazy(), on=[DAY_COLUMN, ROW], how="inner").collect()
    successors = _instants(came).group_by(contract.key).agg(pl.col(KNOWN_FROM).min().alias(KNOWN_UNTIL))
    ended = rows.join(successors, on=contract.key, how="left").with_columns(
        pl.when(pl.col(KNOWN_UNTIL) > pl.col(KNOWN_FROM)).then(KNOWN_UNTIL).otherwise(_literal(at)).alias(KNOWN_UNTIL)
    )
    names = [column.name for column in former.columns]
    return ended.filter(pl.col(KNOWN_FROM) < pl.col(KNOWN_UNTIL)).select(names)


def _instants(rows: pl.DataFrame) -> pl.DataFrame:
    """The rows with an instant in place of the null that stands for the end of the day."""
    return rows.with_columns(pl.col(KNOWN_FROM).fill_null(end_of_day()))


def _literal(instant: datetime) -> pl.Expr:
    return pl.lit(instant).cast(INSTANT)
