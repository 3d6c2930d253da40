"""Fits decisions, which are a calibrated probability and a threshold, on out-of-fold scores."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sinet_pipelines.metrics.failure import best_threshold
from sinet_pipelines.models.model import Examples, Floats
from sinet_pipelines.models.probability import Decision, PlattScaling, logit_of
from sinet_pipelines.training.fit import folds_of

#: Bounds of the bins of `calibration_table`; most rows have no event, so the lowest bins are narrow.
BINS = (0.0, 0.01, 0.05, 0.2, 0.5, 0.8, 1.0)


@dataclass(frozen=True)
class Decided:
    """Probabilities and warnings, each from a decision that was fitted without the row's fold.

    Attributes:
        probability_B: (B,) calibrated probability of the event.
        is_warned_B: (B,) whether it is at least the threshold of its fold.
    """

    probability_B: Floats
    is_warned_B: NDArray[np.bool_]


def fit_decision(score_B: Floats, happened_B: NDArray[np.bool_]) -> Decision:
    """The scaling with the greatest likelihood, and the threshold with the greatest F1 on the scaled probabilities.

    Args:
        score_B: (B,) scores of models that were fitted without these rows.
        happened_B: (B,) whether the event happened; both values must occur.
    """
    scaling = fit_platt(score_B, happened_B)
    return Decision(scaling, best_threshold(scaling(score_B), happened_B))


def decided_out_of_fold(score_B: Floats, examples: Examples, *, folds: int, seed: int) -> Decided:
    """The probability and the warning of every example, from a decision fitted on the scores of the other folds.

    Args:
        score_B: (B,) scores, each of a model that was fitted without the row's group.
        examples: the B rows; their task is a classification.
        folds: number of folds, the same as for the scores.
        seed: of the folds, the same as for the scores.
    """
    fold_B, happened_B = folds_of(examples, folds=folds, seed=seed), examples.truth_B == 1.0
    probability_B, is_warned_B = np.empty(len(examples)), np.zeros(len(examples), dtype=bool)
    for fold in range(folds):
        inside = fold_B == fold
        decision = fit_decision(score_B[~inside], happened_B[~inside])
        probability_B[inside] = decision.probability(score_B[inside])
        is_warned_B[inside] = decision.is_warned(score_B[inside])
    return Decided(probability_B, is_warned_B)


def fit_platt(score_B: Floats, happened_B: NDArray[np.bool_]) -> PlattScaling:
    """The Platt scaling with the greatest likelihood; its slope is not below 0.

    Args:
        score_B: (B,) scores of models that were fitted without these rows.
        happened_B: (B,) whether the event happened; both values must occur.
    """
    from scipy.optimize import minimize

    logit_B, happened = logit_of(score_B), happened_B.astype(np.float64)

    def loss(parameters: Floats) -> tuple[float, Floats]:
        raw_B = parameters[0] * logit_B + parameters[1]
        error_B = 1.0 / (1.0 + np.exp(-raw_B)) - happened
        value = np.mean(np.logaddexp(0.0, raw_B) - happened * raw_B)
        return float(value), np.array([np.mean(error_B * logit_B), np.mean(error_B)])

    found = minimize(loss, np.array([1.0, 0.0]), jac=True, method="L-BFGS-B", bounds=[(0.0, None), (None, None)])
    return PlattScaling(float(found.x[0]), float(found.x[1]))


def calibration_table(probability_B: Floats, happened_B: NDArray[np.bool_]) -> list[dict[str, Any]]:
    """For each bin of probability the number of rows, their mean probability and their share with the event.

    Empty bins are left out.

    Args:
        probability_B: (B,) probabilities of the event, 0 to 1.
        happened_B: (B,) whether the event happened.

    >>> calibration_table(np.array([0.9, 1.0, 0.0]), np.array([True, False, False]))[1]
    {'from': 0.8, 'to': 1.0, 'rows': 2, 'predicted': 0.95, 'observed': 0.5}
    """
    bin_B = np.digitize(probability_B, BINS[1:-1])
    rows = []
    for place, (low, high) in enumerate(zip(BINS, BINS[1:], strict=False)):
        inside = bin_B == place
        if inside.any():
            means = {"predicted": probability_B[inside].mean(), "observed": happened_B[inside].mean()}
            rounded = {name: round(float(value), 4) for name, value in means.items()}
            rows.append({"from": low, "to": high, "rows": int(inside.sum()), **rounded})
    return rows
