"""A multilayer perceptron, in PyTorch: two hidden layers with dropout.

It has the same inputs as the trees. Its errors differ from theirs, so the average of both has less error.
"""

import json
from collections import OrderedDict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from sinet_pipelines.models.descent import (
    column_scale,
    dense_layers,
    dense_output,
    descend,
    device,
    standardised,
    target_scale,
)
from sinet_pipelines.models.model import (
    Examples,
    Floats,
    Inputs,
    Singles,
    require_examples,
    require_features,
)
from sinet_pipelines.models.task import Kind, Task
from sinet_pipelines.models.weights import read_weights, write_weights


@dataclass(frozen=True)
class PerceptronModel:
    """A fitted perceptron.

    Attributes:
        feature_names: columns it was fitted on.
        target_mean: prediction for an output of 0, in the target's unit.
        target_sd: change of the prediction for one unit of output, in the target's unit; 0 for a constant target.
        weights: float32 arrays by name: `dense0`, `dense1`, `out` (`.weight` (n_out, n_in), `.bias` (n_out,)),
            `feature_means` and `feature_sds` (F,).
        task: what it predicts.
    """

    feature_names: tuple[str, ...]
    target_mean: float
    target_sd: float
    weights: Mapping[str, Singles]
    task: Task

    def predict(self, inputs: Inputs) -> Floats:
        """(B,) predictions within the task's range."""
        features_BF = require_features(inputs, self.feature_names)
        x_BF = (features_BF - self.weights["feature_means"]) / self.weights["feature_sds"]
        return self.task.within_range(self.target_mean + self.target_sd * dense_output(self.weights, x_BF))

    def files(self) -> dict[str, bytes]:
        """`net.safetensors`, the weights, and `net.json`, the rest."""
        rest = {name: value for name, value in vars(self).items() if name not in ("weights", "task")}
        return {"net.json": json.dumps(rest, sort_keys=True).encode(), "net.safetensors": write_weights(self.weights)}


@dataclass(frozen=True)
class Perceptron:
    """A perceptron that minimises the squared error; rows are weighted by the task's rule.

    Attributes:
        epochs: number of passes over the rows.
        rows_in_batch: number of rows of one step of the optimiser.
        learning_rate: of AdamW.
        weight_decay: of AdamW.
        dropout: share of hidden units left out in a step, 0 to 1.
    """

    epochs: int = 12
    rows_in_batch: int = 256
    learning_rate: float = 2e-3
    weight_decay: float = 1e-2
    dropout: float = 0.1

    name = "perceptron"
    needs_sequences = False
    kinds = (Kind.REGRESSION,)

    def fit(self, examples: Examples, *, seed: int) -> PerceptronModel:
        """The perceptron after the last epoch."""
        *_, model = self.fit_path(examples, seed=seed)
        return model

    def fit_path(self, examples: Examples, *, seed: int) -> Iterator[PerceptronModel]:
        """The perceptron after each epoch."""
        import torch

        inputs = require_examples(examples, self).inputs
        target, columns = target_scale(examples.target_B, examples.weight_B), column_scale(inputs.features_BF)
        device_name = device()
        arrays = [
            (inputs.features_BF - columns.mean) / columns.sd,
            standardised(examples.target_B, target),
            examples.weight_B.astype(np.float32),
        ]
        x_BF, y_B, weight_B = (torch.from_numpy(array).to(device_name) for array in arrays)
        torch.manual_seed(seed)
        layers = dense_layers(len(inputs.feature_names), dropout=self.dropout)
        net = torch.nn.Sequential(OrderedDict(layers)).to(device_name)

        def batches(generator: np.random.Generator) -> Iterator[torch.Tensor]:
            rows = torch.from_numpy(generator.permutation(len(examples))).to(device_name)
            yield from rows.split(self.rows_in_batch)

        def loss_of(net: torch.nn.Module, rows: torch.Tensor) -> torch.Tensor:
            return (weight_B[rows] * (net(x_BF[rows])[:, 0] - y_B[rows]) ** 2).mean()

        path = descend(
            net,
            batches,
            loss_of,
            seed=seed,
            epochs=self.epochs,
            learning_rate=self.learning_rate,
            weight_decay=self.weight_decay,
        )
        for weights in path:
            weights |= {"feature_means": columns.mean, "feature_sds": columns.sd}
            yield PerceptronModel(inputs.feature_names, target.mean, target.sd, weights, examples.task)

    def load(self, files: Mapping[str, bytes], *, task: Task) -> PerceptronModel:
        """The perceptron with these `files`."""
        rest = json.loads(files["net.json"])
        weights = read_weights(files["net.safetensors"])
        return PerceptronModel(tuple(rest["feature_names"]), rest["target_mean"], rest["target_sd"], weights, task)
