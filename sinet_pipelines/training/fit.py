"""Fits candidates, and predicts every group with a model that was fitted without it."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Protocol, runtime_checkable

import numpy as np
import polars as pl
from numpy.typing import NDArray

from sinet_pipelines.errors import ContractError
from sinet_pipelines.features.splits import group_folds, is_held_out, stratified_folds
from sinet_pipelines.models.model import Examples, Family, Floats, Model
from sinet_pipelines.models.task import Task

WATCHED_EVERY = 4  # rows of a group for the choice of the number of epochs: neighbouring rows are nearly equal
FOLDS = 5  # four fifths of the groups for training, and a fifth of a hundred groups is enough to compare models


@runtime_checkable
class ByEpochs(Protocol):
    """A family that is fitted epoch by epoch; the number of epochs is chosen out of fold."""

    @property
    def epochs(self) -> int:
        """The largest number of epochs."""

    def fit_path(self, examples: Examples, *, seed: int) -> Iterator[Model]:
        """The model after each epoch."""


@dataclass(frozen=True)
class CrossValidation:
    """A family's predictions for groups that it was fitted without.

    Attributes:
        family: the candidate with the chosen number of epochs, for the fit on all groups.
        predicted_B: (B,) prediction of every example from a model that was fitted without its group.
        score_by_epoch: the task's metric after each epoch, on every fourth row of a group; for a family without epochs
            one number, on all rows.
        best: index of the best epoch, from 0.
    """

    family: Family
    predicted_B: Floats
    score_by_epoch: tuple[float, ...]
    best: int = 0

    @property
    def epochs(self) -> int:
        """The best number of epochs, from 1; one for a family without epochs."""
        return self.best + 1


def require_not_held_out(training_set: pl.DataFrame, task: Task) -> pl.DataFrame:
    """The training set, after the check that it has no group of the evaluation.

    Raises:
        ContractError: when it has one.
    """
    seen = sorted(name for name in training_set[task.group].unique() if is_held_out(name))
    if seen:
        raise ContractError(
            f"the training set holds {len(seen)} {task.groups} held out for evaluation ({seen[0]} first); "
            "leave them out"
        )
    return training_set


def cross_validate(
    examples: Examples, *, family: Family, seed: int, folds: int = FOLDS, report: Callable[[], None] = lambda: None
) -> CrossValidation:
    """Every example predicted out of fold, with the number of epochs that is best out of fold.

    The number of epochs is one choice made on the returned predictions; its optimistic bias is far smaller
    than the spread of a fold.

    Args:
        examples: B of them.
        family: the candidate.
        seed: of the folds and of each fit.
        folds: number of folds.
        report: called after each fit, for a progress bar.

    Raises:
        ContractError: when there are fewer groups than folds, or fewer rows of a class.
    """
    fold_B = folds_of(examples, folds=folds, seed=seed)
    paths = []
    for fold in range(folds):
        paths.append(list(_path(family, examples.take(fold_B != fold), seed=seed)))
        report()
    score_E = _score_by_epoch(examples, fold_B, paths) if len(paths[0]) > 1 else []
    best = _best(score_E, examples.task) if score_E else 0
    chosen = replace(family, epochs=best + 1) if isinstance(family, ByEpochs) else family  # type: ignore[type-var]
    predicted_B = np.full(len(examples), np.nan)
    for fold, path in enumerate(paths):
        inside = fold_B == fold
        predicted_B[inside] = path[best].predict(examples.inputs.take(inside))
    return CrossValidation(chosen, predicted_B, tuple(score_E or [score_of(predicted_B, examples)]), best)


def folds_of(examples: Examples, *, folds: int, seed: int) -> NDArray[np.int64]:
    """(B,) the fold of each example: whole groups; in a classification with equal shares of the events.

    Raises:
        ContractError: when there are fewer groups than folds, or fewer rows of a class.
    """
    task = examples.task
    if task.is_regression:
        return group_folds(examples.group_B, folds=folds, seed=seed, groups=task.groups)
    return stratified_folds(examples.truth_B == 1.0, examples.group_B, folds=folds, seed=seed)


def _score_by_epoch(examples: Examples, fold_B: NDArray[np.int64], paths: Sequence[Sequence[Model]]) -> list[float]:
    """The metric after each epoch on the rows for that choice, each predicted by its fold's model."""
    watched_B = examples.order_B % WATCHED_EVERY == 0
    if not watched_B.any():
        watched_B = ~watched_B
    watched, folds = examples.take(watched_B), fold_B[watched_B]
    predicted_EB = np.full((len(paths[0]), len(watched)), np.nan)
    for fold, path in enumerate(paths):
        inside = folds == fold
        inputs = watched.inputs.take(inside)
        for epoch, model in enumerate(path):
            predicted_EB[epoch, inside] = model.predict(inputs)
    return [score_of(predicted_B, watched) for predicted_B in predicted_EB]


def score_of(predicted_B: Floats, examples: Examples) -> float:
    """The task's metric of predictions of these examples, by its weights."""
    return examples.task.metric.measure(predicted_B, examples.target_B, examples.weight_B)


def _best(score_E: Sequence[float], task: Task) -> int:
    """The first best epoch, from 0; an epoch whose score is NaN only where all are."""
    costs = [task.metric.cost(score) for score in score_E]
    return min(range(len(costs)), key=lambda epoch: (not np.isfinite(costs[epoch]), costs[epoch]))


def _path(family: Family, examples: Examples, *, seed: int) -> Iterator[Model]:
    if isinstance(family, ByEpochs):
        yield from family.fit_path(examples, seed=seed)
    else:
        yield family.fit(examples, seed=seed)
