"""Fits candidates, and predicts every engine by a model that has not seen it."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Protocol, runtime_checkable

import numpy as np
import polars as pl
from numpy.typing import NDArray

from sinet_pipelines.errors import ContractError
from sinet_pipelines.features.splits import engine_folds, is_held_out
from sinet_pipelines.models.model import Examples, Family, Floats, Model

WATCHED_EVERY = 4  # cycles, while the number of epochs is sought: neighbouring rows say nearly the same
FOLDS = 5  # four fifths of the engines teach, and a fifth of a hundred is enough to see a difference


@runtime_checkable
class ByEpochs(Protocol):
    """A family that is fitted epoch by epoch; how many is found out of fold."""

    @property
    def epochs(self) -> int:
        """At most so many."""

    def fit_path(self, examples: Examples, *, seed: int) -> Iterator[Model]:
        """The model after each epoch."""


@dataclass(frozen=True)
class CrossValidation:
    """What a family says of engines that it was fitted without.

    Attributes:
        family: the candidate, its number of epochs the one found; fit this one on all engines.
        predicted_B: (B,) prediction of every example by a model that was fitted without its engine.
        rmse_by_epoch: weighted RMSE (truth capped) after each epoch, on every fourth cycle; one number, on all, for a
            family without epochs.
    """

    family: Family
    predicted_B: Floats
    rmse_by_epoch: tuple[float, ...]

    @property
    def epochs(self) -> int:
        """How many epochs predict best, from 1; one for a family without epochs."""
        return _least(self.rmse_by_epoch) + 1


def require_not_held_out(training_set: pl.DataFrame) -> pl.DataFrame:
    """The training set, in which no engine may be that is kept for evaluation.

    Raises:
        ContractError: when one is.
    """
    seen = sorted(unit for unit in training_set["unit"].unique() if is_held_out(unit))
    if seen:
        raise ContractError(
            f"the training set holds {len(seen)} engines held out for evaluation ({seen[0]} first); leave them out"
        )
    return training_set


def cross_validate(
    examples: Examples, *, family: Family, seed: int, folds: int = FOLDS, report: Callable[[], None] = lambda: None
) -> CrossValidation:
    """Every example predicted out of fold, by as many epochs as predict best out of fold.

    The number of epochs is one choice made on the answers that are returned: what it flatters them by is far less than
    a fold's own spread.

    Args:
        examples: B of them.
        family: the candidate.
        seed: of the folds and of each fit.
        folds: how many.
        report: called after each fit, for a progress bar.

    Raises:
        ContractError: when there are fewer engines than folds.
    """
    fold_B = engine_folds(examples.unit_B, folds=folds, seed=seed)
    paths = []
    for fold in range(folds):
        paths.append(list(_path(family, examples.take(fold_B != fold), seed=seed)))
        report()
    rmse_E = _rmse_by_epoch(examples, fold_B, paths) if len(paths[0]) > 1 else []
    best = _least(rmse_E) if rmse_E else 0
    chosen = replace(family, epochs=best + 1) if isinstance(family, ByEpochs) else family  # type: ignore[type-var]
    predicted_B = np.full(len(examples), np.nan)
    for fold, path in enumerate(paths):
        inside = fold_B == fold
        predicted_B[inside] = path[best].predict(examples.inputs.take(inside))
    return CrossValidation(chosen, predicted_B, tuple(rmse_E or [weighted_rmse(predicted_B, examples)]))


def _rmse_by_epoch(examples: Examples, fold_B: NDArray[np.int64], paths: Sequence[Sequence[Model]]) -> list[float]:
    """The weighted RMSE of each epoch's models on the rows they are watched by, each by the one of its fold."""
    watched_B = examples.cycle_B % WATCHED_EVERY == 0
    if not watched_B.any():
        watched_B = ~watched_B
    watched, folds = examples.take(watched_B), fold_B[watched_B]
    predicted_EB = np.full((len(paths[0]), len(watched)), np.nan)
    for fold, path in enumerate(paths):
        inside = folds == fold
        asked = watched.inputs.take(inside)
        for epoch, model in enumerate(path):
            predicted_EB[epoch, inside] = model.predict(asked)
    return [weighted_rmse(predicted_B, watched) for predicted_B in predicted_EB]


def weighted_rmse(predicted_B: Floats, examples: Examples) -> float:
    """RMSE in cycles, truth capped, each row counting one over its engine's life."""
    return float(np.sqrt(np.average((predicted_B - examples.target_B) ** 2, weights=examples.weight_B)))


def _least(rmse_E: Sequence[float]) -> int:
    """The first epoch of the least error, from 0; one whose error is no number is passed over where another is one."""
    return min(range(len(rmse_E)), key=lambda epoch: (not np.isfinite(rmse_E[epoch]), rmse_E[epoch]))


def _path(family: Family, examples: Examples, *, seed: int) -> Iterator[Model]:
    if isinstance(family, ByEpochs):
        yield from family.fit_path(examples, seed=seed)
    else:
        yield family.fit(examples, seed=seed)
