"""Families of failure models: gradient-boosted trees, a random forest, and logistic regression as the baseline.

A family is fitted to examples and returns a score for each product; `training.py` makes probabilities of scores. The
settings were chosen on simulated tables (`simulator.py`), never on rows of AI4I 2020 (docs/decisions/0030).
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from sinet_pipelines.applications.milling.features import Examples
from sinet_pipelines.applications.milling.physics import Floats
from sinet_pipelines.applications.milling.schemas import FEATURE_NAMES, RISK_DIRECTIONS

THREADS = 1  # equal results with more, and no faster on ten thousand rows

#: (B, F) features in, (B,) scores within [0, 1] out.
Score = Callable[[Floats], Floats]


class Family(Protocol):
    """One kind of model with its settings; a frozen dataclass."""

    def fit(self, examples: Examples, *, seed: int) -> Score:
        """A model fitted to examples of both classes; equal arguments give equal scores."""
        ...


@dataclass(frozen=True)
class BoostedTrees:
    """LightGBM (Ke et al. 2017) with monotone constraints: no larger margin lowers the score.

    Attributes:
        trees: how many.
        learning_rate: share of each tree that is kept.
        leaves: most leaves of a tree.
        rows_in_leaf: fewest rows of a leaf.
        l2: penalty on squared leaf values.
    """

    trees: int = 150
    learning_rate: float = 0.05
    leaves: int = 4
    rows_in_leaf: int = 20
    l2: float = 1.0

    def fit(self, examples: Examples, *, seed: int) -> Score:
        """Trees fitted by log loss."""
        import lightgbm

        parameters: dict[str, Any] = {
            "objective": "binary",
            "learning_rate": self.learning_rate,
            "num_leaves": self.leaves,
            "min_data_in_leaf": self.rows_in_leaf,
            "lambda_l2": self.l2,
            "monotone_constraints": list(RISK_DIRECTIONS),
            "seed": seed,
            "deterministic": True,
            "force_row_wise": True,
            "num_threads": THREADS,
            "verbosity": -1,
        }
        data = lightgbm.Dataset(examples.features_BF, examples.failed_B.astype(np.float64), params=parameters)
        booster = lightgbm.train(parameters, data, num_boost_round=self.trees)
        return lambda features_BF: np.asarray(booster.predict(features_BF, num_threads=THREADS), dtype=np.float64)


@dataclass(frozen=True)
class RandomForest:
    """Bagged trees on random subsets of the features (Breiman 2001).

    Attributes:
        trees: how many.
        rows_in_leaf: fewest rows of a leaf: a leaf's share of failures is a probability, not a vote.
    """

    trees: int = 50
    rows_in_leaf: int = 10

    def fit(self, examples: Examples, *, seed: int) -> Score:
        """A forest; the score is the mean share of failures in the leaves."""
        from sklearn.ensemble import RandomForestClassifier

        forest = RandomForestClassifier(
            self.trees, min_samples_leaf=self.rows_in_leaf, random_state=seed, n_jobs=THREADS
        )
        forest.fit(examples.features_BF, examples.failed_B)
        return lambda features_BF: np.asarray(forest.predict_proba(features_BF)[:, 1], dtype=np.float64)


@dataclass(frozen=True)
class LogisticRegression:
    """Logistic regression on standardised features: the baseline.

    Attributes:
        inverse_penalty: scikit-learn's C.
    """

    inverse_penalty: float = 1.0

    def fit(self, examples: Examples, *, seed: int) -> Score:
        """Weights fitted by penalised log loss; the seed changes nothing."""
        from sklearn import linear_model
        from sklearn.pipeline import make_pipeline
        from sklearn.preprocessing import StandardScaler

        model = make_pipeline(
            StandardScaler(), linear_model.LogisticRegression(C=self.inverse_penalty, max_iter=1000, random_state=seed)
        )
        model.fit(examples.features_BF, examples.failed_B)
        return lambda features_BF: np.asarray(model.predict_proba(features_BF)[:, 1], dtype=np.float64)


@dataclass(frozen=True)
class PublishedRules:
    """The published limits themselves, nothing fitted: what a model that knows the rules alone can reach."""

    def fit(self, examples: Examples, *, seed: int) -> Score:
        """A score of 1 where a margin is above 0, else 0."""
        margins = [place for place, name in enumerate(FEATURE_NAMES) if name.endswith("_margin")]

        def score(features_BF: Floats) -> Floats:
            return np.asarray((features_BF[:, margins] > 0.0).any(axis=1), dtype=np.float64)

        return score


#: Compete inside the training folds; `average` is the mean of their probabilities.
CANDIDATES: Mapping[str, Family] = {"boosted_trees": BoostedTrees(), "random_forest": RandomForest()}
AVERAGE = "average"
#: Reported beside the candidates, never chosen.
BASELINES: Mapping[str, Family] = {"logistic_regression": LogisticRegression(), "published_rules": PublishedRules()}
