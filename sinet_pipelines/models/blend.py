"""A blend: the weighted sum of several models' predictions; equal weights are a plain average.

The weights are fitted to out-of-fold predictions (stacking: Wolpert 1992; with non-negative weights: Breiman 1996), so
a member that overfits gains no weight by it.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from sinet_pipelines.errors import ContractError
from sinet_pipelines.models.model import Examples, Family, Floats, Inputs, Model, require_examples
from sinet_pipelines.models.task import Kind, Task


@dataclass(frozen=True)
class BlendModel:
    """Fitted models with their weights.

    Attributes:
        names: of the members' families.
        members: fitted models, at least one, all on the same features.
        weights: factor of each member's prediction, from 0.
    """

    names: tuple[str, ...]
    members: tuple[Model, ...]
    weights: tuple[float, ...]

    @property
    def feature_names(self) -> tuple[str, ...]:
        """The features of its members."""
        return self.members[0].feature_names

    @property
    def task(self) -> Task:
        """The task of its members."""
        return self.members[0].task

    def predict(self, inputs: Inputs) -> Floats:
        """(B,) predictions within the task's range: the weighted sum of the members' predictions."""
        sum_B = np.zeros(len(inputs))
        for member, weight in zip(self.members, self.weights, strict=True):
            sum_B += weight * member.predict(inputs)
        return self.task.within_range(sum_B)

    def files(self) -> dict[str, bytes]:
        """`blend.json`, names and weights, and each member's files under its family's name."""
        files = {"blend.json": json.dumps({"names": self.names, "weights": self.weights}, sort_keys=True).encode()}
        for name, member in zip(self.names, self.members, strict=True):
            files |= {f"{name}/{file}": content for file, content in member.files().items()}
        return files


@dataclass(frozen=True)
class Blend:
    """Families whose models are fitted on the same examples and whose predictions are summed with weights.

    Attributes:
        name: the blend's own name.
        members: the families.
        weights: factor of each member's prediction; empty for equal weights with a sum of 1.
    """

    name: str
    members: tuple[Family, ...]
    weights: tuple[float, ...] = ()

    @property
    def needs_sequences(self) -> bool:
        """Whether a member needs sequences."""
        return any(member.needs_sequences for member in self.members)

    @property
    def kinds(self) -> tuple[Kind, ...]:
        """The kinds of tasks that every member supports."""
        return tuple(kind for kind in Kind if all(kind in member.kinds for member in self.members))

    def fit(self, examples: Examples, *, seed: int) -> BlendModel:
        """Fits every member on all examples.

        Raises:
            ContractError: when there are no examples, or a member does not support the kind of task.
        """
        require_examples(examples, self)
        return self.of([member.fit(examples, seed=seed) for member in self.members])

    def of(self, models: Sequence[Model]) -> BlendModel:
        """The blend of fitted models, in the order of the members."""
        names = tuple(member.name for member in self.members)
        weights = self.weights or (1.0 / len(names),) * len(names)
        return BlendModel(names, tuple(models), weights)

    def load(self, files: Mapping[str, bytes], *, task: Task) -> BlendModel:
        """The blend with these `files`.

        Raises:
            ContractError: when they are files of a blend of other families.
        """
        parameters = json.loads(files["blend.json"])
        by_name = {member.name: member for member in self.members}
        if set(parameters["names"]) != set(by_name):
            raise ContractError(
                f"the files are of a blend of {', '.join(parameters['names'])} (needed: {', '.join(by_name)}); "
                "load them with a blend of their families"
            )
        members = tuple(by_name[name].load(_inside(files, name), task=task) for name in parameters["names"])
        return BlendModel(tuple(parameters["names"]), members, tuple(parameters["weights"]))


def stacked_weights(predicted_MB: Sequence[Floats], target_B: Floats, weight_B: Floats) -> tuple[float, ...]:
    """The non-negative weights with which the sum of the members' predictions has the least squared error.

    Args:
        predicted_MB: M arrays (B,): each member's predictions for rows that it was not fitted on.
        target_B: (B,) the truth, in the unit of the predictions.
        weight_B: (B,) weight of each row.

    Returns:
        M weights.

    >>> truth = np.array([10.0, 20.0, 30.0])
    >>> [round(w, 6) for w in stacked_weights([truth, 0 * truth], truth, np.ones(3))]
    [1.0, 0.0]
    """
    from scipy.optimize import nnls

    root_B = np.sqrt(weight_B)
    found, _ = nnls(np.stack(predicted_MB, axis=1) * root_B[:, None], target_B * root_B)
    return tuple(found.tolist())


def _inside(files: Mapping[str, bytes], folder: str) -> dict[str, bytes]:
    return {
        name.removeprefix(f"{folder}/"): content for name, content in files.items() if name.startswith(f"{folder}/")
    }
