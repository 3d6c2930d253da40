"""Gradient-boosted trees: LightGBM (Ke et al. 2017), deterministic under its seed.

The model is stored as LightGBM's own text. It is fitted and evaluated on float32 features, so that a graph with its
thresholds predicts the same.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from sinet_pipelines.models.model import Examples, Floats, Inputs, inverse_link, require_examples, require_features
from sinet_pipelines.models.task import Kind, Task

if TYPE_CHECKING:
    from lightgbm import Booster

# more threads give the same result, but on busy cores two threads take seven times as long as one
THREADS = 1


@dataclass(frozen=True)
class BoostedModel:
    """Fitted boosted trees.

    Attributes:
        feature_names: columns it was fitted on.
        text: LightGBM's model text, which `quantization/trees.py` reads.
        task: what it predicts.
    """

    feature_names: tuple[str, ...]
    text: str
    task: Task

    @cached_property
    def booster(self) -> "Booster":
        """LightGBM's own object."""
        import lightgbm

        return lightgbm.Booster(model_str=self.text)

    def predict(self, inputs: Inputs) -> Floats:
        """(B,) predictions within the task's range."""
        features_BF = require_features(inputs, self.feature_names)
        raw_B = self.booster.predict(features_BF, num_threads=THREADS, raw_score=True)
        return inverse_link(self.task, np.asarray(raw_B, dtype=np.float64))

    def files(self) -> dict[str, bytes]:
        """`model.txt`, LightGBM's text, and `features.json`, the names of its columns."""
        return {"model.txt": self.text.encode(), "features.json": json.dumps(self.feature_names).encode()}


@dataclass(frozen=True)
class GradientBoosting:
    """Trees that minimise the squared error of a regression or the log loss of a classification.

    Rows are weighted by the task's rule.

    Attributes:
        trees: number of trees.
        learning_rate: factor by which each tree's leaf values are multiplied.
        leaves: largest number of leaves of a tree.
        rows_in_leaf: smallest number of rows of a leaf; large where rows of a group are nearly equal. With fewer than
            20 times as many rows, a twentieth of the rows.
        feature_share: share of the features for each tree, since many features are correlated.
        row_share: share of the rows for each tree.
        l2: penalty on squared leaf values.
        monotone: for each feature 1 where a larger value never lowers the prediction, -1 where it never raises it, 0
            without a constraint; empty for no constraints.
    """

    trees: int = 400
    learning_rate: float = 0.03
    leaves: int = 15
    rows_in_leaf: int = 100
    feature_share: float = 0.5
    row_share: float = 0.5
    l2: float = 1.0
    monotone: tuple[int, ...] = ()

    name = "gradient_boosting"
    needs_sequences = False
    kinds = (Kind.REGRESSION, Kind.CLASSIFICATION)

    def parameters(self, *, seed: int, rows: int, kind: Kind = Kind.REGRESSION) -> dict[str, Any]:
        """LightGBM's parameters for a training set of this number of rows."""
        return {
            "objective": "regression" if kind is Kind.REGRESSION else "binary",
            "learning_rate": self.learning_rate,
            "num_leaves": self.leaves,
            "min_data_in_leaf": max(1, min(self.rows_in_leaf, rows // 20)),  # so that a tiny set has splits too
            "feature_fraction": self.feature_share,
            "bagging_fraction": self.row_share,
            "bagging_freq": 1,
            "lambda_l2": self.l2,
            "seed": seed,
            "deterministic": True,
            "force_row_wise": True,
            "num_threads": THREADS,
            "verbosity": -1,
            **({"monotone_constraints": list(self.monotone)} if self.monotone else {}),
        }

    def fit(self, examples: Examples, *, seed: int) -> BoostedModel:
        """Fits trees to the examples."""
        import lightgbm

        inputs = require_examples(examples, self).inputs
        parameters = self.parameters(seed=seed, rows=len(examples), kind=examples.task.kind)
        data = lightgbm.Dataset(
            inputs.features_BF,
            examples.target_B,
            weight=examples.weight_B,
            feature_name=list(inputs.feature_names),
            params=parameters,
        )
        booster = lightgbm.train(parameters, data, num_boost_round=self.trees)
        return BoostedModel(inputs.feature_names, booster.model_to_string(), examples.task)

    def load(self, files: Mapping[str, bytes], *, task: Task) -> BoostedModel:
        """The trees with these `files`."""
        return BoostedModel(tuple(json.loads(files["features.json"])), files["model.txt"].decode(), task)
