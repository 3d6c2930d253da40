"""The protocols of this package: a fitted model, and a family that fits such models.

A family is one file of this package. `tests/contracts/test_model_families.py` runs the same suite over all of them.

Letters: B rows, F features, L places of the concatenated sequences, S values of a place.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol, Self, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from sinet_pipelines.errors import ContractError
from sinet_pipelines.models.task import Kind, Task

Floats = NDArray[np.float64]
Singles = NDArray[np.float32]


class SequenceInputs(Protocol):
    """Values of whole groups, concatenated, for families that read earlier rows of a group."""

    @property
    def z_LS(self) -> Singles:
        """(L, S) float32 values, 0 where a place is empty.

        So many empty places precede each group that no window reads another group.
        """

    @property
    def present_L(self) -> NDArray[np.bool_]:
        """(L,) whether a place holds values."""

    @property
    def place_B(self) -> NDArray[np.int64]:
        """(B,) place of each row."""

    def __len__(self) -> int: ...

    def take(self, rows: NDArray) -> Self:
        """The sequences of some rows.

        Args:
            rows: (B,) bool, or indices.
        """


@dataclass(frozen=True)
class Inputs:
    """The inputs of a prediction.

    Attributes:
        features_BF: (B, F) float32, columns as `feature_names`.
        feature_names: names of the columns.
        sequences: earlier rows of the same groups, for families that read them.
    """

    features_BF: Singles
    feature_names: tuple[str, ...]
    sequences: SequenceInputs | None = None

    def __len__(self) -> int:
        return len(self.features_BF)

    def take(self, rows: NDArray) -> "Inputs":
        """The inputs of some rows.

        Args:
            rows: (B,) bool, or indices.
        """
        sequences = None if self.sequences is None else self.sequences.take(rows)
        return Inputs(self.features_BF[rows], self.feature_names, sequences)


@dataclass(frozen=True)
class Examples:
    """The examples that a family is fitted to.

    Attributes:
        inputs: of B rows.
        group_B: (B,) group, as str, which a split may not divide.
        order_B: (B,) int32 number of the row within its group.
        truth_B: (B,) float64 truth in the unit of the task's target, not clipped; 0 or 1 for a classification.
        task: the task.
    """

    inputs: Inputs
    group_B: NDArray[np.str_]
    order_B: NDArray[np.int32]
    truth_B: Floats
    task: Task

    def __len__(self) -> int:
        return len(self.truth_B)

    @property
    def target_B(self) -> Floats:
        """(B,) the training target: the truth, clipped to the task's range."""
        return self.task.within_range(self.truth_B)

    @property
    def weight_B(self) -> Floats:
        """(B,) weight of each row by the task's rule, 1 on average."""
        return self.task.weights(self.order_B, self.truth_B)

    def take(self, rows: NDArray) -> "Examples":
        """The examples of some rows.

        Args:
            rows: (B,) bool, or indices.
        """
        return Examples(self.inputs.take(rows), self.group_B[rows], self.order_B[rows], self.truth_B[rows], self.task)


@runtime_checkable
class Model(Protocol):
    """A fitted model."""

    @property
    def feature_names(self) -> tuple[str, ...]:
        """The features it was fitted on, in order."""

    @property
    def task(self) -> Task:
        """Its task."""

    def predict(self, inputs: Inputs) -> Floats:
        """(B,) predictions within the task's range: numbers in the target's unit, or scores from 0 to 1.

        Raises:
            ContractError: when the inputs have other features than the model was fitted on.
        """

    def files(self) -> dict[str, bytes]:
        """Everything that `load` needs besides the task; equal models have equal bytes, and no file is a pickle."""


@runtime_checkable
class Family(Protocol):
    """A way to fit models; its settings are its fields, so an instance is a candidate."""

    @property
    def name(self) -> str:
        """The family's name, as in the registry."""

    @property
    def needs_sequences(self) -> bool:
        """Whether `Inputs.sequences` is required."""

    @property
    def kinds(self) -> tuple[Kind, ...]:
        """The kinds of tasks that it supports."""

    def fit(self, examples: Examples, *, seed: int) -> Model:
        """Fits a model to the examples; equal examples, settings and seed make equal models.

        Raises:
            ContractError: when there are no examples, or the task is of another kind.
        """

    def load(self, files: Mapping[str, bytes], *, task: Task) -> Model:
        """The model with these `files`, fitted to this task."""


def probability_of(logit_B: Floats) -> Floats:
    """(B,) the logistic function.

    >>> probability_of(np.array([0.0, -800.0])).tolist()
    [0.5, 0.0]
    """
    with np.errstate(over="ignore"):
        return 1.0 / (1.0 + np.exp(-logit_B))


def inverse_link(task: Task, raw_B: Floats) -> Floats:
    """(B,) predictions from the raw outputs of a model.

    For a regression the raw outputs are clipped to the range; for a classification they are logits.
    """
    return task.within_range(raw_B) if task.is_regression else probability_of(raw_B)


def require_features(inputs: Inputs, feature_names: tuple[str, ...]) -> Singles:
    """(B, F) the features of the inputs, checked against these names.

    Raises:
        ContractError: when they differ, also in their order.
    """
    if inputs.feature_names != feature_names:
        odd = sorted(set(inputs.feature_names) ^ set(feature_names)) or ["the order of the features"]
        raise ContractError(
            f"{len(inputs.feature_names)} features differ from the {len(feature_names)} of the model's training set, "
            f"first in {', '.join(odd[:3])}; predict with the features of its training set"
        )
    return inputs.features_BF


def require_examples(examples: Examples, family: Family) -> Examples:
    """Returns the examples after these checks: there are some, all are finite, and the family supports the task.

    Raises:
        ContractError: when there are none, a feature or truth is not finite, the task is of another kind, or a truth
            of a classification is neither 0 nor 1.
    """
    task = examples.task
    if task.kind not in family.kinds:
        raise ContractError(
            f"family {family.name} cannot be fitted to a {task.kind} (allowed: {', '.join(family.kinds)}); "
            "choose another family"
        )
    if len(examples) == 0:
        raise ContractError(f"no examples of {task.target} to fit (at least one row is needed); land more data")
    if not (np.isfinite(examples.inputs.features_BF).all() and np.isfinite(examples.truth_B).all()):
        raise ContractError("a feature or label is not finite (all must be finite); check the training set")
    if not task.is_regression and not np.isin(examples.truth_B, (0.0, 1.0)).all():
        raise ContractError(f"{task.target} is neither 0 nor 1 in some row (allowed: these two); check the labels")
    return examples
