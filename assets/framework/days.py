"""The days of a step: partitions, windows that reach back, one record for each day, and the output event at the end.

A `MaterializeResult` of a step over a range would mark every day of the range as made. So a step records each day
separately, and then writes the event that its output exists (`hand_on`).
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from functools import cache
from typing import Any

import dagster as dg

from assets.framework.checks import cleared_evaluation, day_evaluation, table_evaluation, warning_evaluation
from assets.framework.observation import publish_here
from assets.framework.regional import here
from resources.dagster_private import DagsterEvent, StepOutputData, StepOutputHandle, TypeCheckData
from resources.deployment import Deployment
from resources.materializations.held import GAP_TAG, as_day
from resources.materializations.versions import INPUTS_TAG, NOTHING, VERSION_TAG, provenance, refusals
from resources.reads import travelled
from sinet_pipelines.applications.application import Application
from sinet_pipelines.ingestion.landing import LandingZone
from sinet_pipelines.inventory.regions import Region
from sinet_pipelines.schemas.contract import Contract
from sinet_pipelines.storage.tables import Written, empty
from sinet_pipelines.validation.judge import DayVerdict

ROWS_AT_ONCE = 40_000  # of one commit: their frames, judgement and features together stay under half a GiB
LARGE_DAY_ROWS = 100_000  # a day of more rows is made in batches: at once it would take half a GiB and more
DAYS_AT_ONCE = 32  # of one commit, however few rows they have


def partitions_of(deployment: Deployment, application: Application) -> dg.DailyPartitionsDefinition:
    """The days of an application's assets: from its first landed day on, today included.

    Open-ended, so that a new day needs no reload; drops of today may land today.
    """
    return _days_from(deployment.first_day(application.name).isoformat())


@cache
def _days_from(first: str) -> dg.DailyPartitionsDefinition:
    return dg.DailyPartitionsDefinition(start_date=first, end_offset=1)


def reaching_back(key: dg.AssetKey, *, days: int) -> dg.AssetDep:
    """A dependency on the day itself and some days before it, whether or not these exist."""
    mapping = dg.TimeWindowPartitionMapping(
        start_offset=-days, end_offset=0, allow_nonexistent_upstream_partitions=True
    )
    return dg.AssetDep(key, partition_mapping=mapping)


@dataclass(frozen=True)
class StepDays:
    """The days of a step, in order.

    Attributes:
        landed: days on which something landed in the region.
        quiet: days on which nothing landed, or whose every drop was withdrawn.
    """

    landed: list[date]
    quiet: list[date]


def days_of(context: dg.AssetExecutionContext, region: Region) -> StepDays:
    """The days of this step in the present landing zone; read once, so that each day has one state."""
    wanted = {day for key in context.partition_keys if (day := as_day(key))}
    landed = wanted.intersection(here(context, region).landing.days(region.name))
    return StepDays(sorted(landed), sorted(wanted - landed))


def record_quiet(
    context: dg.AssetExecutionContext, region: Region, days: Sequence[date], *, tables: Sequence[Contract]
) -> Iterator[dg.AssetMaterialization]:
    """Empties the tables of days on which nothing landed, and records one materialisation without rows for each.

    A request for a range must make all of it: a backfill in the UI includes today (windows reach there), and
    would fail for a day that is merely empty. When rows of such a day land, it is made like any other.

    Args:
        context: of the step.
        region: of the asset.
        days: the quiet days.
        tables: contracts of all tables that the step writes; the table that others read is the last.
    """
    yield from _record_empty(context, region, dict.fromkeys(days, "nothing has landed on this day"), tables=tables)


def record_gaps(
    context: dg.AssetExecutionContext, region: Region, reasons: Mapping[date, str], *, tables: Sequence[Contract]
) -> Iterator[dg.AssetMaterialization]:
    """Empties the tables of landed days whose upstream has no rows; each is recorded as a gap, with the reason.

    A gap is no failure of this step: without the record a backfill that includes the day would end as failed.

    Args:
        context: of the step.
        region: of the asset.
        reasons: why each of the days has no rows.
        tables: contracts of all tables that the step writes; the table that others read is the last.
    """
    yield from _record_empty(context, region, reasons, tables=tables, is_gap=True)


def _record_empty(
    context: dg.AssetExecutionContext,
    region: Region,
    reasons: Mapping[date, str],
    *,
    tables: Sequence[Contract],
    is_gap: bool = False,
) -> Iterator[dg.AssetMaterialization]:
    store = here(context, region).tables
    for contract in tables:
        held = store.days(contract).intersection(reasons)
        if held:
            store.replace_days(contract, empty(contract), days=held)
    for day, reason in sorted(reasons.items()):
        yield dg.AssetMaterialization(
            context.asset_key,
            partition=day.isoformat(),
            description=reason,
            metadata={"dagster/row_count": 0, **({"gap": reason} if is_gap else {})},
            tags={
                VERSION_TAG: NOTHING,
                "dagster/data_version_is_user_provided": "true",
                **({GAP_TAG: "true"} if is_gap else {}),
            },
        )


def in_batches(landing: LandingZone, region: str, days: Sequence[date]) -> Iterator[list[date]]:
    """The days in batches of one commit each, to have few commits and limited memory.

    A day with more rows than that is a batch of its own.
    """
    batch: list[date] = []
    rows = 0
    for day in days:
        landed = sum(drop.rows for drop in landing.drops(region, day))
        if batch and (rows + landed > ROWS_AT_ONCE or len(batch) == DAYS_AT_ONCE):
            yield batch
            batch, rows = [], 0
        batch.append(day)
        rows += landed
    if batch:
        yield batch


def is_large(landing: LandingZone, region: str, days: Sequence[date]) -> bool:
    """Whether a batch is one day with more rows than are made at once."""
    return len(days) == 1 and sum(drop.rows for drop in landing.drops(region, days[0])) > LARGE_DAY_ROWS


def record(
    context: dg.AssetExecutionContext,
    written: Written | None,
    *,
    inputs: Mapping[date, str],
    entries: Mapping[date, Mapping[str, Any]] | None = None,
    verdicts: Mapping[date, DayVerdict] | None = None,
) -> Iterator[dg.AssetMaterialization | dg.AssetCheckEvaluation]:
    """One materialisation for each written day, and one check result for each checked day, written or not.

    The materialisation comes first: a newer one would clear the state of the check.
    """
    made = {day for day in written.data_versions if day is not None} if written else set()
    upstream = [dep.asset_key for dep in context.assets_def.specs_by_key[context.asset_key].deps]
    made_of = provenance(context.instance, upstream) if made else {}
    for day in sorted(made.union(verdicts or {})):
        if written and day in made:
            tags = {**made_of, INPUTS_TAG: inputs[day]}
            yield _materialisation(context, day, written, tags=tags, entries=(entries or {}).get(day, {}))
        if verdicts and day in verdicts:
            yield day_evaluation(context.asset_key, verdicts[day], inputs=inputs[day])


def _materialisation(
    context: dg.AssetExecutionContext,
    day: date,
    written: Written,
    *,
    tags: Mapping[str, str],
    entries: Mapping[str, Any],
) -> dg.AssetMaterialization:
    return dg.AssetMaterialization(
        context.asset_key,
        partition=day.isoformat(),
        metadata={
            "dagster/row_count": written.rows_per_day[day],
            **entries,
            "table_version": written.version,
        },
        tags={
            VERSION_TAG: written.data_versions[day],
            "dagster/data_version_is_user_provided": "true",
            "dagster/code_version": context.assets_def.code_versions_by_key[context.asset_key] or "",
            **tags,
        },
    )


def hand_on(context: dg.AssetExecutionContext, *, checks: Sequence[str] = ()) -> Iterator[object]:
    """Writes the event that this step's output exists, so that downstream steps of the same run are not skipped.

    Needs one private name: Dagster has no public way to express "made, but not every day of the range". Its run page
    needs a type check of every output, and shows no log without one.
    """
    step = context.op_execution_context._step_execution_context  # noqa: SLF001
    handle = StepOutputHandle(step_key=step.step.key, output_name="result")
    checked = TypeCheckData(success=True, label=handle.output_name)
    yield DagsterEvent.step_output_event(step, StepOutputData(step_output_handle=handle, type_check_data=checked))
    for check in checks:
        yield dg.Output(None, output_name=f"{context.asset_key.to_python_identifier()}_{check}")


def close(
    context: dg.AssetExecutionContext,
    region: Region,
    *,
    made: Sequence[date],
    verdicts: Mapping[date, DayVerdict] | None = None,
    check: str = "",
    warns: str = "",
) -> Iterator[object]:
    """Ends a step over days: fails if every landed day failed its contract, else writes the output event.

    Reads from other regions are reported once for the step, not for each day.

    Args:
        context: of the step.
        region: of the asset.
        made: the landed days that were made.
        verdicts: of the landed days that were checked by a contract.
        check: name of the asset's check of its days, empty where it has none.
        warns: name of its check that only warns, empty where it has none.
    """
    publish_here(context, region)
    if metadata := travelled():
        context.log_event(dg.AssetObservation(context.asset_key, metadata=metadata))
    if warns:
        standing = refusals(context.instance, context.asset_key, warns)
        changed = [one for day, one in sorted((verdicts or {}).items()) if one.warnings or day in standing]
        yield from (warning_evaluation(context.asset_key, one) for one in changed)
    checks = [one for one in (warns, check) if one]
    for one in checks:
        yield from _judge_table(context, region, one)
    if made or not verdicts:
        yield from hand_on(context, checks=checks)
    else:
        first = next(iter(verdicts.values()))
        raise dg.Failure(
            f"every day of {context.asset_key.to_user_string()} failed its contract ({len(verdicts)} of them); "
            f"{first.day}: {first.faults[0]}",
            allow_retries=False,
        )


def _judge_table(context: dg.AssetExecutionContext, region: Region, check: str) -> Iterator[dg.AssetCheckEvaluation]:
    """The check's result for the table: passed when no landed day fails; failed days are named.

    Dagster's UI shows the latest result of a check, whatever its day. So while a day fails, the last result of
    each run is that of a failed day, repeated where this run checked only others.
    """
    landed = here(context, region).landing.days(region.name)
    standing = refusals(context.instance, context.asset_key, check)
    for day in sorted(set(standing).difference(landed)):
        yield cleared_evaluation(standing[day])
    refused = {day: standing[day] for day in landed if day in standing}
    yield table_evaluation(context.asset_key, check, refused=refused, landed=len(landed))
    if refused:
        yield refused[max(refused)]
