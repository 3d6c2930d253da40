"""The reference CNN: a plain 1D-CNN of 128 channels on a window of 30 cycles x 21 sensors, with a fixed architecture.

Three convolutions of five taps with an output at every cycle (equal padding on both sides), their mean over the window,
a hidden layer of 64, an output. It is not a candidate: the platform's network computes only values for the predicted
cycle and is smaller (`models/temporal_convolution.py`). This network represents a common 1D-CNN, with enough arithmetic
for INT8 figures to depend on arithmetic. Its weights are trained on a simulated fleet, since an increase of error is
meaningless for random weights.
"""

from dataclasses import dataclass

import numpy as np
import polars as pl

from sinet_pipelines.applications.turbofan.features.regimes import OperatingRegimes, find_regimes, setting_cells
from sinet_pipelines.applications.turbofan.features.scaled import scaled_windows
from sinet_pipelines.applications.turbofan.features.sequences import Sequences, sequence_windows
from sinet_pipelines.applications.turbofan.schemas.features import MAX_RUL_CYCLES, WINDOW_CYCLES
from sinet_pipelines.applications.turbofan.schemas.telemetry import SENSORS
from sinet_pipelines.applications.turbofan.simulator import simulate_fleet
from sinet_pipelines.applications.turbofan.task import RUL
from sinet_pipelines.models.model import Floats, Inputs
from sinet_pipelines.models.weights import write_weights
from sinet_pipelines.quantization.export import write_raw
from sinet_pipelines.quantization.graph import GraphWriter, write_clipped
from sinet_pipelines.quantization.signals import Signals

CHANNELS, TAPS, CONVOLUTIONS, HIDDEN = 128, 5, 3, 64
ENGINES, TRAINED = 120, 80  # the others are for evaluation
EVERY = 8  # an eighth of the rows: neighbours are nearly equal
EPOCHS, BATCH_ROWS, LEARNING_RATE, SEED = 6, 64, 1e-3, 0


@dataclass(frozen=True)
class Fleet:
    """A simulated fleet, split by engines.

    Attributes:
        regimes: regimes of all training engines.
        training: every eighth row of the engines for training and calibration.
        tested: every eighth row of the others.
        training_rul_B: (B,) remaining cycles of `training`, capped.
        tested_rul_B: (B,) remaining cycles of `tested`, capped.
    """

    regimes: OperatingRegimes
    training: Sequences
    tested: Sequences
    training_rul_B: Floats
    tested_rul_B: Floats


def simulated_fleet() -> Fleet:
    """A fleet in six regimes, 80 engines for training and 40 for evaluation."""
    rows = simulate_fleet(history_engines=ENGINES, live_engines=1, seed=3).train
    named = rows.with_columns(
        pl.format("SIM-{}", pl.col("unit").cast(pl.String).str.zfill(4)).alias("unit"),
        pl.lit("history").alias("role"),
        (pl.col("cycle").max().over("unit") - pl.col("cycle")).clip(upper_bound=MAX_RUL_CYCLES).alias("rul_cycles"),
    )
    parts = named.filter(rows["unit"] <= TRAINED), named.filter(rows["unit"] > TRAINED)
    sequences = [sequence_windows(part, at=part.gather_every(EVERY)) for part in parts]
    rul = [part.gather_every(EVERY)["rul_cycles"].to_numpy().astype(np.float64) for part in parts]
    return Fleet(find_regimes(setting_cells(parts[0])), *sequences, *rul)


@dataclass(frozen=True)
class ReferenceCnn:
    """The fitted network.

    Attributes:
        weights: float32 arrays: `conv0` .. `conv2`, `dense`, `out` with `.weight` and `.bias`.
    """

    weights: dict[str, np.ndarray]

    feature_names = ()
    task = RUL

    def predict(self, inputs: Inputs) -> Floats:
        """(B,) remaining cycles, computed by torch."""
        import torch

        net = _net()
        net.load_state_dict({name: torch.from_numpy(values) for name, values in self.weights.items()})
        with torch.no_grad():
            return RUL.within_range(_forward(net, torch.from_numpy(inputs.sequences.windows())).double().numpy())

    def files(self) -> dict[str, bytes]:
        """Its weights."""
        return {"net.safetensors": write_weights(self.weights)}


def train(fleet: Fleet) -> ReferenceCnn:
    """The network after some epochs of Adam (Kingma and Ba 2015) on the training engines; takes half a minute."""
    import torch

    torch.manual_seed(SEED)
    net = _net()
    x_BTS = torch.from_numpy(scaled_windows(fleet.training, fleet.regimes).windows())
    y_B = torch.from_numpy(fleet.training_rul_B.astype(np.float32))
    optimiser = torch.optim.Adam(net.parameters(), lr=LEARNING_RATE)
    for _ in range(EPOCHS):
        for rows in torch.randperm(len(y_B)).split(BATCH_ROWS):
            optimiser.zero_grad()
            loss = ((_forward(net, x_BTS[rows]) - y_B[rows]) ** 2).mean()
            loss.backward()
            optimiser.step()
    return ReferenceCnn({name: value.detach().numpy().copy() for name, value in net.state_dict().items()})


def _net():  # noqa: ANN202 - torch is imported by whoever trains
    from torch import nn

    widths = [len(SENSORS), *[CHANNELS] * CONVOLUTIONS]
    layers = {f"conv{i}": nn.Conv1d(*widths[i : i + 2], TAPS, padding=TAPS // 2) for i in range(CONVOLUTIONS)}
    return nn.ModuleDict({**layers, "dense": nn.Linear(CHANNELS, HIDDEN), "out": nn.Linear(HIDDEN, 1)})


def _forward(net, x_BTS):  # noqa: ANN001, ANN202
    from torch.nn.functional import relu

    h_BCT = x_BTS.transpose(1, 2)
    for i in range(CONVOLUTIONS):
        h_BCT = relu(net[f"conv{i}"](h_BCT))
    out_B = net["out"](relu(net["dense"](h_BCT.mean(dim=2))))[:, 0]
    return MAX_RUL_CYCLES * (0.5 + out_B)  # an output of 0 is half of the range


def write_net(graph: GraphWriter, window: str, weights: dict[str, np.ndarray]) -> str:
    """Writes the network's prediction in cycles, unclipped float64 (B, 1), from standardised FP32 (B, 30, 21)."""
    constants = {name: graph.constant(values, np.float32) for name, values in weights.items()}
    h = graph.node("Transpose", window, perm=[0, 2, 1])
    for i in range(CONVOLUTIONS):
        parts = constants[f"conv{i}.weight"], constants[f"conv{i}.bias"]
        h = graph.node("Relu", graph.node("Conv", h, *parts, kernel_shape=[TAPS], pads=[TAPS // 2] * 2))
    h = graph.node("ReduceMean", h, graph.constant([2], np.int64), keepdims=0)
    h = graph.node("Relu", graph.node("Gemm", h, constants["dense.weight"], constants["dense.bias"], transB=1))
    out = graph.cast(graph.node("Gemm", h, constants["out.weight"], constants["out.bias"], transB=1), np.float64)
    shifted = graph.node("Add", out, graph.constant(0.5, np.float64))
    return graph.node("Mul", shifted, graph.constant(float(MAX_RUL_CYCLES), np.float64))


@write_raw.register
def _(model: ReferenceCnn, graph: GraphWriter, signals: Signals) -> str:
    return write_net(graph, graph.cast(signals.z, np.float32), model.weights)


def write_alone(model: ReferenceCnn) -> bytes:
    """The network without pre-processing: from `z` (30, 21) to `rul_cycles`."""
    graph = GraphWriter()
    cycles = graph.cast(write_clipped(graph, write_net(graph, "z", model.weights), RUL.range), np.float32)
    shape = (WINDOW_CYCLES, len(SENSORS))
    return graph.finish(inputs={"z": shape}, outputs={"rul_cycles": (cycles, (1,))}, metadata={})
