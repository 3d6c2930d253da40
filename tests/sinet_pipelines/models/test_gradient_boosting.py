import dataclasses

import numpy as np

from sinet_pipelines.metrics.regression import rmse
from sinet_pipelines.models import gradient_boosting
from sinet_pipelines.models.baselines import Constant
from sinet_pipelines.models.gradient_boosting import GradientBoosting
from tests.sinet_pipelines.models.examples import examples


def test_it_learns_a_function_of_the_features():
    known, unseen = examples(seed=0, sequences=False), examples(lives=(70, 110), seed=1, sequences=False)
    model = GradientBoosting(trees=100).fit(known, seed=0)
    constant = Constant().fit(known, seed=0)
    error = rmse(model.predict(unseen.inputs), unseen.target_B)
    assert error < 0.4 * rmse(constant.predict(unseen.inputs), unseen.target_B)


def test_another_seed_is_another_model():
    known = examples(sequences=False)
    family = GradientBoosting(trees=20)
    assert family.fit(known, seed=0).text != family.fit(known, seed=1).text


def test_the_number_of_threads_changes_no_prediction(monkeypatch):
    known = examples(sequences=False)
    family = GradientBoosting(trees=20)
    one = family.fit(known, seed=0).predict(known.inputs)
    monkeypatch.setattr(gradient_boosting, "THREADS", 2)
    np.testing.assert_array_equal(family.fit(known, seed=0).predict(known.inputs), one)


def test_targets_above_the_cap_are_clipped_to_it():
    known = examples(lives=(300, 280), sequences=False)
    predicted = GradientBoosting(trees=200).fit(known, seed=0).predict(known.inputs)
    assert predicted[known.truth_B > 200].min() > 110.0


def test_features_one_float32_step_apart_are_separated_and_no_closer_ones():
    """Thresholds lie between neighbours, so a served float32 comparison decides as the training did."""
    low = np.float32(9046.0)
    high = np.nextafter(low, np.float32(np.inf))
    known = examples(lives=(100,), sequences=False)
    values = np.where(known.truth_B < 50, high, low)[:, None].astype(np.float32)
    inputs = dataclasses.replace(known.inputs, features_BF=values, feature_names=("odd",))
    model = GradientBoosting(trees=50, feature_share=1.0).fit(dataclasses.replace(known, inputs=inputs), seed=0)
    predicted = model.predict(inputs)
    assert predicted[known.truth_B >= 50].min() - predicted[known.truth_B < 50].max() > 20.0
