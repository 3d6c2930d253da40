"""Energy of one answer, estimated by counting its arithmetic: what spikes save, and what they do not.

A spiking layer adds a weight where a spike arrives and does nothing where none does; a dense layer multiplies and adds
for every input. Energies of one operation are those of 32-bit floating point in 45 nm at 0.9 V (Horowitz 2014,
"Computing's energy problem (and what we can do about it)", ISSCC, figure 1.1.9): 0.9 pJ for an addition, 3.7 pJ for a
multiplication. It is an estimate of arithmetic alone: fetching weights and moving spikes, which cost more than either
on most chips, are not in it, nor are biases, resets and activation functions; nothing here was measured on a chip.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from sinet_pipelines.models.temporal_convolution import ConvolutionModel
from sinet_pipelines.quantization.convolution_graph import steps_read

ADD_PJ = 0.9  # an accumulate: what one spike costs at one synapse
MULTIPLY_ADD_PJ = 0.9 + 3.7


@dataclass(frozen=True)
class Operations:
    """The arithmetic of one answer.

    Attributes:
        multiply_adds: multiplications, each with its addition.
        adds: additions alone, a mean where they depend on spikes.

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
    """A network of layers that is stepped through a window.

    Attributes:
        steps: how often its layers are updated in one answer.
        stepped_inputs: numbers that come in at every step.
        fixed_inputs: numbers that stay the same through the window; their currents are computed once.
        widths: neurons of each layer, the read-out last; at least two layers.
    """

    steps: int
    stepped_inputs: int
    fixed_inputs: int
    widths: tuple[int, ...]


def spiking_operations(shape: Shape, firing_rates: Sequence[float]) -> Operations:
    """The arithmetic of leaky integrate-and-fire layers, driven by spikes but for their first.

    What comes in as numbers is multiplied, what comes in as spikes is added, and every neuron's leak is a
    multiplication at every step, whether it fires or not.

    Args:
        shape: of the network.
        firing_rates: spikes a neuron and step, one of each layer but the read-out, 0 to 1.

    Ten steps of 2 numbers into 3 neurons that fire at every fifth step, and one read-out: 10 x 2 x 3 multiplications
    come in and 10 x (3 + 1) are leaks; of 10 x 3 x 1 synapses a fifth adds.

    >>> spiking_operations(Shape(10, 2, 0, (3, 1)), [0.2])
    Operations(multiply_adds=100, adds=6.0)
    """
    adds = sum(shape.steps * rate * n for rate, n in zip(firing_rates, _synapses(shape), strict=True))
    return Operations(_currents_and_leaks(shape), round(adds, 6))


def dense_twin_operations(shape: Shape) -> Operations:
    """The arithmetic of the same layers where every neuron passes on a number at every step.

    >>> dense_twin_operations(Shape(10, 2, 0, (3, 1)))  # 10 x (2 x 3 + 3 x 1) synapses and 10 x (3 + 1) leaks
    Operations(multiply_adds=130, adds=0.0)
    """
    return Operations(_currents_and_leaks(shape) + shape.steps * sum(_synapses(shape)), 0.0)


def convolution_operations(model: ConvolutionModel) -> Operations:
    """The arithmetic of a temporal convolution and its head, as it is served: only what the asked cycle needs.

    Args:
        model: fitted; its graph steps over the places that wider dilations do not read.
    """
    _, *answered = steps_read(model)
    layers = [model.weights[f"conv{number}.weight"] for number in range(len(model.dilations))]
    total = sum(steps * weight.size for steps, weight in zip(answered, layers, strict=True))
    dense = (w for name, w in model.weights.items() if name.endswith(".weight") and not name.startswith("conv"))
    return Operations(total + sum(int(weight.size) for weight in dense), 0.0)


def _currents_and_leaks(shape: Shape) -> int:
    """Multiplications that no spike can save."""
    currents = (shape.steps * shape.stepped_inputs + shape.fixed_inputs) * shape.widths[0]
    return currents + shape.steps * sum(shape.widths)


def _synapses(shape: Shape) -> list[int]:
    """Connections from each layer to the next."""
    return [a * b for a, b in pairwise(shape.widths)]
