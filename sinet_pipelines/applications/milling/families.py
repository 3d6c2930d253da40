"""The families that compete to predict failures, and the baselines with which they are compared.

The settings were chosen on simulated tables (`simulator.py`), never on rows of AI4I 2020 (docs/decisions/0030).
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from sinet_pipelines.applications.milling.schemas import FEATURE_NAMES, RISK_DIRECTIONS
from sinet_pipelines.models.baselines import Logistic
from sinet_pipelines.models.blend import Blend
from sinet_pipelines.models.gradient_boosting import GradientBoosting
from sinet_pipelines.models.model import Examples, Family, Floats, Inputs, require_examples, require_features
from sinet_pipelines.models.random_forest import RandomForest
from sinet_pipelines.models.task import Kind, Task

_MARGINS = [place for place, name in enumerate(FEATURE_NAMES) if name.endswith("_margin")]


@dataclass(frozen=True)
class RulesModel:
    """The published limits: predicts 1 where a margin is above 0, else 0."""

    task: Task
    feature_names: tuple[str, ...] = FEATURE_NAMES

    def predict(self, inputs: Inputs) -> Floats:
        """(B,) zeros and ones."""
        features_BF = require_features(inputs, self.feature_names)
        return np.asarray((features_BF[:, _MARGINS] > 0.0).any(axis=1), dtype=np.float64)

    def files(self) -> dict[str, bytes]:
        """Nothing: the limits are in `physics.py`."""
        return {}


@dataclass(frozen=True)
class PublishedRules:
    """The published limits, without a fit: the figures that the rules alone reach."""

    name = "published_rules"
    needs_sequences = False
    kinds = (Kind.CLASSIFICATION,)

    def fit(self, examples: Examples, *, seed: int) -> RulesModel:
        """The limits; the examples have no effect."""
        del seed
        return RulesModel(require_examples(examples, self).task)

    def load(self, files: Mapping[str, bytes], *, task: Task) -> RulesModel:
        """The limits."""
        del files
        return RulesModel(task)


#: Few leaves, all rows and features: there are few features, and each has information of its own.
BOOSTED_TREES = GradientBoosting(
    trees=150,
    learning_rate=0.05,
    leaves=4,
    rows_in_leaf=20,
    feature_share=1.0,
    row_share=1.0,
    monotone=RISK_DIRECTIONS,
)
FOREST = RandomForest()
#: The plain average of both: the baseline for other combinations.
AVERAGE = Blend("average", (BOOSTED_TREES, FOREST))

#: The families that compete to be the champion, in the order of the pages.
CANDIDATES: tuple[Family, ...] = (BOOSTED_TREES, FOREST, AVERAGE)
#: The families with which every candidate is compared; they are never candidates.
BASELINES: tuple[Family, ...] = (Logistic(), PublishedRules())

CANDIDATE_NAMES: tuple[str, ...] = tuple(family.name for family in CANDIDATES)
BASELINE_NAMES: tuple[str, ...] = tuple(family.name for family in BASELINES)
