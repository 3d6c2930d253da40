"""Keys of the milling assets."""

import dagster as dg

from resources.deployment import Deployment
from sinet_pipelines.applications.milling.application import MILLING
from sinet_pipelines.inventory.regions import Region


def regional_key(region: Region, name: str) -> dg.AssetKey:
    """The key of a region's asset: `EAST/milling/raw_records`."""
    return dg.AssetKey(MILLING.key(name, region=region.name))


def global_key(name: str) -> dg.AssetKey:
    """The key of an asset that exists once: `milling/training_set`."""
    return dg.AssetKey(MILLING.key(name))


def everywhere(deployment: Deployment, name: str) -> list[dg.AssetKey]:
    """The keys of an asset in all regions."""
    return [regional_key(region, name) for region in deployment.regions]
