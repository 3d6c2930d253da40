"""Monitoring of inputs and predictions in each region; class `feature`, which may leave its region."""

from typing import Any

import dagster as dg
import polars as pl

from assets.framework.lineage import copied, derived
from assets.framework.monitoring import input_drift_of, rows_by_day_of, warning
from assets.framework.pictures import behind, glance
from assets.framework.regional import here, per_region
from assets.framework.reports import entries_of, made
from assets.turbofan.keys import regional_key
from resources.deployment import Deployment
from resources.keys import Cadence
from resources.placement import bind
from sinet_pipelines.applications.turbofan.application import TURBOFAN
from sinet_pipelines.applications.turbofan.prediction_quality import LIMITS, quality_of, with_truth
from sinet_pipelines.applications.turbofan.schemas.events import TRUTH_EVENTS
from sinet_pipelines.applications.turbofan.schemas.features import FLEET_PREDICTIONS, WINDOW_FEATURES
from sinet_pipelines.applications.turbofan.schemas.monitoring import PREDICTION_QUALITY, ROWS_BY_DAY
from sinet_pipelines.applications.turbofan.watched import WATCHED
from sinet_pipelines.inventory.regions import Region
from sinet_pipelines.metrics.coverage import covered_band
from sinet_pipelines.monitoring.performance import Quality
from sinet_pipelines.schemas.contract import DataClass

TRUTH_CHECK = "predictions_are_close_to_truth"


@per_region
def input_drift(deployment: Deployment, region: Region) -> dg.AssetsDefinition:
    """Each day's 21 sensors compared with days 5 to 14 of the fleet: PSI, Kolmogorov-Smirnov and limits, one row each.

    Rows are compared with reference rows of the same age, and count by the effective number of independent rows. A
    sensor has drifted when its distribution differs significantly (Holm over the sensors, one false day in a thousand)
    and by a large amount (PSI above 0.25 and above chance). A drifted day is a warning and stops nothing.
    """
    return input_drift_of(deployment, TURBOFAN, region, WATCHED, features=WINDOW_FEATURES, noun="sensor")


@per_region
def prediction_quality(deployment: Deployment, region: Region) -> dg.AssetsDefinition:
    """Predictions for live engines compared with the truth: error, bias, coverage of intervals.

    A revised truth replaces the earlier one. Truth is capped at 125 cycles, as in training.
    """
    key = regional_key(region, "prediction_quality")
    predictions_key, truth_key = (regional_key(region, name) for name in ("fleet_predictions", "truth_events"))

    @dg.asset(
        key=key,
        deps=[predictions_key, truth_key],
        check_specs=[
            dg.AssetCheckSpec(
                TRUTH_CHECK,
                asset=key,
                description=f"RMSE at most {LIMITS.rmse:g} cycles, bias at most {LIMITS.bias:g} either "
                "way, and 90 % intervals that cover as often as chance allows, over engines whose truth has arrived.",
            )
        ],
        metadata=entries_of(
            PREDICTION_QUALITY,
            sources={
                **copied(PREDICTION_QUALITY, of=FLEET_PREDICTIONS, keys=[predictions_key]),
                **derived(["predicted_cycles"], ["rul_cycles"], keys=[predictions_key]),
                **derived(["true_cycles", "known_at"], ["rul_cycles", "cycle", "known_at"], keys=[truth_key]),
            },
        ),
        **bind(region, cadence=Cadence.FOLLOW, data_class=DataClass.FEATURE, kinds={"deltalake"}),
    )
    def asset(context: dg.AssetExecutionContext) -> dg.MaterializeResult:
        tables = here(context, region).tables
        predictions = tables.read(FLEET_PREDICTIONS)
        matched = with_truth(predictions, tables.read(TRUTH_EVENTS))
        quality = quality_of(matched, predicted=predictions.height)
        numbers = _quality_numbers(quality)
        check = warning(TRUTH_CHECK, faults=quality.faults, numbers=numbers)
        written = tables.replace(PREDICTION_QUALITY, matched)
        entries = {**numbers, **_quality_pictures(matched)}
        return made(context, written, entries=entries, checks=[check])

    return asset


def _quality_numbers(quality: Quality) -> dict[str, Any]:
    def shown(value: float | None) -> float | str:
        return "no truth yet" if value is None else round(value, 2)

    if quality.coverage is None:
        coverage: dict[str, Any] = {"coverage": "not applicable: the model predicts no intervals"}
    else:
        least, most = covered_band(quality.intervals)
        covered_of = f"{quality.covered} of {quality.intervals} (allowed: {least} to {most})"
        coverage = {"coverage_pct": round(100 * quality.coverage, 1), "covered": covered_of}
    return {
        "rmse_cycles": shown(quality.figures.get("rmse")),
        "rmse_limit_cycles": LIMITS.rmse,
        "bias_cycles": shown(quality.figures.get("bias")),
        "bias_limit_cycles": LIMITS.bias,
        **coverage,
        "engines": quality.groups,
        "waiting_for_truth": quality.waiting,
    }


def _quality_pictures(matched: pl.DataFrame) -> dict[str, dg.MetadataValue]:
    """Errors by true RUL, and predictions against truth; nothing before truth arrived."""
    from sinet_pipelines.pictures.charts import predicted_against_true

    if matched.is_empty():
        return {}
    true, predicted, lower, upper = (matched[f"{name}_cycles"] for name in ("true", "predicted", "lower", "upper"))
    late = matched.sort("true_cycles", "unit")["late_cycles"]
    png = predicted_against_true(true, predicted, lower_B=lower, upper_B=upper)
    return {
        "late_by_true_rul": glance(late, label="late by true RUL, soonest first", unit="cycles", limit=0),
        "predicted_against_true": behind(png, label="predicted against true RUL"),
    }


@per_region
def rows_by_day(deployment: Deployment, region: Region) -> dg.AssetsDefinition:
    """Rows and engines of each day until yesterday, compared with the reference days; days without rows are named.

    Made at a fixed time, since missing rows start no run.
    """
    return rows_by_day_of(TURBOFAN, region, ROWS_BY_DAY)
