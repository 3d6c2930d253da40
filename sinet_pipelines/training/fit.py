"""Cross-validates families: predicts every group with a model that was fitted without it."""

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

SCORED_EVERY = 4  # every fourth row of a group decides the number of epochs: neighbouring rows are nearly equal
FOLDS = 5  # each fit has four fifths of the groups, and a fifth of a hundred groups is enough to compare models


@runtime_checkable
class ByEpochs(Protocol):
    """A family that is fitted epoch by epoch; cross-validation chooses the number of epochs."""

    @property
    def epochs(self) -> int:
        """The largest number of epochs."""

    def fit_path(self, examples: Examples, *, seed: int) -> Iterator[Model]:
        """The model after each epoch."""


@dataclass(frozen=True)
class CrossValidation:
    """The out-of-fold predictions of a family.

    Attributes:
        family: the family with the chosen number of epochs, for the fit on all groups.
        predicted_B: (B,) predictions, each of a model that was fitted without the row's group.
        score_by_epoch: the task's metric after each epoch, on every fourth row of a group; one number, on all rows, for
            a family without epochs.
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
    """Returns the training set after a check that it has no group that is held out for evaluation.

    Raises:
        ContractError: when it has such a group.
    """
    seen = sorted(name for name in training_set[task.group].unique() if is_held_out(name))
    if seen:
        raise ContractError(
            f"the training set has {len(seen)} {task.groups} that are held out for evaluation (first: {seen[0]}); "
            "leave them out"
        )
    return training_set


def cross_validate(
    examples: Examples, *, family: Family, seed: int, folds: int = FOLDS, report: Callable[[], None] = lambda: None
) -> CrossValidation:
    """Predicts every example out of fold, with the number of epochs that is best out of fold.

    The number of epochs is chosen on the returned predictions themselves. The optimistic bias of this one choice is far
    smaller than the variation between folds.

    Args:
        examples: the B rows.
        family: the candidate.
        seed: of the folds and of each fit.
        folds: number of folds.
        report: called after the fit of each fold, for a progress bar.

    Raises:
        ContractError: when there are fewer groups than folds, or fewer rows of a class than folds.
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
    """(B,) the fold of each example, from 0. Folds consist of whole groups; those of a classification are stratified.

    Raises:
        ContractError: when there are fewer groups than folds, or fewer rows of a class than folds.
    """
    task = examples.task
    if task.is_regression:
        return group_folds(examples.group_B, folds=folds, seed=seed, groups=task.groups)
    return stratified_folds(examples.truth_B == 1.0, examples.group_B, folds=folds, seed=seed)


def _score_by_epoch(examples: Examples, fold_B: NDArray[np.int64], paths: Sequence[Sequence[Model]]) -> list[float]:
    """The out-of-fold metric after each epoch, on every fourth row of a group."""
    scored_B = examples.order_B % SCORED_EVERY == 0
    if not scored_B.any():
        scored_B = ~scored_B
    scored, folds = examples.take(scored_B), fold_B[scored_B]
    predicted_EB = np.full((len(paths[0]), len(scored)), np.nan)
    for fold, path in enumerate(paths):
        inside = folds == fold
        inputs = scored.inputs.take(inside)
        for epoch, model in enumerate(path):
            predicted_EB[epoch, inside] = model.predict(inputs)
    return [score_of(predicted_B, scored) for predicted_B in predicted_EB]


def score_of(predicted_B: Floats, examples: Examples) -> float:
    """The task's metric of B predictions for these B examples, with the task's weights."""
    return examples.task.metric.measure(predicted_B, examples.target_B, examples.weight_B)


def _best(score_E: Sequence[float], task: Task) -> int:
    """The best epoch, from 0, the first of equal ones; an epoch with score NaN only where all scores are NaN."""
    costs = [task.metric.cost(score) for score in score_E]
    return min(range(len(costs)), key=lambda epoch: (not np.isfinite(costs[epoch]), costs[epoch]))


def _path(family: Family, examples: Examples, *, seed: int) -> Iterator[Model]:
    if isinstance(family, ByEpochs):
        yield from family.fit_path(examples, seed=seed)
    else:
        yield family.fit(examples, seed=seed)
