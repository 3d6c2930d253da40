"""What a model of remaining useful life is, and what a family that fits such models is: the protocols of this hall.

A family is one file beside this one. `tests/contracts/test_model_families.py` runs the same suite over all of them.

Letters: B rows, F features.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from sinet_pipelines.errors import ContractError
from sinet_pipelines.features.scaled import ScaledSequences
from sinet_pipelines.schemas.features import MAX_RUL_CYCLES

Floats = NDArray[np.float64]
Singles = NDArray[np.float32]


@dataclass(frozen=True)
class Inputs:
    """What a model is asked with: engines, each at one cycle.

    Attributes:
        features_BF: (B, F) float32, columns as `feature_names`.
        feature_names: names of the columns.
        sequences: the scaled sensors behind the same rows, for families that read them.
    """

    features_BF: Singles
    feature_names: tuple[str, ...]
    sequences: ScaledSequences | None = None

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
    """What a family learns from.

    Attributes:
        inputs: B of them.
        unit_B: (B,) engine, as str.
        cycle_B: (B,) int32 cycle of the row.
        rul_B: (B,) float64 cycles left, not capped.
    """

    inputs: Inputs
    unit_B: NDArray[np.str_]
    cycle_B: NDArray[np.int32]
    rul_B: Floats

    def __len__(self) -> int:
        return len(self.rul_B)

    @property
    def target_B(self) -> Floats:
        """(B,) what is learnt: the remaining useful life, capped (Heimes 2008)."""
        return np.minimum(self.rul_B, MAX_RUL_CYCLES)

    @property
    def weight_B(self) -> Floats:
        """(B,) one over the engine's life, 1 on average, so that a long-lived engine counts no more than another."""
        weight_B = 1.0 / (self.cycle_B + self.rul_B)
        return weight_B / weight_B.mean()

    def take(self, rows: NDArray) -> "Examples":
        """The examples of some rows: (B,) bool, or indices."""
        return Examples(self.inputs.take(rows), self.unit_B[rows], self.cycle_B[rows], self.rul_B[rows])


@runtime_checkable
class Model(Protocol):
    """A fitted model."""

    @property
    def feature_names(self) -> tuple[str, ...]:
        """The features it was fitted on, in order."""

    def predict(self, inputs: Inputs) -> Floats:
        """(B,) remaining useful life in cycles, within [0, 125].

        Raises:
            ContractError: when the inputs have other features than the model was fitted on.
        """

    def files(self) -> dict[str, bytes]:
        """All that is needed to `load` the model again; equal models give equal bytes, and none is a pickle."""


@runtime_checkable
class Family(Protocol):
    """A way to fit models; its settings are its fields, so an instance is a candidate."""

    @property
    def name(self) -> str:
        """The family's name, as in the registry."""

    @property
    def needs_sequences(self) -> bool:
        """Whether `Inputs.sequences` must be there."""

    def fit(self, examples: Examples, *, seed: int) -> Model:
        """A model of the examples, the same for the same examples, settings and seed.

        Raises:
            ContractError: when there is nothing to learn from.
        """

    def load(self, files: Mapping[str, bytes]) -> Model:
        """The model whose `files` these are."""


def within_range(rul_B: Floats) -> Floats:
    """(B,) predictions clipped to [0, 125]; NaN stays NaN, for the gates to see."""
    return np.clip(rul_B, 0.0, float(MAX_RUL_CYCLES))


def require_features(inputs: Inputs, feature_names: tuple[str, ...]) -> Singles:
    """(B, F) the features of the inputs, which must be these.

    Raises:
        ContractError: when they are others, or in another order.
    """
    if inputs.feature_names != feature_names:
        odd = sorted(set(inputs.feature_names) ^ set(feature_names)) or ["the same in another order"]
        raise ContractError(
            f"{len(inputs.feature_names)} features with differences {odd[:3]} (the model was fitted on "
            f"{len(feature_names)}); ask it with the features of its own training set"
        )
    return inputs.features_BF


def require_examples(examples: Examples) -> Examples:
    """The examples, of which there must be some, all of them numbers.

    Raises:
        ContractError: when there are none, or a feature or label is not finite.
    """
    if len(examples) == 0:
        raise ContractError(
            "no examples to learn from (at least one row of a failed engine is needed); land more history"
        )
    if not (np.isfinite(examples.inputs.features_BF).all() and np.isfinite(examples.rul_B).all()):
        raise ContractError("a feature or label is not finite (every one must be a number); look at the training set")
    return examples
