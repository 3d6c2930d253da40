"""A random forest: bagged trees on random subsets of the features (Breiman 2001), fitted by scikit-learn.

The model is stored as flat arrays, not as a pickle, and predicts without scikit-learn. As in scikit-learn, features are
float32 and thresholds float64.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sinet_pipelines.models.model import Examples, Floats, Inputs, require_examples, require_features
from sinet_pipelines.models.task import Kind, Task

THREADS = 1  # more threads give the same result and are no faster on ten thousand rows
ARRAYS = ("roots", "features", "thresholds", "left", "right", "values")


@dataclass(frozen=True)
class ForestModel:
    """A fitted forest; a prediction is the mean over the trees of the value of the row's leaf.

    Attributes:
        feature_names: columns it was fitted on.
        roots: (n_trees,) first node of each tree.
        features: (n_nodes,) the feature that a node compares; -1 for a leaf.
        thresholds: (n_nodes,) float64; a row goes left where its feature is at most this.
        left: (n_nodes,) the next node of rows that go left; the node itself for a leaf.
        right: (n_nodes,) the next node of the other rows; the node itself for a leaf.
        values: (n_nodes,) float64 mean of the target, or share of events, at each node.
        task: what it predicts.
    """

    feature_names: tuple[str, ...]
    roots: NDArray[np.int64]
    features: NDArray[np.int64]
    thresholds: Floats
    left: NDArray[np.int64]
    right: NDArray[np.int64]
    values: Floats
    task: Task

    def predict(self, inputs: Inputs) -> Floats:
        """(B,) predictions within the task's range."""
        features_BF = require_features(inputs, self.feature_names)
        rows_B, sum_B = np.arange(len(inputs)), np.zeros(len(inputs))
        for root in self.roots:
            node_B = np.full(len(inputs), root)
            while (is_inner_B := self.features[node_B] >= 0).any():
                values_B = features_BF[rows_B, self.features[node_B]].astype(np.float64)
                next_B = np.where(values_B <= self.thresholds[node_B], self.left[node_B], self.right[node_B])
                node_B = np.where(is_inner_B, next_B, node_B)
            sum_B += self.values[node_B]
        return self.task.within_range(sum_B / len(self.roots))

    def files(self) -> dict[str, bytes]:
        """`forest.safetensors`, the trees, and `features.json`, the names of its columns."""
        from safetensors.numpy import save

        arrays = {name: np.ascontiguousarray(getattr(self, name)) for name in sorted(ARRAYS)}
        return {"forest.safetensors": save(arrays), "features.json": json.dumps(self.feature_names).encode()}


@dataclass(frozen=True)
class RandomForest:
    """Trees on bootstrap samples of the rows, weighted by the task's rule.

    Attributes:
        trees: number of trees.
        rows_in_leaf: smallest number of rows of a leaf; with few rows, its share of events is a rough probability.
        feature_share: share of the features for each split; None for the square root of their number
            (classification) or all (regression).
    """

    trees: int = 50
    rows_in_leaf: int = 10
    feature_share: float | None = None

    name = "random_forest"
    needs_sequences = False
    kinds = (Kind.REGRESSION, Kind.CLASSIFICATION)

    def fit(self, examples: Examples, *, seed: int) -> ForestModel:
        """Fits a forest to the examples; equal arguments give equal trees."""
        from sklearn.ensemble import RandomForestClassifier, RandomForestRegressor

        inputs, task = require_examples(examples, self).inputs, examples.task
        kind = RandomForestRegressor if task.is_regression else RandomForestClassifier
        settings: dict[str, Any] = {} if self.feature_share is None else {"max_features": self.feature_share}
        forest = kind(self.trees, min_samples_leaf=self.rows_in_leaf, random_state=seed, n_jobs=THREADS, **settings)
        weight_B = None if task.weight is None else examples.weight_B
        forest.fit(inputs.features_BF, examples.target_B, sample_weight=weight_B)
        classes = None if task.is_regression else forest.classes_
        arrays = _flat([one.tree_ for one in forest.estimators_], classes)
        return ForestModel(inputs.feature_names, **arrays, task=task)

    def load(self, files: Mapping[str, bytes], *, task: Task) -> ForestModel:
        """The forest with these `files`."""
        from safetensors.numpy import load

        return ForestModel(tuple(json.loads(files["features.json"])), **load(files["forest.safetensors"]), task=task)


def _flat(trees: list[Any], classes: NDArray | None) -> dict[str, NDArray]:
    """The arrays of `ForestModel`: the nodes of all trees, one tree after another."""
    first = np.cumsum([0, *(tree.node_count for tree in trees)], dtype=np.int64)
    parts: dict[str, list[NDArray]] = {name: [] for name in ARRAYS[1:]}
    for tree, start in zip(trees, first[:-1], strict=True):
        is_leaf = tree.children_left < 0
        own = np.arange(tree.node_count)
        parts["features"].append(np.where(is_leaf, -1, tree.feature).astype(np.int64))
        parts["thresholds"].append(np.where(is_leaf, 0.0, tree.threshold))
        parts["left"].append(np.where(is_leaf, own, tree.children_left).astype(np.int64) + start)
        parts["right"].append(np.where(is_leaf, own, tree.children_right).astype(np.int64) + start)
        parts["values"].append(_values(tree.value[:, 0, :], classes))
    return {"roots": first[:-1], **{name: np.concatenate(arrays) for name, arrays in parts.items()}}


def _values(value_NC: Floats, classes: NDArray | None) -> Floats:
    """(N,) mean of the target at each node, or share of events there.

    Args:
        value_NC: (N, C) scikit-learn's value of each node and class; C is 1 for a regression.
        classes: (C,) the classes; None for a regression.
    """
    if classes is None:
        return value_NC[:, 0].astype(np.float64)
    share_NC = value_NC / value_NC.sum(axis=1, keepdims=True)
    return share_NC[:, classes == 1.0].sum(axis=1).astype(np.float64)
