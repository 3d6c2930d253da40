"""Split-conformal intervals: half widths that cover a share of the errors on engines a model was not fitted on.

Errors grow with what is predicted, so each is measured against the usual error near its prediction (locally weighted
split conformal: Lei, G'Sell, Rinaldo, Tibshirani, Wasserman 2018, section 5.2). Rows of an engine are nearly one row:
each counts one over its engine's life, so that an engine is one observation.
"""

import numpy as np
from numpy.typing import NDArray

from sinet_pipelines.errors import ContractError
from sinet_pipelines.features.splits import engine_folds
from sinet_pipelines.metrics.coverage import INTERVAL_LEVEL
from sinet_pipelines.models.interval import Interval
from sinet_pipelines.models.model import Examples, Floats
from sinet_pipelines.schemas.features import MAX_RUL_CYCLES

KNOTS = (0.0, 25.0, 50.0, 75.0, 100.0, 125.0)  # cycles; five stretches of enough engines each
LEVELS = (0.5, 0.6, 0.7, 0.8, 0.9, 0.95)  # at which promises are held against what was measured
LEAST_HALF_WIDTH = 1.0  # cycle: a truth is a whole number of them


def conformal_interval(
    predicted_B: Floats, true_B: Floats, weight_B: Floats, *, engines: int, level: float = INTERVAL_LEVEL
) -> Interval:
    """The interval that covers this share of the errors (truth capped at 125) of an engine that is still to come.

    Args:
        predicted_B: (B,) cycles, each by a model that was fitted without the row's engine.
        true_B: (B,) cycles left, not capped.
        weight_B: (B,) of the rows.
        engines: how many the rows are of; the next one may be worse than all of them, which costs one of so many.
        level: share to cover.

    Raises:
        ContractError: when there is no row, or a prediction is no number.
    """
    if not len(predicted_B) or not np.isfinite(predicted_B).all():
        raise ContractError(
            f"{len(predicted_B)} predictions, {int((~np.isfinite(predicted_B)).sum())} of them no number (at least one "
            "is needed, and numbers alone); calibrate on what a sound model predicts"
        )
    error_B = np.abs(predicted_B - np.minimum(true_B, MAX_RUL_CYCLES))
    usual_K = _usual_error(predicted_B, error_B, weight_B)
    score_B = error_B / np.interp(predicted_B, KNOTS, usual_K)
    half_K = np.maximum(
        _weighted_quantile(score_B, weight_B, level * (1.0 + 1.0 / engines)) * usual_K, LEAST_HALF_WIDTH
    )
    return Interval(level, KNOTS, tuple(half_K.tolist()))


def covered_out_of_fold(
    predicted_B: Floats, examples: Examples, *, folds: int, seed: int, level: float = INTERVAL_LEVEL
) -> NDArray[np.bool_]:
    """(B,) whether each truth lies inside an interval that was calibrated without its fold.

    Args:
        predicted_B: (B,) cycles, each by a model that was fitted without the row's engine.
        examples: the rows.
        folds: how many; those the predictions were made in.
        seed: of the folds.
        level: share that should lie inside.
    """
    fold_B = engine_folds(examples.unit_B, folds=folds, seed=seed)
    covered_B = np.zeros(len(examples), dtype=bool)
    for fold in range(folds):
        inside = fold_B == fold
        others = examples.take(~inside)
        interval = conformal_interval(
            predicted_B[~inside],
            others.rul_B,
            others.weight_B,
            engines=len(np.unique(others.unit_B)),
            level=level,
        )
        covered_B[inside] = is_covered(interval, predicted_B[inside], examples.rul_B[inside])
    return covered_B


def coverage_by_level(predicted_B: Floats, examples: Examples, *, folds: int, seed: int) -> dict[float, float]:
    """Share of truths inside out-of-fold intervals of each level, each row counting one over its engine's life.

    Args:
        predicted_B: (B,) cycles, each by a model that was fitted without the row's engine.
        examples: the rows.
        folds: how many; those the predictions were made in.
        seed: of the folds.
    """
    covered = {
        level: covered_out_of_fold(predicted_B, examples, folds=folds, seed=seed, level=level) for level in LEVELS
    }
    return {level: weighted_coverage(covered_B, examples) for level, covered_B in covered.items()}


def weighted_coverage(covered_B: NDArray[np.bool_], examples: Examples) -> float:
    """Share of truths inside, each row counting one over its engine's life."""
    return float(np.average(covered_B, weights=examples.weight_B))


def is_covered(interval: Interval, predicted_B: Floats, true_B: Floats) -> NDArray[np.bool_]:
    """(B,) whether the truth, capped at 125, lies inside the interval around each prediction."""
    lower_B, upper_B = interval.around(predicted_B)
    capped_B = np.minimum(true_B, MAX_RUL_CYCLES)
    return (lower_B <= capped_B) & (capped_B <= upper_B)


def _usual_error(predicted_B: Floats, error_B: Floats, weight_B: Floats) -> Floats:
    """(K,) weighted mean error around each knot, nearer predictions counting more; the overall one where none is."""
    overall = max(float(np.average(error_B, weights=weight_B)), LEAST_HALF_WIDTH)
    spacing = KNOTS[1] - KNOTS[0]
    near_KB = np.clip(1.0 - np.abs(predicted_B[None, :] - np.asarray(KNOTS)[:, None]) / spacing, 0.0, None) * weight_B
    total_K = near_KB.sum(axis=1)
    found_K = np.divide(near_KB @ error_B, total_K, out=np.full(len(KNOTS), overall), where=total_K > 0)
    return np.maximum(found_K, LEAST_HALF_WIDTH)


def _weighted_quantile(score_B: Floats, weight_B: Floats, level: float) -> float:
    """The smallest score below or at which a share of at least `level` of the weight lies."""
    order = np.argsort(score_B, kind="stable")
    below = np.cumsum(weight_B[order]) / weight_B.sum()
    place = int(np.searchsorted(below, level * (1.0 - 1e-12)))
    return float(score_B[order][min(place, len(order) - 1)])
