import dataclasses
from itertools import pairwise

import numpy as np
import onnxruntime as ort
import pytest

from sinet_pipelines.applications.turbofan.graph.window_graph import INPUTS, write_signals
from sinet_pipelines.applications.turbofan.schemas.telemetry import SENSORS
from sinet_pipelines.errors import DisagreementError
from sinet_pipelines.models.temporal_convolution import ConvolutionModel
from sinet_pipelines.quantization.convolution_graph import write_convolution
from sinet_pipelines.quantization.graph import GraphWriter
from tests.sinet_pipelines.quantization.windows import feed


def seen(model: ConvolutionModel, regimes, sequences) -> np.ndarray:
    """What the graph's convolutions say: (B, C)."""
    graph = GraphWriter()
    hidden = write_convolution(graph, write_signals(graph, regimes), model)
    channels = len(model.weights["conv0.bias"])
    content = graph.finish(inputs=INPUTS, outputs={"hidden": (hidden, (channels,))}, metadata={})
    return ort.InferenceSession(content).run(None, feed(sequences))[0]


def causal(model: ConvolutionModel, z_BTS: np.ndarray, present_BT: np.ndarray) -> np.ndarray:
    """The same by torch as in training: every cycle of the window answered, zeros before the first; (B, C)."""
    import torch
    from torch.nn.functional import conv1d, pad, relu

    h = torch.from_numpy(z_BTS.transpose(0, 2, 1).copy())
    mask = torch.from_numpy(present_BT[:, None, :].astype(np.float32))
    for layer, dilation in enumerate(model.dilations):
        weight, bias = (torch.from_numpy(model.weights[f"conv{layer}.{part}"]) for part in ("weight", "bias"))
        y = relu(conv1d(pad(h, ((weight.shape[2] - 1) * dilation, 0)), weight, bias, dilation=dilation))
        h = (y + h if layer else y) * mask
    return h[:, :, -1].numpy()


def random_model(model: ConvolutionModel, *, channels: int, taps: int, dilations: tuple[int, ...]) -> ConvolutionModel:
    rng = np.random.default_rng(5)
    widths = (len(SENSORS), *(channels for _ in dilations))
    weights = {}
    for layer, (n_in, n_out) in enumerate(pairwise(widths)):
        weights[f"conv{layer}.weight"] = rng.normal(0, 0.2, (n_out, n_in, taps)).astype(np.float32)
        weights[f"conv{layer}.bias"] = rng.normal(0, 0.2, n_out).astype(np.float32)
    return dataclasses.replace(model, dilations=dilations, weights=weights)


@pytest.mark.parametrize(
    ("taps", "dilations"), [(5, (1, 2, 4)), (3, (1, 2, 4, 4)), (5, (2, 4)), (5, (6,)), (2, (1, 1, 3, 9)), (1, (1,))]
)
def test_the_asked_cycle_is_answered_as_among_all_cycles(network, regimes, inputs, sequences, taps, dilations):
    model = random_model(network, channels=7, taps=taps, dilations=dilations)
    scaled = inputs.sequences
    present_BT = scaled.present_L[scaled.place_B[:, None] + np.arange(-29, 1)]
    assert not present_BT.all()  # gaps and young engines are among them
    expected = causal(model, scaled.windows(), present_BT)
    np.testing.assert_allclose(seen(model, regimes, sequences), expected, rtol=1e-4, atol=1e-5)


def test_the_thirtieth_cycle_back_is_not_seen(network, regimes, sequences):
    requested = sequences.take(sequences.cycle_B > 100)
    without, shown = requested.window_BTC.copy(), requested.window_BTC.copy()
    without[:, 0] = np.nan
    shown[:, 1] = np.nan
    plain = seen(network, regimes, requested)
    np.testing.assert_array_equal(seen(network, regimes, dataclasses.replace(requested, window_BTC=without)), plain)
    assert (seen(network, regimes, dataclasses.replace(requested, window_BTC=shown)) != plain).any()


def test_dilations_that_do_not_nest_are_refused(network, regimes, sequences):
    model = random_model(network, channels=4, taps=3, dilations=(2, 3))
    with pytest.raises(DisagreementError, match="each a multiple"):
        seen(model, regimes, sequences)


def test_layers_that_see_more_than_the_window_are_refused(network, regimes, sequences):
    model = random_model(network, channels=4, taps=5, dilations=(1, 2, 4, 8))
    with pytest.raises(DisagreementError, match="read 61 steps"):
        seen(model, regimes, sequences)
