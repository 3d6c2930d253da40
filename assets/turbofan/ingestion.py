"""Ingestion: one row for each engine and cycle, unchanged from drops; class `raw`, never leaves its region."""

import dagster as dg

from assets.framework.ingestion import events_of, landing_check_of, landing_zone_of, raw_rows
from assets.framework.regional import per_region
from resources.deployment import Deployment
from sinet_pipelines.applications.turbofan.application import TURBOFAN
from sinet_pipelines.applications.turbofan.landed import FAILURES, TRUTH
from sinet_pipelines.applications.turbofan.schemas.events import FAILURE_EVENTS, TRUTH_EVENTS
from sinet_pipelines.applications.turbofan.schemas.telemetry import DROP, RAW_TELEMETRY
from sinet_pipelines.inventory.regions import Region

landing_zones = per_region(lambda deployment, region: landing_zone_of(deployment, TURBOFAN, region, DROP))
landing_checks = per_region(lambda _, region: landing_check_of(TURBOFAN, region))


@per_region
def raw_telemetry(deployment: Deployment, region: Region) -> dg.AssetsDefinition:
    """One raw row for each engine and flight cycle (21 sensors in degR, psia, rpm, lbm/s; 3 settings).

    A day is rebuilt from all its drops and replaced exactly. Exact copies are dropped and counted; nothing is
    validated. From here to the model, a row is identified by the hash of its content.
    """
    return raw_rows(deployment, TURBOFAN, region, DROP, RAW_TELEMETRY)


@per_region
def failure_events(deployment: Deployment, region: Region) -> dg.AssetsDefinition:
    """Failures of history engines: unit, last cycle, instant (UTC). Labels come from these alone."""
    return events_of(TURBOFAN, region, FAILURE_EVENTS, FAILURES)


@per_region
def truth_events(deployment: Deployment, region: Region) -> dg.AssetsDefinition:
    """The true remaining useful life of live engines in cycles, known afterwards.

    Used by evaluation and monitoring only, never by a fit or a choice.
    """
    return events_of(TURBOFAN, region, TRUTH_EVENTS, TRUTH)
