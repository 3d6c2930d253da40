"""Finds what is unusual in a day's rows: stuck sensors, times that go backwards, outliers.

Nothing here sets a row aside or fails a day, since a machine may really behave so: each finding is a sentence of a
warning. The rules are declared at the contract's columns (`stuck_after`, `outlier_iqrs`) and at the contract (`series`,
`counter`). Values that are out of bounds or missing are left out: `rules.py` decides about them.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import date
from itertools import chain

import polars as pl

from sinet_pipelines.schemas.contract import RECORDED_AT, Column, Contract
from sinet_pipelines.storage.tables import DAY_COLUMN
from sinet_pipelines.validation.judge import DayVerdict
from sinet_pipelines.validation.rules import sound_value

LEAST_VALUES = 50  # of a day: the quartiles of fewer values are no scale
MOST_WARNINGS = 20  # of a day: a folder of files with one more column is one finding, not thousands
Read = Callable[[Sequence[str]], pl.DataFrame]
Finding = tuple[date, str]
_POSITION, _RUN, _VALUE = "position", "run", "value"


def unusual(read: Read, contract: Contract) -> dict[date, tuple[str, ...]]:
    """Sentences about the days with unusual rows; other days are left out.

    Args:
        read: returns columns of the raw rows of one or more days, at each call in the same order. One column with
            values and the key are in memory at a time.
        contract: of the validated table; declares the rules.
    """
    checked = [c for c in contract.columns if c.stuck_after is not None or c.outlier_iqrs is not None]
    if not checked and not contract.counter:
        return {}
    rows = _Ordered(read, contract)
    findings = [rows.backwards() if contract.counter else iter(())]
    for column in checked:
        values = read([column.name]).select(pl.when(sound_value(column)).then(column.name)).to_series()
        if column.outlier_iqrs is not None:
            findings.append(_outliers(column, rows.days, values))
        if column.stuck_after is not None and contract.counter:
            findings.append(rows.stuck(column, values))
    found: dict[date, list[str]] = {}
    for day, text in chain.from_iterable(findings):
        found.setdefault(day, []).append(text)
    return {day: tuple(found[day]) for day in sorted(found)}


def with_warnings(
    verdicts: Mapping[date, DayVerdict],
    contract: Contract,
    *,
    read: Read,
    drift: Mapping[date, Sequence[str]],
) -> dict[date, DayVerdict]:
    """The verdicts with the warnings about their days, of many the first.

    Args:
        verdicts: of the days.
        contract: as for `unusual`.
        read: as for `unusual`; not called if no day has rows.
        drift: sentences about files of a day whose schema differs from the contract.
    """
    rows = unusual(read, contract) if any(verdict.rows for verdict in verdicts.values()) else {}
    found = {day: [*drift.get(day, ()), *rows.get(day, ())] for day in verdicts}
    return {day: replace(verdict, warnings=_first(found[day])) for day, verdict in verdicts.items()}


def _first(warnings: list[str]) -> tuple[str, ...]:
    more = len(warnings) - MOST_WARNINGS
    return (*warnings[:MOST_WARNINGS], *([f"and {more} more"] if more > 0 else []))


class _Ordered:
    """The rows in the order in which each series of a day was recorded.

    Attributes:
        days: day of each row, in the order of reading.
    """

    def __init__(self, read: Read, contract: Contract) -> None:
        self._series, self._counter = contract.series, contract.counter
        names = [DAY_COLUMN, *self._series, *([self._counter] if self._counter else [])]
        keys = read([*names, RECORDED_AT])
        self.days = keys[DAY_COLUMN]
        self._order = keys.select(pl.arg_sort_by(names)).to_series()
        self._keys = keys.with_row_index(_POSITION)[self._order]
        parts = [pl.col(name) for name in names[: 1 + len(self._series)]]
        unknown = [pl.col(name).is_null() | pl.col(name).shift().is_null() for name in names]
        self._starts = self._keys.select(
            pl.any_horizontal(*(part.ne_missing(part.shift()) for part in parts), *unknown)
        ).to_series()

    def backwards(self) -> Iterator[Finding]:
        """The days on which the instant of a series goes back while its counter rises."""
        own = pl.when(pl.col(RECORDED_AT).dt.date() == pl.col(DAY_COLUMN)).then(RECORDED_AT)
        instant = self._keys.select(own).to_series()
        counter = self._keys[self._counter]
        goes_back = (instant < instant.shift()) & (counter > counter.shift()) & ~self._starts
        goes_back = goes_back.fill_null(value=False)
        for part in self._keys.filter(goes_back).partition_by(DAY_COLUMN, maintain_order=True):
            yield (
                part[DAY_COLUMN][0],
                f"{RECORDED_AT} goes back {_times(part.height)} while {self._counter} rises, first at "
                f"{self._named(part, [*self._series, self._counter])}; check the clock of the source",
            )

    def stuck(self, column: Column, values: pl.Series) -> Iterator[Finding]:
        """The days on which a column repeats one value in a series as often as its instrument never does.

        Args:
            column: with `stuck_after`.
            values: in the order of reading, null where they are not sound.
        """
        least = column.stuck_after or 0
        ordered = values.gather(self._order)
        runs = (self._starts | ordered.ne_missing(ordered.shift())).cum_sum()
        repeats = (runs == runs.shift(least - 1)).fill_null(value=False) & ordered.is_not_null()
        found = self._keys.with_columns(runs.alias(_RUN), ordered.alias(_VALUE)).filter(repeats)
        for part in found.partition_by(DAY_COLUMN, maintain_order=True):
            each = part.group_by(_RUN, maintain_order=True).agg(pl.all().first(), pl.len().alias("more"))
            where = f" in {self._named(each, self._series)}" if self._series else ""
            others = f" and {each.height - 1} more" if each.height > 1 else ""
            yield (
                part[DAY_COLUMN][0],
                f"{column.name} is {each[_VALUE][0]:g} in {least - 1 + each['more'][0]} successive rows{where}{others} "
                f"(expected: fewer than {least}); the sensor is probably stuck, check it",
            )

    def _named(self, rows: pl.DataFrame, names: Sequence[str]) -> str:
        return ", ".join(f"{name} {rows[name][0]}" for name in names)


def _outliers(column: Column, days: pl.Series, values: pl.Series) -> Iterator[Finding]:
    """The days with values further from the quartiles of the day than the column allows."""
    value, day = pl.col(_VALUE), pl.col(DAY_COLUMN)
    far = column.outlier_iqrs or 0.0
    known = pl.DataFrame({DAY_COLUMN: days, _VALUE: values}).drop_nulls()
    scale = known.group_by(day).agg(
        value.quantile(0.25).alias("low"), value.quantile(0.75).alias("high"), pl.len().alias("values")
    )
    usable = scale.filter((pl.col("values") >= LEAST_VALUES) & (pl.col("high") > pl.col("low")))
    spread = far * (pl.col("high") - pl.col("low"))
    beyond = known.join(usable, on=DAY_COLUMN).filter(
        (value < pl.col("low") - spread) | (value > pl.col("high") + spread)
    )
    for part in beyond.sort(DAY_COLUMN).partition_by(DAY_COLUMN, maintain_order=True):
        low, high, total = part["low"][0], part["high"][0], part["values"][0]
        furthest = part.sort((value - (low + high) / 2).abs(), descending=True)[_VALUE][0]
        yield (
            part[DAY_COLUMN][0],
            f"{part.height} of {total} values of {column.name} are more than {far:g} interquartile ranges from the "
            f"quartiles of the day ({low:g} and {high:g} {column.unit}), such as {furthest:g}; check the sensor",
        )


def _times(count: int) -> str:
    return "once" if count == 1 else f"{count} times"
