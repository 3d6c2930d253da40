"""The rows that a revision joins: of few days at once, or of one range of the key of a day with many rows.

A table is read as it was when the revision began. A part has in memory a bounded number of rows of each table, whatever
the size of a day; the instants of arrival that `ArrivalsOf` returns may be those of all rows of the day.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from functools import cached_property
from itertools import chain
from typing import Self

import polars as pl

from sinet_pipelines.schemas.arrival import KNOWN_FROM, KNOWN_UNTIL, arrivals_of, history_of
from sinet_pipelines.schemas.contract import Contract
from sinet_pipelines.storage.beside import scan_sound
from sinet_pipelines.storage.key_ranges import KeyedFile, KeyRange, ranges_of
from sinet_pipelines.storage.tables import DAY_COLUMN, TableStore, empty
from sinet_pipelines.storage.versions import ROW

ROWS_AT_ONCE = 100_000  # of all tables together: day, key and hash of each, joined, take about 110 MB


@dataclass
class Sources:
    """The new rows of some days, and those of the table and of the tables beside it.

    Attributes:
        store: tables of one region.
        contract: of the table.
        withheld: the table of the rows that were set aside; None for none.
    """

    store: TableStore
    contract: Contract
    withheld: Contract | None = None
    _new: KeyedFile = field(init=False)
    _new_rows: Counter[date] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        self._new = KeyedFile(self.contract.key, self.store.scratch)

    def take(self, rows: pl.DataFrame) -> None:
        """Adds new rows: `event_date`, the key, `row_hash`, and other columns, which are ignored."""
        self._new.add(rows.select(self.names).cast(self.none.schema))
        self._new_rows.update(dict(rows[DAY_COLUMN].value_counts().iter_rows()))

    @property
    def days(self) -> list[date]:
        """The days of the new rows."""
        return sorted(self._new_rows)

    @cached_property
    def names(self) -> list[str]:
        """The columns of `new` and `present`: `event_date`, the key, `row_hash`."""
        return list(dict.fromkeys((DAY_COLUMN, *self.contract.key, ROW)))

    @cached_property
    def none(self) -> pl.DataFrame:
        """A frame with these columns and no rows."""
        return empty(self.contract).select(self.names)

    @cached_property
    def recorded(self) -> Counter[date]:
        """The number of stored rows of each day that can be read, of all tables together."""
        found = Counter[date]()
        tables = (self.contract, arrivals_of(self.contract), history_of(self.contract), self.withheld)
        for table in filter(None, tables):
            health = self.store.health(table)
            damaged = {fault.day for fault in health.faults}
            sound = {} if None in damaged else health.rows
            found.update({date.fromisoformat(day): rows for day, rows in sound.items() if day and day not in damaged})
        return +found

    @cached_property
    def present(self) -> pl.LazyFrame:
        """The rows of the table; none of a damaged day, which is made again."""
        return scan_sound(self.store, self.contract).select(self.names)

    @cached_property
    def whole(self) -> pl.LazyFrame:
        """The rows of the table with the columns of its history, without the two instants."""
        former = replace(history_of(self.contract), name=self.contract.name)
        return scan_sound(self.store, former).drop(KNOWN_FROM, KNOWN_UNTIL)

    @cached_property
    def arrivals(self) -> pl.LazyFrame:
        """The rows of `arrivals_of` the table."""
        return scan_sound(self.store, arrivals_of(self.contract))

    @cached_property
    def history(self) -> pl.LazyFrame:
        """The rows of `history_of` the table."""
        return scan_sound(self.store, history_of(self.contract))

    @cached_property
    def aside(self) -> pl.LazyFrame:
        """The rows that were set aside; their key may have nulls."""
        return self.none.lazy() if self.withheld is None else scan_sound(self.store, self.withheld).select(self.names)

    def new(self, days: Sequence[date], span: KeyRange) -> pl.DataFrame:
        """The new rows of some days in a range of the key."""
        rows = pl.concat([self.none, *self._new.read(span)])
        return rows.filter(pl.col(DAY_COLUMN).is_in(days))

    def groups(self, days: Sequence[date], *, rows_at_once: int) -> Iterator["Days"]:
        """Days together that have no more rows than this; a day with more is alone, in ranges of its key."""
        sizes = self.recorded + self._new_rows
        group: list[date] = []
        for day in days:
            if group and sum(sizes[one] for one in group) + sizes[day] > rows_at_once:
                yield Days(self, group, [KeyRange(self.contract.key)])
                group = []
            if sizes[day] > rows_at_once:
                yield Days(self, [day], self._ranges(day, rows_at_once))
            else:
                group.append(day)
        if group:
            yield Days(self, group, [KeyRange(self.contract.key)])

    def _ranges(self, day: date, rows_at_once: int) -> list[KeyRange]:
        tables = chain((self.present, self.arrivals, self.history, self.aside), map(pl.DataFrame.lazy, self._new))
        of_day = (rows.filter(pl.col(DAY_COLUMN) == day) for rows in tables)
        return ranges_of(of_day, self.contract.key, rows_at_once=rows_at_once)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._new.__exit__()


@dataclass
class Days:
    """Days that are revised together, in parts; each part is read when it is iterated, and again the next time.

    Attributes:
        sources: where their rows are.
        days: the days; one day where there are several ranges.
        ranges: ranges of the key that cover all of their rows, in order.
    """

    sources: Sources
    days: list[date]
    ranges: list[KeyRange]

    def __iter__(self) -> Iterator["Part"]:
        if len(self.ranges) == 1:
            yield self._whole
            return
        for span in self.ranges:
            yield Part(self.sources, self.days, span)

    @cached_property
    def _whole(self) -> "Part":
        return Part(self.sources, self.days, self.ranges[0])


@dataclass(frozen=True)
class Part:
    """The rows of some days in one range of the key, each table read at its first use.

    Attributes:
        sources: where the rows are.
        days: the days.
        span: the range of the key.
    """

    sources: Sources
    days: list[date]
    span: KeyRange

    @cached_property
    def new(self) -> pl.DataFrame:
        """The new rows: `event_date`, the key and `row_hash`."""
        return self.sources.new(self.days, self.span)

    @cached_property
    def present(self) -> pl.DataFrame:
        """The rows of the table: the same columns."""
        return self.only(self.sources.present).collect()

    @cached_property
    def arrivals(self) -> pl.DataFrame:
        """The rows of `arrivals_of` the table."""
        return self.only(self.sources.arrivals).collect()

    @cached_property
    def history(self) -> pl.DataFrame:
        """The rows of `history_of` the table."""
        return self.only(self.sources.history).collect()

    @cached_property
    def aside(self) -> pl.Series:
        """The hashes of the rows that were set aside."""
        return self.only(self.sources.aside).select(ROW).collect()[ROW]

    def only(self, rows: pl.LazyFrame) -> pl.LazyFrame:
        """The rows of a table that are in this part."""
        return rows.filter(pl.col(DAY_COLUMN).is_in(self.days), self.span.condition)
