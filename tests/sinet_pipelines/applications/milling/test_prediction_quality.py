from datetime import UTC, datetime

import polars as pl
import pytest

from sinet_pipelines.applications.milling.prediction_quality import LIMITS, quality_of, with_outcome

NOW = datetime(2026, 3, 1, tzinfo=UTC)


@pytest.fixture
def predictions():
    """Ten products, the first eight warned of."""
    return pl.DataFrame(
        {
            "product_id": [f"L{number}" for number in range(10)],
            "region": "EAST",
            "product_type": "L",
            "failure_probability": [0.9] * 8 + [0.1] * 2,
            "is_warned": [True] * 8 + [False] * 2,
            "version": "1",
        }
    )


def outcomes(failed):
    names = [f"L{number}" for number in range(len(failed))]
    return pl.DataFrame({"product_id": names, "machine_failure": failed, "inspected_at": [NOW] * len(failed)})


def test_right_warnings_break_no_limit(predictions):
    matched = with_outcome(predictions, outcomes([1] * 8 + [0] * 2))
    quality = quality_of(matched, predicted=10)
    assert quality.faults == ()
    assert (quality.figures["precision"], quality.figures["recall"]) == (1.0, 1.0)


def test_false_alarms_break_the_limit_of_precision(predictions):
    quality = quality_of(with_outcome(predictions, outcomes([1] * 5 + [0] * 5)), predicted=10)
    assert quality.figures["precision"] == pytest.approx(5 / 8)
    assert quality.faults == (f"precision 0.625 (allowed: {LIMITS.precision:g} or more)",)


def test_few_failures_are_no_verdict_and_missing_outcomes_wait(predictions):
    quality = quality_of(with_outcome(predictions, outcomes([0] * 8)), predicted=10)
    assert quality.faults == ()
    assert (quality.groups, quality.waiting) == (8, 2)
