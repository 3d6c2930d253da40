"""A blend: the weighted sum of several models' predictions; equal weights are a plain average.

Weights are fitted to predictions of models that were fitted without the rows (stacking: Wolpert 1992; with non-negative
weights: Breiman 1996), so an overfitted member gets no weight.
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
        weights: of each member's prediction, from 0.
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
    """Families whose models are fitted on the same examples and predict together.

    Attributes:
        name: the blend's own name.
        members: the families.
        weights: of each; equal ones by default.
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
        """The kinds that every member can be fitted to."""
        return tuple(kind for kind in Kind if all(kind in member.kinds for member in self.members))

    def fit(self, examples: Examples, *, seed: int) -> BlendModel:
        """Fits every member on all examples.

        Raises:
            ContractError: when there are no examples, or a member does not support such a task.
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
            ContractError: when it was made of other families.
        """
        parameters = json.loads(files["blend.json"])
        by_name = {member.name: member for member in self.members}
        if set(parameters["names"]) != set(by_name):
            raise ContractError(
                f"a blend of {', '.join(parameters['names'])} (this one is of {', '.join(by_name)}); load it as such"
            )
        members = tuple(by_name[name].load(_inside(files, name), task=task) for name in parameters["names"])
        return BlendModel(tuple(parameters["names"]), members, tuple(parameters["weights"]))


def stacked_weights(answers_MB: Sequence[Floats], target_B: Floats, weight_B: Floats) -> tuple[float, ...]:
    """Weights from 0 for which the members' predictions are nearest to the target (non-negative least squares).

    Args:
        answers_MB: each member's predictions for rows that it was not fitted on.
        target_B: (B,) the truth.
        weight_B: (B,) of the rows.

    >>> truth = np.array([10.0, 20.0, 30.0])
    >>> [round(w, 6) for w in stacked_weights([truth, 0 * truth], truth, np.ones(3))]
    [1.0, 0.0]
    """
    from scipy.optimize import nnls

    root_B = np.sqrt(weight_B)
    found, _ = nnls(np.stack(answers_MB, axis=1) * root_B[:, None], target_B * root_B)
    return tuple(found.tolist())


def _inside(files: Mapping[str, bytes], folder: str) -> dict[str, bytes]:
    return {
        name.removeprefix(f"{folder}/"): content for name, content in files.items() if name.startswith(f"{folder}/")
    }
