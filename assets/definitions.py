"""The house on one page: stages as groups in the order of the walk, resources by region, schedules and sensors."""

import dagster as dg

from assets import (
    deployment,
    evaluation,
    features,
    ingestion,
    monitoring,
    quantization,
    registry,
    research,
    training,
    validation,
)
from assets.binding import with_binding
from resources.code_versions import keep_analysis, with_code_version
from resources.feature_store import feature_store_resource
from resources.regions import region_resources
from resources.registry import registry_resource
from resources.residency import require_residency
from resources.router.definition import region_router
from resources.serving import ServingResource
from resources.settings import settings
from resources.tracking import tracking_resource
from schedules.automation import with_condition
from schedules.calendar import nightly_repair, weekly_training
from schedules.clusters import clusters_in_order
from schedules.following import alias
from schedules.sensors import drift, landing
from schedules.serving import endpoint_lives

STAGES = {
    "ingestion": ingestion,
    "validation": validation,
    "features": features,
    "training": training,
    "evaluation": evaluation,
    "quantization": quantization,
    "research": research,
    "registry": registry,
    "deployment": deployment,
    "monitoring": monitoring,
}


def _stage(name: str) -> list[dg.AssetsDefinition | dg.AssetSpec]:
    loaded = dg.load_assets_from_modules([STAGES[name]], group_name=name, include_specs=True)
    found = [one for one in loaded if isinstance(one, dg.AssetsDefinition | dg.AssetSpec)]
    return [with_binding(with_code_version(one)) for one in dg.map_asset_specs(with_condition, found)]


def _executor() -> dg.ExecutorDefinition:
    if settings().executor == "multiprocess":
        # a process that has trained never forks: the server that forks has only imported this page
        return dg.multiprocess_executor.configured(
            {"max_concurrent": 2, "start_method": {"forkserver": {"preload_modules": ["assets.definitions"]}}}
        )
    if settings().executor == "regions":
        return region_router
    return dg.in_process_executor


_assets = [asset for name in STAGES for asset in _stage(name)]
keep_analysis(settings().home)
require_residency(_assets)  # what may not travel fails here, before anything runs

defs = dg.Definitions(
    assets=_assets,
    asset_checks=ingestion.landing_checks,
    resources={
        **region_resources(settings().home),
        "feature_store": feature_store_resource(settings().home),
        "tracking": tracking_resource(settings().home, ui_url=settings().tracking_url),
        "registry": registry_resource(settings().home, ui_url=settings().tracking_url),
        "serving": ServingResource(home=str(settings().home)),
    },
    schedules=[nightly_repair, weekly_training],
    sensors=[
        landing,
        drift,
        alias,
        endpoint_lives,
        *([clusters_in_order] if settings().executor == "regions" else []),
        dg.AutomationConditionSensorDefinition(
            "what_follows",
            target=dg.AssetSelection.all(),
            default_status=dg.DefaultSensorStatus.RUNNING,
            minimum_interval_seconds=15,
        ),
    ],
    executor=_executor(),
)
