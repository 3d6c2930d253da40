"""Writes of validated rows: versions of rows first, then quarantine and the tables beside, then the table itself."""

from collections.abc import Iterator
from datetime import UTC, date, datetime
from functools import partial

import polars as pl

from resources.materializations.held import BESIDE_ENTRY
from sinet_pipelines.schemas.contract import Beside, Validated
from sinet_pipelines.storage.revisions import Revision, keep_versions
from sinet_pipelines.storage.spill import FrameFile
from sinet_pipelines.storage.tables import DAY_COLUMN, TableStore, Written
from sinet_pipelines.storage.versions import ArrivalsOf
from sinet_pipelines.validation.judge import Judged


def keep_days(
    store: TableStore, tables: Validated, judged: Judged, days: list[date], arrivals: ArrivalsOf
) -> tuple[Written, dict[date, dict[str, int]]]:
    """Writes the days that passed; in the order of `written`: the table that others read never runs ahead.

    Also returns the rows of each day in the tables beside, which its materialisation records.

    Args:
        store: tables of the region.
        tables: the validated rows with their quarantine and the tables beside.
        judged: rows of these days, and perhaps of others.
        days: the days that passed.
        arrivals: the arrivals of rows.
    """
    good = judged.good.filter(pl.col(DAY_COLUMN).is_in(days))
    bad = judged.bad.filter(pl.col(DAY_COLUMN).is_in(days))
    record_versions(store, tables, good, days, arrivals)
    aside = [store.replace_days(tables.quarantine, bad, days=days)]
    aside += [store.replace_days(one.contract, good.filter(_is_kept(one)), days=days) for one in tables.beside]
    beside = {day: _entries(day, *aside) for day in days}
    return store.replace_days(tables.validated, good, days=days), beside


def write_large_day(
    store: TableStore, tables: Validated, day: date, *, good: FrameFile, bad: FrameFile, arrivals: ArrivalsOf
) -> tuple[Written, dict[str, int]]:
    """Writes one large day that passed, each table in one commit and in the order of `keep_days`.

    Also returns the rows in the tables beside, which the day's materialisation records.

    Args:
        store: tables of the region.
        tables: as in `keep_days`.
        day: the day.
        good: its validated rows.
        bad: its rows for quarantine.
        arrivals: the arrivals of rows.
    """
    record_versions(store, tables, good, [day], arrivals)
    aside = [store.replace_day_from(tables.quarantine, lambda: iter(bad), day=day)]
    for one in tables.beside:
        aside.append(store.replace_day_from(one.contract, partial(_copied, good, one), day=day))
    return store.replace_day_from(tables.validated, lambda: iter(good), day=day), _entries(day, *aside)


def _copied(good: FrameFile, beside: Beside) -> Iterator[pl.DataFrame]:
    return (rows.filter(_is_kept(beside)) for rows in good)


def record_versions(
    store: TableStore,
    tables: Validated,
    rows: pl.DataFrame | FrameFile,
    days: list[date],
    arrivals: ArrivalsOf,
) -> None:
    """Records the arrivals of new rows, and the rows that are replaced, before quarantine and the table are written."""
    revision = Revision(days, rows, arrivals, at=datetime.now(UTC), withheld=tables.quarantine)
    keep_versions(store, tables.validated, revision)


def _is_kept(beside: Beside) -> pl.Expr:
    """Whether a validated row is copied to a table beside."""
    return pl.col(beside.column) <= beside.at_most


def _entries(day: date, *written: Written) -> dict[str, int]:
    """Entries of a day's materialisation: its rows in each table beside."""
    return {f"{BESIDE_ENTRY}{one.table}": one.rows_per_day[day] for one in written}
