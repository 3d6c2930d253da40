"""A contract as a check: it says what it holds, and each day's result has the numbers behind it."""

from dataclasses import replace
from datetime import date

import dagster as dg

from resources.keys import CONTRACT_CHECK
from sinet_pipelines.applications.turbofan.schemas.telemetry import VALIDATED_TELEMETRY
from sinet_pipelines.validation.judge import DayVerdict

KEY = dg.AssetKey(["EAST", "turbofan", "validated_telemetry"])
DAY = date(2026, 3, 1)


def verdict(*faults, quarantined=5, broken=None):
    return DayVerdict(DAY, 200, quarantined, 0.1, faults, broken or {})


def test_a_contracts_check_says_when_a_day_fails_and_does_not_block(definitions):
    from assets.framework.checks import contract_check

    spec = contract_check(VALIDATED_TELEMETRY, KEY)
    share = f"{VALIDATED_TELEMETRY.max_quarantined_share:.0%}"
    assert (spec.name, spec.asset_key, spec.blocking) == (CONTRACT_CHECK, KEY, False)
    assert f"more than {share} of its rows are set aside" in spec.description


def test_a_days_result_has_the_share_the_limit_and_what_it_was_judged_from(definitions):
    from assets.framework.checks import day_evaluation

    evaluation = day_evaluation(KEY, verdict(), inputs="abc")
    assert (evaluation.passed, evaluation.partition, evaluation.blocking, evaluation.description) == (
        True,
        "2026-03-01",
        None,
        None,
    )
    numbers = {name: entry.value for name, entry in evaluation.metadata.items()}
    assert numbers == {
        "quarantined_share_pct": 2.5,
        "limit_pct": 10.0,
        "quarantined_rows": 5,
        "rows": 200,
        "inputs": "abc",
    }


def test_a_days_result_links_to_its_data_docs_where_they_are_served(definitions):
    from assets.framework.checks import day_evaluation

    served = day_evaluation(KEY, replace(verdict(), page="/data_docs/EAST/turbofan/rows/2026-03-01.html"), inputs="")
    stored = day_evaluation(
        KEY, replace(verdict(), page="s3://sinet-east/raw/turbofan/data_docs/rows/1.html"), inputs=""
    )
    assert served.metadata["data_docs"] == dg.MetadataValue.url("/data_docs/EAST/turbofan/rows/2026-03-01.html")
    assert stored.metadata["data_docs"] == dg.MetadataValue.path("s3://sinet-east/raw/turbofan/data_docs/rows/1.html")


def test_a_day_that_fails_says_why_and_which_rules_were_broken_most(definitions):
    from assets.framework.checks import day_evaluation

    evaluation = day_evaluation(
        KEY, verdict("one", "two", broken={"t30 out of bounds": 4, "unit is null": 1}), inputs=""
    )
    assert not evaluation.passed
    assert evaluation.description == "one"
    assert evaluation.metadata["faults"].value == "- one\n- two"
    assert evaluation.metadata["broken_rules"].value.splitlines() == [
        "| rows | rule |",
        "| ---: | --- |",
        "| 4 | t30 out of bounds |",
        "| 1 | unit is null |",
    ]
