"""One asset written once and made for each region; and its region's things inside a step."""

import inspect
from collections.abc import Callable

import dagster as dg

from resources.reads import this_step
from resources.regions import RegionResource
from sinet_pipelines.regions import REGIONS, Region


def per_region(make: Callable[[Region], dg.AssetsDefinition]) -> list[dg.AssetsDefinition]:
    """The asset, once for each region; the factory's docstring is the description on every one's page."""
    description = inspect.getdoc(make)
    return [
        make(region).map_asset_specs(lambda spec: spec.replace_attributes(description=description))
        for region in REGIONS
    ]


def here(context: dg.AssetExecutionContext, region: Region) -> RegionResource:
    """The region's resource; the step must have asked for it in `bind(...)`.

    Every step that reads or writes passes here first, so here its edges are held against the policies of today.

    Raises:
        ResidencyError: one of the step's edges may not be any more.
    """
    this_step()
    resource: RegionResource = getattr(context.resources, region.key)
    return resource
