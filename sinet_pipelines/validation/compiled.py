"""Checks rows by their contract in one vectorised pass: which rows break which rule, and how many rows have no value.

The rules are those of `rules.py`, and the results equal those of Great Expectations rule by rule; this pass needs
neither that library nor pandas. Steps check frames: of a large day, one sorted batch after another (`judge.py`). A lazy
scan, for use outside of steps, is read in a stream: memory holds a 64-bit hash of each key, and the rows that break a
rule.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
import polars as pl

from sinet_pipelines.schemas.contract import Contract
from sinet_pipelines.validation.rules import RowRule, row_rules, with_recorded_date

ROW = "row"  # index of a row in the checked frame
_KEY_HASH = "key_hash"
Engine = Literal["in-memory", "streaming"]


@dataclass(frozen=True)
class Checked:
    """The result of a check.

    Attributes:
        contract: contract of the rules.
        rows: number of checked rows.
        missing: for each rule, the number of rows that have no value to check.
        broken: the rows that break a rule, in order: `row` (uint32), a column for each rule (`breaks(n)`), and the
            columns that the rules read.
    """

    contract: Contract
    rows: int
    missing: tuple[int, ...]
    broken: pl.DataFrame

    @property
    def rules(self) -> tuple[RowRule, ...]:
        """The rules, in the order of `missing`."""
        return row_rules(self.contract)

    @property
    def passed(self) -> bool:
        """Whether no row breaks a rule."""
        return self.broken.is_empty()

    @property
    def counts(self) -> tuple[int, ...]:
        """For each rule, the number of rows that break it."""
        return tuple(int(self.broken[breaks(number)].sum()) for number in range(len(self.rules)))

    def rows_of(self, number: int) -> pl.DataFrame:
        """The rows that break one rule, with `row` and the columns that the rules read."""
        return self.broken.filter(pl.col(breaks(number)))

    def pairs(self) -> pl.DataFrame:
        """Every broken rule, one row each: `row` (uint32) and `rule` (text), rule by rule."""
        parts = [
            self.rows_of(number).select(ROW, rule=pl.lit(rule.text))
            for number, rule in enumerate(self.rules)
            if not self.passed
        ]
        return pl.concat(parts) if parts else pl.DataFrame(schema={ROW: pl.UInt32, "rule": pl.String})


def breaks(number: int) -> str:
    """Column of `Checked.broken` with whether a row breaks the rule of this number."""
    return f"breaks_{number}"


def check_rows(rows: pl.DataFrame | pl.LazyFrame, contract: Contract) -> Checked:
    """Checks rows by all row rules of the contract.

    Args:
        rows: (n, columns) raw rows, or a scan of them; needs the contract's columns, `unparsed` and `event_date`.
        contract: its columns define the rules: not null, in bounds, allowed, of their day, unique by key.
    """
    rules, engine = row_rules(contract), _engine_for(rows)
    dated = with_recorded_date(rows.lazy()).with_row_index(ROW)
    unique = next(rule for rule in rules if rule.broken is None)
    alone = {breaks(n): rule.broken for n, rule in enumerate(rules) if rule.broken is not None}
    columns = list(dict.fromkeys(name for rule in rules for name in rule.columns))
    flagged = dated.select(ROW, *(broken.alias(name) for name, broken in alone.items()), *columns)
    queries = [
        flagged.filter(pl.any_horizontal(*alone)),
        dated.select(pl.len(), *(rule.missing.sum().alias(breaks(n)) for n, rule in enumerate(rules))),
        dated.select(_key_hash(unique).alias(_KEY_HASH)),
    ]
    if isinstance(rows, pl.DataFrame):
        broken, totals, hashes = pl.collect_all(queries, engine=engine)
    else:  # one after the other: together, they would keep the columns that they share in memory
        broken, totals, hashes = (query.collect(engine=engine) for query in queries)
    same = breaks(rules.index(unique))
    repeated = _repeated(dated, hashes.to_series(), unique, engine=engine)
    if len(repeated):
        wanted = repeated.filter(~repeated.is_in(broken[ROW].implode()))
        more = flagged.filter(pl.col(ROW).is_in(wanted.implode())).collect(engine=engine)
        broken = pl.concat([broken, more]).sort(ROW)
    broken = broken.with_columns(pl.col(ROW).is_in(repeated.implode()).alias(same))
    count, *missing = totals.row(0)
    return Checked(contract, count, tuple(missing), broken)


def broken_rows(rows: pl.DataFrame, contract: Contract) -> pl.DataFrame:
    """Every broken row rule of the contract, one row each: `row` (index into `rows`, uint32) and `rule` (text).

    Args:
        rows: as for `check_rows`.
        contract: as for `check_rows`.
    """
    return check_rows(rows, contract).pairs()


def _engine_for(rows: pl.DataFrame | pl.LazyFrame) -> Engine:
    return "in-memory" if isinstance(rows, pl.DataFrame) else "streaming"


def _key_hash(unique: RowRule) -> pl.Expr:
    """A 64-bit hash of the key, null where a part of it is missing."""
    first, *others = (pl.col(name).hash(seed=place) for place, name in enumerate(unique.columns))
    combined = first
    for other in others:
        combined = combined ^ other
    return pl.when(~unique.missing).then(combined)


def _repeated(dated: pl.LazyFrame, hashes: pl.Series, unique: RowRule, *, engine: Engine) -> pl.Series:
    """The rows whose key occurs more than once (uint32, in order).

    Sorting the hashes takes a tenth of the time of grouping the keys. Rows of one hash are compared by their key.
    """
    ordered = hashes.drop_nulls().to_numpy(writable=True)
    ordered.sort()  # in place: at many rows, hashes are most of the memory
    twice = np.unique(ordered[1:][ordered[1:] == ordered[:-1]])
    if not len(twice):
        return pl.Series(ROW, [], dtype=pl.UInt32)
    candidates = hashes.is_in(pl.Series(twice).implode()).fill_null(value=False).arg_true().cast(pl.UInt32)
    keys = dated.filter(pl.col(ROW).is_in(candidates.implode())).select(ROW, *unique.columns).collect(engine=engine)
    return keys.filter(pl.struct(*unique.columns).is_duplicated())[ROW].sort()
