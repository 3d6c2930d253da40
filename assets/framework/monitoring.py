"""Monitoring of an application's inputs in a region: drift of the features by day, and rows by day; class `feature`."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Any

import dagster as dg
import polars as pl

from assets.framework.days import close, days_of, in_batches, partitions_of, record, record_gaps, record_quiet
from assets.framework.lineage import copied, derived
from assets.framework.pictures import behind, glance, glance_of_bars
from assets.framework.regional import here
from assets.framework.reports import entries_of, made
from resources.code_versions import code_of
from resources.deployment import Deployment, deployment_of
from resources.keys import DRIFT_CHECK, Cadence, Role
from resources.markdown import shown
from resources.materializations.versions import INPUTS_ENTRY, days_made, holds_rows, version_in
from resources.placement import bind
from sinet_pipelines.applications.application import Application
from sinet_pipelines.inventory.regions import Region
from sinet_pipelines.markdown import table
from sinet_pipelines.monitoring.freshness import Freshness, count_by_day, freshness_of
from sinet_pipelines.monitoring.input_drift import (
    LEVEL,
    DayDrift,
    Watched,
    days_reference,
    drift_inputs,
    judge_day,
    reference_span,
)
from sinet_pipelines.schemas.contract import Contract, DataClass

FRESH_CHECK = "region_sent_rows_yesterday"
WORST = 5  # features shown for a day: usually few drifted


def warning(
    name: str, *, faults: Sequence[str], numbers: Mapping[str, Any], otherwise: str | None = None
) -> dg.AssetCheckResult:
    """The result of a check whose failure is a warning.

    Args:
        name: of the check.
        faults: sentences; the check passes without one.
        numbers: key numbers.
        otherwise: description where the check passes.
    """
    return dg.AssetCheckResult(
        passed=not faults,
        check_name=name,
        severity=dg.AssetCheckSeverity.WARN,
        description="; ".join(faults) or otherwise,
        metadata=dict(numbers),
    )


def input_drift_of(
    deployment: Deployment, application: Application, region: Region, watched: Watched, *, features: Contract, noun: str
) -> dg.AssetsDefinition:
    """The asset of each day's features compared with the reference days; a drifted day is a warning and stops nothing.

    Args:
        deployment: whose days are partitions.
        application: of the features.
        region: of the rows.
        watched: the features that are compared, and the contract of the result.
        features: contract of the table of features.
        noun: the word for a feature: `sensor`.
    """
    drift, name = watched.contract, application.name
    key, features_key = (dg.AssetKey(application.key(one.name, region=region.name)) for one in (drift, features))

    @dg.asset(
        key=key,
        deps=[features_key],
        partitions_def=partitions_of(deployment, application),
        backfill_policy=dg.BackfillPolicy.single_run(),
        check_specs=[
            dg.AssetCheckSpec(
                DRIFT_CHECK,
                asset=key,
                description=f"No {noun} differs from the reference days significantly (adjusted p above {LEVEL:g}) and "
                "by a large amount (PSI above its limit). A day that fails requests one retraining and blocks nothing.",
            )
        ],
        output_required=False,
        metadata=entries_of(
            drift, sources=derived(["psi", "ks", "p_value", "drifted"], watched.features, keys=[features_key])
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
        yield from record_quiet(context, region, days.quiet, tables=[drift])
        place, first_day = here(context, region), deployment_of(context).first_day(name)
        tables = place.tables
        made_features = days_made(context.instance, features_key)
        versions = {day: version_in(tags) for day, tags in made_features.items() if holds_rows(tags)}
        inputs = drift_inputs(versions, first_day=first_day, code_version=code_of(context))
        usual = tables.read(features, days=reference_span(first_day), columns=watched.columns)
        reference = days_reference(usual, watched, first_day=first_day)
        seen = tables.read(drift, columns=["event_date", "psi", "psi_limit", "drifted"])
        featured = [day for day in days.landed if day in versions]
        absent = f"{features.name} has no rows of this day"
        gaps = dict.fromkeys([day for day in days.landed if day not in versions], absent)
        yield from record_gaps(context, region, gaps, tables=[drift])
        for chunk in in_batches(place.landing, region.name, featured):
            rows = tables.read(features, days=(chunk[0], chunk[-1]), columns=watched.columns)
            judged = [judge_day(rows, reference, day=day) for day in chunk]
            found = pl.concat(one.features for one in judged)
            written = tables.replace_days(drift, found, days=chunk)
            seen = pl.concat([seen.filter(~pl.col("event_date").is_in(chunk)), found.select(seen.columns)])
            drawn = drift_pictures(seen, region, days=chunk, newest=featured[-1])
            numbers = {one.day: _numbers(one, watched) for one in judged}
            entries = {day: {**found_of, **drawn.get(day, {})} for day, found_of in numbers.items()}
            yield from record(context, written, inputs=inputs, entries=entries)
            for one in judged:
                day_entries = {**numbers[one.day], INPUTS_ENTRY: inputs[one.day]}
                yield _drift_evaluation(key, one, day_entries, noun=noun)
        yield from close(context, region, made=featured, check=DRIFT_CHECK)

    return asset


def _drift_evaluation(
    key: dg.AssetKey, judged: DayDrift, numbers: Mapping[str, Any], *, noun: str
) -> dg.AssetCheckEvaluation:
    """One day's result; a warning, never `blocking`, which would end the step and so the other days."""
    drifted = judged.drifted
    description = f"{', '.join(drifted)} drifted" if drifted else judged.why_not or f"no {noun} drifted"
    return dg.AssetCheckEvaluation(
        asset_key=key,
        check_name=DRIFT_CHECK,
        passed=not drifted,
        severity=dg.AssetCheckSeverity.WARN,
        partition=judged.day.isoformat(),
        metadata=numbers,
        description=description,
    )


def _numbers(judged: DayDrift, watched: Watched) -> dict[str, Any]:
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
        watched.groups: worst[watched.groups],
        f"rows_of_no_known_{watched.stratum}": judged.passed_over,
        "worst_features": shown(table(head, rows, numeric=range(1, 5))),
    }


def drift_pictures(
    seen: pl.DataFrame, region: Region, *, days: Sequence[date], newest: date
) -> dict[date, dict[str, dg.MetadataValue]]:
    """For each of these days a sparkline of its worst feature; for the newest day also the chart.

    A sparkline takes a millisecond and 700 bytes, a chart 200 ms and 17 kB, so there is one chart in each step.

    Args:
        seen: rows of the table of drift: `event_date`, `psi`, `psi_limit`, `drifted`.
        region: of the rows.
        days: the days.
        newest: the newest day of the step.
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


def rows_by_day_of(application: Application, region: Region, contract: Contract) -> dg.AssetsDefinition:
    """The asset of the rows and groups of each day until yesterday, compared with the reference days.

    It is made at a fixed time, since missing rows start no run.

    Args:
        application: with its task and its table of raw rows.
        region: of the rows.
        contract: of the result (`schemas.monitoring.rows_by_day`).
    """
    task, raw, name = application.require_task(), application.data.raw, application.name
    group, groups = task.group, task.groups
    key, raw_key = (dg.AssetKey(application.key(one.name, region=region.name)) for one in (contract, raw))

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
            contract,
            sources={
                **copied(contract, of=raw, keys=[raw_key]),
                **derived(["rows"], ["row_hash"], keys=[raw_key]),
                **derived([groups], [group], keys=[raw_key]),
            },
        ),
        **bind(region, cadence=Cadence.DAILY, data_class=DataClass.FEATURE, kinds={"deltalake"}),
    )
    def asset(context: dg.AssetExecutionContext) -> dg.MaterializeResult:
        tables, yesterday = here(context, region).tables, datetime.now(UTC).date() - timedelta(days=1)
        by_day = count_by_day(
            tables.read(raw, columns=["event_date", group]),
            region=region.name,
            first_day=deployment_of(context).first_day(name),
            until=yesterday,
            group=group,
            groups=groups,
            contract=contract,
        )
        fresh = freshness_of(by_day, region=region.name, expected=yesterday)
        numbers = _fresh_numbers(fresh)
        written = tables.replace(contract, by_day)
        check = warning(FRESH_CHECK, faults=[fresh.fault] if fresh.fault else [], numbers=numbers)
        return made(context, written, entries={**numbers, **_rows_pictures(by_day)}, checks=[check])

    return asset


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
