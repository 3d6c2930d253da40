import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sinet_pipelines.applications.turbofan.task import RUL
from sinet_pipelines.errors import ContractError
from sinet_pipelines.training.conformal import (
    LEVELS,
    conformal_interval,
    coverage_by_level,
    covered_out_of_fold,
    is_covered,
    weighted_coverage,
)
from tests.sinet_pipelines.models.examples import examples


def errors_that_grow(rng, n):
    """Predictions whose error grows with what is predicted, and the truths behind them."""
    predicted = rng.uniform(5, 120, n)
    return predicted, np.clip(predicted + rng.normal(0, 2 + predicted / 10), 0, 300)


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10_000))
def test_the_nominal_share_is_covered_on_the_calibration_rows(seed):
    predicted, true = errors_that_grow(np.random.default_rng(seed), 400)
    interval = conformal_interval(predicted, true, np.ones(400), groups=400, task=RUL)
    assert 0.9 <= is_covered(interval, predicted, true).mean() <= 0.93


def test_new_truths_are_covered_as_often_and_intervals_are_wide_where_errors_are_large():
    rng = np.random.default_rng(1)
    interval = conformal_interval(*errors_that_grow(rng, 4000), np.ones(4000), groups=4000, task=RUL)
    predicted, true = errors_that_grow(rng, 4000)
    assert is_covered(interval, predicted, true).mean() == pytest.approx(0.9, abs=0.015)
    for low, high in ((5, 40), (40, 80), (80, 120)):
        inside = (predicted >= low) & (predicted < high)
        assert is_covered(interval, predicted, true)[inside].mean() == pytest.approx(0.9, abs=0.04)
    assert interval.half_widths[4] > 2 * interval.half_widths[0]


def test_the_interval_of_a_perfect_model_has_the_resolution_as_half_width():
    true = np.arange(100.0)
    interval = conformal_interval(true, true, np.ones(100), groups=10, task=RUL)
    assert interval.half_widths == (1.0,) * 6


def test_few_engines_widen_the_interval():
    predicted, true = errors_that_grow(np.random.default_rng(2), 300)
    few, many = (conformal_interval(predicted, true, np.ones(300), groups=n, task=RUL) for n in (12, 300))
    assert min(a - b for a, b in zip(few.half_widths, many.half_widths, strict=True)) > 0


@pytest.mark.parametrize("predicted", [np.array([]), np.array([1.0, np.nan])])
def test_empty_or_nan_predictions_cannot_calibrate_an_interval(predicted):
    with pytest.raises(ContractError, match="all must be finite"):
        conformal_interval(predicted, predicted, np.ones(len(predicted)), groups=1, task=RUL)


def test_each_engine_is_covered_by_an_interval_of_the_other_folds():
    """One engine whose error is ten times that of the others is hardly covered; it cannot widen its own interval."""
    known = examples(lives=(60,) * 10, sequences=False)
    rng = np.random.default_rng(0)
    odd = known.group_B == "FD001-0001"
    predicted = known.target_B + rng.normal(0, 3, len(known)) + np.where(odd, 30.0, 0.0)
    share = weighted_coverage(covered_out_of_fold(predicted, known, folds=5, seed=0), known)
    assert share == pytest.approx(0.9, abs=0.09)
    assert share < 0.93


def test_coverage_grows_with_the_nominal_level_and_is_close_to_it():
    known = examples(lives=(60,) * 40, sequences=False)
    predicted = known.target_B + np.random.default_rng(3).normal(0, 20, len(known))
    shares = coverage_by_level(predicted, known, folds=5, seed=0)
    assert tuple(shares) == LEVELS
    for promised, measured in shares.items():
        assert measured == pytest.approx(promised, abs=0.05)
    assert list(shares.values()) == sorted(shares.values())
