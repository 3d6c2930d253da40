"""Ingestion: from drops to one unchanged row per product; class `raw`, never leaves its region."""

import dagster as dg

from assets.framework.ingestion import events_of, landing_check_of, landing_zone_of, raw_rows
from assets.framework.regional import per_region
from resources.deployment import Deployment
from sinet_pipelines.applications.milling.application import MILLING
from sinet_pipelines.applications.milling.landed import OUTCOMES
from sinet_pipelines.applications.milling.tables import DROP, OUTCOME_EVENTS, RAW_RECORDS
from sinet_pipelines.inventory.regions import Region

landing_zones = per_region(lambda deployment, region: landing_zone_of(deployment, MILLING, region, DROP))
landing_checks = per_region(lambda _, region: landing_check_of(MILLING, region))


@per_region
def raw_records(deployment: Deployment, region: Region) -> dg.AssetsDefinition:
    """One unchanged row per product of the plant: type, two temperatures (K), speed (rpm), torque (Nm), wear (min).

    A day is rebuilt from all of its drops and replaced exactly. Exact copies are removed and counted; nothing is
    validated here. The hash of its content identifies a row from here to the model.
    """
    return raw_rows(deployment, MILLING, region, DROP, RAW_RECORDS)


@per_region
def outcome_events(deployment: Deployment, region: Region) -> dg.AssetsDefinition:
    """The result of each product's inspection, a day after production. Labels come only from these events."""
    return events_of(MILLING, region, OUTCOME_EVENTS, OUTCOMES)
