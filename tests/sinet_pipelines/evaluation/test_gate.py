import math

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sinet_pipelines.applications.turbofan.task import RUL
from sinet_pipelines.errors import ContractError
from sinet_pipelines.evaluation.gate import Verdict, has_nominal_coverage, may_serve
from sinet_pipelines.evaluation.gate import is_not_worse as of_any_task
from tests.sinet_pipelines.models.examples import WORN

RNG = np.random.default_rng(0)
TRUE = np.tile([100, 60, 20], 12)
NOISE = RNG.normal(scale=10.0, size=36)


def answers(predicted: np.ndarray) -> pl.DataFrame:
    unit = np.repeat([f"FD001-{number:04d}" for number in range(12)], 3)
    return pl.DataFrame(
        {"unit": unit, "cycle": np.tile([1, 41, 81], 12), "rul_cycles": TRUE, "predicted_cycles": predicted}
    )


CHAMPION = answers(TRUE + NOISE)


def is_not_worse(challenger: pl.DataFrame, champion: pl.DataFrame | None) -> Verdict:
    return of_any_task(challenger, champion, task=RUL)


def test_the_first_challenger_passes():
    assert is_not_worse(CHAMPION, None).passed


def test_an_equal_challenger_passes():
    verdict = is_not_worse(CHAMPION, CHAMPION)
    assert verdict.passed
    assert verdict.numbers["rmse_growth"] == verdict.numbers["t"] == 0.0


def test_a_better_challenger_passes():
    assert is_not_worse(answers(TRUE + 0.8 * NOISE), CHAMPION).passed


def test_a_challenger_worse_on_some_engines_and_better_on_others_passes():
    other = answers(TRUE + NOISE * np.where(np.repeat(np.arange(12), 3) % 2, 1.05, 0.96))
    assert is_not_worse(other, CHAMPION).passed


def test_a_challenger_a_little_worse_on_every_engine_is_rejected():
    verdict = is_not_worse(answers(TRUE + 1.05 * NOISE), CHAMPION)
    assert not verdict.passed
    assert verdict.numbers["rmse_growth"] == pytest.approx(0.05)
    assert "t = " in verdict.reason


def test_a_much_worse_challenger_is_rejected_with_any_number_of_engines():
    verdict = is_not_worse(answers(TRUE + 1.2 * NOISE).head(3), CHAMPION.head(3))
    assert not verdict.passed
    assert "20% more (allowed: 10%)" in verdict.reason


def test_the_paired_t_is_students():
    from scipy.stats import ttest_rel

    other = answers(TRUE + np.roll(NOISE, 3))
    squares = [
        ((f["predicted_cycles"] - f["rul_cycles"]) ** 2).to_numpy().reshape(12, 3).mean(axis=1)
        for f in (other, CHAMPION)
    ]
    assert is_not_worse(other, CHAMPION).numbers["t"] == pytest.approx(ttest_rel(*squares).statistic)


@given(where=st.integers(0, 35), odd=st.sampled_from([math.nan, math.inf, -math.inf]))
def test_a_prediction_that_is_nan_is_never_accepted(where, odd):
    predicted = TRUE.astype(float)  # perfect otherwise
    predicted[where] = odd
    for champion in (CHAMPION, None):
        verdict = is_not_worse(answers(predicted), champion)
        assert not verdict.passed
        assert verdict.reason == "1 of 36 predictions are not finite"


def test_a_missing_prediction_is_never_accepted():
    gap = CHAMPION.with_columns(predicted_cycles=pl.when(pl.col("cycle") > 1).then(pl.col("predicted_cycles")))
    assert not is_not_worse(gap, None).passed


def test_a_champion_with_nan_predictions_is_replaced():
    broken = CHAMPION.with_columns(predicted_cycles=pl.lit(math.nan))
    verdict = is_not_worse(CHAMPION, broken)
    assert verdict.passed
    assert verdict.numbers == {"champion_not_numbers": 36}


def test_truth_above_the_cap_adds_no_error():
    long = CHAMPION.with_columns(rul_cycles=pl.lit(300), predicted_cycles=pl.lit(125.0))
    assert is_not_worse(long, long).numbers["rmse_challenger"] == 0.0


def test_any_error_is_worse_than_none():
    assert not is_not_worse(CHAMPION, answers(TRUE.astype(float))).passed


def test_the_order_of_predictions_changes_nothing():
    other = answers(TRUE + 1.02 * NOISE)
    shuffled = other.sample(fraction=1.0, shuffle=True, seed=1)
    assert is_not_worse(shuffled, CHAMPION).numbers == pytest.approx(is_not_worse(other, CHAMPION).numbers)


def test_predictions_of_different_rows_cannot_be_compared():
    with pytest.raises(ContractError, match="different rows"):
        is_not_worse(CHAMPION, CHAMPION.head(35))


def test_a_challenger_without_predictions_is_rejected():
    with pytest.raises(ContractError, match="has no predictions"):
        is_not_worse(CHAMPION.head(0), None)


@pytest.mark.parametrize(
    ("covered", "passed", "word"),
    [(84, True, "contain"), (95, True, "contain"), (83, False, "over-conf"), (96, False, "wider")],
)
def test_intervals_may_miss_by_chance_alone(covered, passed, word):
    verdict = has_nominal_coverage(covered, 100)
    assert verdict.passed is passed
    assert word in verdict.reason
    assert "chance allows 84 to 95" in verdict.reason


def test_without_truth_intervals_pass():
    assert has_nominal_coverage(0, 0).passed


def test_an_over_confident_challenger_does_not_replace_a_champion():
    fine, narrow = Verdict(True, "not worse"), has_nominal_coverage(60, 100)
    refused = may_serve(fine, narrow, has_champion=True)
    assert not refused.passed
    assert "over-confident" in refused.reason
    first = may_serve(fine, narrow, has_champion=False)
    assert first.passed
    assert "over-confident" in first.reason


def test_intervals_that_are_too_wide_do_not_prevent_promotion():
    assert may_serve(Verdict(True, "not worse"), has_nominal_coverage(100, 100), has_champion=True).passed


def test_a_worse_challenger_stays_worse_whatever_its_intervals():
    worse = Verdict(False, "clearly worse")
    assert may_serve(worse, has_nominal_coverage(90, 100), has_champion=True) == worse
    assert may_serve(worse, has_nominal_coverage(60, 100), has_champion=False) == worse


def warnings_of(probability: np.ndarray) -> pl.DataFrame:
    """Probabilities of sixty groups with two rows each, of which every third has the event."""
    return pl.DataFrame(
        {
            "unit": np.repeat([f"engine-{number:02d}" for number in range(60)], 2),
            "cycle": np.tile([1, 2], 60),
            "is_worn": np.tile([1, 0, 0], 40),
            "predicted": probability,
        }
    )


GOOD = np.clip(np.tile([0.8, 0.2, 0.3], 40) + RNG.normal(scale=0.02, size=120), 0.0, 1.0)


def test_a_classification_is_compared_by_the_log_loss_of_each_group():
    verdict = of_any_task(warnings_of(GOOD), warnings_of(GOOD), task=WORN)
    assert verdict.passed
    rows = warnings_of(GOOD)
    expected = -np.log(np.where(rows["is_worn"] == 1, GOOD, 1.0 - GOOD)).mean()
    assert verdict.numbers["log_loss_challenger"] == pytest.approx(expected)
    assert verdict.numbers["engines"] == 60.0


def test_probabilities_that_are_clearly_worse_are_refused():
    worse = np.where(np.tile([1, 0, 0], 40), GOOD - 0.05, GOOD + 0.05)
    verdict = of_any_task(warnings_of(worse), warnings_of(GOOD), task=WORN)
    assert not verdict.passed
    assert verdict.reason.startswith("clearly worse: log loss 0.3")


def test_a_probability_that_is_nan_is_rejected():
    broken = GOOD.copy()
    broken[3] = np.nan
    assert of_any_task(warnings_of(broken), None, task=WORN).reason == "1 of 120 predictions are not finite"
