"""Checks days by their contract: sets bad rows aside with a reason, and fails days that this cannot repair.

A day fails for a column that a whole drop lacks, for a column in another unit, and when more of its rows are bad than
the contract allows. Other faults concern single rows: these go to quarantine, and the other rows are used.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date

import polars as pl

from sinet_pipelines.schemas.contract import Column, Contract
from sinet_pipelines.storage.spill import FrameFile
from sinet_pipelines.storage.tables import DAY_COLUMN
from sinet_pipelines.validation.compiled import broken_rows
from sinet_pipelines.validation.doubt import OTHER_DAYS
from sinet_pipelines.validation.units import explain_median, is_outside

TOP_RULES = 5  # number of reasons in a summary


@dataclass(frozen=True)
class DayVerdict:
    """The result of one day's check.

    Attributes:
        day: the day.
        rows: number of checked rows.
        quarantined: number of rows set aside.
        max_quarantined_share: limit of the contract, 0 to 1.
        faults: why the day fails; empty for a day that passes.
        broken_rules: number of rows by broken rule, of the five most frequent, the most frequent first.
        in_doubt: quarantined rows that break no rule of their own day but conflict with another day.
        warnings: what is unusual about the day; a day with warnings passes.
        page: address of the data docs with a sample of the day, empty for none.
    """

    day: date
    rows: int
    quarantined: int
    max_quarantined_share: float
    faults: tuple[str, ...]
    broken_rules: Mapping[str, int]
    in_doubt: int = 0
    warnings: tuple[str, ...] = ()
    page: str = ""

    @property
    def passed(self) -> bool:
        """Whether the day's good rows may be used."""
        return not self.faults

    @property
    def quarantined_share(self) -> float:
        """Share of the checked rows that were set aside for a rule of their own day, 0 to 1; the limit refers to it."""
        return (self.quarantined - self.in_doubt) / self.rows if self.rows else 0.0


@dataclass(frozen=True)
class Judged:
    """A checked batch: `good` and `bad` have the input's columns, `bad` also has a `reason`."""

    good: pl.DataFrame
    bad: pl.DataFrame
    days: tuple[DayVerdict, ...]


FileNames = Mapping[str, str]  # names of a day's files, by the drop's id


def judge_days(
    rows: pl.DataFrame,
    contract: Contract,
    *,
    drop_faults: Mapping[date, tuple[str, ...]] | None = None,
    files: Callable[[date], FileNames] | None = None,
    doubted: pl.DataFrame | None = None,
) -> Judged:
    """Splits rows into good and bad, and decides for each day whether it passes.

    Args:
        rows: (n, columns) raw rows of any number of days, as in `raw_telemetry`.
        contract: the contract of the validated table.
        drop_faults: by day, the faults of its drops as files (a missing column, another unit); a day
            in this mapping without rows fails.
        files: returns the names of a day's files, for a message about a column in another unit.
        doubted: rows that conflict with another day (`rows_in_doubt`); they are set aside, and no day fails for them.
    """
    empty = tuple(_empty_day(day, contract, faults) for day, faults in _without_rows(rows, drop_faults or {}))
    if not rows.height:
        return Judged(rows, rows.with_columns(reason=pl.lit("")), empty)
    faulty = broken_rows(rows, contract)
    broken = _with_doubts(faulty, rows, doubted, contract)
    good, bad = _split(rows, broken)
    day_of_row = rows.with_row_index("row").select("row", DAY_COLUMN)
    rules = broken.join(day_of_row, on="row")
    own = dict(day_of_row.join(faulty, on="row", how="semi")[DAY_COLUMN].value_counts().iter_rows())
    days = tuple(
        _judge_day(
            part,
            bad,
            rules,
            contract,
            faulty=own.get(part[DAY_COLUMN][0], 0),
            faults=(drop_faults or {}).get(part[DAY_COLUMN][0], ()),
            files=files,
        )
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


def judge_day_in_batches(
    batches: Iterable[pl.DataFrame],
    contract: Contract,
    *,
    day: date,
    medians: Callable[[], Mapping[str, float | None]],
    medians_by_file: Callable[[str], Mapping[str, float | None]] | None = None,
    faults: tuple[str, ...] = (),
    doubted: pl.DataFrame | None = None,
    good: FrameFile,
    bad: FrameFile,
) -> DayVerdict:
    """Checks a day of any number of rows, one batch at a time; the result equals that of `judge_days` for all at once.

    Args:
        batches: the day's raw rows, sorted by the contract's key.
        contract: the contract of the validated table.
        day: the day.
        medians: returns the day's median of each column of `unit_columns`.
        medians_by_file: returns one column's median in each file of the day, by the file's name.
        faults: the faults of its drops as files.
        doubted: as for `judge_days`.
        good: receives the good rows, in order.
        bad: receives the others, with a `reason` beside them.
    """
    rows = faulty = 0
    counts: Counter[str] = Counter()
    for before, batch, after in _with_neighbours(batches):
        # equal rows are neighbours, but may be in different batches
        broken = broken_rows(pl.concat([before, batch, after]), contract)
        broken = broken.with_columns(row=pl.col("row").cast(pl.Int64) - before.height)
        broken = broken.filter(pl.col("row").is_between(0, batch.height - 1)).cast({"row": pl.UInt32})
        faulty += broken["row"].n_unique()
        broken = _with_doubts(broken, batch, doubted, contract)
        kept, aside = _split(batch, broken)
        good.add(kept)
        bad.add(aside)
        counts.update(dict(broken["rule"].value_counts().iter_rows()))
        rows += batch.height
    if not rows:
        return _empty_day(day, contract, faults)
    found = [*faults, *_other_units(medians(), contract, medians_by_file or (lambda _: {}))]
    return _verdict(day, contract, rows=rows, quarantined=sum(bad.heights), faulty=faulty, faults=found, counts=counts)


def unit_columns(contract: Contract) -> list[Column]:
    """The columns whose median shows whether they have another unit."""
    return [c for c in contract.columns if c.minimum is not None and c.maximum is not None and c.unit]


def _with_neighbours(batches: Iterable[pl.DataFrame]) -> Iterator[tuple[pl.DataFrame, pl.DataFrame, pl.DataFrame]]:
    """Each batch with the row before it and the row after it, if there are any."""
    before = batch = None
    for upcoming in batches:
        if batch is not None:
            yield batch.clear() if before is None else before, batch, upcoming.head(1)
            before = batch.tail(1)
        batch = upcoming
    if batch is not None:
        yield batch.clear() if before is None else before, batch, batch.clear()


def _split(rows: pl.DataFrame, broken: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
    """The rows that broke no rule, and the others with their reason."""
    reasons = broken.group_by("row").agg(pl.col("rule").sort().str.join("; ").alias("reason"))
    numbered = rows.with_row_index("row").join(reasons, on="row", how="left", maintain_order="left")
    good = numbered.filter(pl.col("reason").is_null()).drop("row", "reason")
    return good, numbered.filter(pl.col("reason").is_not_null()).drop("row")


def _with_doubts(
    faulty: pl.DataFrame, rows: pl.DataFrame, doubted: pl.DataFrame | None, contract: Contract
) -> pl.DataFrame:
    """The broken row rules, together with the conflicts with other days."""
    if doubted is None or doubted.is_empty():
        return faulty
    rule = pl.format(f"the same {' and '.join(contract.key)} was recorded on {{}} as well", pl.col(OTHER_DAYS))
    numbered = rows.select(DAY_COLUMN, *contract.key).with_row_index("row")
    return pl.concat([faulty, numbered.join(doubted, on=[DAY_COLUMN, *contract.key]).select("row", rule=rule)])


def _judge_day(
    rows: pl.DataFrame,
    bad: pl.DataFrame,
    rules: pl.DataFrame,
    contract: Contract,
    *,
    faulty: int,
    faults: tuple[str, ...],
    files: Callable[[date], FileNames] | None,
) -> DayVerdict:
    day: date = rows[DAY_COLUMN][0]

    def by_file(column: str) -> dict[str, float | None]:
        return named_medians(rows, column, files(day)) if files else {}

    medians = rows.select(pl.col(c.name).median() for c in unit_columns(contract)).row(0, named=True)
    return _verdict(
        day,
        contract,
        rows=rows.height,
        quarantined=bad.filter(pl.col(DAY_COLUMN) == day).height,
        faulty=faulty,
        faults=[*faults, *_other_units(medians, contract, by_file)],
        counts=dict(rules.filter(pl.col(DAY_COLUMN) == day)["rule"].value_counts().iter_rows()),
    )


def _verdict(
    day: date,
    contract: Contract,
    *,
    rows: int,
    quarantined: int,
    faulty: int,
    faults: list[str],
    counts: Mapping[str, int],
) -> DayVerdict:
    """The result of a day of which `faulty` rows broke a rule of their own day, and `quarantined` were set aside."""
    found = list(faults)
    if faulty > contract.max_quarantined_share * rows:
        found.append(
            f"{faulty} of {rows} rows violate the contract "
            f"(allowed: {contract.max_quarantined_share:.0%} a day); correct the source and drop the day again"
        )
    worst = sorted(counts.items(), key=lambda rule: (-rule[1], rule[0]))[:TOP_RULES]
    share, reasons = contract.max_quarantined_share, tuple(dict.fromkeys(found))
    return DayVerdict(day, rows, quarantined, share, reasons, dict(worst), in_doubt=quarantined - faulty)


def named_medians(rows: pl.DataFrame, column: str, files: FileNames) -> dict[str, float | None]:
    """The median of a column in each file, by the file's name; files without rows are left out.

    Args:
        rows: with `drop_id` and the column.
        column: its name.
        files: names of the files.
    """
    medians = rows.group_by("drop_id").agg(pl.col(column).median()).sort("drop_id")
    return {files[drop]: median for drop, median in medians.iter_rows() if drop in files}


def _other_units(
    medians: Mapping[str, float | None],
    contract: Contract,
    by_file: Callable[[str], Mapping[str, float | None]],
) -> list[str]:
    """A column whose median is outside its bounds has another unit, or its instrument is broken."""
    return [
        explain_median(column, median, by_file=by_file(column.name))
        for column in unit_columns(contract)
        if (median := medians[column.name]) is not None and is_outside(column, median)
    ]
