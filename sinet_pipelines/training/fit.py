"""Fits candidates, and predicts every engine by a model that has not seen it."""

from collections.abc import Callable

import numpy as np
import polars as pl

from sinet_pipelines.errors import ContractError
from sinet_pipelines.features.splits import engine_folds, is_held_out
from sinet_pipelines.models.model import Examples, Family, Floats, Model
from sinet_pipelines.training.labels import examples_of

FOLDS = 5  # four fifths of the engines teach, and a fifth of a hundred is enough to see a difference


def fit_on(training_set: pl.DataFrame, *, family: Family, seed: int) -> Model:
    """A model of a training set (contract `training_set`), the same in whatever order its rows come.

    Raises:
        ContractError: when it is empty, holds something that is no number, or an engine held out for evaluation.
    """
    seen = sorted(unit for unit in training_set["unit"].unique() if is_held_out(unit))
    if seen:
        raise ContractError(
            f"the training set holds {len(seen)} engines held out for evaluation ({seen[0]} first); leave them out"
        )
    return family.fit(examples_of(training_set.sort("unit", "cycle")), seed=seed)


def out_of_fold(
    examples: Examples, *, family: Family, seed: int, folds: int = FOLDS, report: Callable[[], None] = lambda: None
) -> Floats:
    """(B,) prediction of every example by a model that was fitted without its engine.

    Args:
        examples: B of them.
        family: the candidate.
        seed: of the folds and of each fit.
        folds: how many.
        report: called after each fit, for a progress bar.
    """
    fold_B = engine_folds(examples.unit_B, folds=folds, seed=seed)
    predicted_B = np.full(len(examples), np.nan)
    for fold in range(folds):
        inside = fold_B == fold
        model = family.fit(examples.take(~inside), seed=seed)
        predicted_B[inside] = model.predict(examples.inputs.take(inside))
        report()
    return predicted_B
