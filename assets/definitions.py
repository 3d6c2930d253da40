"""Assembles the code location: the assets of each application, stage by stage, resources, schedules and sensors."""

from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache, partial
from importlib import import_module
from importlib.util import find_spec
from itertools import chain
from pathlib import Path

import dagster as dg

from assets.framework.binding import binding_of, with_location
from assets.framework.consistency import require_consistent
from assets.framework.freshness import freshness_checks
from assets.framework.regional import Declaration, Made
from assets.framework.time_series import time_series_of
from resources.code_versions import CodeVersions
from resources.deployment import RESOURCE, Deployment, this_deployment
from resources.feature_store import feature_store_resource
from resources.keys import APPLICATION_TAG
from resources.regions import region_resources
from resources.registry import registry_resource
from resources.residency import require_residency
from resources.router.definition import region_router
from resources.serving import ServingResource
from resources.settings import Settings
from resources.tracking import tracking_resource
from schedules.automation import with_condition
from schedules.calendar import nightly_repair, weekly_training
from schedules.clusters import clusters_in_order
from schedules.following import alias
from schedules.freshness import daily_freshness, with_freshness
from schedules.sensors import drift, landing
from schedules.serving import endpoint_lives
from schedules.what_follows import WhatFollows
from sinet_pipelines.applications import load_applications
from sinet_pipelines.applications.application import Application, by_name
from sinet_pipelines.storage.layout import recorded_applications

#: The stages of an application in the order of data; each is a module `assets/<application>/<stage>.py`, if it has one.
STAGES = (
    "ingestion",
    "validation",
    "features",
    "training",
    "evaluation",
    "quantization",
    "research",
    "registry",
    "deployment",
    "monitoring",
)
Asset = dg.AssetsDefinition | dg.AssetSpec


def build_defs(deployment: Deployment, applications: Iterable[Application] | None = None) -> dg.Definitions:
    """The definitions of a deployment.

    Args:
        deployment: home, regions, executor and addresses.
        applications: whose assets; by default those that landed something in the home, all in a home without data.

    Raises:
        ResidencyError: an asset reads what may not leave its region.
        ContractError: two applications have the same name or the same table, or the assets of an application differ
            from its declaration.
    """
    own, names = deployment.settings, by_name(_landed_in(deployment.home) if applications is None else applications)
    regional = region_resources(deployment)  # first, since it decides where each region stores its data
    roots = {one.name: one.root for one in regional.values()}
    made = {name: list(_made_of(application, deployment)) for name, application in names.items()}
    of_each = {name: list(_assets_of(names[name], found, roots)) for name, found in made.items()}
    for name, own_assets in of_each.items():
        require_consistent(names[name], own_assets)
    assets = list(chain.from_iterable(of_each.values()))
    code = CodeVersions(deployment.home)
    specs = {
        spec.key: spec for asset in assets for spec in ([asset] if isinstance(asset, dg.AssetSpec) else asset.specs)
    }
    found = [_completed(one, specs, code) for one in assets]
    checks = [one for _, one in chain.from_iterable(made.values()) if isinstance(one, dg.AssetChecksDefinition)]
    checks += freshness_checks(specs, deployment)
    code.keep()
    require_residency(found, deployment.regions)  # a forbidden edge fails here, before anything runs
    return dg.Definitions(
        assets=found,
        asset_checks=checks,
        resources={
            RESOURCE: deployment,
            **regional,
            "feature_store": feature_store_resource(own.home),
            "tracking": tracking_resource(own.home, ui_url=own.tracking_url, project=str(own.project)),
            "registry": registry_resource(own.home, ui_url=own.tracking_url, project=str(own.project)),
            "serving": ServingResource(home=str(own.home), executor=own.executor, own_region=own.region or ""),
        },
        schedules=[nightly_repair, weekly_training, daily_freshness(specs.values())],
        sensors=[
            landing,
            drift,
            alias,
            endpoint_lives,
            *([clusters_in_order] if own.executor == "regions" else []),
            WhatFollows(),
        ],
        executor=_executor(own),
    )


def _completed(asset: Asset, specs: Mapping[dg.AssetKey, dg.AssetSpec], code: CodeVersions) -> Asset:
    """The asset with all facts that are derived from the other assets and from its code.

    Dagster makes a new asset for each change of the specs, so all of it is one change.
    """
    version, binding = code.version_of(asset), binding_of(asset)

    def complete(spec: dg.AssetSpec) -> dg.AssetSpec:
        derived = with_freshness(with_condition(spec, specs))
        return derived.replace_attributes(
            code_version=version or spec.code_version, metadata={**spec.metadata, **binding(spec)}
        )

    (completed,) = dg.map_asset_specs(complete, [asset])
    return completed


def _landed_in(home: Path) -> list[Application]:
    """The applications with landed data in the home; all of the platform where there are none."""
    landed = set(recorded_applications(home))
    return [one for one in load_applications() if not landed or one.name in landed]


def stage_modules(application: Application) -> dict[str, str]:
    """The names of an application's modules by stage."""
    package = f"assets.{application.name}"
    return {stage: f"{package}.{stage}" for stage in STAGES if find_spec(f"{package}.{stage}") is not None}


def _made_of(application: Application, deployment: Deployment) -> Iterator[tuple[str, Made]]:
    """All declarations of an application's modules, made for a deployment; each with its stage.

    Then those of its tables in the regions' time-series stores.
    """
    found: list[tuple[str, Made]] = []
    for stage, module in stage_modules(application).items():
        for one in vars(import_module(module)).values():
            if isinstance(one, Declaration):
                found += ((stage, made) for made in one.make(deployment))
    yield from found
    yield from time_series_of(application, deployment, found)


def _assets_of(application: Application, made: Iterable[tuple[str, Made]], roots: Mapping[str, str]) -> Iterator[Asset]:
    """The assets among these, each with its stage as group, and with its application's owner and name."""
    for stage, one in made:
        if not isinstance(one, dg.AssetChecksDefinition):
            owned = partial(_owned, application=application, stage=stage, roots=roots)
            yield from dg.map_asset_specs(owned, [one])


def _owned(spec: dg.AssetSpec, *, application: Application, stage: str, roots: Mapping[str, str]) -> dg.AssetSpec:
    tags = {**spec.tags, APPLICATION_TAG: application.name}
    return with_location(spec.replace_attributes(group_name=stage, owners=[application.owner], tags=tags), roots)


def _executor(own: Settings) -> dg.ExecutorDefinition:
    if own.executor == "multiprocess":
        # a process that has trained never forks: the server that forks has only imported this module
        return dg.multiprocess_executor.configured(
            {"max_concurrent": 2, "start_method": {"forkserver": {"preload_modules": ["assets.definitions"]}}}
        )
    if own.executor == "regions":
        return region_router
    return dg.in_process_executor


def definitions_of_this_process() -> dg.Definitions:
    """The definitions of the deployment that the environment of this process names; made once while it is the same."""
    return _last_built(this_deployment())


@lru_cache(maxsize=1)
def _last_built(deployment: Deployment) -> dg.Definitions:
    return build_defs(deployment)


@dg.definitions
def defs() -> dg.Definitions:
    """The definitions that `workspace.yaml`, `dg` and the processes of steps load; nothing is read before the call."""
    # Dagster also runs this file under another name: both share what the module of this name made
    from assets.definitions import definitions_of_this_process as shared

    return shared()
