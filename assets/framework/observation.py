"""The landing zone as an asset that its region observes: a data version for each day, and the published data."""

from collections.abc import Iterator

import dagster as dg

from assets.framework.regional import here
from resources.dagster_private import (
    AssetExecutionType,
    DagsterEventType,
    DecoratorAssetsDefinitionBuilder,
    DecoratorAssetsDefinitionBuilderArgs,
)
from resources.deployment import deployment_of
from resources.keys import LANDING_ZONE
from resources.materializations.held import as_day
from resources.materializations.publishing import publish_region
from resources.materializations.versions import NOTHING, VERSION_TAG
from resources.placement import bind
from sinet_pipelines.applications import load_applications
from sinet_pipelines.applications.application import Application, parse_key
from sinet_pipelines.ingestion.arrivals import file_arrivals
from sinet_pipelines.inventory.regions import Region
from sinet_pipelines.monitoring.published import Publication
from sinet_pipelines.placement.needs import Needs
from sinet_pipelines.schemas.contract import DataClass

OBSERVATION_HOURS = 0.1  # seconds for thousands of files; 100,000 small ones of an object store take minutes


def observed(spec: dg.AssetSpec, application: Application, region: Region) -> dg.AssetsDefinition:
    """The asset of a region's landing zone; its step runs in the region, observes the zone and publishes the result."""

    def observe(context: dg.AssetExecutionContext) -> dg.ObserveResult:
        here(context, region)  # checks the step's edges, as in every step that reads
        known = {one.name: one for one in load_applications()}
        found = publish_region(deployment_of(context), known, region.name, application.name)
        for observation in _observations(context.instance, spec.key, found):
            context.log_event(observation)
        return dg.ObserveResult(
            asset_key=spec.key,
            metadata={
                "landed_days": len(found.days),
                "drops": sum(day.drops for day in found.days.values()),
                "rows_sent": sum(day.counts.sent for day in found.days.values()),
                "unused_files": len(found.unused),
                "files_of_unknown_arrival": int(file_arrivals(here(context, region).tables)["was_there"].sum()),
            },
        )

    place = bind(region, data_class=DataClass.RAW, needs=Needs(hours=OBSERVATION_HOURS))
    name = spec.key.to_python_identifier()
    arguments = DecoratorAssetsDefinitionBuilderArgs(  # type: ignore[call-arg]  # the same field under two names
        name=name,
        op_description=spec.description,
        specs=[spec],
        check_specs_by_output_name={},
        asset_out_map={},
        upstream_asset_deps=None,
        asset_deps={},
        asset_in_map={},
        can_subset=False,
        group_name=None,
        partitions_def=spec.partitions_def,
        retry_policy=None,
        code_version=None,
        op_tags=place["op_tags"],
        config_schema={},
        compute_kind=None,
        required_resource_keys=place["required_resource_keys"],
        op_def_resource_defs={},
        assets_def_resource_defs={},
        backfill_policy=None,
        decorator_name="observed",
        execution_type=AssetExecutionType.OBSERVATION,
        pool=place["pool"],
        hooks=None,
    )
    builder = DecoratorAssetsDefinitionBuilder.from_multi_asset_specs(
        can_subset=False, asset_specs=[spec], op_name=name, asset_in_map={}, passed_args=arguments, fn=observe
    )
    return builder.create_assets_definition()


def publish_here(context: dg.AssetExecutionContext, region: Region) -> None:
    """Publishes the changes of a step of a region, where regions run apart; on one machine the reader publishes them.

    The event of the observation comes after the events of the step's results: it marks the published data as newer.
    """
    deployment = deployment_of(context)
    if deployment.is_one_machine:
        return
    application = parse_key(context.asset_key.path).application
    known = {one.name: one for one in load_applications()}
    publish_region(deployment, known, region.name, application)
    context.log_event(dg.AssetObservation(dg.AssetKey(known[application].key(LANDING_ZONE, region=region.name))))


def _observations(instance: dg.DagsterInstance, key: dg.AssetKey, found: Publication) -> Iterator[dg.AssetObservation]:
    """One observation for each day whose drops changed since the last observation."""
    before = observed_versions(instance, key)
    now = {day.isoformat(): one.content for day, one in found.days.items()}
    for day in sorted({*before, *now}):
        version = now.get(day, NOTHING)
        if before.get(day, NOTHING) != version:
            yield dg.AssetObservation(key, partition=day, tags={VERSION_TAG: version})


def observed_versions(instance: dg.DagsterInstance, key: dg.AssetKey) -> dict[str, str]:
    """The version of each day of a landing zone in its last observation."""
    tags = instance.event_log_storage.get_latest_tags_by_partition(
        key, DagsterEventType.ASSET_OBSERVATION, [VERSION_TAG]
    )
    return {day: found[VERSION_TAG] for day, found in tags.items() if as_day(day) and VERSION_TAG in found}
