"""What decides on a fold is made without it: each test plants something in a fold and looks whether it is noticed."""

from dataclasses import replace

import numpy as np
import pytest

from sinet_pipelines.applications.milling.families import BOOSTED_TREES, Logistic
from sinet_pipelines.applications.milling.training import (
    FITS,
    Predictions,
    choose_by_fold,
    cross_validate,
    require_both_classes,
)
from sinet_pipelines.errors import SourceError
from sinet_pipelines.metrics.failure import average_precision, failure_errors
from sinet_pipelines.training.fit import FOLDS, folds_of

FAMILIES = {"trees": replace(BOOSTED_TREES, trees=20), "line": Logistic()}
AVERAGE = "average"


@pytest.fixture(scope="module")
def found(known):
    return cross_validate(known, families=FAMILIES, averaged=("trees", "line"), seed=0)


def test_every_product_is_predicted_and_most_failures_are_found(known, found):
    errors = failure_errors(found["trees"].probability_B, found["trees"].warned_B, (known.truth_B == 1))
    assert errors.pr_auc > 0.6
    assert errors.f1 > 0.6


def test_an_average_of_one_predictor_is_that_predictor_and_of_two_neither(known, found):
    line = cross_validate(known, families={"line": Logistic()}, averaged=("line",), seed=0)
    np.testing.assert_array_equal(line[AVERAGE].probability_B, line["line"].probability_B)
    np.testing.assert_array_equal(line["line"].probability_B, found["line"].probability_B)
    assert (found[AVERAGE].probability_B != found["trees"].probability_B).any()


def test_a_warning_is_a_probability_above_the_threshold_of_its_fold(known, found):
    fold_B = folds_of(known, folds=FOLDS, seed=0)
    threshold_B = np.array(found["trees"].thresholds)[fold_B]
    np.testing.assert_array_equal(found["trees"].warned_B, found["trees"].probability_B >= threshold_B)


def test_each_fit_is_reported(known):
    found = []
    cross_validate(known, families={"line": Logistic()}, averaged=("line",), seed=0, report=found.append)
    assert found == ["line"] * FITS
    assert FITS == FOLDS * (FOLDS + 1)


def test_labels_of_a_fold_change_neither_its_predictions_nor_its_threshold_nor_the_choice(known, found, monkeypatch):
    """The folds are held, the labels of fold 2 are turned round: only the other folds may notice."""
    fold_B = folds_of(known, folds=FOLDS, seed=0)

    def held(examples, *, folds, seed):
        return fold_B if len(examples) == len(known) else folds_of(examples, folds=folds, seed=seed)

    monkeypatch.setattr("sinet_pipelines.applications.milling.training.folds_of", held)
    inside = fold_B == 2
    turned = replace(known, truth_B=np.where(inside, 1.0 - known.truth_B, known.truth_B))
    other = cross_validate(turned, families=FAMILIES, averaged=("trees", "line"), seed=0)
    for name in (*FAMILIES, AVERAGE):
        np.testing.assert_array_equal(other[name].probability_B[inside], found[name].probability_B[inside])
        assert other[name].thresholds[2] == found[name].thresholds[2]
        assert other[name].inner_pr_auc[2] == found[name].inner_pr_auc[2]
        assert other[name].thresholds[0] != found[name].thresholds[0]


def test_shuffled_labels_are_predicted_no_better_than_by_chance(known):
    """Any way in which a label reaches its own prediction would show here."""
    shuffled = replace(known, truth_B=np.random.default_rng(4).permutation(known.truth_B))
    failed_B = shuffled.truth_B == 1
    lost = cross_validate(shuffled, families={"trees": FAMILIES["trees"]}, averaged=("trees",), seed=0)["trees"]
    share = failed_B.mean()
    assert average_precision(lost.probability_B, failed_B) < 3 * share
    assert failure_errors(lost.probability_B, lost.warned_B, failed_B).f1 < 0.2


def test_the_predictor_of_a_fold_is_the_best_on_its_inner_folds():
    fold_B = np.arange(10) % FOLDS
    ones, zeros = np.ones(10), np.zeros(10)
    high = Predictions(ones, ones == 1, (0.5,) * 5, (0.9, 0.9, 0.1, 0.9, 0.9))
    low = Predictions(zeros, zeros == 1, (0.4,) * 5, (0.5, 0.9, 0.5, 0.5, 0.5))
    chosen, names = choose_by_fold({"high": high, "low": low}, fold_B)
    assert names == ("high", "high", "low", "high", "high")
    assert chosen.thresholds == (0.5, 0.5, 0.4, 0.5, 0.5)
    np.testing.assert_array_equal(chosen.probability_B, (fold_B != 2).astype(float))


@pytest.mark.parametrize(("failed", "expected"), [(0, "0 of 40"), (9, "9 of 40"), (35, "35 of 40")])
def test_too_few_of_a_class_are_refused_in_one_sentence(failed, expected):
    with pytest.raises(SourceError, match=f"{expected} products have Machine failure 1 .*at least 10 of each"):
        require_both_classes(np.arange(40) < failed)
