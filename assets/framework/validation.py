"""Validation of an application's rows: rows that satisfy the contract are kept, others go to quarantine.

Makes one asset and one quarantine table for each region; contracts hold what is particular to an application.
"""

from collections.abc import Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from functools import partial

import dagster as dg
import polars as pl

from assets.framework.checks import contract_check, unusual_check
from assets.framework.data_docs import remove_old_pages, remove_withdrawn_pages, with_page
from assets.framework.days import close, days_of, in_batches, is_large, partitions_of, record, record_quiet
from assets.framework.large_days import LargeDay, judge_large_day, read_large_day
from assets.framework.lineage import copied
from assets.framework.regional import here
from assets.framework.reports import entries_of
from assets.framework.validated_writes import keep_days, record_versions
from resources.code_versions import code_of
from resources.deployment import Deployment
from resources.keys import CONTRACT_CHECK, UNUSUAL_CHECK, Cadence
from resources.materializations.inputs import judged_from
from resources.materializations.kept import BESIDE_TABLES
from resources.placement import CLASS_TAG, HARDWARE_TAG, OWNERS, REGION_TAG, bind
from resources.regions import RegionResource
from sinet_pipelines.applications.application import Application
from sinet_pipelines.ingestion.arrivals import arrivals_of_rows
from sinet_pipelines.inventory.regions import Region
from sinet_pipelines.schemas.contract import DataClass, Validated
from sinet_pipelines.storage.revisions import withhold
from sinet_pipelines.storage.tables import DAY_COLUMN, content_hash, empty
from sinet_pipelines.storage.versions import ArrivalsOf
from sinet_pipelines.validation.doubt import doubt_of_days, doubted_rows
from sinet_pipelines.validation.judge import (
    DayVerdict,
    judge_days,
)
from sinet_pipelines.validation.unusual import with_warnings

QUARANTINED = "quarantined_rows"  # entry of a day, so that its raw rows need not be counted elsewhere


def quarantine_of(deployment: Deployment, application: Application, region: Region, tables: Validated) -> dg.AssetSpec:
    """The table of rows that were set aside, written by the step of the validated rows."""
    raw_key = dg.AssetKey(application.key(tables.raw.name, region=region.name))
    return dg.AssetSpec(
        dg.AssetKey(application.key(tables.quarantine.name, region=region.name)),
        deps=[raw_key],
        description=f"{tables.quarantine.description} Written by the step of `{tables.validated.name}`.",
        kinds={region.key, "cpu", "deltalake"},
        owners=OWNERS,
        tags={REGION_TAG: region.name, HARDWARE_TAG: "cpu", CLASS_TAG: str(tables.quarantine.data_class)},
        metadata=entries_of(
            tables.quarantine,
            sources=copied(tables.quarantine, of=tables.raw, keys=[raw_key]),
        ),
        partitions_def=partitions_of(deployment, application),
    )


def validated_rows(
    deployment: Deployment, application: Application, region: Region, tables: Validated
) -> dg.AssetsDefinition:
    """The asset of the validated rows of a region.

    A row that breaks a rule goes to quarantine with the reason, and the other rows are used. A key that is on another
    day as well is set aside on both days. A day with a fault of the whole day (a missing column, another unit, too many
    bad rows) fails its check and is not materialised; its former rows stay.
    """
    raw, validated = tables.raw, tables.validated
    key, raw_key = (dg.AssetKey(application.key(one.name, region=region.name)) for one in (validated, raw))

    @dg.asset(
        key=key,
        deps=[raw_key],
        description=validated.description,
        partitions_def=partitions_of(deployment, application),
        backfill_policy=dg.BackfillPolicy.single_run(),
        check_specs=[contract_check(validated, key), unusual_check(key)],
        output_required=False,
        metadata={
            **entries_of(
                validated,
                sources=copied(validated, of=raw, keys=[raw_key]),
            ),
            BESIDE_TABLES: ", ".join(one.name for one in tables.written[:-1]),
        },
        **bind(region, cadence=Cadence.LANDING, inputs="validated_rows", data_class=DataClass.RAW, kinds={"deltalake"}),
    )
    def asset(context: dg.AssetExecutionContext) -> Iterator[object]:
        place = here(context, region)
        days = days_of(context, region)
        arrivals = arrivals_of_rows(place.landing, place.tables, region.name)
        if days.quiet:
            record_versions(place.tables, tables, empty(validated), days.quiet, arrivals)
        remove_withdrawn_pages(context, region, validated, days.quiet)
        yield from record_quiet(context, region, days.quiet, tables=tables.written)
        doubted = doubted_rows(place.tables, raw=raw, validated=validated)
        step = _Step(
            context=context,
            region=region,
            place=place,
            tables=tables,
            arrivals=arrivals,
            doubted=doubted,
            doubt=doubt_of_days(doubted),
        )
        made: list[date] = []
        verdicts: dict[date, DayVerdict] = {}
        refused: dict[date, str] = {}
        for chunk in in_batches(place.landing, region.name, days.landed):
            if is_large(place.landing, region.name, chunk):
                checked = yield from _check_large_day(step, chunk[0])
            else:
                checked = yield from _check_days(step, chunk)
            made += checked.made
            verdicts |= checked.verdicts
            refused |= checked.refused
        # last, since the UI shows the latest result of a check
        yield from record(context, None, inputs=refused, verdicts={day: verdicts[day] for day in refused})
        remove_old_pages(context, region, validated)
        yield from close(context, region, made=made, verdicts=verdicts, check=CONTRACT_CHECK, warns=UNUSUAL_CHECK)

    return asset


@dataclass(frozen=True, kw_only=True)
class _Step:
    """One step of the asset, with the arrivals of its rows and the keys that are on more than one day."""

    context: dg.AssetExecutionContext
    region: Region
    place: RegionResource
    tables: Validated
    arrivals: ArrivalsOf
    doubted: pl.DataFrame
    doubt: Mapping[date, str]

    def faults(self, days: Sequence[date]) -> tuple[dict[date, tuple[str, ...]], dict[date, tuple[str, ...]]]:
        """The faults of the drops of each day: those that fail the day, and changes of the schema that do not."""
        found = {day: self.place.landing.faults(self.region.name, day) for day in days}
        fails = {day: tuple(one.message for one in of if one.fails_the_day) for day, of in found.items()}
        return fails, {day: tuple(one.message for one in of if one.is_drift) for day, of in found.items()}

    def inputs_of(self, raw_versions: Mapping[date, str]) -> dict[date, str]:
        """The fingerprint of each day: of the code, its raw rows, and the conflicts of its keys with other days."""
        code = code_of(self.context)
        return {day: judged_from(code, version, self.doubt.get(day)) for day, version in raw_versions.items()}


@dataclass(frozen=True)
class _Checked:
    """The result of some days: those that were made, every day's verdict, and the inputs of the refused days."""

    made: list[date]
    verdicts: dict[date, DayVerdict]
    refused: dict[date, str]


def _check_large_day(step: _Step, day: date) -> Generator[object, None, _Checked]:
    """Checks and records one day in batches of rows, since its rows are too many for the memory."""
    place, tables = step.place, step.tables
    faults, drift = step.faults([day])
    large = judge_large_day(
        place.tables,
        tables,
        day,
        faults=faults[day],
        files=partial(place.landing.file_names, step.region.name, day),
        doubted=step.doubted,
        confirmed=partial(with_page, step.context, step.region, tables.validated),
        arrivals=step.arrivals,
    )
    inputs = step.inputs_of({day: large.raw_version})
    yield from _record_large(step.context, large, inputs=inputs)
    read = partial(read_large_day, place.tables, tables.raw, day)
    verdicts = with_warnings({day: large.verdict}, tables.validated, read=read, drift=drift)
    return _Checked([day], verdicts, {}) if large.verdict.passed else _Checked([], verdicts, inputs)


def _check_days(step: _Step, days: Sequence[date]) -> Generator[object, None, _Checked]:
    """Checks the rows of some days at once, and writes and records the days that passed."""
    place, tables = step.place, step.tables
    raw, validated = tables.raw, tables.validated
    faults, drift = step.faults(days)
    rows = place.tables.read(raw, days=(days[0], days[-1])).filter(pl.col(DAY_COLUMN).is_in(days))
    judged = judge_days(
        rows,
        validated,
        drop_faults=faults,
        files=partial(place.landing.file_names, step.region.name),
        doubted=step.doubted,
    )
    parts = {part[DAY_COLUMN][0]: part for part in rows.partition_by(DAY_COLUMN)}
    inputs = step.inputs_of({day: content_hash(parts.get(day, rows.clear()), raw) for day in days})
    verdicts = with_page(
        step.context,
        step.region,
        validated,
        {verdict.day: verdict for verdict in judged.days},
        good=[judged.good],
        bad=[judged.bad],
    )
    passed = [verdict.day for verdict in judged.days if verdict.passed]
    written, beside = keep_days(place.tables, tables, judged, passed, step.arrivals) if passed else (None, {})
    failed = [verdict.day for verdict in judged.days if not verdict.passed]
    withhold(place.tables, validated, [judged.good, judged.bad], arrivals=step.arrivals, days=failed)
    entries = {day: {QUARANTINED: verdict.quarantined, **beside.get(day, {})} for day, verdict in verdicts.items()}
    yield from record(
        step.context, written, inputs=inputs, entries=entries, verdicts={day: verdicts[day] for day in passed}
    )
    return _Checked(
        passed,
        with_warnings(verdicts, validated, read=rows.select, drift=drift),
        {day: inputs[day] for day, verdict in verdicts.items() if not verdict.passed},
    )


def _record_large(
    context: dg.AssetExecutionContext, large: LargeDay, *, inputs: dict[date, str]
) -> Iterator[dg.AssetMaterialization | dg.AssetCheckEvaluation]:
    day = large.verdict.day
    yield from record(
        context,
        large.written,
        inputs=inputs,
        entries={day: {QUARANTINED: large.verdict.quarantined, **large.beside}},
        verdicts={day: large.verdict} if large.verdict.passed else {},
    )
