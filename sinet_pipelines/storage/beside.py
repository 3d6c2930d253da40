"""Reads and writes the tables beside a table, of arrivals and history, whatever happened to them.

Nothing makes these rows again. So a damaged day is left out with a warning, and a table whose contract has other
columns now is rewritten with all of its rows: a column that a row lacks is null, a value of another type is cast.
"""

import logging
from collections.abc import Iterable, Mapping
from datetime import date

import polars as pl

from sinet_pipelines.schemas.contract import Contract
from sinet_pipelines.storage.delta import open_table, scan_table
from sinet_pipelines.storage.evolution import Change, schema_change
from sinet_pipelines.storage.health import TableHealth
from sinet_pipelines.storage.tables import DAY_COLUMN, TableStore, empty

_log = logging.getLogger(__name__)


def scan_sound(store: TableStore, contract: Contract) -> pl.LazyFrame:
    """The rows of the days of a table that can be read, with exactly the contract's columns and types.

    A damaged day is left out, with a warning. A column that the stored table lacks is null.

    Args:
        store: tables of one region.
        contract: of a table with `event_date`.

    Raises:
        StorageError: a store does not respond, or denies access.
    """
    health, schema = store.health(contract), empty(contract).schema
    if not health.faults:
        return _fitted(store.scan(contract), schema)
    return sound_rows(store.uri(contract), store.storage_options, health=health, schema=schema)


def sound_rows(uri: str, options: Mapping[str, str], *, health: TableHealth, schema: pl.Schema) -> pl.LazyFrame:
    """As `scan_sound`, for a table at an address.

    Args:
        uri: address of a table with `event_date`.
        options: connection options of the object store.
        health: state of the table.
        schema: columns and types of the result.
    """
    damaged = {fault.day for fault in health.faults}
    if damaged:
        _log.warning(
            "%s; the damaged rows are left out, and count as if nothing had been recorded", health.faults[0].message
        )
    table = None if None in damaged else open_table(uri, options)
    if table is None:
        return pl.LazyFrame(schema=schema)
    rows, days = scan_table(table, uri, options), [date.fromisoformat(day) for day in damaged if day]
    # files of days that the filter leaves out are not opened
    return _fitted(rows.filter(~pl.col(DAY_COLUMN).is_in(days)) if days else rows, schema)


def damaged_days(store: TableStore, contract: Contract) -> frozenset[str | None]:
    """The days (ISO) of a table that cannot be read; None among them where the whole cannot."""
    return frozenset(fault.day for fault in store.health(contract).faults)


def rows_of_days(store: TableStore, contract: Contract, days: Iterable[date]) -> pl.DataFrame:
    """The rows of some days, of those that can be read; columns as of `scan_sound`."""
    return scan_sound(store, contract).filter(pl.col(DAY_COLUMN).is_in(list(days))).collect()


def replace_where_changed(
    store: TableStore, contract: Contract, rows: pl.DataFrame, *, was: pl.DataFrame, days: Iterable[date]
) -> None:
    """Replaces some days of a table beside another one, and keeps the others.

    Nothing is written where the rows are those that the table has and can be read.

    Args:
        store: tables of one region.
        contract: of the table beside.
        rows: the new rows of these days.
        was: their present rows.
        days: the days.

    Raises:
        StorageError: the table cannot be written.
    """
    names, days = [column.name for column in contract.columns], sorted(set(days))
    order = [name for name in dict.fromkeys((DAY_COLUMN, *contract.order, "row_hash")) if name in names]
    rows, was = (one.select(names).sort(order) for one in (rows, was))
    if rows.equals(was) and not damaged_days(store, contract).intersection([None, *(day.isoformat() for day in days)]):
        return
    if _has_other_columns(store, contract):
        others = scan_sound(store, contract).filter(~pl.col(DAY_COLUMN).is_in(days)).collect()
        store.replace(contract, pl.concat([others, rows]))
    else:
        store.replace_days(contract, rows, days=days)


def _has_other_columns(store: TableStore, contract: Contract) -> bool:
    """Whether rows of this contract cannot be written to the stored table as it is."""
    if None in damaged_days(store, contract):
        return False
    table = open_table(store.uri(contract), store.storage_options)
    return table is not None and schema_change(table, contract.schema) is Change.OTHER


def _fitted(rows: pl.LazyFrame, types: pl.Schema) -> pl.LazyFrame:
    there = rows.collect_schema()
    if there == types:
        return rows
    return rows.select(
        pl.col(name).cast(dtype, strict=False) if name in there else pl.lit(None, dtype).alias(name)
        for name, dtype in types.items()
    )
