"""Declarations: an asset is written once and made for a deployment, or for each of its regions.

A module of assets makes nothing when it is imported. `assets/definitions.py` makes the declared assets for the
deployment that it received.
"""

import inspect
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import dagster as dg

from resources.deployment import Deployment, deployment_of
from resources.reads import this_step
from resources.regions import RegionResource
from sinet_pipelines.inventory.regions import Region

Made = dg.AssetsDefinition | dg.AssetSpec | dg.AssetChecksDefinition


@dataclass(frozen=True)
class Declaration:
    """The declaration of assets, from which those of a deployment are made.

    Attributes:
        make: the assets and checks of a deployment.
    """

    make: Callable[[Deployment], list[Made]]


def once(make: Callable[[Deployment], Made | Iterable[Made]]) -> Declaration:
    """An asset that exists once, or several of them.

    The docstring of a factory of one asset, if it has one, is the description on its page.
    """

    def of(deployment: Deployment) -> list[Made]:
        found = make(deployment)
        if isinstance(found, dg.AssetsDefinition | dg.AssetSpec):
            return [_described(found, by=make)]
        return list(found)

    return Declaration(of)


def per_region(make: Callable[[Deployment, Region], Made]) -> Declaration:
    """An asset or check of every region; the factory's docstring, if it has one, is the description on each page."""
    return Declaration(
        lambda deployment: [_described(make(deployment, region), by=make) for region in deployment.regions]
    )


def _described(one: Made, *, by: Callable[..., object]) -> Made:
    description = inspect.getdoc(by)
    if description is None or isinstance(one, dg.AssetChecksDefinition):
        return one
    if isinstance(one, dg.AssetSpec):
        return one.replace_attributes(description=description)
    return one.map_asset_specs(lambda spec: spec.replace_attributes(description=description))


def here(context: dg.AssetExecutionContext, region: Region | str) -> RegionResource:
    """The region's resource; the step must have requested it in `bind(...)`.

    Every step that reads or writes calls this first, so its edges are checked here against the present policies.

    Args:
        context: of the step.
        region: or its name.

    Raises:
        ResidencyError: one of the step's edges is forbidden now.
    """
    this_step()
    key = region.lower() if isinstance(region, str) else region.key
    resource: RegionResource = getattr(context.resources, key)
    return resource


def regions_of(context: dg.AssetExecutionContext) -> tuple[Region, ...]:
    """The regions of the deployment of the step in progress."""
    return deployment_of(context).regions
