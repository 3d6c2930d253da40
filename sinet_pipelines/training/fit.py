"""Fits candidates, and predicts every engine by a model that has not seen it."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Protocol, runtime_checkable

import numpy as np
import polars as pl

from sinet_pipelines.errors import ContractError
from sinet_pipelines.features.splits import engine_folds, is_held_out
from sinet_pipelines.models.model import Examples, Family, Floats, Model

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
        rmse_by_epoch: weighted RMSE (truth capped) after each epoch; one number for a family without epochs.
    """

    family: Family
    predicted_B: Floats
    rmse_by_epoch: tuple[float, ...]


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
    epochs = family.epochs if isinstance(family, ByEpochs) else 1
    predicted_EB = np.full((epochs, len(examples)), np.nan)
    for fold in range(folds):
        inside = fold_B == fold
        for epoch, model in enumerate(_path(family, examples.take(~inside), seed=seed)):
            predicted_EB[epoch, inside] = model.predict(examples.inputs.take(inside))
        report()
    squares_E = ((predicted_EB - examples.target_B) ** 2) @ examples.weight_B / len(examples)
    best = int(np.argmin(squares_E))
    chosen = replace(family, epochs=best + 1) if isinstance(family, ByEpochs) else family  # type: ignore[type-var]
    return CrossValidation(chosen, predicted_EB[best], tuple(np.sqrt(squares_E).tolist()))


def out_of_fold(
    examples: Examples, *, family: Family, seed: int, folds: int = FOLDS, report: Callable[[], None] = lambda: None
) -> Floats:
    """(B,) prediction of every example by a model that was fitted without its engine; see `cross_validate`."""
    return cross_validate(examples, family=family, seed=seed, folds=folds, report=report).predicted_B


def weighted_rmse(predicted_B: Floats, examples: Examples) -> float:
    """RMSE in cycles, truth capped, each row counting one over its engine's life."""
    return float(np.sqrt(np.average((predicted_B - examples.target_B) ** 2, weights=examples.weight_B)))


def _path(family: Family, examples: Examples, *, seed: int) -> Iterator[Model]:
    if isinstance(family, ByEpochs):
        yield from family.fit_path(examples, seed=seed)
    else:
        yield family.fit(examples, seed=seed)
