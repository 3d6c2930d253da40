"""Fits networks by gradient descent, with weights averaged over the steps.

The result is a moving average of the weights (Polyak and Juditsky 1992), so that training may stop after any epoch, and
a number of epochs chosen on some groups is valid for others. The optimiser is AdamW (Loshchilov and Hutter 2019). Equal
data, settings and seed give equal weights on one kind of machine. Only the functions that fit import torch.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from sinet_pipelines.models.adamw import AdamW
from sinet_pipelines.models.model import Floats, Singles

if TYPE_CHECKING:
    import torch

AVERAGE_DECAY = 0.995  # factor of the average at each step: it covers about 200 steps
THREADS = 1  # with more threads sums have another order, so equal seeds would give other weights on other machines
FLAT_SD = 1e-9  # a column with a smaller standard deviation is constant
HIDDEN = (64, 32)  # units of the two hidden layers before the output


def dense_layers(n_inputs: int, *, dropout: float) -> "dict[str, torch.nn.Module]":
    """Two hidden layers, each with ReLU and dropout, and the output layer: `dense0`, `relu0`, ..., `out`, in order.

    Args:
        n_inputs: number of inputs.
        dropout: share of hidden units left out in a step, 0 to 1.
    """
    from torch import nn

    layers: dict[str, nn.Module] = {}
    for number, (n_in, n_out) in enumerate(zip((n_inputs, *HIDDEN), HIDDEN, strict=False)):
        layers |= {f"dense{number}": nn.Linear(n_in, n_out), f"relu{number}": nn.ReLU()}
        layers[f"dropout{number}"] = nn.Dropout(dropout)
    return {**layers, "out": nn.Linear(HIDDEN[-1], 1)}


def dense_output(weights: Mapping[str, Singles], x_BF: Singles) -> Floats:
    """(B,) float64 output of the layers of `dense_layers`, without dropout, for (B, F) float32 inputs.

    The hidden layers are computed in float32, the output layer in float64.
    """
    for layer in ("dense0", "dense1"):
        x_BF = np.maximum(x_BF @ weights[f"{layer}.weight"].T + weights[f"{layer}.bias"], np.float32(0.0))
    out_BO = x_BF.astype(np.float64) @ weights["out.weight"].T.astype(np.float64) + weights["out.bias"]
    return out_BO[:, 0]


@dataclass(frozen=True)
class Scale:
    """The mean and standard deviation that standardise a network's target or inputs.

    Attributes:
        mean: (F,) of each input column, or one number for the target.
        sd: likewise; 1 for a constant input column, 0 for a constant target.
    """

    mean: Any
    sd: Any


def target_scale(target_B: Floats, weight_B: Floats) -> Scale:
    """Weighted mean and standard deviation of the target; 0 for a constant target, which is then predicted exactly."""
    mean = float(np.average(target_B, weights=weight_B))
    return Scale(mean, float(np.sqrt(np.average((target_B - mean) ** 2, weights=weight_B))))


def column_scale(values_BF: Singles) -> Scale:
    """(F,) float32 mean and standard deviation of each column; the standard deviation of a constant column is 1."""
    wide_BF = values_BF.astype(np.float64)
    sd = wide_BF.std(axis=0)
    return Scale(wide_BF.mean(axis=0).astype(np.float32), np.where(sd > FLAT_SD, sd, 1.0).astype(np.float32))


def standardised(values: Any, scale: Scale) -> Singles:
    """The standardised values, float32; 0 for a constant target."""
    sd = np.where(np.asarray(scale.sd) > 0, scale.sd, 1.0)
    return ((values - scale.mean) / sd).astype(np.float32)


@contextmanager
def one_thread() -> Iterator[None]:
    """Runs its body with torch on one thread and with deterministic algorithms; restores the settings afterwards."""
    import torch

    threads, strict = torch.get_num_threads(), torch.are_deterministic_algorithms_enabled()
    torch.set_num_threads(THREADS)
    torch.use_deterministic_algorithms(True)
    try:
        yield
    finally:
        torch.set_num_threads(threads)
        torch.use_deterministic_algorithms(strict)


def device() -> str:
    """The device for fits: the first CUDA device if there is one, else the CPU."""
    import torch

    return "cuda" if torch.cuda.is_available() else "cpu"


def descend(
    net: "torch.nn.Module",
    batches: Callable[[np.random.Generator], Iterator[Any]],
    loss_of: "Callable[[torch.nn.Module, Any], torch.Tensor]",
    *,
    seed: int,
    epochs: int,
    learning_rate: float,
    weight_decay: float,
) -> Iterator[dict[str, Singles]]:
    """Minimises the loss; returns the averaged float32 weights after each epoch, by name.

    Args:
        net: the network, whose initial weights the caller drew from the same seed.
        batches: yields the batches of one epoch in an order drawn from the generator.
        loss_of: the loss of the network on a batch.
        seed: of the order of batches and of dropout.
        epochs: number of epochs.
        learning_rate: of AdamW.
        weight_decay: of AdamW.
    """
    import torch

    generator = np.random.default_rng(seed)
    torch.manual_seed(seed)
    average = {name: value.detach().clone() for name, value in net.named_parameters()}
    optimiser = AdamW(net.parameters(), learning_rate, weight_decay)
    step = 0
    for _ in range(epochs):
        net.train()
        with one_thread():
            for batch in batches(generator):
                optimiser.zero_grad()
                loss_of(net, batch).backward()
                optimiser.step()
                step += 1
                # small at first, so that the initial weights soon have no share in the average
                decay = min(AVERAGE_DECAY, step / (step + 9))
                with torch.no_grad():
                    for name, value in net.named_parameters():
                        average[name].mul_(decay).add_(value, alpha=1.0 - decay)
        yield {name: value.cpu().numpy().copy() for name, value in average.items()}
