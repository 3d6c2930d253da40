"""Features: one row for each engine and cycle, from validated telemetry; class `feature`, may leave its region."""

from collections import Counter
from collections.abc import Iterator, Mapping
from datetime import date, timedelta
from functools import cache

import dagster as dg
import polars as pl

from assets.framework.days import (
    close,
    days_of,
    in_batches,
    is_large,
    partitions_of,
    reaching_back,
    record,
    record_gaps,
    record_quiet,
)
from assets.framework.lineage import copied
from assets.framework.online import replica_check, write_entries
from assets.framework.regional import Made, here, once, per_region, regions_of
from assets.framework.reports import captured_inputs, entries_of, made
from assets.turbofan.keys import everywhere, global_key, regional_key
from assets.turbofan.lineage import cells_of, features_of, scaled_of, sequences_of
from resources.code_versions import code_of
from resources.deployment import Deployment, deployment_of
from resources.feature_store import FEATURE_STORE
from resources.keys import CONTRACT_CHECK, Cadence
from resources.materializations.kept import STORE_ENTRY
from resources.materializations.versions import days_refused
from resources.placement import bind
from resources.regions import RegionResource
from sinet_pipelines.applications.turbofan.application import TURBOFAN
from sinet_pipelines.applications.turbofan.features.inputs import day_inputs, inputs_of_digests
from sinet_pipelines.applications.turbofan.features.known import keep_window_versions
from sinet_pipelines.applications.turbofan.features.large_days import features_in_batches
from sinet_pipelines.applications.turbofan.features.of_engines import features_of_days, of_engines_in
from sinet_pipelines.applications.turbofan.features.regimes import (
    REGIMES,
    OperatingRegimes,
    find_regimes,
    setting_cells,
)
from sinet_pipelines.applications.turbofan.features.scaled import scale_telemetry
from sinet_pipelines.applications.turbofan.features.sequences import sequence_windows, sequences_to_table
from sinet_pipelines.applications.turbofan.features.settled import settled
from sinet_pipelines.applications.turbofan.schemas.features import (
    FEATURE_NAMES,
    LIVE_SEQUENCES,
    REACH_DAYS,
    SETTING_CELLS,
    TRAINING_SEQUENCES,
    WINDOW_FEATURES,
)
from sinet_pipelines.applications.turbofan.schemas.telemetry import EARLY_TELEMETRY, VALIDATED_TELEMETRY
from sinet_pipelines.features.in_parts import PartMap
from sinet_pipelines.features.repository import FeatureRepository
from sinet_pipelines.features.splits import held_out
from sinet_pipelines.inventory.names import EAST, WEST
from sinet_pipelines.inventory.regions import Region
from sinet_pipelines.schemas.contract import DataClass
from sinet_pipelines.storage.fingerprint import fingerprint
from sinet_pipelines.storage.tables import DAY_COLUMN

REFUSED = "validated_telemetry refused this day by its contract: there are no rows to describe"
NOT_VALIDATED = "validated_telemetry has no rows of this day"
WINDOW_FACTS = ("regimes_version", "window_cycles_present")


@per_region
def regime_cells(deployment: Deployment, region: Region) -> dg.AssetsDefinition:
    """Statistics of a region's history engines, from which regimes are found without rows leaving the region.

    For each cell of the grid of flight settings: rows, means and summed squared deviations of 3 settings and 21
    sensors.
    """

    @dg.asset(
        key=regional_key(region, "regime_cells"),
        deps=[regional_key(region, "validated_telemetry")],
        metadata=entries_of(SETTING_CELLS, sources=cells_of(regional_key(region, "validated_telemetry"))),
        **bind(region, cadence=Cadence.REFIT, data_class=DataClass.FEATURE, kinds={"deltalake"}),
    )
    def asset(context: dg.AssetExecutionContext) -> dg.MaterializeResult:
        tables = here(context, region).tables
        history = tables.scan(VALIDATED_TELEMETRY).filter(pl.col("role") == "history").collect()
        written = tables.replace(SETTING_CELLS, setting_cells(history))
        return made(context, written, entries={"history_rows": history.height})

    return asset


@once
def operating_regimes(deployment: Deployment) -> dg.AssetsDefinition:
    """The operating regimes of the fleet: their flight settings, and mean and spread of every sensor in each.

    Found on history engines alone, from the cells of all regions, and refitted by the training schedule only. Every
    feature row names the version of the regimes that standardised it.
    """

    @dg.asset(
        key=global_key("operating_regimes"),
        deps=everywhere(deployment, "regime_cells"),
        **bind(deployment.region(EAST), cadence=Cadence.REFIT, data_class=DataClass.FEATURE, reads=deployment.regions),
    )
    def asset(context: dg.AssetExecutionContext) -> dg.MaterializeResult:
        cells = pl.concat(here(context, region).tables.read(SETTING_CELLS) for region in regions_of(context))
        regimes = find_regimes(cells)
        blobs = here(context, EAST).blobs
        blobs.point(REGIMES, blobs.put(regimes.to_json().encode()))
        return made(
            context,
            regimes.version,
            entries={
                "regimes": len(regimes),
                "history_rows": int(cells["row_count"].sum()),
                "version": regimes.version,
            },
        )

    return asset


@per_region
def window_features(deployment: Deployment, region: Region) -> dg.AssetsDefinition:
    """Features of an engine's last 30 cycles: means, spread, slopes and change since new of 21 sensors (211 features).

    Each sensor is z-scored within its operating regime. Causal: a row uses its own cycle and the 29 before it.
    The number of cycles in the window is in `window_cycles_present`.
    """
    validated_key = regional_key(region, "validated_telemetry")

    @dg.asset(
        key=regional_key(region, "window_features"),
        deps=[
            reaching_back(validated_key, days=REACH_DAYS),
            global_key("operating_regimes"),
        ],
        partitions_def=partitions_of(deployment, TURBOFAN),
        backfill_policy=dg.BackfillPolicy.single_run(),
        output_required=False,
        metadata=entries_of(WINDOW_FEATURES, sources=features_of(validated_key)),
        **bind(
            region,
            cadence=Cadence.FOLLOW,
            inputs="window_features",
            data_class=DataClass.FEATURE,
            kinds={"deltalake"},
            reads=[deployment.region(EAST)],
        ),
    )
    def asset(context: dg.AssetExecutionContext) -> Iterator[object]:
        place = here(context, region)
        regimes = newest_regimes(here(context, EAST))
        days = days_of(context, region)
        keep_window_versions(place.tables, days=days.quiet, regimes=regimes)
        yield from record_quiet(context, region, days.quiet, tables=[WINDOW_FEATURES])
        refused = days_refused(context.instance, validated_key, CONTRACT_CHECK)
        finished: list[date] = []
        validated = place.tables.days(VALIDATED_TELEMETRY)
        all_early = cache(lambda: place.tables.read(EARLY_TELEMETRY))
        with place.parts() as parts:
            for chunk in in_batches(place.landing, region.name, days.landed):
                keep_window_versions(place.tables, days=chunk, regimes=regimes)
                if is_large(place.landing, region.name, chunk) and chunk[0] in validated:
                    yield from _describe_large(context, region, chunk[0], regimes, parts)
                    finished += chunk
                    continue
                read = chunk[0] - timedelta(days=REACH_DAYS), chunk[-1]
                history = place.tables.read(VALIDATED_TELEMETRY, days=read)
                early = of_engines_in(history, all_early())
                features = features_of_days(history, early, days=chunk, regimes=regimes, parts=parts)
                computed = parts.entries()
                good = sorted(set(chunk).intersection(features[DAY_COLUMN].unique()))
                gaps = {day: REFUSED if day in refused else NOT_VALIDATED for day in chunk if day not in good}
                yield from record_gaps(context, region, gaps, tables=[WINDOW_FEATURES])
                if not good:
                    continue
                written = place.tables.replace_days(WINDOW_FEATURES, features, days=good)
                inputs = day_inputs(
                    history,
                    early,
                    regimes_version=regimes.version,
                    reach_days=REACH_DAYS,
                    code_version=code_of(context),
                )
                yield from record(context, written, inputs=inputs, entries=_windows(features, computed))
                finished += good
        yield from close(context, region, made=finished)

    return asset


def _describe_large(
    context: dg.AssetExecutionContext, region: Region, day: date, regimes: OperatingRegimes, parts: PartMap
) -> Iterator[object]:
    """Makes one day's features of some engines at a time, in one commit."""
    tables = here(context, region).tables
    engines, windows, digests = 0, Counter[int](), list[pl.DataFrame]()

    def batches() -> Iterator[pl.DataFrame]:
        nonlocal engines
        engines = 0
        windows.clear()
        digests.clear()
        for rows in features_in_batches(tables, day=day, regimes=regimes, parts=parts, digests=digests):
            engines += rows["unit"].n_unique()
            windows.update(dict(rows["window_cycles_present"].value_counts().iter_rows()))
            yield rows

    written = tables.replace_day_from(WINDOW_FEATURES, batches, day=day)
    inputs = inputs_of_digests(
        pl.concat(digests), regimes_version=regimes.version, reach_days=REACH_DAYS, code_version=code_of(context)
    )
    partial = windows.total() - windows[max(windows, default=0)]
    entries = {"engines": engines, "partial_windows": partial, **parts.entries()}
    yield from record(context, written, inputs=inputs, entries={day: entries})


def _windows(features: pl.DataFrame, computed: Mapping[str, str | int]) -> dict[date, dict[str, object]]:
    partial = (pl.col("window_cycles_present") < pl.col("window_cycles_present").max()).sum()
    rows = features.group_by(DAY_COLUMN).agg(pl.col("unit").n_unique(), partial.alias("partial")).iter_rows()
    return {day: {"engines": units, "partial_windows": n, **computed} for day, units, n in rows}


def newest_regimes(east: RegionResource) -> OperatingRegimes:
    """The present regimes, which standardise features."""
    return OperatingRegimes.from_json(east.blobs.get_ref(REGIMES).decode())


@once
def online_features(deployment: Deployment) -> Iterator[Made]:
    """The replica of each region that accepts features, with the check that it is current."""
    for region in deployment.regions:
        if DataClass.FEATURE in region.accepts:
            yield from _replica(deployment, region)


def _replica(deployment: Deployment, region: Region) -> Iterator[Made]:
    key = regional_key(region, "online_features")

    @dg.asset(
        key=key,
        deps=everywhere(deployment, "window_features"),
        description="Feast's online store in this region: each engine's latest features, over the whole table of every "
        "region, since the store keeps the last write and not the newest event. The asset also registers the entity "
        "`unit`, the view `window_features` and the service `all_window_features`.",
        metadata={STORE_ENTRY: FEATURE_STORE},
        **bind(
            region,
            cadence=Cadence.FOLLOW,
            data_class=DataClass.FEATURE,
            reads=deployment.regions,
            uses=["feature_store"],
            kinds={"feast", region.online_store.kind},
        ),
    )
    def asset(context: dg.AssetExecutionContext) -> dg.MaterializeResult:
        repository = feature_repository(context, region)
        before = repository.lag()
        repository.apply()
        mark = repository.write_online()
        return made(context, captured_inputs(context), entries=write_entries(mark, before))

    yield asset
    yield replica_check(TURBOFAN, region, key, reads=deployment.regions)


def feature_repository(context: dg.AssetExecutionContext, region: Region) -> FeatureRepository:
    """Feast's view over the window features of all regions, the facts of the window among its features.

    Args:
        context: of a step in the region.
        region: whose replica it reads and writes.
    """
    deployment = deployment_of(context)
    tables = [here(context, one).tables.uri(WINDOW_FEATURES) for one in deployment.regions]
    columns = {column.name: column for column in WINDOW_FEATURES.columns}
    names = (*WINDOW_FACTS, *FEATURE_NAMES)
    return context.resources.feature_store.repository(
        tables=tables,
        features={name: WINDOW_FEATURES.schema.field(name).type for name in names},
        region=region.name,
        online=region.online_store,
        application=TURBOFAN.name,
        owner=TURBOFAN.owner,
        code_version=_code_of_features(context, deployment),
        descriptions={name: f"{columns[name].description} [{columns[name].unit}]" for name in names},
        is_main=region.name == WEST,  # where the endpoint is
    )


def _code_of_features(context: dg.AssetExecutionContext, deployment: Deployment) -> str:
    """The hash of the code that computes the window features in any region."""
    graph = context.job_def.asset_layer.asset_graph
    keys = [key for key in everywhere(deployment, "window_features") if graph.has(key)]
    return fingerprint(*sorted({graph.get(key).code_version or "" for key in keys}))


@per_region
def live_sequences(deployment: Deployment, region: Region) -> dg.AssetsDefinition:
    """The last 30 cycles and the first 10 of every live engine, as inputs of the served model (24 channels).

    Class `sequence`: goes to WEST for inference under the region's agreement, and nowhere else.
    """

    @dg.asset(
        key=regional_key(region, "live_sequences"),
        deps=[regional_key(region, "validated_telemetry")],
        metadata=entries_of(LIVE_SEQUENCES, sources=sequences_of(regional_key(region, "validated_telemetry"))),
        **bind(region, cadence=Cadence.FOLLOW, data_class=DataClass.SEQUENCE, kinds={"deltalake"}),
    )
    def asset(context: dg.AssetExecutionContext) -> dg.MaterializeResult:
        tables = here(context, region).tables
        live = settled(tables.scan(VALIDATED_TELEMETRY).filter(pl.col("role") == "live").collect())
        latest = live.sort("unit", "cycle").group_by("unit", maintain_order=True).last()
        sequences = sequences_to_table(sequence_windows(live, at=latest.select("unit", "cycle")), rows=latest)
        written = tables.replace(LIVE_SEQUENCES, pl.DataFrame(pl.from_arrow(sequences)))
        return made(context, written)

    return asset


@per_region
def training_sequences(deployment: Deployment, region: Region) -> dg.AssetsDefinition:
    """Every cycle of the training engines, each sensor z-scored within its operating regime.

    Class `sequence`: goes to EAST for training and to NULL_ISLAND for experiments under the region's agreements.
    Held-out engines are left out.
    """
    key, telemetry_key = regional_key(region, "training_sequences"), regional_key(region, "validated_telemetry")

    @dg.asset(
        key=key,
        deps=[telemetry_key, global_key("operating_regimes")],
        metadata=entries_of(
            TRAINING_SEQUENCES,
            sources={
                **copied(TRAINING_SEQUENCES, of=VALIDATED_TELEMETRY, keys=[telemetry_key]),
                **scaled_of(telemetry_key),
            },
        ),
        **bind(
            region,
            cadence=Cadence.TRAINING,
            data_class=DataClass.SEQUENCE,
            reads=[deployment.region(EAST)],
            kinds={"deltalake"},
        ),
    )
    def asset(context: dg.AssetExecutionContext) -> dg.MaterializeResult:
        tables = here(context, region).tables
        history = settled(tables.scan(VALIDATED_TELEMETRY).filter(pl.col("role") == "history").collect())
        kept = held_out(history["unit"].unique())
        taught = history.filter(~pl.col("unit").is_in(kept))
        written = tables.replace(TRAINING_SEQUENCES, scale_telemetry(taught, newest_regimes(here(context, EAST))))
        return made(context, written, entries={"engines": taught["unit"].n_unique()})

    return asset
