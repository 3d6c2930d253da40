"""Features: from validated records to the published physics of each product; class `feature`, may leave the region."""

from collections.abc import Iterator
from datetime import date

import dagster as dg
import polars as pl

from assets.framework.days import close, days_of, in_batches, partitions_of, record, record_gaps, record_quiet
from assets.framework.lineage import copied, derived
from assets.framework.regional import here, per_region
from assets.framework.reports import entries_of, made
from assets.milling.keys import regional_key
from resources.code_versions import code_of
from resources.deployment import Deployment
from resources.keys import Cadence
from resources.materializations.inputs import same_day_inputs
from resources.placement import bind
from sinet_pipelines.applications.milling.application import MILLING
from sinet_pipelines.applications.milling.features import process_features as derive
from sinet_pipelines.applications.milling.known import keep_process_versions
from sinet_pipelines.applications.milling.labels import recent_rows
from sinet_pipelines.applications.milling.schemas import FEATURE_NAMES, INPUT_NAMES
from sinet_pipelines.applications.milling.tables import LIVE_RECORDS, VALIDATED_RECORDS
from sinet_pipelines.applications.milling.tables import PROCESS_FEATURES as FEATURES
from sinet_pipelines.inventory.regions import Region
from sinet_pipelines.schemas.contract import DataClass
from sinet_pipelines.storage.tables import DAY_COLUMN

NOT_VALIDATED = "validated_records has no rows of this day"


@per_region
def process_features(deployment: Deployment, region: Region) -> dg.AssetsDefinition:
    """The published physics of a product (Matzka 2020): power, overstrain, and the margins of the limits.

    It has no measured values, since those never leave their region.
    """
    validated_key = regional_key(region, "validated_records")

    @dg.asset(
        key=regional_key(region, "process_features"),
        deps=[validated_key],
        partitions_def=partitions_of(deployment, MILLING),
        backfill_policy=dg.BackfillPolicy.single_run(),
        output_required=False,
        metadata=entries_of(
            FEATURES,
            sources={
                **copied(FEATURES, of=VALIDATED_RECORDS, keys=[validated_key]),
                **derived(FEATURE_NAMES, INPUT_NAMES, keys=[validated_key]),
            },
        ),
        **bind(region, cadence=Cadence.FOLLOW, inputs="same_day", data_class=DataClass.FEATURE, kinds={"deltalake"}),
    )
    def asset(context: dg.AssetExecutionContext) -> Iterator[object]:
        inputs = same_day_inputs(context, code_version=code_of(context))
        place = here(context, region)
        days = days_of(context, region)
        keep_process_versions(place.tables, days=days.quiet)
        yield from record_quiet(context, region, days.quiet, tables=[FEATURES])
        finished: list[date] = []
        for chunk in in_batches(place.landing, region.name, days.landed):
            keep_process_versions(place.tables, days=chunk)
            rows = place.tables.read(VALIDATED_RECORDS, days=(chunk[0], chunk[-1])).filter(
                pl.col(DAY_COLUMN).is_in(chunk)
            )
            good = sorted(set(rows[DAY_COLUMN].unique()).intersection(inputs))
            yield from record_gaps(
                context, region, {day: NOT_VALIDATED for day in chunk if day not in good}, tables=[FEATURES]
            )
            if good:
                rows = rows.filter(pl.col(DAY_COLUMN).is_in(good))
                written = place.tables.replace_days(FEATURES, derive(rows), days=good)
                yield from record(context, written, inputs=inputs)
                finished += good
        yield from close(context, region, made=finished)

    return asset


@per_region
def live_records(deployment: Deployment, region: Region) -> dg.AssetsDefinition:
    """The process values of the products of the region's newest days, as inputs of the served model.

    Class `sequence`: moves only to WEST, for inference, under the region's agreement.
    """
    validated_key = regional_key(region, "validated_records")

    @dg.asset(
        key=regional_key(region, "live_records"),
        deps=[validated_key],
        metadata=entries_of(LIVE_RECORDS, sources=copied(LIVE_RECORDS, of=VALIDATED_RECORDS, keys=[validated_key])),
        **bind(region, cadence=Cadence.FOLLOW, data_class=DataClass.SEQUENCE, kinds={"deltalake"}),
    )
    def asset(context: dg.AssetExecutionContext) -> dg.MaterializeResult:
        tables = here(context, region).tables
        rows = tables.read(VALIDATED_RECORDS)
        last_day = max(rows[DAY_COLUMN], default=date.min)
        written = tables.replace(LIVE_RECORDS, recent_rows(rows, last_day=last_day).select(LIVE_RECORDS.schema.names))
        return made(context, written, entries={"newest_day": str(last_day)})

    return asset
