import lightgbm as lgb
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sinet_pipelines.errors import DisagreementError
from sinet_pipelines.quantization.trees import PLAIN_OBJECTIVES, BoostedTrees, read_trees

PARAMETERS = {"objective": "regression", "num_leaves": 7, "min_data_in_leaf": 3, "verbose": -1, "num_threads": 1}


def fit(x, y, *, rounds: int = 10, categorical="auto", **parameters) -> lgb.Booster:
    data = lgb.Dataset(x, y, categorical_feature=categorical, params={"verbose": -1})
    return lgb.train({**PARAMETERS, **parameters}, data, rounds)


def walk(trees: BoostedTrees, row: np.ndarray) -> float:
    """The forest's answer for one row, node by node, as LightGBM's documentation says it."""
    return sum(trees.leaves[_leaf(trees, root, row)] for root in trees.roots)


def _leaf(trees: BoostedTrees, node: int, row: np.ndarray) -> int:
    while True:
        value = row[trees.features[node]]
        left = trees.nan_goes_left[node] if np.isnan(value) else value <= trees.thresholds[node]
        node, is_leaf = (
            (trees.left[node], trees.left_is_leaf[node]) if left else (trees.right[node], trees.right_is_leaf[node])
        )
        if is_leaf:
            return node


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), leaves=st.integers(2, 15), nan_share=st.sampled_from([0.0, 0.3]))
def test_walking_the_arrays_gives_what_lightgbm_answers(seed, leaves, nan_share):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(200, 4))
    x[rng.random(x.shape) < nan_share] = np.nan
    booster = fit(x, np.nansum(x, axis=1), num_leaves=leaves)
    requested = rng.normal(size=(20, 4))
    requested[:5] = np.nan  # where training saw nothing missing LightGBM reads 0
    trees = read_trees(booster.model_to_string())
    np.testing.assert_allclose(
        [walk(trees, row) for row in requested], booster.predict(requested), rtol=1e-14, atol=1e-14
    )


def test_a_tree_without_a_split_is_its_leaf():
    x = np.arange(20.0)[:, None]
    booster = fit(x, np.full(20, 3.0))
    trees = read_trees(booster.model_to_string())
    assert walk(trees, np.array([1.0])) == booster.predict([[1.0]])[0] == 3.0


def test_thresholds_and_leaves_keep_every_bit():
    x = np.random.default_rng(1).normal(size=(100, 2))
    booster = fit(x, x[:, 0], rounds=1)
    trees = read_trees(booster.model_to_string())
    frame = booster.trees_to_dataframe()
    assert set(trees.thresholds) == set(frame["threshold"].dropna())
    assert set(trees.leaves) == set(frame.loc[frame["split_feature"].isna(), "value"])


@pytest.mark.parametrize("objective", PLAIN_OBJECTIVES)
def test_every_plain_objective_is_the_sum_of_its_leaves(objective):
    x = np.random.default_rng(3).normal(size=(200, 2))
    booster = fit(x, 50 + 10 * x[:, 0], objective=objective)
    trees = read_trees(booster.model_to_string())
    np.testing.assert_allclose([walk(trees, row) for row in x[:20]], booster.predict(x[:20]), rtol=1e-14)


def test_half_a_text_is_refused():
    x = np.arange(20.0)[:, None]
    text = fit(x, x[:, 0]).model_to_string()
    for broken in ("", text[: len(text) // 8], text.partition("Tree=0")[0] + "end of trees"):
        with pytest.raises(DisagreementError, match="not a complete LightGBM model"):
            read_trees(broken)


REFUSED = {
    "another objective": {"objective": "poisson"},
    "square root": {"reg_sqrt": True},
    "averaging": {"boosting": "rf", "bagging_freq": 1, "bagging_fraction": 0.5},
    "zero as missing": {"zero_as_missing": True},
    "linear leaves": {"linear_tree": True},
    "categories": {"categorical": [0], "min_data_per_group": 1},
}


@pytest.mark.parametrize("how", REFUSED)
def test_what_is_no_plain_sum_of_numeric_splits_is_refused(how):
    rng = np.random.default_rng(2)
    x = rng.integers(0, 5, size=(200, 2)).astype(float)
    text = fit(x, x[:, 0] % 2 + x[:, 1], **REFUSED[how]).model_to_string()
    with pytest.raises(DisagreementError, match="the model"):
        read_trees(text)
