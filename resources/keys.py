"""The names of assets: their keys, and the words by which whoever may not import an asset knows it."""

import dagster as dg

from sinet_pipelines.regions import REGIONS, Region

APPLICATION = "predictive_maintenance"
CONTRACT_CHECK = "every_day_keeps_its_contract"  # the check of a table's days; one result a day
UNUSED_CHECK = "every_file_is_used"  # the check of a landing zone
DRIFT_CHECK = "inputs_have_not_drifted"  # the check of a day's features; what fails asks for one retraining
REGIMES = "operating_regimes"  # the ref of the newest regimes among EAST's blobs


def regional_key(region: Region, name: str) -> dg.AssetKey:
    """The key of a region's asset: `EAST/predictive_maintenance/raw_telemetry`."""
    return dg.AssetKey([region.name, APPLICATION, name])


def global_key(name: str) -> dg.AssetKey:
    """The key of an asset that exists once: `predictive_maintenance/training_set`."""
    return dg.AssetKey([APPLICATION, name])


def everywhere(name: str) -> list[dg.AssetKey]:
    """The keys of an asset in all regions."""
    return [regional_key(region, name) for region in REGIONS]
