"""Validation: raw telemetry in, rows that keep the contract out, others to quarantine with the reason; class `raw`."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date
from functools import partial

import dagster as dg
import polars as pl

from assets.checks import contract_check
from assets.days import DAYS, close, days_of, in_batches, is_large, record, record_quiet
from assets.lineage import copied
from assets.regional import here, per_region
from assets.reports import entries_of
from resources.code_versions import code_of
from resources.kept import BESIDE_ENTRY
from resources.keys import CONTRACT_CHECK, regional_key
from resources.placement import CLASS_TAG, HARDWARE_TAG, OWNERS, REGION_TAG, bind
from resources.stale import doubted_rows, judged_from
from sinet_pipelines.regions import REGIONS, Region
from sinet_pipelines.schemas.contract import DataClass
from sinet_pipelines.schemas.features import FIRST_CYCLES
from sinet_pipelines.schemas.telemetry import (
    EARLY_TELEMETRY,
    QUARANTINE,
    RAW_TELEMETRY,
    VALIDATED_TELEMETRY,
)
from sinet_pipelines.storage.content import ContentHash
from sinet_pipelines.storage.spill import FrameFile, Sorter
from sinet_pipelines.storage.tables import DAY_COLUMN, TableStore, Written, content_hash
from sinet_pipelines.validation.doubt import doubt_of_days
from sinet_pipelines.validation.judge import (
    DayVerdict,
    Judged,
    judge_day_in_batches,
    judge_days,
    named_medians,
    unit_columns,
)

KEPT = (QUARANTINE, EARLY_TELEMETRY, VALIDATED_TELEMETRY)  # written in this order: what others read comes last
QUARANTINED = "quarantined_rows"  # what a day says of itself, so that its raw rows need not be counted elsewhere

quarantine = [
    dg.AssetSpec(
        regional_key(region, "quarantine"),
        deps=[regional_key(region, "raw_telemetry")],
        description=f"{QUARANTINE.description} Written by the step of `validated_telemetry`.",
        kinds={region.key, "cpu", "deltalake"},
        owners=OWNERS,
        tags={REGION_TAG: region.name, HARDWARE_TAG: "cpu", CLASS_TAG: str(QUARANTINE.data_class)},
        metadata=entries_of(
            QUARANTINE,
            region,
            sources=copied(QUARANTINE, of=RAW_TELEMETRY, keys=[regional_key(region, "raw_telemetry")]),
        ),
        partitions_def=DAYS,
    )
    for region in REGIONS
]


@per_region
def validated_telemetry(region: Region) -> dg.AssetsDefinition:
    """One row per engine and flight cycle that keeps the contract: complete, in bounds, on its day, once.

    A row that breaks a rule goes to `quarantine` with the reason and its neighbours go on; so does a cycle that another
    day has as well, on both days. A day that setting rows
    aside cannot cure (a missing column, another unit, too many bad rows) fails its check and is not materialised; what
    the day held before stays. Rows of an engine's first ten cycles are kept once more, in a small table of their own.
    """
    key = regional_key(region, "validated_telemetry")

    @dg.asset(
        key=key,
        deps=[regional_key(region, "raw_telemetry")],
        partitions_def=DAYS,
        backfill_policy=dg.BackfillPolicy.single_run(),
        check_specs=[contract_check(VALIDATED_TELEMETRY, key)],
        output_required=False,
        metadata=entries_of(
            VALIDATED_TELEMETRY,
            region,
            sources=copied(VALIDATED_TELEMETRY, of=RAW_TELEMETRY, keys=[regional_key(region, "raw_telemetry")]),
        ),
        **bind(region, data_class=DataClass.RAW, kinds={"deltalake"}),
    )
    def asset(context: dg.AssetExecutionContext) -> Iterator[object]:
        place = here(context, region)
        days = days_of(context, region)
        yield from record_quiet(context, region, days.quiet, tables=KEPT)
        doubted = doubted_rows(place.tables)
        doubt = doubt_of_days(doubted)
        made: list[date] = []
        verdicts: dict[date, DayVerdict] = {}
        refused: dict[date, str] = {}
        for chunk in in_batches(place.landing, region.name, days.landed):
            faults = {day: place.landing.read_faults(region.name, day) for day in chunk}
            if is_large(place.landing, region.name, chunk):
                large = _judge_large(
                    place.tables,
                    chunk[0],
                    faults=faults[chunk[0]],
                    files=partial(place.landing.file_names, region.name, chunk[0]),
                    doubted=doubted,
                )
                inputs = {chunk[0]: judged_from(code_of(context), large.raw_version, doubt.get(chunk[0]))}
                yield from _record_large(context, large, inputs=inputs)
                verdicts[chunk[0]] = large.verdict
                made += chunk if large.verdict.passed else []
                refused |= {} if large.verdict.passed else inputs
                continue
            raw = place.tables.read(RAW_TELEMETRY, days=(chunk[0], chunk[-1])).filter(pl.col(DAY_COLUMN).is_in(chunk))
            judged = judge_days(
                raw,
                VALIDATED_TELEMETRY,
                drop_faults=faults,
                files=partial(place.landing.file_names, region.name),
                doubted=doubted,
            )
            parts = {part[DAY_COLUMN][0]: part for part in raw.partition_by(DAY_COLUMN)}
            inputs = {
                day: judged_from(
                    code_of(context), content_hash(parts.get(day, raw.clear()), RAW_TELEMETRY), doubt.get(day)
                )
                for day in chunk
            }
            chunk_verdicts = {verdict.day: verdict for verdict in judged.days}
            passed = [verdict.day for verdict in judged.days if verdict.passed]
            written, beside = _keep(place.tables, judged, passed) if passed else (None, {})
            entries = {
                day: {QUARANTINED: verdict.quarantined, **beside.get(day, {})}
                for day, verdict in chunk_verdicts.items()
            }
            good = {day: chunk_verdicts[day] for day in passed}
            yield from record(context, written, inputs=inputs, entries=entries, verdicts=good)
            made += passed
            verdicts |= chunk_verdicts
            refused |= {day: inputs[day] for day, verdict in chunk_verdicts.items() if not verdict.passed}
        # last, since the page shows a check's newest result
        yield from record(context, None, inputs=refused, verdicts={day: verdicts[day] for day in refused})
        yield from close(context, region, made=made, verdicts=verdicts, check=CONTRACT_CHECK)

    return asset


def _keep(tables: TableStore, judged: Judged, days: list[date]) -> tuple[Written, dict[date, dict[str, int]]]:
    """Writes the days that passed; in the order of `KEPT`: the table that others read never runs ahead.

    Also returns the rows of each day in the tables beside, which its materialisation records.
    """
    good = judged.good.filter(pl.col(DAY_COLUMN).is_in(days))
    aside = tables.replace_days(QUARANTINE, judged.bad.filter(pl.col(DAY_COLUMN).is_in(days)), days=days)
    early = tables.replace_days(EARLY_TELEMETRY, good.filter(pl.col("cycle") <= FIRST_CYCLES), days=days)
    beside = {day: _rows_of(day, aside, early) for day in days}
    return tables.replace_days(VALIDATED_TELEMETRY, good, days=days), beside


def _rows_of(day: date, *written: Written) -> dict[str, int]:
    """Entries of a day's materialisation: its rows in each table beside."""
    return {f"{BESIDE_ENTRY}{one.table}": one.rows_per_day[day] for one in written}


@dataclass(frozen=True)
class _LargeDay:
    """A day that was judged in batches: what of its raw rows it was judged from, its verdict, and what was written."""

    raw_version: str
    verdict: DayVerdict
    written: Written | None
    beside: Mapping[str, int] = field(default_factory=dict)


def _judge_large(
    tables: TableStore,
    day: date,
    *,
    faults: tuple[str, ...],
    files: Callable[[], Mapping[str, str]],
    doubted: pl.DataFrame,
) -> _LargeDay:
    """Judges one day in batches and writes it if it passed, each table in one commit and in the order of `_keep`."""
    content, folder = ContentHash(RAW_TELEMETRY), tables.folder
    with Sorter(RAW_TELEMETRY.order, folder=folder) as raw, FrameFile(folder) as good, FrameFile(folder) as bad:
        for rows in tables.read_in_batches(RAW_TELEMETRY, day=day):
            raw.add(rows)

        def batches() -> Iterator[pl.DataFrame]:
            for rows in raw.sorted():
                content.take(rows)
                yield rows

        verdict = judge_day_in_batches(
            batches(),
            VALIDATED_TELEMETRY,
            day=day,
            medians=lambda: tables.medians(
                RAW_TELEMETRY, day=day, columns=[column.name for column in unit_columns(VALIDATED_TELEMETRY)]
            ),
            medians_by_file=lambda column: named_medians(
                pl.concat(tables.read_in_batches(RAW_TELEMETRY, day=day, columns=["drop_id", column])), column, files()
            ),
            faults=faults,
            doubted=doubted,
            good=good,
            bad=bad,
        )
        if not verdict.passed:
            return _LargeDay(content.value, verdict, None)
        aside = tables.replace_day_from(QUARANTINE, lambda: iter(bad), day=day)
        early = tables.replace_day_from(
            EARLY_TELEMETRY, lambda: (rows.filter(pl.col("cycle") <= FIRST_CYCLES) for rows in good), day=day
        )
        written = tables.replace_day_from(VALIDATED_TELEMETRY, lambda: iter(good), day=day)
        return _LargeDay(content.value, verdict, written, _rows_of(day, aside, early))


def _record_large(
    context: dg.AssetExecutionContext, large: _LargeDay, *, inputs: dict[date, str]
) -> Iterator[dg.AssetMaterialization | dg.AssetCheckEvaluation]:
    day = large.verdict.day
    yield from record(
        context,
        large.written,
        inputs=inputs,
        entries={day: {QUARANTINED: large.verdict.quarantined, **large.beside}},
        verdicts={day: large.verdict} if large.verdict.passed else {},
    )
