"""Energy of one prediction, estimated from its arithmetic operations, for spiking and dense networks.

A spiking layer adds a weight only for each spike; a dense layer multiplies and adds for every input. Energies of one
operation are those of 32-bit floating point in 45 nm at 0.9 V (Horowitz 2014, "Computing's energy problem (and what we
can do about it)", ISSCC, figure 1.1.9): 0.9 pJ for an addition, 3.7 pJ for a multiplication. The estimate contains only
this arithmetic. It excludes memory access for weights and transport of spikes, which cost more on most chips, and
biases, resets and activation functions. Nothing was measured on a chip.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from sinet_pipelines.models.temporal_convolution import ConvolutionModel
from sinet_pipelines.quantization.convolution_graph import steps_read

ADD_PJ = 0.9  # one addition: the cost of one spike at one synapse
MULTIPLY_ADD_PJ = 0.9 + 3.7


@dataclass(frozen=True)
class Operations:
    """The arithmetic operations of one prediction.

    Attributes:
        multiply_adds: number of multiplications, each with its addition.
        adds: number of additions without multiplication; a mean where they depend on spikes.

    >>> Operations(multiply_adds=100, adds=6.0).energy_nj  # 100 x 4.6 pJ + 6 x 0.9 pJ
    0.4654
    """

    multiply_adds: int
    adds: float

    @property
    def energy_nj(self) -> float:
        """Energy in nanojoules."""
        return round((self.multiply_adds * MULTIPLY_ADD_PJ + self.adds * ADD_PJ) / 1000.0, 6)


@dataclass(frozen=True)
class Shape:
    """The shape of a network whose layers are updated at each step of a window.

    Attributes:
        steps: number of updates of its layers in one prediction.
        stepped_inputs: number of inputs that change at every step.
        fixed_inputs: number of inputs that are constant in the window; their currents are computed once.
        widths: neurons of each layer, the read-out last; at least two layers.
    """

    steps: int
    stepped_inputs: int
    fixed_inputs: int
    widths: tuple[int, ...]


def spiking_operations(shape: Shape, firing_rates: Sequence[float]) -> Operations:
    """The operations of leaky integrate-and-fire layers; the inputs of all layers except the first are spikes.

    Numbers need multiplications, spikes need additions, and the leak of every neuron is one multiplication at every
    step, with or without a spike.

    Args:
        shape: shape of the network.
        firing_rates: spikes per neuron and step of each layer except the read-out, 0 to 1.

    Ten steps of 2 numbers into 3 neurons that fire at every fifth step, and one read-out: 10 x 2 x 3 multiplications
    for inputs and 10 x (3 + 1) for leaks; a fifth of 10 x 3 x 1 synapses adds.

    >>> spiking_operations(Shape(10, 2, 0, (3, 1)), [0.2])
    Operations(multiply_adds=100, adds=6.0)
    """
    adds = sum(shape.steps * rate * n for rate, n in zip(firing_rates, _synapses(shape), strict=True))
    return Operations(_currents_and_leaks(shape), round(adds, 6))


def dense_twin_operations(shape: Shape) -> Operations:
    """The operations of the same layers if every neuron outputs a number at every step.

    >>> dense_twin_operations(Shape(10, 2, 0, (3, 1)))  # 10 x (2 x 3 + 3 x 1) synapses and 10 x (3 + 1) leaks
    Operations(multiply_adds=130, adds=0.0)
    """
    return Operations(_currents_and_leaks(shape) + shape.steps * sum(_synapses(shape)), 0.0)


def convolution_operations(model: ConvolutionModel) -> Operations:
    """The operations of a served temporal convolution with its dense layers, for one predicted row.

    Args:
        model: a fitted model; its graph skips the steps that later layers do not read.
    """
    _, *computed = steps_read(model)
    layers = [model.weights[f"conv{number}.weight"] for number in range(len(model.dilations))]
    total = sum(steps * weight.size for steps, weight in zip(computed, layers, strict=True))
    dense = (w for name, w in model.weights.items() if name.endswith(".weight") and not name.startswith("conv"))
    return Operations(total + sum(int(weight.size) for weight in dense), 0.0)


def _currents_and_leaks(shape: Shape) -> int:
    """The number of multiplications, which is independent of spikes."""
    currents = (shape.steps * shape.stepped_inputs + shape.fixed_inputs) * shape.widths[0]
    return currents + shape.steps * sum(shape.widths)


def _synapses(shape: Shape) -> list[int]:
    """The number of connections from each layer to the next."""
    return [a * b for a, b in pairwise(shape.widths)]
