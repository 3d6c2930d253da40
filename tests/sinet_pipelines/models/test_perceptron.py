import numpy as np

from sinet_pipelines.models.perceptron import Perceptron
from tests.sinet_pipelines.models.examples import examples

KNOWN = examples(sequences=False)


def test_it_learns_a_function_of_the_features():
    unseen = examples(lives=(70, 110), seed=1, sequences=False)
    errors = Perceptron(epochs=60).fit(KNOWN, seed=0).predict(unseen.inputs) - unseen.target_B
    assert np.sqrt(np.mean(errors**2)) < 0.35 * unseen.target_B.std()


def test_the_last_model_of_the_path_is_that_of_the_fit():
    network = Perceptron(epochs=3)
    *_, last = network.fit_path(KNOWN, seed=5)
    assert last.files() == network.fit(KNOWN, seed=5).files()


def test_a_constant_feature_causes_no_division_by_zero():
    model = Perceptron(epochs=1).fit(KNOWN, seed=0)
    assert model.weights["feature_sds"][2] == 1.0
    assert np.isfinite(model.predict(KNOWN.inputs)).all()
