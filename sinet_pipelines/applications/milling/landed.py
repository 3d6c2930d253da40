"""What milling lands: process records as drops, and the outcomes of inspections as events."""

from sinet_pipelines.applications.milling.tables import (
    DROP,
    OUTCOME_EVENTS,
    QUARANTINE,
    RAW_RECORDS,
    VALIDATED_RECORDS,
)
from sinet_pipelines.ingestion.landed import EventKind, LandedData

OUTCOMES = EventKind("outcomes", OUTCOME_EVENTS, known_since="inspected_at")

RECORDS = LandedData(
    application="milling",
    drop=DROP,
    raw=RAW_RECORDS,
    validated=VALIDATED_RECORDS,
    quarantine=QUARANTINE,
    events=(OUTCOMES,),
)
