"""Monitoring of inputs and predictions in each region; class `feature`, which may leave its region."""

from collections.abc import Iterator, Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Any

import dagster as dg
import polars as pl

from assets.framework.days import close, days_of, in_batches, partitions_of, record, record_gaps, record_quiet
from assets.framework.lineage import copied, derived
from assets.framework.pictures import behind, glance, glance_of_bars
from assets.framework.regional import here, per_region
from assets.framework.reports import entries_of, made
from assets.turbofan.keys import regional_key
from resources.code_versions import code_of
from resources.deployment import Deployment, deployment_of
from resources.keys import DRIFT_CHECK, Cadence, Role
from resources.markdown import shown
from resources.materializations.versions import INPUTS_ENTRY, days_made, holds_rows, version_in
from resources.placement import bind
from sinet_pipelines.applications.turbofan.application import TURBOFAN
from sinet_pipelines.applications.turbofan.prediction_quality import LIMITS, quality_of, with_truth
from sinet_pipelines.applications.turbofan.schemas.events import TRUTH_EVENTS
from sinet_pipelines.applications.turbofan.schemas.features import FLEET_PREDICTIONS, WINDOW_FEATURES
from sinet_pipelines.applications.turbofan.schemas.monitoring import INPUT_DRIFT, PREDICTION_QUALITY, ROWS_BY_DAY
from sinet_pipelines.applications.turbofan.schemas.telemetry import RAW_TELEMETRY
from sinet_pipelines.applications.turbofan.task import RUL
from sinet_pipelines.applications.turbofan.watched import WATCHED
from sinet_pipelines.inventory.regions import Region
from sinet_pipelines.markdown import table
from sinet_pipelines.metrics.coverage import covered_band
from sinet_pipelines.monitoring.freshness import Freshness, count_by_day, freshness_of
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

TRUTH_CHECK = "predictions_are_close_to_truth"
FRESH_CHECK = "region_sent_rows_yesterday"
NO_FEATURES = "window_features has no rows of this day"
WORST = 5  # features shown for a day: usually few drifted


@per_region
def input_drift(deployment: Deployment, region: Region) -> dg.AssetsDefinition:
    """Each day's 21 sensors compared with days 5 to 14 of the fleet: PSI, Kolmogorov-Smirnov and limits, one row each.

    Rows are compared with reference rows of the same age, and count by the effective number of independent rows. A
    sensor has drifted when its distribution differs significantly (Holm over the sensors, one false day in a thousand)
    and by a large amount (PSI above 0.25 and above chance). A drifted day is a warning and stops nothing.
    """
    key, features_key = regional_key(region, "input_drift"), regional_key(region, "window_features")

    @dg.asset(
        key=key,
        deps=[features_key],
        partitions_def=partitions_of(deployment, TURBOFAN),
        backfill_policy=dg.BackfillPolicy.single_run(),
        check_specs=[
            dg.AssetCheckSpec(
                DRIFT_CHECK,
                asset=key,
                description=f"No sensor differs from the reference days significantly (adjusted p above {LEVEL:g}) and "
                "by a large amount (PSI above its limit). A day that fails requests one retraining and blocks nothing.",
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
        place, first_day = here(context, region), deployment_of(context).first_day(TURBOFAN.name)
        tables = place.tables
        made_features = days_made(context.instance, features_key)
        versions = {day: version_in(tags) for day, tags in made_features.items() if holds_rows(tags)}
        inputs = drift_inputs(versions, first_day=first_day, code_version=code_of(context))
        usual = tables.read(WINDOW_FEATURES, days=reference_span(first_day), columns=WATCHED.columns)
        reference = days_reference(usual, WATCHED, first_day=first_day)
        seen = tables.read(INPUT_DRIFT, columns=["event_date", "psi", "psi_limit", "drifted"])
        featured = [day for day in days.landed if day in versions]
        gaps = dict.fromkeys([day for day in days.landed if day not in versions], NO_FEATURES)
        yield from record_gaps(context, region, gaps, tables=[INPUT_DRIFT])
        for chunk in in_batches(place.landing, region.name, featured):
            features = tables.read(WINDOW_FEATURES, days=(chunk[0], chunk[-1]), columns=WATCHED.columns)
            judged = [judge_day(features, reference, day=day) for day in chunk]
            found = pl.concat(one.features for one in judged)
            written = tables.replace_days(INPUT_DRIFT, found, days=chunk)
            seen = pl.concat([seen.filter(~pl.col("event_date").is_in(chunk)), found.select(seen.columns)])
            shown = _drift_pictures(seen, region, days=chunk, newest=featured[-1])
            entries = {one.day: {**_numbers(one), **shown.get(one.day, {})} for one in judged}
            yield from record(context, written, inputs=inputs, entries=entries)
            yield from (_drift_evaluation(key, one, inputs=inputs[one.day]) for one in judged)
        yield from close(context, region, made=featured, check=DRIFT_CHECK)

    return asset


def _drift_evaluation(key: dg.AssetKey, judged: DayDrift, *, inputs: str) -> dg.AssetCheckEvaluation:
    """One day's result; a warning, never `blocking`, which would end the step and so the other days."""
    drifted = judged.drifted
    description = f"{', '.join(drifted)} drifted" if drifted else judged.why_not or "no sensor drifted"
    return dg.AssetCheckEvaluation(
        asset_key=key,
        check_name=DRIFT_CHECK,
        passed=not drifted,
        severity=dg.AssetCheckSeverity.WARN,
        partition=judged.day.isoformat(),
        metadata={**_numbers(judged), INPUTS_ENTRY: inputs},
        description=description,
    )


def _numbers(judged: DayDrift) -> dict[str, Any]:
    """Key numbers first, then the worst features as a table; the reason where nothing was compared."""
    if judged.why_not:
        return {"not_compared": judged.why_not}
    worst = judged.features.row(0, named=True)
    head = ("feature", "psi", "limit", "ks", "p adjusted", "drifted")
    rows = [
        (row["feature"], *(f"{row[name]:.2f}" for name in ("psi", "psi_limit", "ks")))
        + (f"{row['p_adjusted']:.1e}", "yes" if row["drifted"] else "")
        for row in judged.features.head(WORST).iter_rows(named=True)
    ]
    return {
        "drifted_features": len(judged.drifted),
        "worst_feature": worst["feature"],
        **{name: round(worst[name], 3) for name in ("psi", "psi_limit", "ks")},
        **{name: float(f"{worst[name]:.3g}") for name in ("p_adjusted", "p_limit")},
        "rows": worst["rows"],
        "engines": worst["engines"],
        "rows_of_no_known_age": judged.passed_over,
        "worst_features": shown(table(head, rows, numeric=range(1, 5))),
    }


def _drift_pictures(
    seen: pl.DataFrame, region: Region, *, days: Sequence[date], newest: date
) -> dict[date, dict[str, dg.MetadataValue]]:
    """For each of these days a sparkline of its worst sensor; for the newest day also the chart.

    A sparkline takes a millisecond and 700 bytes, a chart 200 ms and 17 kB, so there is one chart in each step.
    """
    from sinet_pipelines.pictures.watch import drift_by_day

    over = pl.col("psi") / pl.col("psi_limit")
    worst = seen.group_by("event_date").agg(over.max(), pl.col("drifted").any()).sort("event_date")
    shown: dict[date, dict[str, dg.MetadataValue]] = {}
    for day in days:
        until = worst.filter(pl.col("event_date") <= day)
        if until.height and until["event_date"][-1] == day:
            shown[day] = {"worst_psi_over_limit": glance(until["psi"], label="worst PSI over its limit", limit=1)}
    if newest in shown and newest == worst["event_date"][-1]:
        drifted = worst.filter("drifted")["event_date"].to_list()
        ratios = dict(worst.select("event_date", "psi").iter_rows())
        png = drift_by_day({region.name: ratios}, drifted={region.name: drifted})
        shown[newest]["drift_by_day"] = behind(png, label="input drift by day")
    return shown


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
        check = dg.AssetCheckResult(
            passed=not quality.faults,
            check_name=TRUTH_CHECK,
            severity=dg.AssetCheckSeverity.WARN,
            description="; ".join(quality.faults) or None,
            metadata=numbers,
        )
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
    key, raw_key = regional_key(region, "rows_by_day"), regional_key(region, "raw_telemetry")

    @dg.asset(
        key=key,
        deps=[raw_key],
        check_specs=[
            dg.AssetCheckSpec(
                FRESH_CHECK,
                asset=key,
                description="The region sent rows yesterday, at least a quarter of its usual number.",
            )
        ],
        metadata=entries_of(
            ROWS_BY_DAY,
            sources={
                **copied(ROWS_BY_DAY, of=RAW_TELEMETRY, keys=[raw_key]),
                **derived(["rows"], ["row_hash"], keys=[raw_key]),
                **derived(["engines"], ["unit"], keys=[raw_key]),
            },
        ),
        **bind(region, cadence=Cadence.DAILY, data_class=DataClass.FEATURE, kinds={"deltalake"}),
    )
    def asset(context: dg.AssetExecutionContext) -> dg.MaterializeResult:
        tables, yesterday = here(context, region).tables, _yesterday()
        rows = tables.read(RAW_TELEMETRY, columns=["event_date", "unit"])
        by_day = count_by_day(
            rows,
            region=region.name,
            first_day=deployment_of(context).first_day(TURBOFAN.name),
            until=yesterday,
            group=RUL.group,
            groups=RUL.groups,
            contract=ROWS_BY_DAY,
        )
        fresh = freshness_of(by_day, region=region.name, expected=yesterday)
        numbers = _fresh_numbers(fresh)
        check = dg.AssetCheckResult(
            passed=not fresh.fault,
            check_name=FRESH_CHECK,
            severity=dg.AssetCheckSeverity.WARN,
            description=fresh.fault or None,
            metadata=numbers,
        )
        written = tables.replace(ROWS_BY_DAY, by_day)
        entries = {**numbers, **_rows_pictures(by_day)}
        return made(context, written, entries=entries, checks=[check])

    return asset


def _yesterday() -> date:
    return datetime.now(UTC).date() - timedelta(days=1)


def _fresh_numbers(fresh: Freshness) -> dict[str, Any]:
    share = fresh.share_of_reference
    return {
        "rows_yesterday": fresh.rows,
        "share_of_reference_pct": "no reference yet" if share is None else round(100 * share, 1),
        "last_day_with_rows": str(fresh.last_day or "none"),
        "silent_days": ", ".join(map(str, fresh.silent_days)) or "none",
    }


def _rows_pictures(by_day: pl.DataFrame) -> dict[str, dg.MetadataValue]:
    """Rows by day, with the number of a usual day."""
    from sinet_pipelines.pictures.watch import rows_by_day as chart

    usual = by_day.filter(pl.col("share_of_reference") > 0).select(pl.col("rows") / pl.col("share_of_reference"))
    png = chart(by_day["event_date"].to_list(), by_day["rows"], usual=usual.item(0, 0) if usual.height else None)
    return {
        "rows_at_a_glance": glance_of_bars(by_day["rows"], label="rows by day", unit="rows"),
        "rows_by_day": behind(png, label="rows by day"),
    }
