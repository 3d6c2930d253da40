"""Milling as an application: its name, its tables, and what its model predicts."""

from sinet_pipelines.applications.application import Application
from sinet_pipelines.applications.milling.families import BASELINES, CANDIDATES
from sinet_pipelines.applications.milling.landed import RECORDS
from sinet_pipelines.applications.milling.serving import SERVED
from sinet_pipelines.applications.milling.source import SOURCE
from sinet_pipelines.applications.milling.tables import (
    EVALUATION_RECORDS,
    EVALUATION_RESULTS,
    EVALUATION_SET,
    FAILURE_PREDICTIONS,
    INPUT_DRIFT,
    LIVE_RECORDS,
    OUTCOME_EVENTS,
    PREDICTION_QUALITY,
    PROCESS_FEATURES,
    QUARANTINE,
    RAW_RECORDS,
    ROWS_BY_DAY,
    TRAINING_SET,
    VALIDATED_RECORDS,
)
from sinet_pipelines.applications.milling.task import FAILURE
from sinet_pipelines.applications.milling.watched import WATCHED

MILLING = Application(
    name="milling",
    title="failures of milling machines",
    owner="team:machining",
    tables=(
        RAW_RECORDS,
        VALIDATED_RECORDS,
        QUARANTINE,
        OUTCOME_EVENTS,
        PROCESS_FEATURES,
        TRAINING_SET,
        LIVE_RECORDS,
        EVALUATION_RECORDS,
        EVALUATION_SET,
        EVALUATION_RESULTS,
        FAILURE_PREDICTIONS,
        PREDICTION_QUALITY,
        INPUT_DRIFT,
        ROWS_BY_DAY,
    ),
    output="machine_failure",
    source=SOURCE,
    landed=RECORDS,
    task=FAILURE,
    candidates=CANDIDATES,
    baselines=BASELINES,
    served=SERVED,
    watched=WATCHED,
    keeps_versions=(PROCESS_FEATURES,),
)
