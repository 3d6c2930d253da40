"""Energy by counting: worked by hand, or counted one multiplication at a time."""

import numpy as np
import pytest

from sinet_pipelines.models.temporal_convolution import DILATIONS, SEEN_CYCLES, TAPS
from sinet_pipelines.research.energy import (
    Operations,
    Shape,
    convolution_operations,
    dense_twin_operations,
    spiking_operations,
)

# 4 steps; 5 numbers a step and 3 fixed ones into 2 neurons, those into 3, those into one read-out
SHAPE = Shape(steps=4, stepped_inputs=5, fixed_inputs=3, widths=(2, 3, 1))
CURRENTS = 4 * 5 * 2 + 3 * 2
LEAKS = 4 * (2 + 3 + 1)


def test_an_operation_costs_what_its_source_says():
    assert Operations(1000, 0.0).energy_nj == pytest.approx(4.6)
    assert Operations(0, 1000.0).energy_nj == pytest.approx(0.9)


def test_each_spike_adds_once_at_each_synapse_behind_it():
    counted = spiking_operations(SHAPE, [0.5, 0.25])
    assert counted.multiply_adds == CURRENTS + LEAKS
    assert counted.adds == pytest.approx(0.5 * 4 * (2 * 3) + 0.25 * 4 * (3 * 1))


def test_neurons_that_never_fire_still_cost_their_currents_and_leaks():
    assert spiking_operations(SHAPE, [0.0, 0.0]) == Operations(CURRENTS + LEAKS, 0.0)


def test_the_dense_twin_multiplies_at_every_synapse_and_step():
    assert dense_twin_operations(SHAPE) == Operations(CURRENTS + LEAKS + 4 * (2 * 3 + 3 * 1), 0.0)


def test_even_neurons_that_always_fire_cost_less_than_their_dense_twin():
    assert spiking_operations(SHAPE, [1.0, 1.0]).energy_nj < dense_twin_operations(SHAPE).energy_nj


def test_a_rate_for_every_layer_but_the_read_out_is_needed():
    with pytest.raises(ValueError, match="zip"):
        spiking_operations(SHAPE, [0.5])


def test_a_convolution_is_counted_as_it_is_served():
    channels = 2
    weights = {
        "conv0.weight": np.zeros((channels, 3, TAPS), dtype=np.float32),
        "conv0.bias": np.zeros(channels, dtype=np.float32),
        "conv1.weight": np.zeros((channels, channels, TAPS), dtype=np.float32),
        "conv2.weight": np.zeros((channels, channels, TAPS), dtype=np.float32),
        "dense0.weight": np.zeros((4, 7), dtype=np.float32),
        "out.weight": np.zeros((1, 4), dtype=np.float32),
        "statistic_means": np.zeros(5, dtype=np.float32),
    }
    counted, places = 0, SEEN_CYCLES
    for number, dilation in enumerate(DILATIONS):  # forwards, as a runtime computes it without padding
        places -= (TAPS - 1) * dilation
        out, n_in, taps = weights[f"conv{number}.weight"].shape
        counted += sum(out * n_in * taps for _ in range(places))
    assert places == 1
    assert convolution_operations(weights, DILATIONS) == Operations(counted + 4 * 7 + 1 * 4, 0.0)
