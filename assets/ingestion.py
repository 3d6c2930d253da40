"""Ingestion: drops in, one row per engine and cycle out, as it came; class `raw`, never leaves its region."""

from collections.abc import Iterator, Sequence
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import dagster as dg
import polars as pl

from assets.days import DAYS, close, days_of, in_batches, is_large, record, record_quiet
from assets.lineage import copied
from assets.regional import here, per_region
from assets.reports import entries_of, schema_of
from resources.code_versions import code_of
from resources.keys import UNUSED_CHECK, regional_key
from resources.markdown import shown
from resources.placement import OWNERS, REGION_TAG, bind, bind_check
from resources.regions import RegionResource
from resources.unused import evaluation, unused_files
from resources.versions import INPUTS_TAG
from sinet_pipelines.ingestion.drops import Fault
from sinet_pipelines.ingestion.events import EventKind
from sinet_pipelines.ingestion.landing import LandingZone, RawDay
from sinet_pipelines.ingestion.large_days import LargeDay
from sinet_pipelines.markdown import points
from sinet_pipelines.regions import REGIONS, Region
from sinet_pipelines.schemas.contract import Contract, DataClass
from sinet_pipelines.schemas.events import FAILURE_EVENTS, TRUTH_EVENTS
from sinet_pipelines.schemas.telemetry import DROP, RAW_TELEMETRY
from sinet_pipelines.storage.fingerprint import fingerprint
from sinet_pipelines.storage.tables import Written

landing_zones = [
    dg.AssetSpec(
        regional_key(region, "landing_zone"),
        description="Drops of the plant, a row an engine and flight cycle, kept as they were sent: "
        f"`landing/{region.name}/<date>/<name>.parquet`. Anyone may put a file there.",
        kinds={region.key, "parquet"},
        owners=OWNERS,
        tags={REGION_TAG: region.name},
        metadata={"dagster/column_schema": schema_of(DROP), "data_class": str(DROP.data_class)},
        partitions_def=DAYS,
    )
    for region in REGIONS
]


def _landing_check(region: Region) -> dg.AssetChecksDefinition:
    @dg.asset_check(
        asset=regional_key(region, "landing_zone"),
        name=UNUSED_CHECK,
        description="Every file of the landing zone is read. One that is not is listed with the reason and the cure; "
        "names that begin with `.` or `_` are ignored.",
        **bind_check(region),
    )
    def check(context: dg.AssetCheckExecutionContext) -> dg.AssetCheckResult:
        place: RegionResource = getattr(context.resources, region.key)
        found = evaluation(region, unused_files(LandingZone(Path(place.home) / "landing"), region))
        return dg.AssetCheckResult(
            passed=found.passed, severity=found.severity, description=found.description, metadata=found.metadata
        )

    return check


landing_checks = [_landing_check(region) for region in REGIONS]


@per_region
def raw_telemetry(region: Region) -> dg.AssetsDefinition:
    """One row per engine and flight cycle, as the plant dropped it (21 sensors in degR, psia, rpm, lbm/s; 3 settings).

    A day is rebuilt from all drops of its day and replaced exactly; exact copies are dropped and counted, nothing is
    judged. A row is named by the hash of its content from here to the model.
    """

    @dg.asset(
        key=regional_key(region, "raw_telemetry"),
        deps=[regional_key(region, "landing_zone")],
        partitions_def=DAYS,
        backfill_policy=dg.BackfillPolicy.single_run(),
        output_required=False,
        metadata=entries_of(
            RAW_TELEMETRY, region, sources=copied(RAW_TELEMETRY, of=DROP, keys=[regional_key(region, "landing_zone")])
        ),
        **bind(region, data_class=DataClass.RAW, kinds={"deltalake"}),
    )
    def asset(context: dg.AssetExecutionContext) -> Iterator[object]:
        place = here(context, region)
        days = days_of(context, region)
        yield from record_quiet(context, region, days.quiet, tables=[RAW_TELEMETRY])
        for chunk in in_batches(place.landing, region.name, days.landed):
            # asked before the drops are read: one that lands in between makes the day stale again, and is not lost
            inputs = {day: fingerprint(code_of(context), place.landing.fingerprint(region.name, day)) for day in chunk}
            if is_large(place.landing, region.name, chunk):
                written, entries = _rebuild_large(place, region, chunk[0])
            else:
                written, entries = _rebuild(place, region, chunk)
            yield from record(context, written, inputs=inputs, entries=entries)
        yield from close(context, region, made=days.landed)

    return asset


Entries = dict[date, dict[str, Any]]


def _rebuild(place: RegionResource, region: Region, days: list[date]) -> tuple[Written, Entries]:
    """Rebuilds the rows of some days from their drops, all in memory."""
    drops = {day: place.landing.read_day(region.name, day) for day in days}
    rows = pl.concat(drop.rows for drop in drops.values())
    written = place.tables.replace_days(RAW_TELEMETRY, rows.with_columns(ingested_at=_now()), days=days)
    return written, {day: _account(drop) for day, drop in drops.items()}


def _rebuild_large(place: RegionResource, region: Region, day: date) -> tuple[Written, Entries]:
    """Rebuilds the rows of one day from its drops, in batches."""
    now = _now()
    with place.landing.sort_day(region.name, day, folder=place.tables.folder) as rows:
        written = place.tables.replace_day_from(
            RAW_TELEMETRY, lambda: (batch.with_columns(ingested_at=now) for batch in rows.batches()), day=day
        )
        return written, {day: _account(rows)}


def _now() -> pl.Expr:
    return pl.lit(datetime.now(UTC)).cast(pl.Datetime("us", "UTC"))


def _account(day: RawDay | LargeDay) -> dict[str, Any]:
    """What a day's page says of its drops."""
    return {"rows_sent": day.sent, "copies_dropped": day.duplicates, **_told(day.faults)}


def _told(faults: Sequence[Fault]) -> dict[str, Any]:
    """Files that were set aside or not wholly understood: how many faults, and each in a sentence."""
    if not faults:
        return {}
    return {
        "file_faults": len(faults),
        "what_was_wrong": shown(points(f.message for f in faults)),
    }


def _events(region: Region, contract: Contract, kind: EventKind) -> dg.AssetsDefinition:
    @dg.asset(
        key=regional_key(region, contract.name),
        deps=[regional_key(region, "landing_zone")],
        metadata=entries_of(contract, region),
        **bind(region, data_class=DataClass.FEATURE, kinds={"deltalake"}),
    )
    def asset(context: dg.AssetExecutionContext) -> dg.MaterializeResult:
        place = here(context, region)
        inputs = fingerprint(code_of(context), place.landing.events_fingerprint(region.name, kind))
        written = place.tables.replace(contract, place.landing.read_events(region.name, kind))
        return dg.MaterializeResult(
            metadata={
                "dagster/row_count": written.rows,
                **_told(place.landing.event_faults(region.name, kind)),
                "table_version": written.version,
            },
            data_version=dg.DataVersion(written.data_versions[None]),
            tags={INPUTS_TAG: inputs},
        )

    return asset


@per_region
def failure_events(region: Region) -> dg.AssetsDefinition:
    """Failures of history engines: unit, last cycle, instant (UTC). Labels come from these alone."""
    return _events(region, FAILURE_EVENTS, EventKind.FAILURES)


@per_region
def truth_events(region: Region) -> dg.AssetsDefinition:
    """What live engines' remaining useful life (cycles) really was, learnt afterwards.

    Read by evaluation and monitoring only, never by a fit or a choice.
    """
    return _events(region, TRUTH_EVENTS, EventKind.TRUTH)
