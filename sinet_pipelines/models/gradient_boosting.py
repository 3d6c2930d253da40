"""Gradient-boosted trees on window features: LightGBM (Ke et al. 2017), deterministic under its seed.

The model is LightGBM's own text; it is trained and compared on float32 features, so that a graph which holds its
thresholds answers as it does.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from sinet_pipelines.models.model import Examples, Floats, Inputs, require_examples, require_features, within_range

if TYPE_CHECKING:
    from lightgbm import Booster

# the answer is the same with more, but on busy cores two wait for each other seven times as long as one works
THREADS = 1


@dataclass(frozen=True)
class BoostedModel:
    """A fitted forest.

    Attributes:
        feature_names: columns it was fitted on.
        text: LightGBM's model text; what `quantization/trees.py` reads.
    """

    feature_names: tuple[str, ...]
    text: str

    @cached_property
    def booster(self) -> "Booster":
        """LightGBM's own object."""
        import lightgbm

        return lightgbm.Booster(model_str=self.text)

    def predict(self, inputs: Inputs) -> Floats:
        """(B,) remaining useful life in cycles, within [0, 125]."""
        features_BF = require_features(inputs, self.feature_names)
        return within_range(np.asarray(self.booster.predict(features_BF, num_threads=THREADS), dtype=np.float64))

    def files(self) -> dict[str, bytes]:
        """`model.txt`, LightGBM's text, and `features.json`, the names of its columns."""
        return {"model.txt": self.text.encode(), "features.json": json.dumps(self.feature_names).encode()}


@dataclass(frozen=True)
class GradientBoosting:
    """Least squares on the capped remaining useful life, each row weighted by one over its engine's life.

    Attributes:
        trees: how many.
        learning_rate: share of each tree that is kept.
        leaves: most leaves of a tree.
        rows_in_leaf: fewest rows of a leaf; neighbouring cycles of an engine are nearly one row, hence many.
        feature_share: share of the features a tree may look at; many features say the same.
        row_share: share of the rows a tree sees.
        l2: penalty on squared leaf values.
    """

    trees: int = 400
    learning_rate: float = 0.03
    leaves: int = 15
    rows_in_leaf: int = 100
    feature_share: float = 0.5
    row_share: float = 0.5
    l2: float = 1.0

    name = "gradient_boosting"
    needs_sequences = False

    def parameters(self, *, seed: int, rows: int) -> dict[str, Any]:
        """LightGBM's parameters for a training set of so many rows."""
        return {
            "objective": "regression",
            "learning_rate": self.learning_rate,
            "num_leaves": self.leaves,
            "min_data_in_leaf": max(1, min(self.rows_in_leaf, rows // 20)),  # a tiny fleet still gets its splits
            "feature_fraction": self.feature_share,
            "bagging_fraction": self.row_share,
            "bagging_freq": 1,
            "lambda_l2": self.l2,
            "seed": seed,
            "deterministic": True,
            "force_row_wise": True,
            "num_threads": THREADS,
            "verbosity": -1,
        }

    def fit(self, examples: Examples, *, seed: int) -> BoostedModel:
        """A forest fitted to the examples."""
        import lightgbm

        inputs = require_examples(examples).inputs
        parameters = self.parameters(seed=seed, rows=len(examples))
        data = lightgbm.Dataset(
            inputs.features_BF,
            examples.target_B,
            weight=examples.weight_B,
            feature_name=list(inputs.feature_names),
            params=parameters,
        )
        booster = lightgbm.train(parameters, data, num_boost_round=self.trees)
        return BoostedModel(inputs.feature_names, booster.model_to_string())

    def load(self, files: Mapping[str, bytes]) -> BoostedModel:
        """The forest whose `files` these are."""
        return BoostedModel(tuple(json.loads(files["features.json"])), files["model.txt"].decode())
