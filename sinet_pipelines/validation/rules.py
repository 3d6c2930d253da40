"""The row rules of a contract: each is declared once, as an expectation and as an expression that finds its rows.

The compiled pass (`compiled.py`) evaluates the expressions; Great Expectations (`expectations.py`) evaluates the
expectations. Both have the same rules in the same order, and both treat NaN as a missing value.
"""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

import polars as pl

from sinet_pipelines.schemas.contract import RECORDED_AT, Column, Contract
from sinet_pipelines.storage.tables import DAY_COLUMN

RECORDED_DATE = "recorded_date"  # the day of `recorded_at`, beside the day of the drop
UNPARSED = "unparsed"
PRESENT = "ExpectColumnValuesToNotBeNull"
ABSENT = "ExpectColumnValuesToBeNull"
BETWEEN = "ExpectColumnValuesToBeBetween"
IN_SET = "ExpectColumnValuesToBeInSet"
EQUAL = "ExpectColumnPairValuesToBeEqual"
UNIQUE = "ExpectCompoundColumnsToBeUnique"


@dataclass(frozen=True, eq=False)
class RowRule:
    """A rule that a row satisfies or breaks.

    Attributes:
        text: the broken rule, in the words of a quarantine reason.
        expectation: class of Great Expectations with the same rule.
        arguments: its arguments.
        columns: columns that the rule reads.
        missing: whether a row has no value to check; such a row does not break the rule.
        broken: whether a row breaks the rule, never null; None for a rule that compares rows by `columns`.
    """

    text: str
    expectation: str
    arguments: Mapping[str, Any]
    columns: tuple[str, ...]
    missing: pl.Expr
    broken: pl.Expr | None = field(default=None)


@lru_cache(maxsize=32)
def row_rules(contract: Contract) -> tuple[RowRule, ...]:
    """All row rules of the contract: not null, in bounds, allowed, of their type, of their day, unique by key.

    Args:
        contract: of the validated table.
    """
    return tuple(_rules(contract))


def column_rules(contract: Contract) -> tuple[RowRule, ...]:
    """The rules of single values: those that a row satisfies or breaks without its day and without other rows."""
    return tuple(rule for column in contract.columns for rule in _column_rules(column))


def sound_value(column: Column) -> pl.Expr:
    """Whether a value of the column is there and satisfies the rules of the column."""
    broken = [rule.broken for rule in _column_rules(column) if rule.broken is not None]
    return ~pl.any_horizontal(_is_missing(column.name, is_float=_is_floating(column)), *broken)


def with_recorded_date(rows: pl.LazyFrame) -> pl.LazyFrame:
    """The rows with the day of their instant, which the rules of a contract read."""
    return rows.with_columns(pl.col(RECORDED_AT).dt.date().alias(RECORDED_DATE))


def _rules(contract: Contract) -> Iterator[RowRule]:
    yield from column_rules(contract)
    unparsed = pl.col(UNPARSED)
    yield RowRule(
        "a value is not of its column's type",
        ABSENT,
        {"column": UNPARSED},
        (UNPARSED,),
        pl.lit(value=False),
        unparsed.is_not_null(),
    )
    pair, either = (RECORDED_DATE, DAY_COLUMN), _any_missing((RECORDED_DATE, DAY_COLUMN))
    yield RowRule(
        f"{RECORDED_AT} is not on the day of the drop",
        EQUAL,
        {"column_A": RECORDED_DATE, "column_B": DAY_COLUMN, "ignore_row_if": "either_value_is_missing"},
        pair,
        either,
        ~either & (pl.col(RECORDED_DATE) != pl.col(DAY_COLUMN)),
    )
    key = (DAY_COLUMN, *(name for name in contract.key if name != DAY_COLUMN))
    floats = {column.name for column in contract.columns if _is_floating(column)}
    yield RowRule(
        f"another row has the same {' and '.join(contract.key)} but other values",
        UNIQUE,
        {"column_list": list(key), "ignore_row_if": "any_value_is_missing"},
        key,
        _any_missing(key, floats=frozenset(floats)),
    )


def _column_rules(column: Column) -> Iterator[RowRule]:
    name, value = column.name, pl.col(column.name)
    missing = _is_missing(name, is_float=_is_floating(column))
    if not column.nullable:
        yield RowRule(f"{name} is missing", PRESENT, {"column": name}, (name,), pl.lit(value=False), missing)
    if column.minimum is not None or column.maximum is not None:
        least = -math.inf if column.minimum is None else column.minimum
        most = math.inf if column.maximum is None else column.maximum
        # no float32 equals a bound such as 0.1: in float64, neither value nor bound is rounded
        exact = value.cast(pl.Float64) if _is_floating(column) else value
        beyond = [exact < column.minimum] if column.minimum is not None else []
        beyond += [exact > column.maximum] if column.maximum is not None else []
        yield RowRule(
            f"{name} is outside {f'{least:g} to {most:g} {column.unit}'.strip()}",
            BETWEEN,
            {"column": name, "min_value": column.minimum, "max_value": column.maximum},
            (name,),
            missing,
            ~missing & pl.any_horizontal(beyond),
        )
    if column.allowed:
        others = pl.all_horizontal(value != one for one in column.allowed)  # a third of the time of `is_in`
        yield RowRule(
            f"{name} is not one of {', '.join(column.allowed)}",
            IN_SET,
            {"column": name, "value_set": list(column.allowed)},
            (name,),
            missing,
            ~missing & others,
        )


def _is_floating(column: Column) -> bool:
    import pyarrow as pa

    return pa.types.is_floating(column.dtype)


def _is_missing(name: str, *, is_float: bool = False) -> pl.Expr:
    value = pl.col(name)
    return value.is_null() | value.is_nan().fill_null(value=False) if is_float else value.is_null()


def _any_missing(names: tuple[str, ...], *, floats: frozenset[str] = frozenset()) -> pl.Expr:
    return pl.any_horizontal(_is_missing(name, is_float=name in floats) for name in names)
