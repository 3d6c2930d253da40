import numpy as np
import pytest

from sinet_pipelines.errors import DisagreementError
from tests.sinet_pipelines.quantization.windows import put_on_trial


@pytest.fixture(scope="module")
def questions(examples):
    region_B = np.where(np.char.endswith(examples.group_B, "3"), "WEST", "EAST")
    return {"true_B": examples.target_B, "region_B": region_B, "calls": 60}


def test_a_quantized_network_keeps_error_and_size(served_network, quantized_network, sequences, questions):
    verdict = put_on_trial({"fp32": served_network, "int8": quantized_network}, sequences, **questions)
    assert verdict.numbers["size_ratio"] == len(quantized_network) / len(served_network)
    assert {"growth_EAST", "growth_WEST"} <= set(verdict.numbers)
    assert verdict.numbers["error_growth"] < 0.01
    assert verdict.numbers["weight_ratio"] < 0.3
    assert 0.2 < verdict.numbers["latency_ratio"] < 5  # on a busy machine


@pytest.mark.parametrize("spoil", [lambda graph: b"", lambda graph: graph[: len(graph) // 2]])
def test_an_int8_graph_that_cannot_be_opened_is_broken_and_its_source_is_not(
    served_network, quantized_network, sequences, questions, spoil
):
    verdict = put_on_trial({"fp32": served_network, "int8": spoil(quantized_network)}, sequences, **questions)
    assert not verdict.passed
    assert verdict.reason.startswith("the INT8 graph is invalid")
    with pytest.raises(DisagreementError):
        put_on_trial({"fp32": spoil(served_network), "int8": quantized_network}, sequences, **questions)


def test_fp32_in_the_place_of_int8_breaks_the_limit_of_size(served_network, sequences, questions):
    verdict = put_on_trial({"fp32": served_network, "int8": served_network}, sequences, **questions)
    assert not verdict.passed
    assert "bytes of weights" in verdict.reason
