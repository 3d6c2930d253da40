"""Baselines: a constant, a ridge regression and a logistic regression, shown beside every model.

A model with no less error than the constant has learnt nothing; one with no less error than the ridge has learnt no
more than a linear function.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sinet_pipelines.models.model import (
    Examples,
    Floats,
    Inputs,
    inverse_link,
    probability_of,
    require_examples,
    require_features,
)
from sinet_pipelines.models.task import Kind, Task

LEAST_SHARE = 1e-6  # of each class in the constant's training set: the logit of 0 is infinite
FLAT_SD = 1e-9  # relative to the mean: a smaller standard deviation is only rounding error of the mean


@dataclass(frozen=True)
class LinearModel:
    """An intercept, and a weight for each standardised feature; the constant model has weights of zero.

    Attributes:
        feature_names: columns it was fitted on.
        intercept: prediction at the mean of every feature: in the target's unit, or a logit.
        weights: (F,) change of the prediction, or of the logit, for one standard deviation of the feature.
        means: (F,) of the features in the training set; 0 for the constant model.
        sds: (F,) of the features in the training set; 1 for a constant feature and for the constant model.
        task: what it predicts.
    """

    feature_names: tuple[str, ...]
    intercept: float
    weights: tuple[float, ...]
    means: tuple[float, ...]
    sds: tuple[float, ...]
    task: Task

    def predict(self, inputs: Inputs) -> Floats:
        """(B,) predictions within the task's range."""
        features_BF = require_features(inputs, self.feature_names)
        scaled_BF = (features_BF - np.asarray(self.means)) / self.sds
        return inverse_link(self.task, self.intercept + scaled_BF @ np.asarray(self.weights))

    def files(self) -> dict[str, bytes]:
        """`linear.json`, all of it."""
        parameters = {name: value for name, value in vars(self).items() if name != "task"}
        return {"linear.json": json.dumps(parameters, sort_keys=True, allow_nan=False).encode()}


def _load(files: Mapping[str, bytes], task: Task) -> LinearModel:
    parameters = json.loads(files["linear.json"])
    return LinearModel(
        feature_names=tuple(parameters["feature_names"]),
        intercept=parameters["intercept"],
        **{name: tuple(parameters[name]) for name in ("weights", "means", "sds")},
        task=task,
    )


@dataclass(frozen=True)
class Constant:
    """Predicts the weighted mean of the target over the training set and does not use the features."""

    name = "constant"
    needs_sequences = False
    kinds = (Kind.REGRESSION, Kind.CLASSIFICATION)

    def fit(self, examples: Examples, *, seed: int) -> LinearModel:
        """The weighted mean of the target; nothing is random."""
        del seed
        inputs = require_examples(examples, self).inputs
        n = len(inputs.feature_names)
        mean = float(np.average(examples.target_B, weights=examples.weight_B))
        if not examples.task.is_regression:
            share = min(max(mean, LEAST_SHARE), 1.0 - LEAST_SHARE)
            mean = float(np.log(share / (1.0 - share)))
        return LinearModel(inputs.feature_names, mean, (0.0,) * n, (0.0,) * n, (1.0,) * n, examples.task)

    def load(self, files: Mapping[str, bytes], *, task: Task) -> LinearModel:
        """The constant with these `files`."""
        return _load(files, task)


@dataclass(frozen=True)
class Ridge:
    """Linear least squares with a penalty on squared weights (Hoerl and Kennard 1970), by the normal equations.

    Attributes:
        penalty: on the squared weights, times the number of rows, so that its effect does not depend on that number.
    """

    penalty: float = 0.01

    name = "ridge"
    needs_sequences = False
    kinds = (Kind.REGRESSION,)

    def fit(self, examples: Examples, *, seed: int) -> LinearModel:
        """The weights that minimise the weighted squared error plus the penalty; nothing is random."""
        del seed
        inputs = require_examples(examples, self).inputs
        x_BF, weight_B, target_B = inputs.features_BF.astype(np.float64), examples.weight_B, examples.target_B
        intercept = float(np.average(target_B, weights=weight_B))
        z_BF, means, sds = _standardised(x_BF, weight_B)
        weighted_BF = z_BF * weight_B[:, None]
        gram = weighted_BF.T @ z_BF + self.penalty * len(examples) * np.eye(len(means))
        weights = np.linalg.solve(gram, weighted_BF.T @ (target_B - intercept))
        return _fitted(examples, intercept, weights, means, sds)

    def load(self, files: Mapping[str, bytes], *, task: Task) -> LinearModel:
        """The ridge with these `files`."""
        return _load(files, task)


@dataclass(frozen=True)
class Logistic:
    """Logistic regression on standardised features, with a penalty on squared weights (Hosmer, Lemeshow 1989).

    Attributes:
        inverse_penalty: the factor C in C * (log loss summed over the rows) + (sum of squared weights) / 2.
    """

    inverse_penalty: float = 1.0

    name = "logistic"
    needs_sequences = False
    kinds = (Kind.CLASSIFICATION,)

    def fit(self, examples: Examples, *, seed: int) -> LinearModel:
        """The weights that minimise the penalised log loss (L-BFGS); nothing is random."""
        from scipy.optimize import minimize

        del seed
        inputs = require_examples(examples, self).inputs
        weight_B, target_B = examples.weight_B, examples.target_B
        z_BF, means, sds = _standardised(inputs.features_BF.astype(np.float64), weight_B)

        def loss(parameters: Floats) -> tuple[float, Floats]:
            raw_B = parameters[0] + z_BF @ parameters[1:]
            error_B = weight_B * (probability_of(raw_B) - target_B)
            value = np.sum(weight_B * (np.logaddexp(0.0, raw_B) - target_B * raw_B))
            penalty = 0.5 * float(parameters[1:] @ parameters[1:])
            gradient = np.concatenate([[error_B.sum()], z_BF.T @ error_B + parameters[1:] / self.inverse_penalty])
            return float(value) + penalty / self.inverse_penalty, gradient

        start = np.zeros(1 + z_BF.shape[1])
        found = minimize(loss, start, jac=True, method="L-BFGS-B", options={"maxiter": 1000}).x
        return _fitted(examples, float(found[0]), found[1:], means, sds)

    def load(self, files: Mapping[str, bytes], *, task: Task) -> LinearModel:
        """The regression with these `files`."""
        return _load(files, task)


def _fitted(examples: Examples, intercept: float, weights: NDArray, means: NDArray, sds: NDArray) -> LinearModel:
    return LinearModel(
        feature_names=examples.inputs.feature_names,
        intercept=intercept,
        weights=tuple(weights.tolist()),
        means=tuple(means.tolist()),
        sds=tuple(sds.tolist()),
        task=examples.task,
    )


def _standardised(x_BF: Floats, weight_B: Floats) -> tuple[Floats, Floats, Floats]:
    """(B, F) features standardised by weighted mean and sd, 0 for a constant feature; (F,) means; (F,) sds."""
    means = np.average(x_BF, axis=0, weights=weight_B)
    sds = np.sqrt(np.average((x_BF - means) ** 2, axis=0, weights=weight_B))
    flat = sds <= FLAT_SD * np.abs(means)
    sds[flat] = 1.0
    return np.where(flat, 0.0, (x_BF - means) / sds), means, sds
