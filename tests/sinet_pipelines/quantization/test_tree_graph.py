import lightgbm as lgb
import numpy as np
import onnxruntime as ort
from hypothesis import given, settings
from hypothesis import strategies as st

from sinet_pipelines.quantization.graph import GraphWriter
from sinet_pipelines.quantization.tree_graph import write_trees
from sinet_pipelines.quantization.trees import read_trees

HALF_ULP_AT_128 = 2.0**-18  # an answer below 128 is a float32: this is as near as it can be


def answers(booster: lgb.Booster, x: np.ndarray) -> np.ndarray:
    graph = GraphWriter()
    rul = write_trees(graph, graph.cast("x", np.float64), read_trees(booster.model_to_string()))
    outputs = {"y": (graph.cast(rul, np.float32), (1,))}
    session = ort.InferenceSession(graph.finish(inputs={"x": (x.shape[1],)}, outputs=outputs, metadata={}))
    return session.run(None, {"x": x})[0][:, 0]


def fit(x: np.ndarray, y: np.ndarray, **parameters) -> lgb.Booster:
    parameters = {"objective": "regression", "min_data_in_leaf": 2, "verbose": -1, "num_threads": 1, **parameters}
    return lgb.train(parameters, lgb.Dataset(x, y, params={"min_data_in_bin": 1}), 60)


@settings(max_examples=10, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), leaves=st.integers(2, 31), nan_share=st.sampled_from([0.0, 0.2]))
def test_a_graph_answers_as_its_forest_to_the_last_bit_of_float32(seed, leaves, nan_share):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(500, 6)).astype(np.float32)
    x[rng.random(x.shape) < nan_share] = np.nan
    booster = fit(x, 60 + 30 * np.tanh(np.nansum(x, axis=1)), num_leaves=leaves)
    assert np.abs(answers(booster, x) - booster.predict(x)).max() <= HALF_ULP_AT_128


def test_features_one_ulp_apart_stay_on_their_side():
    """Thresholds lie between neighbours of float32, where a comparison in float32 cannot tell left from right."""
    ulp = np.spacing(np.float32(9046))
    steps = np.random.default_rng(3).integers(0, 40, size=4000)
    x = (np.float32(9046) + steps.astype(np.float32) * ulp)[:, None]
    assert len(np.unique(x)) == 40
    booster = fit(x, np.where(steps % 2, 120.0, 5.0), num_leaves=63)
    assert np.abs(booster.predict(x) - np.where(steps % 2, 120.0, 5.0)).max() < 10  # it did learn every step
    assert np.abs(answers(booster, x) - booster.predict(x)).max() <= HALF_ULP_AT_128


def test_a_forest_that_found_no_split_answers_its_constant():
    x = np.random.default_rng(4).normal(size=(50, 2)).astype(np.float32)
    np.testing.assert_array_equal(answers(fit(x, np.full(50, 42.0)), x), np.float32(42.0))


def test_a_missing_feature_goes_where_lightgbm_sends_it():
    rng = np.random.default_rng(5)
    x = rng.normal(size=(400, 3)).astype(np.float32)
    booster = fit(x, 60 + 20 * x[:, 0])
    x[rng.random(x.shape) < 0.5] = np.nan  # training saw none missing
    assert np.abs(answers(booster, x) - booster.predict(x)).max() <= HALF_ULP_AT_128
