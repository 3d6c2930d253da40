from dataclasses import dataclass, field, replace

import numpy as np
import polars as pl
import pytest

from sinet_pipelines.applications.turbofan.task import RUL
from sinet_pipelines.errors import ContractError
from sinet_pipelines.features.splits import is_held_out
from sinet_pipelines.models.baselines import Constant, LinearModel
from sinet_pipelines.models.task import Kind
from sinet_pipelines.training.fit import cross_validate, require_not_held_out, score_of
from tests.sinet_pipelines.models.examples import examples

UNITS = [f"FD001-{number:04d}" for number in range(1, 40)]
SEEN = [unit for unit in UNITS if not is_held_out(unit)][:4]
HELD_OUT = [unit for unit in UNITS if is_held_out(unit)]


@dataclass(frozen=True)
class Remembering:
    """A constant that remembers which engines each fit was given."""

    fits: list[set[str]] = field(default_factory=list)
    name = "remembering"
    needs_sequences = False
    kinds = (Kind.REGRESSION,)

    def fit(self, examples, *, seed: int) -> LinearModel:
        self.fits.append(set(examples.group_B.tolist()))
        return Constant().fit(examples, seed=seed)

    def load(self, files, *, task) -> LinearModel:
        return Constant().load(files, task=task)


def test_a_training_set_with_a_held_out_engine_is_refused():
    rows = pl.DataFrame({"unit": [*SEEN, HELD_OUT[0]]})
    with pytest.raises(ContractError, match=f"1 engines that are held out for evaluation \\(first: {HELD_OUT[0]}\\)"):
        require_not_held_out(rows, RUL)
    assert require_not_held_out(rows.filter(pl.col("unit") != HELD_OUT[0]), RUL).height == len(SEEN)


@dataclass(frozen=True)
class Warming:
    """A constant that comes nearer to the truth, epoch by epoch, until the third, and then leaves it."""

    epochs: int = 5
    breaks_at: int | None = None  # from this epoch on it answers no number
    name = "warming"
    needs_sequences = False
    kinds = (Kind.REGRESSION,)

    def fit(self, examples, *, seed: int) -> LinearModel:
        *_, model = self.fit_path(examples, seed=seed)
        return model

    def fit_path(self, examples, *, seed: int):
        sound = Constant().fit(examples, seed=seed)
        for epoch in range(1, self.epochs + 1):
            is_broken = self.breaks_at is not None and epoch >= self.breaks_at
            yield replace(sound, intercept=np.nan if is_broken else sound.intercept + 10.0 * abs(epoch - 3))

    def load(self, files, *, task) -> LinearModel:
        return Constant().load(files, task=task)


def test_the_number_of_epochs_is_the_one_that_predicts_best_out_of_fold():
    known = examples(sequences=False)
    found = cross_validate(known, family=Warming(), seed=0, folds=3)
    assert (found.family, found.epochs) == (Warming(epochs=3), 3)
    assert len(found.score_by_epoch) == 5
    assert min(found.score_by_epoch) == found.score_by_epoch[2]
    assert found.score_by_epoch[2] == pytest.approx(score_of(found.predicted_B, known), rel=0.05)


def test_an_epoch_with_nan_predictions_is_not_the_best():
    found = cross_validate(examples(sequences=False), family=Warming(breaks_at=3), seed=0, folds=3)
    assert found.family == Warming(epochs=2, breaks_at=3)
    assert np.isfinite(found.predicted_B).all()


def test_every_row_is_predicted_by_a_model_that_was_fitted_without_its_engine():
    known, family = examples(sequences=False), Remembering()
    predicted = cross_validate(known, family=family, seed=0, folds=3).predicted_B
    assert np.isfinite(predicted).all()
    assert len(family.fits) == 3
    for unit in np.unique(known.group_B):
        without = [index for index, units in enumerate(family.fits) if unit not in units]
        assert len(without) == 1
        others = known.take(np.isin(known.group_B, sorted(family.fits[without[0]])))
        expected = np.average(others.target_B, weights=others.weight_B)
        np.testing.assert_allclose(predicted[known.group_B == unit], expected)


def test_progress_is_reported_once_for_each_fit():
    reported = []
    cross_validate(examples(sequences=False), family=Constant(), seed=0, folds=4, report=lambda: reported.append(1))
    assert len(reported) == 4
