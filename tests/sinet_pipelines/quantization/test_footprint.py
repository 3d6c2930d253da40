import pytest

from sinet_pipelines.quantization.footprint import weight_bytes
from tests.sinet_pipelines.quantization.windows import footprints


def test_weights_of_a_network_are_counted_by_hand(served_network, network):
    layers = [name for name in network.weights if name.startswith(("conv", "dense"))]
    assert len(layers) == 10
    assert weight_bytes(served_network) == 4 * sum(network.weights[name].size for name in layers)


def test_a_quarter_and_its_scales_are_left_in_int8(served_network, quantized_network, network):
    layers = [name for name in network.weights if name.startswith(("conv", "dense")) and name.endswith("weight")]
    one_byte_each = sum(network.weights[name].size for name in layers)
    assert one_byte_each < weight_bytes(quantized_network) < 0.3 * weight_bytes(served_network)


def test_a_forest_has_no_such_weights(served):
    assert weight_bytes(served) == 0


def test_every_graph_is_asked_in_one_go(served, served_network, sequences):
    found = footprints({"forest": served, "network": served_network}, sequences, calls=45)
    assert [one.n_bytes for one in found.values()] == [len(served), len(served_network)]
    assert all(5 < one.p50_us < 50_000 for one in found.values())
    assert found["network"].weight_bytes == pytest.approx(0.8 * len(served_network), rel=0.15)
