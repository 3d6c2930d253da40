"""Conformal intervals: half widths that cover a share of the errors on groups that a model was not fitted on.

Errors depend on the prediction, so each is divided by the mean error near its prediction (locally weighted split
conformal: Lei, G'Sell, Rinaldo, Tibshirani, Wasserman 2018, section 5.2). The rows of a group are not independent, so
the level is corrected by the number of groups, not of rows. A task with many rows in a group weights groups equally.
"""

import numpy as np
from numpy.typing import NDArray

from sinet_pipelines.errors import ContractError
from sinet_pipelines.metrics.coverage import INTERVAL_LEVEL
from sinet_pipelines.models.interval import Interval
from sinet_pipelines.models.model import Examples, Floats
from sinet_pipelines.models.task import Task
from sinet_pipelines.training.fit import folds_of

SMALLEST = 1e-12  # least mean error, against division by zero
LEVELS = (0.5, 0.6, 0.7, 0.8, 0.9, 0.95)  # at which nominal and measured coverage are compared


def conformal_interval(
    predicted_B: Floats,
    true_B: Floats,
    weight_B: Floats,
    *,
    task: Task,
    groups: int,
    level: float = INTERVAL_LEVEL,
) -> Interval:
    """The interval that contains the truth of a future group with this probability; truth is clipped to the range.

    Args:
        predicted_B: (B,) predictions, each from a model that was fitted without the row's group.
        true_B: (B,) truth, not clipped.
        weight_B: (B,) weights of the rows.
        task: the task.
        groups: number n of groups. The half widths are the quantile of the errors at level * (n + 1) / n, since the
            error of a future group may be larger than all of these.
        level: nominal share inside, 0 to 1.

    Raises:
        ContractError: when there is no row, or a prediction is NaN.
    """
    if not len(predicted_B) or not np.isfinite(predicted_B).all():
        raise ContractError(
            f"{len(predicted_B)} predictions, {int((~np.isfinite(predicted_B)).sum())} of them not finite (at least 1 "
            "is needed, and all must be finite); calibrate on predictions of a valid model"
        )
    error_B, knots = np.abs(predicted_B - task.within_range(true_B)), task.knots(predicted_B)
    mean_K = _mean_error(predicted_B, error_B, weight_B, knots=knots, least=task.resolution)
    score_B = error_B / np.interp(predicted_B, knots, mean_K)
    quantile = _weighted_quantile(score_B, weight_B, level * (1.0 + 1.0 / groups))
    half_K = np.maximum(quantile * mean_K, task.resolution)
    return Interval(level, knots, tuple(half_K.tolist()), task.range)


def covered_out_of_fold(
    predicted_B: Floats, examples: Examples, *, folds: int, seed: int, level: float = INTERVAL_LEVEL
) -> NDArray[np.bool_]:
    """(B,) whether each truth is inside an interval that was calibrated without its fold.

    Args:
        predicted_B: (B,) predictions, each from a model that was fitted without the row's group.
        examples: the rows.
        folds: number of folds, the same as for the predictions.
        seed: of the folds, the same as for the predictions.
        level: nominal share inside, 0 to 1.
    """
    fold_B = folds_of(examples, folds=folds, seed=seed)
    covered_B = np.zeros(len(examples), dtype=bool)
    for fold in range(folds):
        inside = fold_B == fold
        others = examples.take(~inside)
        interval = conformal_interval(
            predicted_B[~inside],
            others.truth_B,
            others.weight_B,
            task=examples.task,
            groups=len(np.unique(others.group_B)),
            level=level,
        )
        covered_B[inside] = is_covered(interval, predicted_B[inside], examples.truth_B[inside])
    return covered_B


def coverage_by_level(predicted_B: Floats, examples: Examples, *, folds: int, seed: int) -> dict[float, float]:
    """The measured coverage of out-of-fold intervals by their nominal level, both 0 to 1, with the task's weights.

    Args:
        predicted_B: (B,) predictions, each from a model that was fitted without the row's group.
        examples: the B rows.
        folds: number of folds, the same as for the predictions.
        seed: of the folds, the same as for the predictions.
    """
    covered = {
        level: covered_out_of_fold(predicted_B, examples, folds=folds, seed=seed, level=level) for level in LEVELS
    }
    return {level: weighted_coverage(covered_B, examples) for level, covered_B in covered.items()}


def weighted_coverage(covered_B: NDArray[np.bool_], examples: Examples) -> float:
    """The share of truths inside their intervals, 0 to 1, with the task's weights."""
    return float(np.average(covered_B, weights=examples.weight_B))


def is_covered(interval: Interval, predicted_B: Floats, true_B: Floats) -> NDArray[np.bool_]:
    """(B,) whether each truth, clipped to the range, is inside the interval around its prediction."""
    lower_B, upper_B = interval.around(predicted_B)
    target_B = interval.within_range(true_B)
    return (lower_B <= target_B) & (target_B <= upper_B)


def _mean_error(
    predicted_B: Floats, error_B: Floats, weight_B: Floats, *, knots: tuple[float, ...], least: float
) -> Floats:
    """(K,) weighted mean error around each of K knots; nearer predictions have more weight.

    A knot without a prediction near it has the mean over all rows.
    """
    least = max(least, SMALLEST)
    overall = max(float(np.average(error_B, weights=weight_B)), least)
    spacing = knots[1] - knots[0]
    near_KB = np.clip(1.0 - np.abs(predicted_B[None, :] - np.asarray(knots)[:, None]) / spacing, 0.0, None) * weight_B
    total_K = near_KB.sum(axis=1)
    found_K = np.divide(near_KB @ error_B, total_K, out=np.full(len(knots), overall), where=total_K > 0)
    return np.maximum(found_K, least)


def _weighted_quantile(score_B: Floats, weight_B: Floats, level: float) -> float:
    """The smallest score for which scores up to it have at least the share `level` of all weight."""
    order = np.argsort(score_B, kind="stable")
    below = np.cumsum(weight_B[order]) / weight_B.sum()
    place = int(np.searchsorted(below, level * (1.0 - 1e-12)))
    return float(score_B[order][min(place, len(order) - 1)])
