"""Monitoring: the served model and its inputs, in each region; class `feature`, may leave the region."""

from typing import Any

import dagster as dg

from assets.framework.lineage import copied
from assets.framework.monitoring import input_drift_of, rows_by_day_of, warning
from assets.framework.regional import here, per_region
from assets.framework.reports import entries_of, made
from assets.milling.keys import regional_key
from resources.deployment import Deployment
from resources.keys import Cadence
from resources.placement import bind
from sinet_pipelines.applications.milling.application import MILLING
from sinet_pipelines.applications.milling.prediction_quality import LIMITS, quality_of, with_outcome
from sinet_pipelines.applications.milling.tables import (
    FAILURE_PREDICTIONS,
    OUTCOME_EVENTS,
    PREDICTION_QUALITY,
    PROCESS_FEATURES,
    ROWS_BY_DAY,
)
from sinet_pipelines.applications.milling.watched import WATCHED
from sinet_pipelines.inventory.regions import Region
from sinet_pipelines.monitoring.performance import Quality
from sinet_pipelines.schemas.contract import DataClass

QUALITY_CHECK = "predictions_are_close_to_outcomes"


@per_region
def input_drift(deployment: Deployment, region: Region) -> dg.AssetsDefinition:
    """Each day's features compared with days 5 to 14 of the calendar: PSI, Kolmogorov-Smirnov and limits, one row each.

    A feature has drifted when its distribution differs significantly (Holm over the features, one false day in a
    thousand) and strongly (PSI above 0.25 and above chance). A drifted day is a warning and blocks nothing.
    """
    return input_drift_of(deployment, MILLING, region, WATCHED, features=PROCESS_FEATURES, noun="feature")


@per_region
def prediction_quality(deployment: Deployment, region: Region) -> dg.AssetsDefinition:
    """Predictions of the newest days compared with the known outcomes: PR-AUC, precision, recall.

    No model was trained on these products.
    """
    key = regional_key(region, "prediction_quality")
    predictions_key, outcomes_key = (regional_key(region, name) for name in ("failure_predictions", "outcome_events"))

    @dg.asset(
        key=key,
        deps=[predictions_key, outcomes_key],
        check_specs=[
            dg.AssetCheckSpec(
                QUALITY_CHECK,
                asset=key,
                description=f"Recall of the warnings is {LIMITS.recall:g} or more, precision {LIMITS.precision:g} or "
                "more, where five failures or more are known.",
            )
        ],
        metadata=entries_of(
            PREDICTION_QUALITY,
            sources={
                **copied(PREDICTION_QUALITY, of=OUTCOME_EVENTS, keys=[outcomes_key]),
                **copied(PREDICTION_QUALITY, of=FAILURE_PREDICTIONS, keys=[predictions_key]),
            },
        ),
        **bind(region, cadence=Cadence.FOLLOW, data_class=DataClass.FEATURE, kinds={"deltalake"}),
    )
    def asset(context: dg.AssetExecutionContext) -> dg.MaterializeResult:
        tables = here(context, region).tables
        predictions = tables.read(FAILURE_PREDICTIONS)
        matched = with_outcome(predictions, tables.read(OUTCOME_EVENTS))
        quality = quality_of(matched, predicted=predictions.height)
        numbers = _quality_numbers(quality, failures=int(matched["machine_failure"].sum()))
        check = warning(QUALITY_CHECK, faults=quality.faults, numbers=numbers)
        return made(context, tables.replace(PREDICTION_QUALITY, matched), entries=numbers, checks=[check])

    return asset


def _quality_numbers(quality: Quality, *, failures: int) -> dict[str, Any]:
    return {
        "products": quality.groups,
        "failures": failures,
        **{name: round(value, 4) for name, value in quality.figures.items()},
        "waiting_for_outcome": quality.waiting,
    }


@per_region
def rows_by_day(deployment: Deployment, region: Region) -> dg.AssetsDefinition:
    """Number of products on each day until yesterday, compared with the reference days; lists days without rows.

    A schedule starts it, because missing data cannot trigger it.
    """
    return rows_by_day_of(MILLING, region, ROWS_BY_DAY)
