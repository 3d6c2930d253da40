"""Validation: from raw telemetry to validated rows, and to quarantine with the reason; class `raw`."""

import dagster as dg

from assets.framework.regional import per_region
from assets.framework.validation import quarantine_of, validated_rows
from resources.deployment import Deployment
from sinet_pipelines.applications.turbofan.application import TURBOFAN
from sinet_pipelines.applications.turbofan.schemas.features import FIRST_CYCLES
from sinet_pipelines.applications.turbofan.schemas.telemetry import (
    EARLY_TELEMETRY,
    QUARANTINE,
    RAW_TELEMETRY,
    VALIDATED_TELEMETRY,
)
from sinet_pipelines.inventory.regions import Region
from sinet_pipelines.schemas.contract import Beside, Validated

TABLES = Validated(
    RAW_TELEMETRY, VALIDATED_TELEMETRY, QUARANTINE, beside=(Beside(EARLY_TELEMETRY, "cycle", FIRST_CYCLES),)
)

quarantine = per_region(lambda deployment, region: quarantine_of(deployment, TURBOFAN, region, TABLES))


@per_region
def validated_telemetry(deployment: Deployment, region: Region) -> dg.AssetsDefinition:
    """One row for each engine and flight cycle that fulfils the contract: complete, in bounds, on its day, unique.

    A row that breaks a rule goes to `quarantine` with the reason, and the other rows are kept. A cycle that is on two
    days goes to quarantine on both. A day with a fault of the whole day (a missing column, another unit, too many bad
    rows) fails its check and is not materialised; its former rows stay. Rows of an engine's first ten cycles are also
    written to a small table of their own.
    """
    return validated_rows(deployment, TURBOFAN, region, TABLES)
