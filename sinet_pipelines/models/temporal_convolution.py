"""A causal temporal convolution on sequences, in PyTorch, trained on whole groups.

Three dilated convolutions (Bai, Kolter, Koltun 2018) read the last 29 steps. Two hidden layers read their output at the
predicted row, and some features. Every layer is causal and sets empty places to 0, so one pass over a group computes
the prediction at each of its rows. It equals the prediction from a window of 30 steps alone.

Letters: B rows, N groups of a batch, T steps, S values of a step, C channels, F features.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from sinet_pipelines.errors import ContractError
from sinet_pipelines.models.descent import (
    Scale,
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
    SequenceInputs,
    Singles,
    require_examples,
    require_features,
)
from sinet_pipelines.models.task import Kind, Task
from sinet_pipelines.models.weights import read_weights, write_weights

if TYPE_CHECKING:
    import torch

TAPS = 5  # steps that a filter reads
DILATIONS = (1, 2, 4)
RECEPTIVE_FIELD = 1 + (TAPS - 1) * sum(DILATIONS)  # 29 steps of a window of 30
ROWS_AT_ONCE = 4096  # their windows take some tens of MB


@dataclass(frozen=True)
class ConvolutionModel:
    """A fitted temporal convolution.

    Attributes:
        feature_names: columns of its training set.
        statistic_names: the columns that it reads.
        target_mean: prediction for an output of 0, in the target's unit.
        target_sd: change of the prediction for one unit of output, in the target's unit; 0 for a constant target.
        dilations: of each convolution, in steps.
        weights: float32 arrays by name: `conv0` .. (`.weight` (C, n_in, 5), `.bias` (C,)), `dense0`, `dense1`, `out`
            (`.weight` (n_out, n_in), `.bias` (n_out,)), `statistic_means` and `statistic_sds` (n,).
        task: what it predicts.
    """

    feature_names: tuple[str, ...]
    statistic_names: tuple[str, ...]
    target_mean: float
    target_sd: float
    dilations: tuple[int, ...]
    weights: Mapping[str, Singles]
    task: Task

    def predict(self, inputs: Inputs) -> Floats:
        """(B,) predictions within the task's range.

        Raises:
            ContractError: when the inputs have other features than the model was fitted on, or no sequences.
        """
        features_BF = require_features(inputs, self.feature_names)
        sequences = require_sequences(inputs)
        statistics_BF = features_BF[:, _columns(self.feature_names, self.statistic_names)]
        scaled_BF = (statistics_BF - self.weights["statistic_means"]) / self.weights["statistic_sds"]
        predicted_B = np.empty(len(inputs))
        for start in range(0, len(inputs), ROWS_AT_ONCE):
            rows = slice(start, start + ROWS_AT_ONCE)
            x_BF = np.concatenate([self._hidden(sequences.take(np.arange(len(inputs))[rows])), scaled_BF[rows]], axis=1)
            predicted_B[rows] = self.target_mean + self.target_sd * dense_output(self.weights, x_BF)
        return self.task.within_range(predicted_B)

    def _hidden(self, sequences: SequenceInputs) -> Singles:
        """(B, C) output of the convolutions at each row. Nothing is padded, so only the needed steps are computed."""
        back_T = np.arange(1 - RECEPTIVE_FIELD, 1)
        places_BT = sequences.place_B[:, None] + back_T
        h_BTC, present_BT1 = sequences.z_LS[places_BT], sequences.present_L[places_BT][:, :, None]
        for number, dilation in enumerate(self.dilations):
            weight, bias = self.weights[f"conv{number}.weight"], self.weights[f"conv{number}.bias"]
            n = h_BTC.shape[1] - (TAPS - 1) * dilation
            taps = (h_BTC[:, k * dilation : k * dilation + n] @ weight[:, :, k].T for k in range(TAPS))
            y_BTC = np.maximum(sum(taps) + bias, np.float32(0.0))
            if number:
                y_BTC = y_BTC + h_BTC[:, -n:]
            h_BTC = y_BTC * present_BT1[:, -n:]
        return h_BTC[:, -1]

    def files(self) -> dict[str, bytes]:
        """`net.safetensors`, the weights, and `net.json`, the rest."""
        rest = {name: value for name, value in vars(self).items() if name not in ("weights", "task")}
        return {"net.json": json.dumps(rest, sort_keys=True).encode(), "net.safetensors": write_weights(self.weights)}


def require_sequences(inputs: Inputs) -> SequenceInputs:
    """Returns the sequences of the inputs after a check that there is one for each row.

    Raises:
        ContractError: when there are none, or another number than rows.
    """
    if inputs.sequences is None or len(inputs.sequences) != len(inputs):
        found = "no sequences" if inputs.sequences is None else f"{len(inputs.sequences)} sequences"
        raise ContractError(f"{found} for {len(inputs)} rows (needed: one for each row); pass those of the rows")
    return inputs.sequences


def _columns(names: tuple[str, ...], wanted: tuple[str, ...]) -> list[int]:
    places = {name: place for place, name in enumerate(names)}
    return [places[name] for name in wanted]


@dataclass(frozen=True)
class TemporalConvolution:
    """A temporal convolution that minimises the squared error; rows are weighted by the task's rule.

    Attributes:
        epochs: number of passes over the groups.
        channels: number of filters of each convolution.
        groups_in_batch: number of groups of one step of the optimiser.
        learning_rate: of AdamW.
        weight_decay: of AdamW.
        channel_dropout: share of filters left out in a step, 0 to 1.
        dropout: share of hidden units left out in a step, 0 to 1.
        statistics: suffixes of the names of the features that it reads; it reads all features where no name has one.
    """

    epochs: int = 40
    channels: int = 16
    groups_in_batch: int = 2
    learning_rate: float = 2e-3
    weight_decay: float = 1e-2
    channel_dropout: float = 0.3
    dropout: float = 0.1
    statistics: tuple[str, ...] = ()

    name = "temporal_convolution"
    needs_sequences = True
    kinds = (Kind.REGRESSION,)

    def fit(self, examples: Examples, *, seed: int) -> ConvolutionModel:
        """The network after the last epoch.

        Raises:
            ContractError: when there are no examples, or no sequences.
        """
        *_, model = self.fit_path(examples, seed=seed)
        return model

    def fit_path(self, examples: Examples, *, seed: int) -> Iterator[ConvolutionModel]:
        """The network after each epoch.

        Raises:
            ContractError: when there are no examples, or no sequences.
        """
        import torch

        names = require_examples(examples, self).inputs.feature_names
        n_values = require_sequences(examples.inputs).z_LS.shape[1]
        read = tuple(name for name in names if name.endswith(self.statistics)) or names
        statistics_BF = examples.inputs.features_BF[:, _columns(names, read)]
        target, scale = target_scale(examples.target_B, examples.weight_B), column_scale(statistics_BF)
        torch.manual_seed(seed)
        net = self._net(n_values, len(read)).to(device())
        groups = _groups(examples, (statistics_BF - scale.mean) / scale.sd, target, device_name=device())

        def batches(generator: np.random.Generator) -> Iterator[list[_Group]]:
            order = generator.permutation(len(groups))
            for start in range(0, len(order), self.groups_in_batch):
                yield [groups[i] for i in order[start : start + self.groups_in_batch]]

        path = descend(
            net,
            batches,
            self._loss,
            seed=seed,
            epochs=self.epochs,
            learning_rate=self.learning_rate,
            weight_decay=self.weight_decay,
        )
        for weights in path:
            weights |= {"statistic_means": scale.mean, "statistic_sds": scale.sd}
            yield ConvolutionModel(names, read, target.mean, target.sd, DILATIONS, weights, examples.task)

    def load(self, files: Mapping[str, bytes], *, task: Task) -> ConvolutionModel:
        """The network with these `files`."""
        rest = json.loads(files["net.json"])
        return ConvolutionModel(
            feature_names=tuple(rest["feature_names"]),
            statistic_names=tuple(rest["statistic_names"]),
            target_mean=rest["target_mean"],
            target_sd=rest["target_sd"],
            dilations=tuple(rest["dilations"]),
            weights=read_weights(files["net.safetensors"]),
            task=task,
        )

    def _net(self, n_values: int, n_statistics: int) -> "torch.nn.ModuleDict":
        from torch import nn

        widths = (n_values, *(self.channels for _ in DILATIONS))
        pairs = enumerate(zip(pairwise(widths), DILATIONS, strict=True))
        convolutions = {f"conv{i}": nn.Conv1d(a, b, TAPS, dilation=dilation) for i, ((a, b), dilation) in pairs}
        head = dense_layers(self.channels + n_statistics, dropout=self.dropout)
        return nn.ModuleDict({**convolutions, **head})

    def _loss(self, net: Any, batch: "list[_Group]") -> "torch.Tensor":
        """Weighted mean squared error over the rows of some groups, padded to the longest group."""
        import torch
        from torch.nn.functional import dropout1d, pad, relu

        longest = max(group.z_ST.shape[1] for group in batch)
        h_NCT = torch.stack([pad(group.z_ST, (0, longest - group.z_ST.shape[1])) for group in batch])
        present_N1T = torch.stack([pad(group.present_1T, (0, longest - group.z_ST.shape[1])) for group in batch])
        for number, dilation in enumerate(DILATIONS):
            y_NCT = relu(net[f"conv{number}"](pad(h_NCT, ((TAPS - 1) * dilation, 0))))
            y_NCT = y_NCT + h_NCT if number else y_NCT
            h_NCT = dropout1d(y_NCT, self.channel_dropout, net.training) * present_N1T
        last = [h_CT[:, group.place_B].T for h_CT, group in zip(h_NCT, batch, strict=True)]
        x_BF = torch.cat([torch.cat(last), torch.cat([group.statistics_BF for group in batch])], dim=1)
        for name in (name for name in net if not name.startswith("conv")):
            x_BF = net[name](x_BF)
        weight_B, y_B = (torch.cat([getattr(group, name) for group in batch]) for name in ("weight_B", "y_B"))
        return (weight_B * (x_BF[:, 0] - y_B) ** 2).sum() / weight_B.sum()


@dataclass(frozen=True)
class _Group:
    """One group as tensors: its sequence, the places of its rows in the sequence, and the values of each row."""

    z_ST: "torch.Tensor"
    present_1T: "torch.Tensor"
    place_B: "torch.Tensor"
    statistics_BF: "torch.Tensor"
    y_B: "torch.Tensor"
    weight_B: "torch.Tensor"


@dataclass(frozen=True)
class _Groups(Sequence[_Group]):
    """The groups of the examples, sorted by name, each with the steps from 28 before its first row to its last row.

    A group is copied from the arrays when a batch needs it, so that sequences in a mapped file are read page by page.
    """

    sequences: SequenceInputs
    statistics_BF: Singles
    y_B: Singles
    weight_B: Singles
    rows: list[NDArray[np.int64]]
    device_name: str

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, number: Any) -> Any:
        import torch

        rows = self.rows[number]
        place_B = self.sequences.place_B[rows]
        start = int(place_B.min()) - (RECEPTIVE_FIELD - 1)
        steps = slice(start, int(place_B.max()) + 1)
        arrays = (
            self.sequences.z_LS[steps].T,
            self.sequences.present_L[steps][None, :].astype(np.float32),
            place_B - start,
            self.statistics_BF[rows],
            self.y_B[rows],
            self.weight_B[rows],
        )
        return _Group(*(torch.from_numpy(np.array(array, order="C")).to(self.device_name) for array in arrays))


def _groups(examples: Examples, statistics_BF: Singles, target: Scale, *, device_name: str) -> _Groups:
    """The groups of the examples."""
    weight_B, rows = examples.weight_B.astype(np.float32), _rows_by_group(examples.group_B)
    sequences, y_B = require_sequences(examples.inputs), standardised(examples.target_B, target)
    return _Groups(sequences, statistics_BF, y_B, weight_B, rows, device_name)


def _rows_by_group(group_B: NDArray[np.str_]) -> list[NDArray[np.int64]]:
    """The indices of the rows of each group; groups are sorted by name."""
    _, number_B = np.unique(group_B, return_inverse=True)
    order = np.argsort(number_B, kind="stable")
    return np.split(order, np.flatnonzero(np.diff(number_B[order])) + 1)
