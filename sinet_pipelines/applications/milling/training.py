"""Out-of-fold predictions of the benchmark; calibration, threshold and choice of a model use the training folds only.

For each outer fold, each family is fitted on five inner folds of the other rows. The inner out-of-fold scores decide
how scores become probabilities, which threshold has the greatest F1, and which candidate is chosen; then the family is
fitted on all of the other rows and predicts the outer fold. No row of the outer fold influences these decisions.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sinet_pipelines.applications.milling.families import AVERAGE
from sinet_pipelines.errors import SourceError
from sinet_pipelines.metrics.failure import average_precision
from sinet_pipelines.models.model import Examples, Family, Floats
from sinet_pipelines.training import fit
from sinet_pipelines.training.calibration import fit_decision
from sinet_pipelines.training.fit import FOLDS, folds_of

THREADS = 1  # more threads have equal results and are no faster on ten thousand rows
FITS = FOLDS * (FOLDS + 1)  # of a family for one seed
#: Every inner training part needs one failure in each fold; a part has four fifths of the failures.
MIN_OF_A_CLASS = 2 * FOLDS

Report = Callable[[], None]


@dataclass(frozen=True)
class Predictions:
    """The predictions of one predictor for every product, by models that were fitted without that product.

    Attributes:
        probability_B: (B,) calibrated probability of failure.
        warned_B: (B,) whether the probability is at or above the threshold of its fold.
        thresholds: threshold of each outer fold.
        inner_pr_auc: PR-AUC on the inner folds of each outer fold; candidates are chosen by it.
    """

    probability_B: Floats
    warned_B: NDArray[np.bool_]
    thresholds: tuple[float, ...]
    inner_pr_auc: tuple[float, ...]


@dataclass(frozen=True)
class _Fold:
    """One predictor in one outer fold.

    Attributes:
        inner_B: out-of-fold scores of the training rows from the inner folds.
        outer_B: scores of the held-out rows.
    """

    inner_B: Floats
    outer_B: Floats


def require_both_classes(failed_B: NDArray[np.bool_]) -> None:
    """Rejects a table whose nested folds cannot be stratified.

    Raises:
        SourceError: fewer than `MIN_OF_A_CLASS` failures, or fewer products without one.
    """
    failed, sound = int(failed_B.sum()), int((~failed_B).sum())
    if min(failed, sound) < MIN_OF_A_CLASS:
        raise SourceError(
            f"{failed} of {failed + sound} products have Machine failure 1 and {sound} have 0 "
            f"(allowed: at least {MIN_OF_A_CLASS} of each); take a table with both outcomes"
        )


def cross_validate(
    examples: Examples,
    *,
    families: Mapping[str, Family],
    averaged: tuple[str, ...],
    seed: int,
    report: Callable[[str], None] = lambda _: None,
) -> dict[str, Predictions]:
    """Out-of-fold predictions of every family, and of the average of some families.

    Args:
        examples: B products of both classes.
        families: by name.
        averaged: names of the families whose mean score is the predictor `average`.
        seed: shuffles the folds, outer and inner, and seeds the families.
        report: called with the family's name after each of its `FITS` fits.
    """
    from threadpoolctl import threadpool_limits

    with threadpool_limits(THREADS):  # on busy cores, threads of a small matrix product wait for each other
        return _cross_validate(examples, families, averaged, seed, report)


def _cross_validate(
    examples: Examples,
    families: Mapping[str, Family],
    averaged: tuple[str, ...],
    seed: int,
    report: Callable[[str], None],
) -> dict[str, Predictions]:
    fold_B = folds_of(examples, folds=FOLDS, seed=seed)
    found: dict[str, list[_Fold]] = {name: [] for name in (*families, AVERAGE.name)}
    for fold in range(FOLDS):
        train, test = examples.take(fold_B != fold), examples.take(fold_B == fold)
        for name, family in families.items():
            found[name].append(_predict_fold(family, train, test, seed=seed, report=lambda name=name: report(name)))  # type: ignore[misc]
        members = [found[name][fold] for name in averaged]
        inner_B = np.mean([member.inner_B for member in members], axis=0)
        found[AVERAGE.name].append(_Fold(inner_B, np.mean([member.outer_B for member in members], axis=0)))
    return {name: _collect(parts, examples.truth_B == 1.0, fold_B) for name, parts in found.items()}


def choose_by_fold(
    predictions: Mapping[str, Predictions], fold_B: NDArray[np.int64]
) -> tuple[Predictions, tuple[str, ...]]:
    """For each outer fold the predictions of the predictor with the greatest PR-AUC on its inner folds, and its name.

    Args:
        predictions: of the predictors to choose from; of equals, the first is chosen.
        fold_B: (B,) outer fold of each product.
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
    inner_B = fit.cross_validate(train, family=family, seed=seed, report=report).predicted_B
    outer_B = family.fit(train, seed=seed).predict(test.inputs)
    report()
    return _Fold(inner_B, outer_B)


def _collect(parts: list[_Fold], failed_B: NDArray[np.bool_], fold_B: NDArray[np.int64]) -> Predictions:
    """The predictions of one predictor for all outer folds, each with the decision of its inner folds."""
    probability_B, warned_B = np.empty(len(fold_B)), np.empty(len(fold_B), dtype=bool)
    thresholds, inner_pr_auc = [], []
    for fold, part in enumerate(parts):
        held_out = fold_B == fold
        known_B = failed_B[~held_out]
        decision = fit_decision(part.inner_B, known_B)
        thresholds.append(decision.threshold)
        inner_pr_auc.append(average_precision(part.inner_B, known_B))
        probability_B[held_out] = decision.probability(part.outer_B)
        warned_B[held_out] = decision.is_warned(part.outer_B)
    return Predictions(probability_B, warned_B, tuple(thresholds), tuple(inner_pr_auc))
