"""Reads and writes the tables beside a table, of arrivals and history, whatever happened to them.

Nothing makes these rows again. So a damaged day is left out with a warning, and a table whose contract has other
columns now is rewritten with all of its rows: a column that a row lacks is null, a value of another type is cast.
"""

import logging
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date
from typing import Self

import polars as pl

from sinet_pipelines.errors import ConflictError
from sinet_pipelines.schemas.contract import Contract
from sinet_pipelines.storage.delta import open_table, scan_table
from sinet_pipelines.storage.evolution import Change, schema_change
from sinet_pipelines.storage.health import TableHealth
from sinet_pipelines.storage.spill import FrameFile
from sinet_pipelines.storage.table_writes import ATTEMPTS
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
    with Replacement(store, contract, sorted(set(days))) as replacement:
        replacement.add(rows, was=was)
        replacement.write()


@dataclass
class Replacement:
    """New rows of some days of a table beside another one, added a part at a time, and written in one commit.

    Attributes:
        store: tables of one region.
        contract: of the table beside.
        days: the days; of one day, a part is in memory at a time, of several the whole when it is written.
    """

    store: TableStore
    contract: Contract
    days: list[date]
    _parts: FrameFile = field(init=False)
    _is_changed: bool = False

    def __post_init__(self) -> None:
        self._parts = FrameFile(self.store.scratch)

    def add(self, rows: pl.DataFrame, *, was: pl.DataFrame) -> None:
        """Adds a part of the new rows; parts follow each other in the order of the contract.

        Args:
            rows: the new rows.
            was: the present rows that they replace.
        """
        names = [column.name for column in self.contract.columns]
        order = [name for name in dict.fromkeys((DAY_COLUMN, *self.contract.order, "row_hash")) if name in names]
        rows, was = (one.select(names).sort(order) for one in (rows, was))
        self._is_changed |= not rows.equals(was)
        self._parts.add(rows)

    def write(self) -> None:
        """Replaces the days; writes nothing where the rows are those that the table has and can be read.

        Raises:
            StorageError: the table cannot be written.
        """
        store, contract, days = self.store, self.contract, self.days
        damaged = damaged_days(store, contract).intersection([None, *(day.isoformat() for day in days)])
        if not self._is_changed and not damaged:
            return
        if _has_other_columns(store, contract):
            self._replace_all()
        elif len(self._parts) > 1 and len(days) == 1:
            store.replace_day_from(contract, lambda: iter(self._parts), day=days[0])
        else:
            store.replace_days(contract, pl.concat([empty(contract), *self._parts], how="vertical_relaxed"), days=days)

    def write_as_whole(self) -> None:
        """Makes these rows all rows of the table in one commit, a part in memory at a time.

        Raises:
            StorageError: the table cannot be written.
        """
        self.store.replace_from(self.contract, lambda: iter(self._parts))

    def _replace_all(self) -> None:
        """Writes these rows and those of the other days as all rows; again if another writer commits meanwhile."""
        for attempt in range(1, ATTEMPTS + 1):
            try:
                self.store.replace_from(self.contract, self._with_other_days)
            except ConflictError:
                if attempt == ATTEMPTS:
                    raise
            else:
                return

    def _with_other_days(self) -> Iterator[pl.DataFrame]:
        return self._batches_of(self.store.version(self.contract))

    def _batches_of(self, version: int | None) -> Iterator[pl.DataFrame]:
        others = scan_sound(self.store, self.contract).filter(~pl.col(DAY_COLUMN).is_in(self.days))
        if self.store.version(self.contract) != version:  # else the version that is read is the one that is replaced
            raise ConflictError(f"{self.contract.name} was changed by another writer; run again")
        yield from others.collect_batches(maintain_order=True)
        yield from self._parts

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._parts.close()


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
