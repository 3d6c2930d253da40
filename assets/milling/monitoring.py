"""Monitoring: the served model and its inputs, in each region; class `feature`, may leave the region."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import dagster as dg
import polars as pl

from assets.framework.days import close, days_of, in_batches, partitions_of, record, record_gaps, record_quiet
from assets.framework.lineage import copied, derived
from assets.framework.regional import here, per_region
from assets.framework.reports import entries_of, made
from assets.milling.keys import regional_key
from resources.code_versions import code_of
from resources.deployment import Deployment, deployment_of
from resources.keys import DRIFT_CHECK, Cadence, Role
from resources.materializations.versions import INPUTS_ENTRY, days_made, holds_rows, version_in
from resources.placement import bind
from sinet_pipelines.applications.milling.application import MILLING
from sinet_pipelines.applications.milling.prediction_quality import LIMITS, quality_of, with_outcome
from sinet_pipelines.applications.milling.tables import (
    FAILURE_PREDICTIONS,
    INPUT_DRIFT,
    OUTCOME_EVENTS,
    PREDICTION_QUALITY,
    PROCESS_FEATURES,
    RAW_RECORDS,
    ROWS_BY_DAY,
)
from sinet_pipelines.applications.milling.task import FAILURE
from sinet_pipelines.applications.milling.watched import WATCHED
from sinet_pipelines.inventory.regions import Region
from sinet_pipelines.monitoring.freshness import count_by_day, freshness_of
from sinet_pipelines.monitoring.input_drift import (
    LEVEL,
    DayDrift,
    days_reference,
    drift_inputs,
    judge_day,
    reference_span,
)
from sinet_pipelines.monitoring.performance import Quality
from sinet_pipelines.schemas.contract import DataClass

QUALITY_CHECK = "predictions_are_close_to_outcomes"
FRESH_CHECK = "region_sent_rows_yesterday"
NO_FEATURES = "process_features has no rows of this day"


@per_region
def input_drift(deployment: Deployment, region: Region) -> dg.AssetsDefinition:
    """Each day's features compared with days 5 to 14 of the calendar: PSI, Kolmogorov-Smirnov and limits, one row each.

    A feature has drifted when its distribution differs significantly (Holm over the features, one false day in a
    thousand) and strongly (PSI above 0.25 and above chance). A drifted day is a warning and blocks nothing.
    """
    key, features_key = regional_key(region, "input_drift"), regional_key(region, "process_features")

    @dg.asset(
        key=key,
        deps=[features_key],
        partitions_def=partitions_of(deployment, MILLING),
        backfill_policy=dg.BackfillPolicy.single_run(),
        check_specs=[
            dg.AssetCheckSpec(
                DRIFT_CHECK,
                asset=key,
                description=f"No feature differs from the reference days for certain (adjusted p above {LEVEL:g}) and "
                "by much (PSI above its limit). A day that fails requests one training and blocks nothing.",
            )
        ],
        output_required=False,
        metadata=entries_of(
            INPUT_DRIFT,
            sources=derived(["psi", "ks", "p_value", "drifted"], WATCHED.features, keys=[features_key]),
        ),
        **bind(
            region,
            cadence=Cadence.FOLLOW,
            inputs="drift",
            role=Role.DRIFT,
            data_class=DataClass.FEATURE,
            kinds={"deltalake"},
        ),
    )
    def asset(context: dg.AssetExecutionContext) -> Iterator[object]:
        days = days_of(context, region)
        yield from record_quiet(context, region, days.quiet, tables=[INPUT_DRIFT])
        place, first_day = here(context, region), deployment_of(context).first_day(MILLING.name)
        versions = {
            day: version_in(tags) for day, tags in days_made(context.instance, features_key).items() if holds_rows(tags)
        }
        inputs = drift_inputs(versions, first_day=first_day, code_version=code_of(context))
        usual = place.tables.read(PROCESS_FEATURES, days=reference_span(first_day), columns=WATCHED.columns)
        reference = days_reference(usual, WATCHED, first_day=first_day)
        featured = [day for day in days.landed if day in versions]
        gaps = dict.fromkeys([day for day in days.landed if day not in versions], NO_FEATURES)
        yield from record_gaps(context, region, gaps, tables=[INPUT_DRIFT])
        for chunk in in_batches(place.landing, region.name, featured):
            features = place.tables.read(PROCESS_FEATURES, days=(chunk[0], chunk[-1]), columns=WATCHED.columns)
            judged = [judge_day(features, reference, day=day) for day in chunk]
            written = place.tables.replace_days(INPUT_DRIFT, pl.concat(one.features for one in judged), days=chunk)
            yield from record(context, written, inputs=inputs, entries={one.day: _numbers(one) for one in judged})
            yield from (_drift_evaluation(context, one, inputs=inputs[one.day]) for one in judged)
        yield from close(context, region, made=featured, check=DRIFT_CHECK)

    return asset


def _numbers(found: DayDrift) -> dict[str, Any]:
    if found.why_not:
        return {"drift": found.why_not}
    worst = found.features.row(0, named=True)
    return {
        "drifted": ", ".join(found.drifted) or "none",
        "worst_feature": worst["feature"],
        "worst_psi": round(float(worst["psi"]), 3),
        "worst_p_adjusted": float(f"{worst['p_adjusted']:.2g}"),
    }


def _drift_evaluation(context: dg.AssetExecutionContext, found: DayDrift, *, inputs: str) -> dg.AssetCheckEvaluation:
    return dg.AssetCheckEvaluation(
        asset_key=context.asset_key,
        check_name=DRIFT_CHECK,
        passed=not found.drifted,
        severity=dg.AssetCheckSeverity.WARN,
        partition=found.day.isoformat(),
        description=f"{', '.join(found.drifted)} drifted" if found.drifted else found.why_not or None,
        metadata={**_numbers(found), INPUTS_ENTRY: dg.MetadataValue.text(inputs)},
    )


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
        check = dg.AssetCheckResult(
            passed=not quality.faults,
            check_name=QUALITY_CHECK,
            severity=dg.AssetCheckSeverity.WARN,
            description="; ".join(quality.faults) or None,
            metadata=numbers,
        )
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
    key, raw_key = regional_key(region, "rows_by_day"), regional_key(region, "raw_records")

    @dg.asset(
        key=key,
        deps=[raw_key],
        check_specs=[
            dg.AssetCheckSpec(
                FRESH_CHECK,
                asset=key,
                description="The region sent rows yesterday, and no fewer than a quarter of what it usually sends.",
            )
        ],
        metadata=entries_of(
            ROWS_BY_DAY,
            sources={
                **copied(ROWS_BY_DAY, of=RAW_RECORDS, keys=[raw_key]),
                **derived(["rows"], ["row_hash"], keys=[raw_key]),
                **derived([FAILURE.groups], [FAILURE.group], keys=[raw_key]),
            },
        ),
        **bind(region, cadence=Cadence.DAILY, data_class=DataClass.FEATURE, kinds={"deltalake"}),
    )
    def asset(context: dg.AssetExecutionContext) -> dg.MaterializeResult:
        tables, yesterday = here(context, region).tables, datetime.now(UTC).date() - timedelta(days=1)
        counted = count_by_day(
            tables.read(RAW_RECORDS, columns=["event_date", FAILURE.group]),
            region=region.name,
            first_day=deployment_of(context).first_day(MILLING.name),
            until=yesterday,
            group=FAILURE.group,
            groups=FAILURE.groups,
            contract=ROWS_BY_DAY,
        )
        fresh = freshness_of(counted, region=region.name, expected=yesterday)
        numbers: dict[str, Any] = {
            "rows_yesterday": fresh.rows,
            "last_day_with_rows": str(fresh.last_day or "none"),
            "silent_days": ", ".join(map(str, fresh.silent_days)) or "none",
        }
        check = dg.AssetCheckResult(
            passed=not fresh.fault,
            check_name=FRESH_CHECK,
            severity=dg.AssetCheckSeverity.WARN,
            description=fresh.fault or None,
            metadata=numbers,
        )
        return made(context, tables.replace(ROWS_BY_DAY, counted), entries=numbers, checks=[check])

    return asset
