"""Turbofan as an application: its name, its tables, and what its model predicts."""

from sinet_pipelines.applications.application import Application
from sinet_pipelines.applications.turbofan.families import BASELINES, CANDIDATES
from sinet_pipelines.applications.turbofan.features.inputs import DIGEST
from sinet_pipelines.applications.turbofan.landed import TELEMETRY
from sinet_pipelines.applications.turbofan.past_failures import PAST_FAILURES
from sinet_pipelines.applications.turbofan.rules import RULES
from sinet_pipelines.applications.turbofan.schemas.events import FAILURE_EVENTS, TRUTH_EVENTS
from sinet_pipelines.applications.turbofan.schemas.features import (
    CALIBRATION_SEQUENCES,
    EVALUATION_RESULTS,
    EVALUATION_SEQUENCES,
    EVALUATION_SET,
    FLEET_PREDICTIONS,
    LIVE_SEQUENCES,
    SETTING_CELLS,
    TRAINING_SEQUENCES,
    TRAINING_SET,
    UNIT_DIGESTS,
    WINDOW_FEATURES,
)
from sinet_pipelines.applications.turbofan.schemas.monitoring import INPUT_DRIFT, PREDICTION_QUALITY, ROWS_BY_DAY
from sinet_pipelines.applications.turbofan.schemas.telemetry import (
    EARLY_TELEMETRY,
    QUARANTINE,
    RAW_TELEMETRY,
    VALIDATED_TELEMETRY,
)
from sinet_pipelines.applications.turbofan.serving import SERVED
from sinet_pipelines.applications.turbofan.source import SOURCE
from sinet_pipelines.applications.turbofan.task import RUL
from sinet_pipelines.applications.turbofan.watched import WATCHED

TURBOFAN = Application(
    name="turbofan",
    title="remaining useful life of turbofan engines",
    owner="team:predictive-maintenance",
    tables=(
        RAW_TELEMETRY,
        VALIDATED_TELEMETRY,
        QUARANTINE,
        EARLY_TELEMETRY,
        FAILURE_EVENTS,
        TRUTH_EVENTS,
        SETTING_CELLS,
        WINDOW_FEATURES,
        TRAINING_SEQUENCES,
        LIVE_SEQUENCES,
        CALIBRATION_SEQUENCES,
        EVALUATION_SEQUENCES,
        TRAINING_SET,
        EVALUATION_SET,
        EVALUATION_RESULTS,
        FLEET_PREDICTIONS,
        PREDICTION_QUALITY,
        INPUT_DRIFT,
        ROWS_BY_DAY,
        UNIT_DIGESTS,
    ),
    output="remaining_useful_life",
    rules=RULES,
    digests=(DIGEST,),
    task=RUL,
    candidates=CANDIDATES,
    baselines=BASELINES,
    served=SERVED,
    watched=WATCHED,
    landed=TELEMETRY,
    source=SOURCE,
    keeps_versions=(WINDOW_FEATURES,),
    past_failures=PAST_FAILURES,
)
