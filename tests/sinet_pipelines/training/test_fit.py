from dataclasses import dataclass, field

import numpy as np
import polars as pl
import pytest

from sinet_pipelines.errors import ContractError
from sinet_pipelines.features.splits import is_held_out
from sinet_pipelines.models.gradient_boosting import GradientBoosting
from sinet_pipelines.models.yardsticks import Constant, LinearModel
from sinet_pipelines.schemas.features import FEATURE_NAMES
from sinet_pipelines.training.fit import fit_on, out_of_fold
from tests.sinet_pipelines.models.examples import examples

UNITS = [f"FD001-{number:04d}" for number in range(1, 40)]
SEEN = [unit for unit in UNITS if not is_held_out(unit)][:4]
HELD_OUT = [unit for unit in UNITS if is_held_out(unit)]


def training_set(*units: str) -> pl.DataFrame:
    rng = np.random.default_rng(0)
    frames = []
    for unit in units:
        cycle = np.arange(1, 61, dtype=np.int32)
        features = rng.normal(size=(60, len(FEATURE_NAMES))).astype(np.float32)
        features[:, 0] -= cycle / 20
        columns = dict(zip(FEATURE_NAMES, features.T, strict=True))
        frames.append(pl.DataFrame({"unit": [unit] * 60, "cycle": cycle, **columns, "rul_cycles": 60 - cycle}))
    return pl.concat(frames)


@dataclass(frozen=True)
class Remembering:
    """A constant that remembers which engines each fit was given."""

    fits: list[set[str]] = field(default_factory=list)
    name = "remembering"
    needs_sequences = False

    def fit(self, examples, *, seed: int) -> LinearModel:
        self.fits.append(set(examples.unit_B.tolist()))
        return Constant().fit(examples, seed=seed)

    def load(self, files) -> LinearModel:
        return Constant().load(files)


def test_the_order_of_a_training_set_changes_no_byte():
    rows, family = training_set(*SEEN), GradientBoosting(trees=10)
    shuffled = rows.sample(fraction=1.0, shuffle=True, seed=3)
    assert fit_on(shuffled, family=family, seed=0).files() == fit_on(rows, family=family, seed=0).files()


def test_a_training_set_with_a_held_out_engine_is_refused():
    with pytest.raises(ContractError, match=f"1 engines held out for evaluation \\({HELD_OUT[0]} first\\)"):
        fit_on(training_set(*SEEN, HELD_OUT[0]), family=Constant(), seed=0)


def test_every_row_is_predicted_by_a_model_that_has_not_seen_its_engine():
    known, family = examples(sequences=False), Remembering()
    predicted = out_of_fold(known, family=family, seed=0, folds=3)
    assert np.isfinite(predicted).all()
    assert len(family.fits) == 3
    for unit in np.unique(known.unit_B):
        without = [index for index, units in enumerate(family.fits) if unit not in units]
        assert len(without) == 1
        others = known.take(np.isin(known.unit_B, sorted(family.fits[without[0]])))
        expected = np.average(others.target_B, weights=others.weight_B)
        np.testing.assert_allclose(predicted[known.unit_B == unit], expected)


def test_progress_is_told_once_a_fit():
    told = []
    out_of_fold(examples(sequences=False), family=Constant(), seed=0, folds=4, report=lambda: told.append(1))
    assert len(told) == 4
