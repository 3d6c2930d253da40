"""Keys of the turbofan assets."""

import dagster as dg

from resources.deployment import Deployment
from sinet_pipelines.applications.turbofan.application import TURBOFAN
from sinet_pipelines.inventory.regions import Region


def regional_key(region: Region, name: str) -> dg.AssetKey:
    """The key of a region's asset: `EAST/turbofan/raw_telemetry`."""
    return dg.AssetKey(TURBOFAN.key(name, region=region.name))


def global_key(name: str) -> dg.AssetKey:
    """The key of an asset that exists once: `turbofan/training_set`."""
    return dg.AssetKey(TURBOFAN.key(name))


def everywhere(deployment: Deployment, name: str) -> list[dg.AssetKey]:
    """The keys of an asset in all regions."""
    return [regional_key(region, name) for region in deployment.regions]
