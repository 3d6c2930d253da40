"""A spiking network for remaining useful life: leaky integrate-and-fire neurons in snntorch, trained by surrogates.

The scaled sensors of the last 30 cycles are the input current of the first layer, cycle after cycle, and the engine's
baseline is a constant current; the next layer receives only spikes. The prediction is the potential, after the last
cycle, of a leaky read-out that never fires, plus a share of the engine's age. A spike has no gradient, so the
backward pass uses the gradient of a fast sigmoid (Zenke and Ganguli 2018; Neftci, Mostafa, Zenke 2019); neurons are
snntorch's (Eshraghian et al. 2023).

Predictions are computed in float64: the last digit of a potential may decide whether a neuron fires, and in float32
that digit depends on the other rows of the batch.

Letters: B rows, T cycles of the window (30), S sensors (21), H neurons of a layer.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from sinet_pipelines.applications.turbofan.features.scaled import ScaledSequences
from sinet_pipelines.applications.turbofan.schemas.features import WINDOW_CYCLES
from sinet_pipelines.applications.turbofan.schemas.telemetry import SENSORS
from sinet_pipelines.errors import ContractError
from sinet_pipelines.models.descent import column_scale, descend, one_thread, standardised, target_scale
from sinet_pipelines.models.model import (
    Examples,
    Floats,
    Inputs,
    Singles,
    require_examples,
    require_features,
)
from sinet_pipelines.models.task import Kind, Task
from sinet_pipelines.models.weights import read_weights
from sinet_pipelines.research.energy import Shape

if TYPE_CHECKING:
    import torch

LEAK = 0.9  # share of its potential that a neuron keeps from one cycle to the next: a memory of about ten cycles
READ_OUT_LEAK = 0.6  # a memory of two or three cycles, whose spikes depend on earlier ones
SLOPE = 5.0  # of the fast sigmoid: snntorch's default 25 trains only neurons that are about to fire
THRESHOLD = 1.0  # potential at which a neuron fires
LAYERS = 2
FILE = "net.safetensors"
_REST = "model"  # key in the header of that file for everything that is not an array
ROWS_AT_ONCE = 2048  # the windows of this number of rows need tens of MB


@dataclass(frozen=True)
class SpikingModel:
    """A fitted spiking network.

    Attributes:
        feature_names: columns of its training set, which it does not read: age and sensors are in the sequences.
        target_mean: cycles for an output of 0.
        target_sd: cycles per unit of output; 0 for a constant target.
        weights: float32 arrays by name: `current0.weight` and `steady.weight` (H, 21), `current1.weight` (H, H),
            `read_out.weight` (1, H), `age.weight` (1, 1), some `.bias`, `age_mean` and `age_sd` (1,).
        task: the prediction task.
    """

    feature_names: tuple[str, ...]
    target_mean: float
    target_sd: float
    weights: Mapping[str, Singles]
    task: Task

    def predict(self, inputs: Inputs) -> Floats:
        """(B,) remaining useful life in cycles, within [0, 125].

        Raises:
            ContractError: the inputs have other features than the training set, or no sequences.
        """
        require_features(inputs, self.feature_names)
        return self._run(_scaled(inputs))[0]

    def firing_rates(self, inputs: Inputs) -> tuple[float, ...]:
        """Spikes per neuron and cycle of each layer, the mean over these inputs; 0 without inputs."""
        spikes_BL = self._run(_scaled(inputs))[1]
        return tuple((spikes_BL.sum(axis=0) / max(len(spikes_BL), 1)).tolist())

    @property
    def shape(self) -> Shape:
        """The shape from which its operations are counted."""
        widths = [len(self.weights[f"current{layer}.bias"]) for layer in range(LAYERS)]
        return Shape(WINDOW_CYCLES, len(SENSORS), len(SENSORS), (*widths, 1))

    def _run(self, sequences: ScaledSequences) -> tuple[Floats, Floats]:
        """(B,) predictions in cycles, and (B, 2) spikes per neuron and cycle of each layer."""
        import torch

        net = _network(self.shape.widths[0])
        named = {name: torch.from_numpy(value) for name, value in self.weights.items() if not name.startswith("age_")}
        net.load_state_dict(named)
        net.double()
        rul_B, spikes_BL = np.empty(len(sequences)), np.empty((len(sequences), LAYERS))
        with one_thread(), torch.no_grad():
            for start in range(0, len(sequences), ROWS_AT_ONCE):
                rows = np.arange(start, min(start + ROWS_AT_ONCE, len(sequences)))
                given = (tensor.double() for tensor in _tensors(sequences.take(rows), self.weights))
                out_B, spikes = _simulate(net, *given)
                rul_B[rows], spikes_BL[rows] = self.target_mean + self.target_sd * out_B.numpy(), spikes.numpy()
        return self.task.within_range(rul_B), spikes_BL

    def files(self) -> dict[str, bytes]:
        """`net.safetensors`: the weights, and all else as JSON in its header; one file, so that it has one hash."""
        from safetensors.numpy import save

        rest = {name: value for name, value in vars(self).items() if name not in ("weights", "task")}
        weights = {name: np.ascontiguousarray(self.weights[name]) for name in sorted(self.weights)}
        return {FILE: save(weights, metadata={_REST: json.dumps(rest, sort_keys=True)})}


def _scaled(inputs: Inputs) -> ScaledSequences:
    """The scaled sequences of the inputs.

    Raises:
        ContractError: there are none, or not one for each row.
    """
    sequences = inputs.sequences
    if not isinstance(sequences, ScaledSequences) or len(sequences) != len(inputs):
        there = "no sequences" if sequences is None else f"{len(sequences)} sequences"
        raise ContractError(f"{there} for {len(inputs)} rows (one each is needed); give the scaled sensors behind them")
    return sequences


@dataclass(frozen=True)
class SpikingNetwork:
    """Least squares on the capped remaining useful life, each row weighted by one over its engine's life.

    Attributes:
        epochs: largest number of epochs; the number is chosen out of fold.
        hidden: neurons of each of the two layers.
        every_nth_row: an epoch uses one in this many rows, drawn anew each time: neighbours are nearly equal, and a
            prediction costs thirty times as much as a dense network's.
        rows_in_batch: rows of a step.
        learning_rate: learning rate of AdamW.
        weight_decay: weight decay of AdamW.
    """

    epochs: int = 5
    hidden: int = 64
    every_nth_row: int = 4
    rows_in_batch: int = 256
    learning_rate: float = 1e-2
    weight_decay: float = 1e-2

    name = "spiking"
    needs_sequences = True
    kinds = (Kind.REGRESSION,)

    def fit(self, examples: Examples, *, seed: int) -> SpikingModel:
        """The network after the last epoch."""
        *_, model = self.fit_path(examples, seed=seed)
        return model

    def fit_path(self, examples: Examples, *, seed: int) -> Iterator[SpikingModel]:
        """The network after each epoch, always on the CPU, which simulates a neuromorphic chip.

        Raises:
            ContractError: there are no examples, or no sequences.
        """
        import torch

        inputs = require_examples(examples, self).inputs
        sequences = _scaled(inputs)
        target = target_scale(examples.target_B, examples.weight_B)
        age = column_scale(sequences.cycle_B[:, None].astype(np.float32))
        known = {"age_mean": age.mean, "age_sd": age.sd}
        y_B = torch.from_numpy(standardised(examples.target_B, target))
        weight_B = torch.from_numpy(examples.weight_B.astype(np.float32))
        n_seen = -(-len(examples) // self.every_nth_row)

        def batches(generator: np.random.Generator) -> Iterator[NDArray[np.int64]]:
            seen = generator.permutation(len(examples))[:n_seen]
            for start in range(0, n_seen, self.rows_in_batch):
                yield seen[start : start + self.rows_in_batch]

        def loss_of(net: "torch.nn.Module", rows: NDArray[np.int64]) -> "torch.Tensor":
            out_B, _ = _simulate(net, *_tensors(sequences.take(rows), known))
            return (weight_B[rows] * (out_B - y_B[rows]) ** 2).mean()

        torch.manual_seed(seed)
        path = descend(
            _network(self.hidden),
            batches,
            loss_of,
            seed=seed,
            epochs=self.epochs,
            learning_rate=self.learning_rate,
            weight_decay=self.weight_decay,
        )
        for weights in path:
            yield SpikingModel(inputs.feature_names, target.mean, target.sd, {**weights, **known}, examples.task)

    def load(self, files: Mapping[str, bytes], *, task: Task) -> SpikingModel:
        """The network with these `files`."""
        content = files[FILE]
        header = json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")])  # the layout of safetensors
        rest = json.loads(header["__metadata__"][_REST])
        weights = read_weights(content)
        return SpikingModel(tuple(rest["feature_names"]), rest["target_mean"], rest["target_sd"], weights, task)


def _network(hidden: int) -> "torch.nn.ModuleDict":
    """The synapses, which have all trained parameters; neurons have none."""
    from torch import nn

    return nn.ModuleDict(
        {
            "current0": nn.Linear(len(SENSORS), hidden),
            "steady": nn.Linear(len(SENSORS), hidden, bias=False),
            "current1": nn.Linear(hidden, hidden),
            "read_out": nn.Linear(hidden, 1, bias=False),
            "age": nn.Linear(1, 1),
        }
    )


def _tensors(sequences: ScaledSequences, known: Mapping[str, Singles]) -> tuple["torch.Tensor", ...]:
    """(T, B, S) float32 input current by cycle, (B, S) constant current, and (B, 1) the standardised age."""
    import torch

    window_TBS = np.ascontiguousarray(sequences.windows().transpose(1, 0, 2))
    age_B1 = (sequences.cycle_B[:, None].astype(np.float32) - known["age_mean"]) / known["age_sd"]
    return torch.from_numpy(window_TBS), torch.from_numpy(sequences.baseline_BS), torch.from_numpy(age_B1)


def _simulate(
    net: Any, window_TBS: "torch.Tensor", baseline_BS: "torch.Tensor", age_B1: "torch.Tensor"
) -> tuple["torch.Tensor", "torch.Tensor"]:
    """(B,) the standardised prediction, and (B, 2) spikes per neuron and cycle of each layer."""
    import torch

    kind, n_rows = window_TBS.dtype, len(age_B1)
    currents_TBH = net["current0"](window_TBS) + net["steady"](baseline_BS)
    neurons = [_neuron(LEAK).to(kind) for _ in range(LAYERS)]
    potentials = [torch.zeros(n_rows, currents_TBH.shape[2], dtype=kind) for _ in range(LAYERS)]
    spikes = [torch.zeros_like(potential) for potential in potentials]
    read_out, answer_B1 = _neuron(READ_OUT_LEAK, fires=False).to(kind), torch.zeros(n_rows, 1, dtype=kind)
    for current_BH in currents_TBH:
        for layer, neuron in enumerate(neurons):
            fired_BH, potentials[layer] = neuron(current_BH, potentials[layer])
            fired_BH = fired_BH.to(kind)  # snntorch always returns float32
            spikes[layer] += fired_BH.detach()
            current_BH = net["current1"](fired_BH) if layer == 0 else net["read_out"](fired_BH)
        _, answer_B1 = read_out((1.0 - READ_OUT_LEAK) * current_BH, answer_B1)
    out_B = (answer_B1 + net["age"](age_B1))[:, 0]
    return out_B, torch.stack([count_BH.mean(dim=1) for count_BH in spikes], dim=1) / WINDOW_CYCLES


def _neuron(leak: float, *, fires: bool = True) -> Any:
    """One of snntorch's leaky neurons, or a layer of them, since their potentials are stored outside."""
    from snntorch import Leaky, surrogate

    neuron = Leaky(
        beta=leak,
        threshold=THRESHOLD,
        spike_grad=surrogate.fast_sigmoid(slope=SLOPE),
        surrogate_disable=not fires,
        reset_mechanism="subtract" if fires else "none",
    )
    # snntorch keeps a list of all neurons, each with its last potentials; ours are not used elsewhere
    type(neuron).instances.remove(neuron)
    return neuron
