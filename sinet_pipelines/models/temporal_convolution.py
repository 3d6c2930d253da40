"""A causal temporal convolution on scaled sequences, in PyTorch, trained at every cycle of whole engines.

Three dilated convolutions (Bai, Kolter, Koltun 2018) see the last 29 cycles; what they say of the asked cycle goes,
with some window features, through two hidden layers. As every layer is causal and hides absent cycles, one pass over an
engine's life gives the answer at each of its cycles, the very one that a window of 30 gives when it is asked alone.

Letters: B asked rows, N engines of a batch, T cycles, S sensors (21), C channels, F features.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from sinet_pipelines.errors import ContractError
from sinet_pipelines.features.scaled import ScaledSequences
from sinet_pipelines.models.descent import (
    Scale,
    column_scale,
    dense_answer,
    dense_layers,
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
    within_range,
)
from sinet_pipelines.models.weights import read_weights, write_weights

if TYPE_CHECKING:
    import torch

TAPS = 5  # cycles that a filter looks at
DILATIONS = (1, 2, 4)
SEEN_CYCLES = 1 + (TAPS - 1) * sum(DILATIONS)  # 29 of a window of 30
STATISTICS = ("_z_mean_30", "_z_slope_15", "_z_slope_30", "_z_change_30", "age_cycles")  # ends of features it reads
ROWS_AT_ONCE = 4096  # windows of so many rows stay at some tens of MB


@dataclass(frozen=True)
class ConvolutionModel:
    """A fitted temporal convolution.

    Attributes:
        feature_names: columns of its training set.
        statistic_names: those of them that it reads.
        target_mean: cycles that an output of 0 stands for.
        target_sd: cycles per unit of output; 0 for a constant target.
        dilations: of each convolution, in cycles.
        weights: float32 arrays by name: `conv0` .. (`.weight` (C, n_in, 5), `.bias` (C,)), `dense0`, `dense1`, `out`
            (`.weight` (n_out, n_in), `.bias` (n_out,)), `statistic_means` and `statistic_sds` (n,).
    """

    feature_names: tuple[str, ...]
    statistic_names: tuple[str, ...]
    target_mean: float
    target_sd: float
    dilations: tuple[int, ...]
    weights: Mapping[str, Singles]

    def predict(self, inputs: Inputs) -> Floats:
        """(B,) remaining useful life in cycles, within [0, 125].

        Raises:
            ContractError: when the inputs have other features than the model was fitted on, or no sequences.
        """
        features_BF = require_features(inputs, self.feature_names)
        sequences = require_sequences(inputs)
        statistics_BF = features_BF[:, _columns(self.feature_names, self.statistic_names)]
        scaled_BF = (statistics_BF - self.weights["statistic_means"]) / self.weights["statistic_sds"]
        rul_B = np.empty(len(inputs))
        for start in range(0, len(inputs), ROWS_AT_ONCE):
            rows = slice(start, start + ROWS_AT_ONCE)
            x_BF = np.concatenate([self._hidden(sequences.take(np.arange(len(inputs))[rows])), scaled_BF[rows]], axis=1)
            rul_B[rows] = self.target_mean + self.target_sd * dense_answer(self.weights, x_BF)
        return within_range(rul_B)

    def _hidden(self, sequences: ScaledSequences) -> Singles:
        """(B, C) what the convolutions say of the asked cycle; no padding, so only what is needed is computed."""
        back_T = np.arange(1 - SEEN_CYCLES, 1)
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
        said = {name: value for name, value in vars(self).items() if name != "weights"}
        return {"net.json": json.dumps(said, sort_keys=True).encode(), "net.safetensors": write_weights(self.weights)}


def require_sequences(inputs: Inputs) -> ScaledSequences:
    """The scaled sequences of the inputs.

    Raises:
        ContractError: when there are none, or not one for each row.
    """
    if inputs.sequences is None or len(inputs.sequences) != len(inputs):
        there = "no sequences" if inputs.sequences is None else f"{len(inputs.sequences)} sequences"
        raise ContractError(f"{there} for {len(inputs)} rows (one each is needed); give the scaled sensors behind them")
    return inputs.sequences


def _columns(names: tuple[str, ...], wanted: tuple[str, ...]) -> list[int]:
    places = {name: place for place, name in enumerate(names)}
    return [places[name] for name in wanted]


@dataclass(frozen=True)
class TemporalConvolution:
    """Least squares on the capped remaining useful life, each row weighted by one over its engine's life.

    Attributes:
        epochs: how often each engine is seen.
        channels: filters of each convolution.
        engines_in_batch: engines of a step.
        learning_rate: of AdamW.
        weight_decay: of AdamW.
        channel_dropout: share of filters left out in a step.
        dropout: share of hidden units left out in a step.
    """

    epochs: int = 40
    channels: int = 16
    engines_in_batch: int = 2
    learning_rate: float = 2e-3
    weight_decay: float = 1e-2
    channel_dropout: float = 0.3
    dropout: float = 0.1

    name = "temporal_convolution"
    needs_sequences = True

    def fit(self, examples: Examples, *, seed: int) -> ConvolutionModel:
        """The network after the last epoch."""
        *_, model = self.fit_path(examples, seed=seed)
        return model

    def fit_path(self, examples: Examples, *, seed: int) -> Iterator[ConvolutionModel]:
        """The network after each epoch.

        Raises:
            ContractError: when there is nothing to learn from, or no sequences.
        """
        import torch

        names = require_examples(examples).inputs.feature_names
        require_sequences(examples.inputs)
        read = tuple(name for name in names if name.endswith(STATISTICS)) or names
        statistics_BF = examples.inputs.features_BF[:, _columns(names, read)]
        target, scale = target_scale(examples.target_B, examples.weight_B), column_scale(statistics_BF)
        torch.manual_seed(seed)
        net = self._net(len(read)).to(device())
        engines = _engines(examples, (statistics_BF - scale.mean) / scale.sd, target, place=device())

        def batches(generator: np.random.Generator) -> Iterator[list[_Engine]]:
            order = generator.permutation(len(engines))
            for start in range(0, len(order), self.engines_in_batch):
                yield [engines[i] for i in order[start : start + self.engines_in_batch]]

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
            yield ConvolutionModel(names, read, target.mean, target.sd, DILATIONS, weights)

    def load(self, files: Mapping[str, bytes]) -> ConvolutionModel:
        """The network whose `files` these are."""
        said = json.loads(files["net.json"])
        return ConvolutionModel(
            feature_names=tuple(said["feature_names"]),
            statistic_names=tuple(said["statistic_names"]),
            target_mean=said["target_mean"],
            target_sd=said["target_sd"],
            dilations=tuple(said["dilations"]),
            weights=read_weights(files["net.safetensors"]),
        )

    def _net(self, n_statistics: int) -> "torch.nn.ModuleDict":
        from torch import nn

        from sinet_pipelines.schemas.telemetry import SENSORS

        widths = (len(SENSORS), *(self.channels for _ in DILATIONS))
        pairs = enumerate(zip(pairwise(widths), DILATIONS, strict=True))
        convolutions = {f"conv{i}": nn.Conv1d(a, b, TAPS, dilation=dilation) for i, ((a, b), dilation) in pairs}
        head = dense_layers(self.channels + n_statistics, dropout=self.dropout)
        return nn.ModuleDict({**convolutions, **head})

    def _loss(self, net: Any, batch: "list[_Engine]") -> "torch.Tensor":
        """Weighted mean square over the rows of some engines, laid side by side and filled up to the longest."""
        import torch
        from torch.nn.functional import dropout1d, pad, relu

        longest = max(engine.z_ST.shape[1] for engine in batch)
        h_NCT = torch.stack([pad(engine.z_ST, (0, longest - engine.z_ST.shape[1])) for engine in batch])
        present_N1T = torch.stack([pad(engine.present_1T, (0, longest - engine.z_ST.shape[1])) for engine in batch])
        for number, dilation in enumerate(DILATIONS):
            y_NCT = relu(net[f"conv{number}"](pad(h_NCT, ((TAPS - 1) * dilation, 0))))
            y_NCT = y_NCT + h_NCT if number else y_NCT
            h_NCT = dropout1d(y_NCT, self.channel_dropout, net.training) * present_N1T
        asked = [h_CT[:, engine.place_B].T for h_CT, engine in zip(h_NCT, batch, strict=True)]
        x_BF = torch.cat([torch.cat(asked), torch.cat([engine.statistics_BF for engine in batch])], dim=1)
        for name in (name for name in net if not name.startswith("conv")):
            x_BF = net[name](x_BF)
        weight_B, y_B = (torch.cat([getattr(engine, name) for engine in batch]) for name in ("weight_B", "y_B"))
        return (weight_B * (x_BF[:, 0] - y_B) ** 2).sum() / weight_B.sum()


@dataclass(frozen=True)
class _Engine:
    """One engine as tensors: its sequence, the places of its rows in it, and what is known of each row."""

    z_ST: "torch.Tensor"
    present_1T: "torch.Tensor"
    place_B: "torch.Tensor"
    statistics_BF: "torch.Tensor"
    y_B: "torch.Tensor"
    weight_B: "torch.Tensor"


def _engines(examples: Examples, statistics_BF: Singles, target: Scale, *, place: str) -> list[_Engine]:
    """The engines of the examples by name, each with the cycles from 28 before its first row to its last."""
    import torch

    sequences = require_sequences(examples.inputs)
    y_B, weight_B = standardised(examples.target_B, target), examples.weight_B.astype(np.float32)
    engines = []
    for rows in _rows_by_unit(examples.unit_B):
        place_B = sequences.place_B[rows]
        start = int(place_B.min()) - (SEEN_CYCLES - 1)
        stretch = slice(start, int(place_B.max()) + 1)
        arrays = (
            sequences.z_LS[stretch].T,
            sequences.present_L[stretch][None, :].astype(np.float32),
            place_B - start,
            statistics_BF[rows],
            y_B[rows],
            weight_B[rows],
        )
        engines.append(_Engine(*(torch.from_numpy(np.ascontiguousarray(array)).to(place) for array in arrays)))
    return engines


def _rows_by_unit(unit_B: NDArray[np.str_]) -> list[NDArray[np.int64]]:
    """The rows of each engine, engines by name."""
    _, number_B = np.unique(unit_B, return_inverse=True)
    order = np.argsort(number_B, kind="stable")
    return np.split(order, np.flatnonzero(np.diff(number_B[order])) + 1)
