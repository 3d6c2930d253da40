"""Turns contracts into Dagster checks; no other module does so."""

from collections.abc import Mapping
from datetime import date

import dagster as dg

from resources.keys import CONTRACT_CHECK, UNUSUAL_CHECK
from resources.markdown import shown
from resources.materializations.versions import INPUTS_ENTRY
from sinet_pipelines.escaping import for_markdown
from sinet_pipelines.markdown import Markdown, points, table
from sinet_pipelines.schemas.contract import Contract
from sinet_pipelines.storage.layout import DATA_DOCS
from sinet_pipelines.validation.judge import DayVerdict


def contract_check(contract: Contract, key: dg.AssetKey) -> dg.AssetCheckSpec:
    """The check that a table's days satisfy its contract.

    It does not block: a day that fails is not materialised, so nothing downstream uses it, while
    the other days continue.
    """
    return dg.AssetCheckSpec(
        CONTRACT_CHECK,
        asset=key,
        description=(
            f"{contract.description} A row that breaks a rule goes to quarantine; a day fails on a missing column, on "
            f"another unit, or when more than {contract.max_quarantined_share:.0%} of its rows are set aside. A cycle "
            "that is on another day as well is set aside on both days; no day fails for that."
        ),
    )


def unusual_check(key: dg.AssetKey) -> dg.AssetCheckSpec:
    """The check that nothing is unusual about a table's days; it warns and affects no row and no day."""
    return dg.AssetCheckSpec(
        UNUSUAL_CHECK,
        asset=key,
        description=(
            "Warns of days on which a sensor is stuck, time goes backwards, values are far from the others, or a file "
            "has a column more than the contract or a narrower type. All rows are used; no day fails."
        ),
    )


def warning_evaluation(key: dg.AssetKey, verdict: DayVerdict) -> dg.AssetCheckEvaluation:
    """What is unusual about one day; passed if nothing is."""
    return dg.AssetCheckEvaluation(
        asset_key=key,
        check_name=UNUSUAL_CHECK,
        passed=not verdict.warnings,
        severity=dg.AssetCheckSeverity.WARN,
        partition=verdict.day.isoformat(),
        description=for_markdown(verdict.warnings[0]) if verdict.warnings else None,
        metadata={"warnings": shown(points(verdict.warnings))} if verdict.warnings else {},
    )


def day_evaluation(key: dg.AssetKey, verdict: DayVerdict, *, inputs: str) -> dg.AssetCheckEvaluation:
    """One day's result, with the numbers behind it.

    Never `blocking`: a blocking evaluation that fails would end the step, and so the other days.
    """
    metadata: dict[str, dg.MetadataValue] = {
        "quarantined_share_pct": dg.MetadataValue.float(round(100 * verdict.quarantined_share, 3)),
        "limit_pct": dg.MetadataValue.float(round(100 * verdict.max_quarantined_share, 3)),
        "quarantined_rows": dg.MetadataValue.int(verdict.quarantined),
        "rows": dg.MetadataValue.int(verdict.rows),
        INPUTS_ENTRY: dg.MetadataValue.text(inputs),
    }
    if verdict.in_doubt:
        metadata["rows_in_doubt"] = dg.MetadataValue.int(verdict.in_doubt)
    if verdict.page:
        is_served = verdict.page.startswith(f"/{DATA_DOCS}/")
        metadata[DATA_DOCS] = (dg.MetadataValue.url if is_served else dg.MetadataValue.path)(verdict.page)
    if verdict.faults:
        metadata["faults"] = shown(points(verdict.faults))
    if verdict.broken_rules:
        metadata["broken_rules"] = shown(_as_table(verdict.broken_rules))
    return dg.AssetCheckEvaluation(
        asset_key=key,
        check_name=CONTRACT_CHECK,
        passed=verdict.passed,
        partition=verdict.day.isoformat(),
        metadata=metadata,
        description=for_markdown(verdict.faults[0]) if verdict.faults else None,
    )


def cleared_evaluation(refused: dg.AssetCheckEvaluation) -> dg.AssetCheckEvaluation:
    """The result of a day that failed before and has no drop any more: there is nothing to check."""
    return dg.AssetCheckEvaluation(
        asset_key=refused.asset_key,
        check_name=refused.check_name,
        passed=True,
        severity=refused.severity,
        partition=refused.partition,
        description="nothing has landed on this day",
    )


def table_evaluation(
    key: dg.AssetKey, check: str, *, refused: Mapping[date, dg.AssetCheckEvaluation], landed: int
) -> dg.AssetCheckEvaluation:
    """Whether all landed days pass; a result without a partition.

    Args:
        key: of the table.
        check: name of the check.
        refused: the landed days whose newest result failed, with that result.
        landed: how many days have landed.
    """
    days = ", ".join(map(str, sorted(refused)))
    severity = next((one.severity for one in refused.values()), dg.AssetCheckSeverity.ERROR)
    return dg.AssetCheckEvaluation(
        asset_key=key,
        check_name=check,
        passed=not refused,
        severity=severity,
        description=f"{len(refused)} of {landed} landed days fail: {days}" if refused else None,
        metadata={"landed_days": landed, "failed_days": len(refused), **({"which": days} if refused else {})},
    )


def _as_table(broken_rules: Mapping[str, int]) -> Markdown:
    return table(("rows", "rule"), ((count, rule) for rule, count in broken_rules.items()), numeric=(0,))
