"""A contract as Dagster checks; nobody else knows how checks are reported."""

from collections.abc import Mapping

import dagster as dg

from resources.keys import CONTRACT_CHECK
from resources.markdown import shown
from resources.versions import INPUTS_ENTRY
from sinet_pipelines.markdown import Markdown, points, table
from sinet_pipelines.schemas.contract import Contract
from sinet_pipelines.validation.judge import DayVerdict


def contract_check(contract: Contract, key: dg.AssetKey) -> dg.AssetCheckSpec:
    """The check that a table's days keep its contract.

    It does not block: a day that fails is not materialised, and that alone keeps it from whatever comes after, while
    the other days go on.
    """
    return dg.AssetCheckSpec(
        CONTRACT_CHECK,
        asset=key,
        description=(
            f"{contract.description} A row that breaks a rule goes to quarantine; a day fails on a missing column, on "
            f"another unit, or when more than {contract.max_quarantined_share:.0%} of its rows are set aside."
        ),
    )


def day_evaluation(key: dg.AssetKey, verdict: DayVerdict, *, inputs: str) -> dg.AssetCheckEvaluation:
    """One day's result, with the numbers behind it.

    Never `blocking`: a blocking evaluation that fails would end the step, and the other days with it.
    """
    metadata: dict[str, dg.MetadataValue] = {
        "quarantined_share_pct": dg.MetadataValue.float(round(100 * verdict.quarantined_share, 3)),
        "limit_pct": dg.MetadataValue.float(round(100 * verdict.max_quarantined_share, 3)),
        "quarantined_rows": dg.MetadataValue.int(verdict.quarantined),
        "rows": dg.MetadataValue.int(verdict.rows),
        INPUTS_ENTRY: dg.MetadataValue.text(inputs),
    }
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
        description=verdict.faults[0] if verdict.faults else None,
    )


def _as_table(broken_rules: Mapping[str, int]) -> Markdown:
    return table(("rows", "rule"), ((count, rule) for rule, count in broken_rules.items()), numeric=(0,))
