"""Fits networks by gradient descent, with weights averaged over the steps.

The result is a moving average of the weights (Polyak and Juditsky 1992), so that training may stop after any epoch, and
a number of epochs found on some groups is valid for others. Steps are AdamW's (Loshchilov and Hutter 2019). torch is
imported only in functions that fit or predict; equal data, settings and seed make equal weights on one kind of machine.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from sinet_pipelines.models.model import Floats, Singles

if TYPE_CHECKING:
    import torch

AVERAGED = 0.995  # decay of the average: it covers about 200 steps
THREADS = 1  # two threads sum in another order, so equal seeds would make other weights on other machines
FLAT_SD = 1e-9  # a column with a smaller standard deviation is constant


HIDDEN = (64, 32)  # units of the two hidden layers before the output


def dense_layers(n_inputs: int, *, dropout: float) -> "dict[str, torch.nn.Module]":
    """`dense0`, `dense1` and `out`, each hidden one with the layers that follow it, by name and in order."""
    from torch import nn

    layers: dict[str, nn.Module] = {}
    for number, (n_in, n_out) in enumerate(zip((n_inputs, *HIDDEN), HIDDEN, strict=False)):
        layers |= {f"dense{number}": nn.Linear(n_in, n_out), f"relu{number}": nn.ReLU()}
        layers[f"dropout{number}"] = nn.Dropout(dropout)
    return {**layers, "out": nn.Linear(HIDDEN[-1], 1)}


def dense_answer(weights: Mapping[str, Singles], x_BF: Singles) -> Floats:
    """(B,) float64 output of these layers for (B, F) float32; the last sum is in float64."""
    for layer in ("dense0", "dense1"):
        x_BF = np.maximum(x_BF @ weights[f"{layer}.weight"].T + weights[f"{layer}.bias"], np.float32(0.0))
    out_BO = x_BF.astype(np.float64) @ weights["out.weight"].T.astype(np.float64) + weights["out.bias"]
    return out_BO[:, 0]


@dataclass(frozen=True)
class Scale:
    """Mean and standard deviation by which a network's target or inputs are standardised.

    Attributes:
        mean: of each column, or of the target.
        sd: likewise; 1 for a constant input column, 0 for a constant target.
    """

    mean: Any
    sd: Any


def target_scale(target_B: Floats, weight_B: Floats) -> Scale:
    """Weighted mean and standard deviation of the target; 0 for a constant one, which is then predicted exactly."""
    mean = float(np.average(target_B, weights=weight_B))
    return Scale(mean, float(np.sqrt(np.average((target_B - mean) ** 2, weights=weight_B))))


def column_scale(values_BF: Singles) -> Scale:
    """(F,) float32 mean and standard deviation of each column, the latter 1 where it is constant."""
    wide_BF = values_BF.astype(np.float64)
    sd = wide_BF.std(axis=0)
    return Scale(wide_BF.mean(axis=0).astype(np.float32), np.where(sd > FLAT_SD, sd, 1.0).astype(np.float32))


def standardised(values: Any, scale: Scale) -> Singles:
    """The standardised values, float32; a constant is 0."""
    sd = np.where(np.asarray(scale.sd) > 0, scale.sd, 1.0)
    return ((values - scale.mean) / sd).astype(np.float32)


@contextmanager
def one_thread() -> Iterator[None]:
    """Torch on one thread and with deterministic algorithms within the body; restores the settings afterwards."""
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
    """The averaged weights after each epoch, by name.

    Args:
        net: initialised with the seed by the caller.
        batches: the batches of an epoch, shuffled by the generator.
        loss_of: the loss of the net on a batch, which is minimised.
        seed: of the order of batches and of dropout.
        epochs: number of epochs.
        learning_rate: of AdamW.
        weight_decay: of AdamW.
    """
    import torch

    generator = np.random.default_rng(seed)
    torch.manual_seed(seed)
    average = {name: value.detach().clone() for name, value in net.named_parameters()}
    optimiser = torch.optim.AdamW(net.parameters(), lr=learning_rate, weight_decay=weight_decay)
    step = 0
    for _ in range(epochs):
        net.train()
        with one_thread():
            for batch in batches(generator):
                optimiser.zero_grad()
                loss_of(net, batch).backward()
                optimiser.step()
                step += 1
                kept = min(AVERAGED, step / (step + 9))  # a shorter average at first, without the initial weights
                with torch.no_grad():
                    for name, value in net.named_parameters():
                        average[name].mul_(kept).add_(value, alpha=1.0 - kept)
        yield {name: value.cpu().numpy().copy() for name, value in average.items()}
