import numpy as np
import pytest

from sinet_pipelines.metrics.failure import failure_errors
from sinet_pipelines.models.gradient_boosting import GradientBoosting
from sinet_pipelines.training.calibration import calibration_table, decided_out_of_fold, fit_decision, fit_platt
from sinet_pipelines.training.fit import cross_validate, folds_of
from tests.sinet_pipelines.models.examples import events

RNG = np.random.default_rng(0)
CHANCE = RNG.uniform(0.02, 0.98, 20_000)
HAPPENED = RNG.uniform(size=len(CHANCE)) < CHANCE


def test_over_confident_scores_become_probabilities():
    """The logit of the score is twice that of the chance: the scaling halves it."""
    odds = (CHANCE / (1.0 - CHANCE)) ** 2
    scaling = fit_platt(odds / (1.0 + odds), HAPPENED)
    assert scaling.slope == pytest.approx(0.5, abs=0.03)
    assert scaling.offset == pytest.approx(0.0, abs=0.05)
    for row in calibration_table(scaling(odds / (1.0 + odds)), HAPPENED):
        assert row["observed"] == pytest.approx(row["predicted"], abs=0.03)


def test_a_score_with_the_reversed_order_is_not_reversed():
    assert fit_platt(1.0 - CHANCE, HAPPENED).slope == pytest.approx(0.0, abs=1e-6)


def test_a_decision_warns_where_f1_is_greatest():
    decision = fit_decision(CHANCE, HAPPENED)
    best = failure_errors(CHANCE, decision.is_warned(CHANCE), HAPPENED).f1
    for threshold in np.linspace(0.1, 0.9, 9):
        assert failure_errors(CHANCE, decision.probability(CHANCE) >= threshold, HAPPENED).f1 <= best + 1e-12


def test_the_decision_for_a_row_is_fitted_without_it():
    """Other labels in one fold change no probability in it."""
    known = events()
    score_B = cross_validate(known, family=GradientBoosting(trees=20), seed=0, folds=4).predicted_B
    fold_B = folds_of(known, folds=4, seed=0)
    found = decided_out_of_fold(score_B, known, folds=4, seed=0)
    others = ~(fold_B == 0)
    decision = fit_decision(score_B[others], known.truth_B[others] == 1.0)
    np.testing.assert_array_equal(found.probability_B[~others], decision.probability(score_B[~others]))
    np.testing.assert_array_equal(found.is_warned_B[~others], decision.is_warned(score_B[~others]))


def test_folds_of_a_classification_cut_no_group_and_have_equal_shares():
    known = events(rows=600)
    fold_B = folds_of(known, folds=5, seed=3)
    for group in np.unique(known.group_B):
        assert len(set(fold_B[known.group_B == group])) == 1
    shares = [known.truth_B[fold_B == fold].mean() for fold in range(5)]
    assert max(shares) - min(shares) < 0.06  # two groups of three rows
