"""Predictions against truth of both kinds: figures worked by hand, and each limit named where it is broken."""

import polars as pl
import pytest

from sinet_pipelines.applications.turbofan.task import RUL
from sinet_pipelines.monitoring.performance import Limits, Matched, quality_of
from tests.sinet_pipelines.models.examples import WORN

WARNINGS = Matched("probability", "happened", warned="is_warned")
LEAST = Limits(pr_auc=0.9, recall=0.6, precision=0.7)


def warned(probability, happened, *, threshold=0.5):
    """A row a unit, warned of at or above the threshold."""
    rows = {"unit": [f"U{n}" for n in range(len(happened))], "probability": probability, "happened": happened}
    return pl.DataFrame(rows).with_columns(is_warned=(pl.col("probability") >= threshold).cast(pl.Float64))


def of(matched, *, predicted=None, limits=LEAST):
    return quality_of(matched, WARNINGS, predicted=predicted or matched.height, task=WORN, limits=limits)


def test_recall_and_precision_are_those_worked_by_hand():
    found = of(warned([0.9, 0.8, 0.7, 0.6, 0.4, 0.3, 0.2], [1, 1, 0, 1, 1, 1, 0]))
    assert found.figures["recall"] == pytest.approx(3 / 5)
    assert found.figures["precision"] == pytest.approx(3 / 4)
    assert found.figures["pr_auc"] == pytest.approx((1 + 1 + 3 / 4 + 4 / 5 + 5 / 6) / 5)
    assert found.faults == ("PR-AUC 0.877 (allowed: 0.9 or more)",)


def test_every_broken_limit_is_named():
    found = of(warned([0.9, 0.8, 0.1, 0.1, 0.1, 0.1, 0.1], [0, 0, 1, 1, 1, 1, 1]))
    assert [fault.split()[0] for fault in found.faults] == ["PR-AUC", "recall", "precision"]
    assert found.faults[1] == "recall 0.000 (allowed: 0.6 or more)"


def test_a_figure_without_a_limit_is_not_judged():
    assert of(warned([0.1] * 5, [1] * 5), limits=Limits()).faults == ()


def test_a_few_events_are_measured_and_not_judged():
    found = of(warned([0.1, 0.1, 0.9], [1, 1, 0]))
    assert found.figures["recall"] == 0.0
    assert found.faults == ()


def test_predictions_without_truth_wait():
    found = of(warned([0.5], [1]).clear(), predicted=3)
    assert (found.groups, found.waiting, found.figures, found.faults) == (0, 3, {}, ())


def test_a_probability_that_is_no_number_is_named():
    assert of(warned([0.5, float("nan")], [1, 0])).faults == ("no number was predicted for U1",)


def test_a_regression_without_intervals_has_no_coverage():
    rows = pl.DataFrame({"unit": list("ABCDE"), "predicted": [1.0, 2, 3, 4, 5], "true": [2.0, 3, 4, 5, 6]})
    found = quality_of(rows, Matched("predicted", "true"), predicted=5, task=RUL, limits=Limits(rmse=0.5, bias=2.0))
    assert (found.figures, found.coverage) == ({"rmse": 1.0, "bias": -1.0}, None)
    assert found.faults == ("RMSE 1.0 cycles (allowed: 0.5)",)
