"""Yardsticks: a constant and a ridge regression, which every model stands beside.

A model that does not beat the constant has learnt nothing; one that does not beat the ridge has learnt a line.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass

import numpy as np

from sinet_pipelines.models.model import Examples, Floats, Inputs, require_examples, require_features, within_range

FLAT_SD = 1e-9  # of the mean: a feature that spreads less is constant but for the rounding of its mean


@dataclass(frozen=True)
class LinearModel:
    """An intercept and a weight a feature, features standardised; a constant has weights of zero.

    Attributes:
        feature_names: columns it was fitted on.
        intercept: cycles at the mean of every feature.
        weights: (F,) cycles per standard deviation.
        means: (F,) of the features.
        sds: (F,) of the features, 1 for a constant one.
    """

    feature_names: tuple[str, ...]
    intercept: float
    weights: tuple[float, ...]
    means: tuple[float, ...]
    sds: tuple[float, ...]

    def predict(self, inputs: Inputs) -> Floats:
        """(B,) remaining useful life in cycles, within [0, 125]."""
        features_BF = require_features(inputs, self.feature_names)
        return within_range(
            self.intercept + (features_BF - np.asarray(self.means)) / self.sds @ np.asarray(self.weights)
        )

    def files(self) -> dict[str, bytes]:
        """`linear.json`, all of it."""
        return {"linear.json": json.dumps(asdict(self), sort_keys=True, allow_nan=False).encode()}


def _load(files: Mapping[str, bytes]) -> LinearModel:
    said = json.loads(files["linear.json"])
    return LinearModel(
        feature_names=tuple(said["feature_names"]),
        intercept=said["intercept"],
        **{name: tuple(said[name]) for name in ("weights", "means", "sds")},
    )


@dataclass(frozen=True)
class Constant:
    """The mean capped remaining useful life of the training set, whatever is asked."""

    name = "constant"
    needs_sequences = False

    def fit(self, examples: Examples, *, seed: int) -> LinearModel:
        """The weighted mean of the target; nothing is random."""
        del seed
        inputs = require_examples(examples).inputs
        n = len(inputs.feature_names)
        mean = float(np.average(examples.target_B, weights=examples.weight_B))
        return LinearModel(inputs.feature_names, mean, (0.0,) * n, (0.0,) * n, (1.0,) * n)

    def load(self, files: Mapping[str, bytes]) -> LinearModel:
        """The constant whose `files` these are."""
        return _load(files)


@dataclass(frozen=True)
class Ridge:
    """Linear least squares with a penalty on squared weights (Hoerl and Kennard 1970), by the normal equations.

    Attributes:
        penalty: as a share of the rows, so that it means the same for a small and a large training set.
    """

    penalty: float = 0.01

    name = "ridge"
    needs_sequences = False

    def fit(self, examples: Examples, *, seed: int) -> LinearModel:
        """The weights that minimise the weighted squared error plus the penalty; nothing is random."""
        del seed
        inputs = require_examples(examples).inputs
        x_BF, weight_B, target_B = inputs.features_BF.astype(np.float64), examples.weight_B, examples.target_B
        means, intercept = np.average(x_BF, axis=0, weights=weight_B), float(np.average(target_B, weights=weight_B))
        sds = np.sqrt(np.average((x_BF - means) ** 2, axis=0, weights=weight_B))
        flat = sds <= FLAT_SD * np.abs(means)
        sds[flat] = 1.0
        z_BF = np.where(flat, 0.0, (x_BF - means) / sds)
        weighted_BF = z_BF * weight_B[:, None]
        gram = weighted_BF.T @ z_BF + self.penalty * len(examples) * np.eye(len(means))
        weights = np.linalg.solve(gram, weighted_BF.T @ (target_B - intercept))
        return LinearModel(
            inputs.feature_names, intercept, tuple(weights.tolist()), tuple(means.tolist()), tuple(sds.tolist())
        )

    def load(self, files: Mapping[str, bytes]) -> LinearModel:
        """The ridge whose `files` these are."""
        return _load(files)
