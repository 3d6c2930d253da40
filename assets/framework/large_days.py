"""Validation of a large day: its rows are checked and written in batches, since all of them do not fit in memory."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from itertools import chain

import polars as pl

from assets.framework.validated_writes import write_large_day
from sinet_pipelines.schemas.contract import Contract, Validated
from sinet_pipelines.storage.content import ContentHash
from sinet_pipelines.storage.revisions import withhold
from sinet_pipelines.storage.spill import FrameFile, Sorter
from sinet_pipelines.storage.tables import TableStore, Written
from sinet_pipelines.storage.versions import ArrivalsOf
from sinet_pipelines.validation.judge import DayVerdict, judge_day_in_batches, named_medians, unit_columns


@dataclass(frozen=True)
class LargeDay:
    """The result of a day that was checked in batches: version of its raw rows, verdict, and written tables."""

    raw_version: str
    verdict: DayVerdict
    written: Written | None
    beside: Mapping[str, int] = field(default_factory=dict)


def judge_large_day(
    store: TableStore,
    tables: Validated,
    day: date,
    *,
    faults: tuple[str, ...],
    files: Callable[[], Mapping[str, str]],
    doubted: pl.DataFrame,
    confirmed: Callable[..., dict[date, DayVerdict]],
    arrivals: ArrivalsOf,
) -> LargeDay:
    """Judges one day in batches, and writes it if it passed.

    Args:
        store: tables of the region.
        tables: the raw and validated rows with their quarantine and the tables beside.
        day: the day.
        faults: of its drops, those that fail the day.
        files: returns the printable path of each drop, by its id.
        doubted: rows whose key is on another day too.
        confirmed: returns the verdict after the day's page was written.
        arrivals: the arrivals of rows.
    """
    content, folder = ContentHash(tables.raw), store.scratch
    with Sorter(tables.raw.order, folder=folder) as raw, FrameFile(folder) as good, FrameFile(folder) as bad:
        for rows in store.read_in_batches(tables.raw, day=day):
            raw.add(rows)

        def batches() -> Iterator[pl.DataFrame]:
            for rows in raw.sorted():
                content.take(rows)
                yield rows

        verdict = judge_day_in_batches(
            batches(),
            tables.validated,
            day=day,
            medians=lambda: store.medians(
                tables.raw, day=day, columns=[column.name for column in unit_columns(tables.validated)]
            ),
            medians_by_file=lambda column: named_medians(
                pl.concat(store.read_in_batches(tables.raw, day=day, columns=["drop_id", column])), column, files()
            ),
            faults=faults,
            doubted=doubted,
            good=good,
            bad=bad,
        )
        verdict = confirmed({day: verdict}, good=good, bad=bad)[day]
        if not verdict.passed:
            withhold(store, tables.validated, chain(good, bad), arrivals=arrivals)
            return LargeDay(content.value, verdict, None)
        written, beside = write_large_day(store, tables, day, good=good, bad=bad, arrivals=arrivals)
        return LargeDay(content.value, verdict, written, beside)


def read_large_day(store: TableStore, raw: Contract, day: date, columns: Sequence[str]) -> pl.DataFrame:
    """Some columns of a large day's raw rows, all of them in memory at once."""
    return pl.concat(store.read_in_batches(raw, day=day, columns=columns))
