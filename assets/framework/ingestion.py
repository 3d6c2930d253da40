"""Ingestion of an application's rows and events from the drops of the landing zone, unchanged; class `raw`.

Makes the landing zone, the table of its rows and the tables of its events for each region from contracts.
"""

from collections.abc import Iterator, Sequence
from datetime import UTC, date, datetime
from typing import Any

import dagster as dg
import polars as pl

from assets.framework.days import close, days_of, in_batches, is_large, partitions_of, record, record_quiet
from assets.framework.lineage import copied
from assets.framework.observation import observed
from assets.framework.regional import here
from assets.framework.reports import entries_of, schema_of
from resources.code_versions import code_of
from resources.deployment import Deployment, deployment_of
from resources.keys import LANDING_ZONE, ROLE_TAG, UNUSED_CHECK, Cadence, Role
from resources.markdown import shown
from resources.materializations.published import Published
from resources.materializations.versions import INPUTS_TAG
from resources.placement import HARDWARE_TAG, OWNERS, REGION_TAG, bind, bind_check
from resources.regions import RegionResource
from resources.unused import evaluation
from sinet_pipelines.applications.application import Application
from sinet_pipelines.ingestion.arrivals import observe_arrivals
from sinet_pipelines.ingestion.drops import Fault
from sinet_pipelines.ingestion.landed import EventKind
from sinet_pipelines.ingestion.large_days import LargeDay
from sinet_pipelines.ingestion.raw_day import RawDay
from sinet_pipelines.inventory.regions import Region
from sinet_pipelines.markdown import points
from sinet_pipelines.schemas.contract import Contract, DataClass
from sinet_pipelines.storage.fingerprint import fingerprint
from sinet_pipelines.storage.tables import Written


def landing_zone_of(
    deployment: Deployment, application: Application, region: Region, drop: Contract
) -> dg.AssetsDefinition:
    """The files of a region, which anyone may put there; observed by a step in the region."""
    spec = dg.AssetSpec(
        _zone_key(application, region),
        description=f"Drops as they were sent: `{region.name}/landing/{application.name}/<date>/<name>.parquet` "
        f"in the home. {drop.description} Anyone may put a file there.",
        kinds={region.key, "cpu", "parquet"},
        owners=OWNERS,
        tags={REGION_TAG: region.name, HARDWARE_TAG: "cpu", ROLE_TAG: str(Role.LANDING_ZONE)},
        metadata={"dagster/column_schema": schema_of(drop), "data_class": str(drop.data_class)},
        partitions_def=partitions_of(deployment, application),
    )
    return observed(spec, application, region)


def landing_check_of(application: Application, region: Region) -> dg.AssetChecksDefinition:
    """The check that every file of a region's landing zone is read."""
    key = _zone_key(application, region)

    @dg.asset_check(
        asset=key,
        name=UNUSED_CHECK,
        description="Every file of the landing zone is read. Others are listed with the reason and the cure; "
        "names that begin with `.` or `_` are ignored.",
        **bind_check(region),
    )
    def check(context: dg.AssetCheckExecutionContext) -> dg.AssetCheckResult:
        found = evaluation(key, Published(deployment_of(context)).unused(region.name, application.name))
        return dg.AssetCheckResult(
            passed=found.passed, severity=found.severity, description=found.description, metadata=found.metadata
        )

    return check


def raw_rows(
    deployment: Deployment, application: Application, region: Region, drop: Contract, raw: Contract
) -> dg.AssetsDefinition:
    """The asset of a region's raw rows.

    A day is rebuilt from all its drops and replaced exactly. Exact copies are dropped and counted; nothing is
    validated. From here to the model, a row is identified by the hash of its content.
    """
    zone_key = _zone_key(application, region)

    @dg.asset(
        key=dg.AssetKey(application.key(raw.name, region=region.name)),
        deps=[zone_key],
        description=raw.description,
        partitions_def=partitions_of(deployment, application),
        backfill_policy=dg.BackfillPolicy.single_run(),
        output_required=False,
        metadata=entries_of(raw, sources=copied(raw, of=drop, keys=[zone_key])),
        **bind(region, cadence=Cadence.LANDING, inputs="landed_rows", data_class=DataClass.RAW, kinds={"deltalake"}),
    )
    def asset(context: dg.AssetExecutionContext) -> Iterator[object]:
        place = here(context, region)
        days = days_of(context, region)
        observe_arrivals(place.landing, place.tables, region.name, days=days.landed, kinds=())
        yield from record_quiet(context, region, days.quiet, tables=[raw])
        for chunk in in_batches(place.landing, region.name, days.landed):
            # computed before the drops are read: a drop that lands in between makes the day stale again
            inputs = {day: fingerprint(code_of(context), place.landing.fingerprint(region.name, day)) for day in chunk}
            if is_large(place.landing, region.name, chunk):
                written, entries = _rebuild_large(place, region, raw, chunk[0])
            else:
                written, entries = _rebuild(place, region, raw, chunk)
            yield from record(context, written, inputs=inputs, entries=entries)
        yield from close(context, region, made=days.landed)

    return asset


def events_of(application: Application, region: Region, contract: Contract, kind: EventKind) -> dg.AssetsDefinition:
    """The asset of a region's events of one kind; of two events about one object the newer counts."""

    @dg.asset(
        key=dg.AssetKey(application.key(contract.name, region=region.name)),
        deps=[_zone_key(application, region)],
        description=contract.description,
        metadata=entries_of(contract),
        **bind(region, cadence=Cadence.LANDING, data_class=DataClass.FEATURE, kinds={"deltalake"}),
    )
    def asset(context: dg.AssetExecutionContext) -> dg.MaterializeResult:
        place = here(context, region)
        inputs = fingerprint(code_of(context), place.landing.events_fingerprint(region.name, kind.name))
        written = place.tables.replace(contract, place.landing.read_events(region.name, kind.name))
        return dg.MaterializeResult(
            metadata={
                "dagster/row_count": written.rows,
                **_faults_entries(place.landing.event_faults(region.name, kind.name)),
                "table_version": written.version,
            },
            data_version=dg.DataVersion(written.data_versions[None]),
            tags={INPUTS_TAG: inputs},
        )

    return asset


def _zone_key(application: Application, region: Region) -> dg.AssetKey:
    return dg.AssetKey(application.key(LANDING_ZONE, region=region.name))


Entries = dict[date, dict[str, Any]]


def _rebuild(place: RegionResource, region: Region, contract: Contract, days: list[date]) -> tuple[Written, Entries]:
    """Rebuilds the rows of some days from their drops in memory."""
    drops = {day: place.landing.read_day(region.name, day) for day in days}
    rows = pl.concat(drop.rows for drop in drops.values())
    written = place.tables.replace_days(contract, rows.with_columns(ingested_at=_now()), days=days)
    return written, {day: _account(drop) for day, drop in drops.items()}


def _rebuild_large(place: RegionResource, region: Region, contract: Contract, day: date) -> tuple[Written, Entries]:
    """Rebuilds the rows of one day from its drops, in batches."""
    now = _now()
    with place.landing.sort_day(region.name, day, folder=place.tables.scratch) as rows:
        written = place.tables.replace_day_from(
            contract, lambda: (batch.with_columns(ingested_at=now) for batch in rows.batches()), day=day
        )
        return written, {day: _account(rows)}


def _now() -> pl.Expr:
    return pl.lit(datetime.now(UTC)).cast(pl.Datetime("us", "UTC"))


def _account(day: RawDay | LargeDay) -> dict[str, Any]:
    """Metadata of a day about its drops."""
    return {"rows_sent": day.sent, "copies_dropped": day.duplicates, **_faults_entries(day.faults)}


def _faults_entries(faults: Sequence[Fault]) -> dict[str, Any]:
    """Files that were set aside or only partly read: the number of faults, and a sentence for each."""
    if not faults:
        return {}
    return {
        "file_faults": len(faults),
        "what_was_wrong": shown(points(f.message for f in faults)),
    }
