"""Measures of failure prediction: precision, recall and F1 of decisions, and the average precision of scores.

Accuracy is left out: where 3 % of products fail, a constant "no failure" is right for 97 % of them.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

_CERTAIN = 1e-15  # a probability nearer to 0 or 1 is clipped


@dataclass(frozen=True)
class FailureErrors:
    """The quality of decisions and scores.

    Attributes:
        f1: harmonic mean of precision and recall.
        pr_auc: average precision of the scores.
        precision: share of the warnings that were right; 0 without a warning.
        recall: share of the failures that were warned of; 0 without a failure.
    """

    f1: float
    pr_auc: float
    precision: float
    recall: float


def average_precision(score: ArrayLike, failed: ArrayLike) -> float:
    """Area under the precision-recall curve as a sum of steps: precision at each rank, weighted by the gain in recall.

    Equal scores are one rank. Nothing is interpolated, which would be optimistic (Davis, Goadrich, "The relationship
    between precision-recall and ROC curves", ICML 2006). A random score has the share of failures.

    Args:
        score: (n,) larger is more likely to fail.
        failed: (n,) whether it failed; 0 is returned where none did.

    >>> round(average_precision([0.9, 0.8, 0.7, 0.1], [True, False, True, False]), 6)  # (1/1 + 2/3) / 2
    0.833333
    >>> average_precision([0.5, 0.5], [True, False])
    0.5
    """
    scores, truth = np.asarray(score, dtype=np.float64), np.asarray(failed, dtype=bool)
    if not truth.any():
        return 0.0
    order = np.argsort(-scores, kind="stable")
    last_of_rank = np.append(np.diff(scores[order]) != 0, True)
    hits = np.cumsum(truth[order])[last_of_rank]
    counts = np.flatnonzero(last_of_rank) + 1
    gain = np.diff(hits, prepend=0) / hits[-1]
    return float(np.sum(gain * hits / counts))


def log_loss(probability: ArrayLike, failed: ArrayLike) -> float:
    """Mean negative logarithm of the probability of what happened (Good 1952, J. R. Stat. Soc. B 14).

    Args:
        probability: (n,) of failure; clipped to [1e-15, 1 - 1e-15], so that one certain error is not infinite.
        failed: (n,) whether it failed.

    >>> round(log_loss([0.5, 0.5], [True, False]), 6)  # ln 2
    0.693147
    """
    return float(np.mean(log_losses(probability, failed)))


def log_losses(probability: ArrayLike, failed: ArrayLike) -> NDArray[np.float64]:
    """(n,) the negative logarithm of the probability of what happened, row by row."""
    chance = np.clip(np.asarray(probability, dtype=np.float64), _CERTAIN, 1.0 - _CERTAIN)
    return -np.log(np.where(np.asarray(failed, dtype=bool), chance, 1.0 - chance))


def failure_errors(score: ArrayLike, warned: ArrayLike, failed: ArrayLike) -> FailureErrors:
    """All measures of some predictions.

    Args:
        score: (n,) larger is more likely to fail.
        warned: (n,) the decision: whether a failure is predicted.
        failed: (n,) whether it failed.

    >>> errors = failure_errors([0.9, 0.8, 0.2, 0.1], [1, 1, 0, 0], [1, 0, 1, 0])
    >>> errors.precision, errors.recall, errors.f1
    (0.5, 0.5, 0.5)
    """
    decided, truth = np.asarray(warned, dtype=bool), np.asarray(failed, dtype=bool)
    hits = int(np.sum(decided & truth))
    return FailureErrors(
        f1=_share(2 * hits, int(decided.sum()) + int(truth.sum())),
        pr_auc=average_precision(score, truth),
        precision=_share(hits, int(decided.sum())),
        recall=_share(hits, int(truth.sum())),
    )


def best_threshold(probability: NDArray[np.float64], failed: NDArray[np.bool_]) -> float:
    """The threshold with the greatest F1, halfway between the last score with a warning and the next lower one.

    Of equal ones the highest, which warns least.

    Args:
        probability: (n,) of failure.
        failed: (n,) whether it failed.

    >>> best_threshold(np.array([0.9, 0.6, 0.2, 0.1]), np.array([True, True, False, False]))
    0.4
    """
    order = np.argsort(-probability, kind="stable")
    ranked = probability[order]
    hits = np.cumsum(failed[order])
    f1 = 2.0 * hits / (np.arange(1, len(ranked) + 1) + hits[-1]) if len(ranked) else np.zeros(0)
    is_last = np.append(ranked[1:] != ranked[:-1], True)
    best = int(np.argmax(np.where(is_last, f1, -1.0)))
    below = ranked[best + 1] if best + 1 < len(ranked) else 0.0
    return float((ranked[best] + below) / 2.0)


def _share(part: int, whole: int) -> float:
    return part / whole if whole else 0.0
