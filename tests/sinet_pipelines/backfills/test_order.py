"""What a command's options may be."""

from datetime import date

import pytest

from sinet_pipelines.backfills.order import BackfillOrder, parse_days
from sinet_pipelines.errors import UsageError


def test_both_ends_of_days_are_included():
    """Diagrams of dbt's `--event-time-end` took it for included, and it was not (dbt docs.getdbt.com#8351)."""
    first, last = parse_days("2026-03-01:2026-03-05")
    assert (last - first).days + 1 == 5


def test_one_day_is_a_range_of_one():
    assert parse_days("2026-03-01") == (date(2026, 3, 1), date(2026, 3, 1))


def test_the_later_day_first_is_refused():
    with pytest.raises(UsageError, match="2026-03-05 is after 2026-03-01; write the earlier day first"):
        parse_days("2026-03-05:2026-03-01")


@pytest.mark.parametrize("text", ["", ":", "2026-03-01:", ":2026-03-01", "2026-02-30", "01-03-2026", "20260301", "A:B"])
def test_what_is_no_day_is_refused(text):
    with pytest.raises(UsageError, match="allowed are two days as 2026-03-01:2026-03-05, or one"):
        parse_days(text)


@pytest.mark.parametrize("value", [0.0, -1.0, float("nan"), float("inf")])
@pytest.mark.parametrize("option", ["budget_usd", "budget_minutes"])
def test_a_budget_is_a_number_above_0(option, value):
    with pytest.raises(UsageError, match="allowed is a number above 0"):
        BackfillOrder.read("*", **{option: value})


def test_two_budgets_are_refused():
    with pytest.raises(UsageError, match="choose one"):
        BackfillOrder.read("*", budget_usd=1.0, budget_minutes=1.0)


def test_a_run_makes_one_day_or_more():
    with pytest.raises(UsageError, match="whole numbers from 1 on"):
        BackfillOrder.read("*", days_per_run=0)
