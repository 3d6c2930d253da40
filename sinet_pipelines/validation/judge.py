"""Days judged by their contract: rows set aside with a reason, and days that no setting aside can cure.

A day fails on a column that a whole drop lacks, on a column in another unit, and when more of its rows are bad than the
contract allows. Everything else is a fault of single rows: they go to quarantine and their neighbours go on.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date

import polars as pl

from sinet_pipelines.schemas.contract import Contract
from sinet_pipelines.storage.tables import DAY_COLUMN
from sinet_pipelines.validation.expectations import broken_rows

TOP_RULES = 5  # as many reasons as a reader takes in at a glance


@dataclass(frozen=True)
class DayVerdict:
    """What the contract says of one day.

    Attributes:
        day: the day.
        rows: rows judged.
        quarantined: rows set aside.
        max_quarantined_share: what the contract allows, 0 to 1.
        faults: why the day fails, empty for a day that passes.
        broken_rules: how many rows broke which rule, of the five most broken, the worst first.
    """

    day: date
    rows: int
    quarantined: int
    max_quarantined_share: float
    faults: tuple[str, ...]
    broken_rules: Mapping[str, int]

    @property
    def passed(self) -> bool:
        """Whether the day's good rows may be used."""
        return not self.faults

    @property
    def quarantined_share(self) -> float:
        """Rows set aside among the rows judged, 0 to 1."""
        return self.quarantined / self.rows if self.rows else 0.0


@dataclass(frozen=True)
class Judged:
    """A batch after judgement: `good` and `bad` share the input's columns, `bad` has a `reason` beside them."""

    good: pl.DataFrame
    bad: pl.DataFrame
    days: tuple[DayVerdict, ...]


def judge_days(
    rows: pl.DataFrame, contract: Contract, *, drop_faults: Mapping[date, tuple[str, ...]] | None = None
) -> Judged:
    """Splits rows into good and bad and says of each day whether it may be used.

    Args:
        rows: (n, columns) raw rows of any number of days, as `raw_telemetry` keeps them.
        contract: the contract of the table they should go to.
        drop_faults: per day, what was wrong with its drops as files (a column that is not there, another unit); a day
            that is named here and has no rows fails.
    """
    empty = tuple(_empty_day(day, contract, faults) for day, faults in _without_rows(rows, drop_faults or {}))
    if not rows.height:
        return Judged(rows, rows.with_columns(reason=pl.lit("")), empty)
    broken = broken_rows(rows, contract)
    reasons = broken.group_by("row").agg(pl.col("rule").sort().str.join("; ").alias("reason"))
    numbered = rows.with_row_index("row").join(reasons, on="row", how="left", maintain_order="left")
    good = numbered.filter(pl.col("reason").is_null()).drop("row", "reason")
    bad = numbered.filter(pl.col("reason").is_not_null()).drop("row")
    rules = broken.join(numbered.select("row", DAY_COLUMN), on="row")
    days = tuple(
        _judge_day(part, bad, rules, contract, (drop_faults or {}).get(part[DAY_COLUMN][0], ()))
        for part in rows.partition_by(DAY_COLUMN, maintain_order=True)
    )
    return Judged(good, bad, tuple(sorted((*days, *empty), key=lambda verdict: verdict.day)))


def _without_rows(
    rows: pl.DataFrame, drop_faults: Mapping[date, tuple[str, ...]]
) -> list[tuple[date, tuple[str, ...]]]:
    there = set(rows[DAY_COLUMN].unique())
    return sorted((day, faults) for day, faults in drop_faults.items() if day not in there)


def _empty_day(day: date, contract: Contract, faults: tuple[str, ...]) -> DayVerdict:
    why = f"no row of {day} could be read (allowed: at least one in all its drops); drop the day again"
    return DayVerdict(day, 0, 0, contract.max_quarantined_share, (*faults, why), {})


def _judge_day(
    rows: pl.DataFrame, bad: pl.DataFrame, rules: pl.DataFrame, contract: Contract, faults: tuple[str, ...]
) -> DayVerdict:
    day: date = rows[DAY_COLUMN][0]
    quarantined = bad.filter(pl.col(DAY_COLUMN) == day).height
    counts = rules.filter(pl.col(DAY_COLUMN) == day)["rule"].value_counts(sort=True).head(TOP_RULES)
    found = [*faults, *_other_units(rows, contract)]
    if quarantined > contract.max_quarantined_share * rows.height:
        found.append(
            f"{quarantined} of {rows.height} rows break the contract "
            f"(allowed: {contract.max_quarantined_share:.0%} a day); mend the source and drop the day again"
        )
    return DayVerdict(
        day,
        rows.height,
        quarantined,
        contract.max_quarantined_share,
        tuple(dict.fromkeys(found)),
        dict(counts.iter_rows()),
    )


def _other_units(rows: pl.DataFrame, contract: Contract) -> list[str]:
    """A column whose median is outside its bounds is in another unit, or its instrument is broken."""
    bounded = [c for c in contract.columns if c.minimum is not None and c.maximum is not None and c.unit]
    medians = rows.select(pl.col(c.name).median() for c in bounded).row(0, named=True)
    return [
        f"half of {c.name} is beyond {medians[c.name]:.6g}, not {c.minimum:g} to {c.maximum:g} {c.unit}: another unit? "
        "drop the day again in the contract's unit"
        for c in bounded
        if medians[c.name] is not None and not c.minimum <= medians[c.name] <= c.maximum
    ]
