"""Validation: from raw records to validated rows, and to quarantine with a reason; class `raw`."""

import dagster as dg

from assets.framework.regional import per_region
from assets.framework.validation import quarantine_of, validated_rows
from resources.deployment import Deployment
from sinet_pipelines.applications.milling.application import MILLING
from sinet_pipelines.applications.milling.tables import QUARANTINE, RAW_RECORDS, VALIDATED_RECORDS
from sinet_pipelines.inventory.regions import Region
from sinet_pipelines.schemas.contract import Validated

TABLES = Validated(RAW_RECORDS, VALIDATED_RECORDS, QUARANTINE)

quarantine = per_region(lambda deployment, region: quarantine_of(deployment, MILLING, region, TABLES))


@per_region
def validated_records(deployment: Deployment, region: Region) -> dg.AssetsDefinition:
    """One row per product that fulfils the contract: complete, within bounds, on its day, unique.

    A row that violates a rule goes to `quarantine` with the reason; the other rows are kept. A day with a fault of the
    whole day (a missing column, another unit, too many bad rows) fails its check and is not materialised; its previous
    rows remain.
    """
    return validated_rows(deployment, MILLING, region, TABLES)
