"""The data that turbofan lands: telemetry as drops; failures of history engines and truth of live ones as events."""

from sinet_pipelines.applications.turbofan.schemas.events import FAILURE_EVENTS, TRUTH_EVENTS
from sinet_pipelines.applications.turbofan.schemas.telemetry import (
    DROP,
    QUARANTINE,
    RAW_TELEMETRY,
    VALIDATED_TELEMETRY,
)
from sinet_pipelines.ingestion.landed import EventKind, LandedData

FAILURES = EventKind("failures", FAILURE_EVENTS, known_since="failed_at")
TRUTH = EventKind("truth", TRUTH_EVENTS, known_since="known_at")

TELEMETRY = LandedData(
    application="turbofan",
    drop=DROP,
    raw=RAW_TELEMETRY,
    validated=VALIDATED_TELEMETRY,
    quarantine=QUARANTINE,
    events=(FAILURES, TRUTH),
)
