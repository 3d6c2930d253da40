"""Energy by counting: worked by hand, or counted one multiplication at a time."""

import numpy as np
import onnx
import pytest

from sinet_pipelines.applications.turbofan.features.regimes import OperatingRegimes
from sinet_pipelines.applications.turbofan.graph.window_graph import INPUTS
from sinet_pipelines.applications.turbofan.schemas.features import FEATURE_NAMES
from sinet_pipelines.applications.turbofan.schemas.telemetry import SENSORS
from sinet_pipelines.applications.turbofan.task import RUL
from sinet_pipelines.models.temporal_convolution import DILATIONS, TAPS, ConvolutionModel
from sinet_pipelines.quantization.runtime import served_session
from sinet_pipelines.research.energy import (
    Operations,
    Shape,
    convolution_operations,
    dense_twin_operations,
    spiking_operations,
)
from tests.sinet_pipelines.quantization.windows import export

# 4 steps; 5 numbers a step and 3 fixed ones into 2 neurons, those into 3, those into one read-out
SHAPE = Shape(steps=4, stepped_inputs=5, fixed_inputs=3, widths=(2, 3, 1))
CURRENTS = 4 * 5 * 2 + 3 * 2
LEAKS = 4 * (2 + 3 + 1)


def test_an_operation_costs_what_its_source_states():
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


def test_a_convolution_is_counted_as_its_graph_computes_it():
    """How many places each layer answers is asked of the runtime that serves it."""
    rng = np.random.default_rng(0)
    channels, statistics = 2, FEATURE_NAMES[:3]
    shapes = {
        "conv0": (channels, len(SENSORS), TAPS),
        "conv1": (channels, channels, TAPS),
        "conv2": (channels, channels, TAPS),
        "dense0": (4, channels + len(statistics)),
        "dense1": (3, 4),
        "out": (1, 3),
    }
    weights = {f"{name}.weight": rng.normal(size=shape).astype(np.float32) for name, shape in shapes.items()}
    weights |= {f"{name}.bias": np.zeros(shape[0], dtype=np.float32) for name, shape in shapes.items()}
    weights |= {"statistic_means": np.zeros(3, dtype=np.float32), "statistic_sds": np.ones(3, dtype=np.float32)}
    model = ConvolutionModel(FEATURE_NAMES, statistics, 60.0, 30.0, DILATIONS, weights, RUL)
    regimes = OperatingRegimes((1.0,) * 3, ((0.0,) * 3,), ((0.0,) * len(SENSORS),), ((1.0,) * len(SENSORS),), (1,))
    graph = onnx.load_from_string(export(model, regimes=regimes, family="temporal_convolution"))
    convolved = [node.output[0] for node in graph.graph.node if node.op_type == "Conv"]
    graph.graph.output.extend(onnx.ValueInfoProto(name=name) for name in convolved)
    requested = {name: np.ones((1, *shape), dtype=np.float32) for name, shape in INPUTS.items()}
    answers = served_session(graph.SerializeToString()).run(convolved, requested)
    places = [answer.shape[2] for answer in answers]
    assert places == [13, 5, 1]
    by_hand = sum(n * int(np.prod(shapes[f"conv{layer}"])) for layer, n in enumerate(places)) + 4 * 5 + 3 * 4 + 1 * 3
    assert convolution_operations(model) == Operations(by_hand, 0.0)
