"""Out-of-fold predictions, with calibration, threshold and choice of the model made inside the training folds.

For each outer fold, each family is fitted on five inner folds of the other rows. The inner out-of-fold scores decide
how scores become probabilities, which threshold has the greatest F1, and which candidate answers; then the family is
fitted on all of the other rows and predicts the outer fold. No row of the outer fold has a say in any of this.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sinet_pipelines.applications.milling.calibration import fit_platt
from sinet_pipelines.applications.milling.families import AVERAGE, THREADS, Family
from sinet_pipelines.applications.milling.features import Examples
from sinet_pipelines.applications.milling.folds import FOLDS, stratified_folds
from sinet_pipelines.applications.milling.physics import Floats
from sinet_pipelines.metrics.failure import average_precision, best_threshold

FITS = FOLDS * (FOLDS + 1)  # of a family for one seed

Report = Callable[[], None]


@dataclass(frozen=True)
class Predictions:
    """What one predictor says of every product, by models that were fitted without it.

    Attributes:
        probability_B: (B,) calibrated probability of failure.
        warned_B: (B,) whether it is above the threshold of its fold.
        thresholds: of each outer fold.
        inner_pr_auc: of each outer fold: PR-AUC on the inner folds; what candidates are chosen by.
    """

    probability_B: Floats
    warned_B: NDArray[np.bool_]
    thresholds: tuple[float, ...]
    inner_pr_auc: tuple[float, ...]


@dataclass(frozen=True)
class _Fold:
    """One predictor in one outer fold.

    Attributes:
        inner_B: calibrated probabilities of the training rows, out of the inner folds.
        outer_B: calibrated probabilities of the held-out rows.
    """

    inner_B: Floats
    outer_B: Floats


def cross_validate(
    examples: Examples,
    *,
    families: Mapping[str, Family],
    averaged: tuple[str, ...],
    seed: int,
    report: Callable[[str], None] = lambda _: None,
) -> dict[str, Predictions]:
    """Out-of-fold predictions of every family, and of the average of some of them.

    Args:
        examples: B products of both classes.
        families: by name.
        averaged: names of the families whose mean probability is the predictor `average`.
        seed: shuffles the folds, outer and inner, and seeds the families.
        report: called with the family's name after each of its `FITS` fits.
    """
    from threadpoolctl import threadpool_limits

    with threadpool_limits(THREADS):  # on busy cores the threads of a small matrix product wait for each other
        return _cross_validate(examples, families, averaged, seed, report)


def _cross_validate(
    examples: Examples,
    families: Mapping[str, Family],
    averaged: tuple[str, ...],
    seed: int,
    report: Callable[[str], None],
) -> dict[str, Predictions]:
    fold_B = stratified_folds(examples.failed_B, examples.product_B, seed=seed)
    found: dict[str, list[_Fold]] = {name: [] for name in (*families, AVERAGE)}
    for fold in range(FOLDS):
        train, test = examples.take(fold_B != fold), examples.take(fold_B == fold)
        for name, family in families.items():
            found[name].append(_predict_fold(family, train, test, seed=seed, report=lambda name=name: report(name)))  # type: ignore[misc]
        members = [found[name][fold] for name in averaged]
        inner_B = np.mean([member.inner_B for member in members], axis=0)
        found[AVERAGE].append(_Fold(inner_B, np.mean([member.outer_B for member in members], axis=0)))
    return {name: _collect(parts, examples.failed_B, fold_B) for name, parts in found.items()}


def choose_by_fold(
    predictions: Mapping[str, Predictions], fold_B: NDArray[np.int64]
) -> tuple[Predictions, tuple[str, ...]]:
    """For each outer fold the predictor with the greatest PR-AUC on its inner folds, and the names of these.

    Args:
        predictions: of the predictors that may be chosen; the first named of equals is taken.
        fold_B: (B,) outer folds they were made with.
    """
    names = tuple(max(predictions, key=lambda name: predictions[name].inner_pr_auc[fold]) for fold in range(FOLDS))
    probability_B, warned_B = np.empty(len(fold_B)), np.empty(len(fold_B), dtype=bool)
    for fold, name in enumerate(names):
        rows = fold_B == fold
        probability_B[rows] = predictions[name].probability_B[rows]
        warned_B[rows] = predictions[name].warned_B[rows]
    thresholds = tuple(predictions[name].thresholds[fold] for fold, name in enumerate(names))
    inner = tuple(predictions[name].inner_pr_auc[fold] for fold, name in enumerate(names))
    return Predictions(probability_B, warned_B, thresholds, inner), names


def _predict_fold(family: Family, train: Examples, test: Examples, *, seed: int, report: Report) -> _Fold:
    inner_fold_B = stratified_folds(train.failed_B, train.product_B, seed=seed)
    score_B = np.empty(len(train))
    for inner in range(FOLDS):
        held_out = inner_fold_B == inner
        score_B[held_out] = family.fit(train.take(~held_out), seed=seed)(train.features_BF[held_out])
        report()
    calibrate = fit_platt(score_B, train.failed_B)
    outer_B = calibrate(family.fit(train, seed=seed)(test.features_BF))
    report()
    return _Fold(calibrate(score_B), outer_B)


def _collect(parts: list[_Fold], failed_B: NDArray[np.bool_], fold_B: NDArray[np.int64]) -> Predictions:
    """The outer folds of one predictor together, each decided by the threshold of its inner folds."""
    probability_B, warned_B = np.empty(len(fold_B)), np.empty(len(fold_B), dtype=bool)
    thresholds, inner_pr_auc = [], []
    for fold, part in enumerate(parts):
        held_out = fold_B == fold
        known = failed_B[~held_out]
        thresholds.append(best_threshold(part.inner_B, known))
        inner_pr_auc.append(average_precision(part.inner_B, known))
        probability_B[held_out] = part.outer_B
        warned_B[held_out] = part.outer_B >= thresholds[-1]
    return Predictions(probability_B, warned_B, tuple(thresholds), tuple(inner_pr_auc))
