"""What a model may be asked: bounds and first cycles from the graph's own metadata, over HTTP and gRPC alike."""

import json

import grpc
import numpy as np
import onnx
import pytest
from tritonclient.grpc import service_pb2 as pb

from sinet_pipelines.applications.turbofan.graph import request_contract as written
from sinet_pipelines.applications.turbofan.schemas.telemetry import SENSORS, SETTINGS
from sinet_pipelines.deployment.client import infer
from sinet_pipelines.deployment.model import open_graph
from sinet_pipelines.deployment.process import stop_servers
from sinet_pipelines.deployment.publish import publish_model
from sinet_pipelines.deployment.request_contract import METADATA_KEY, NOTHING_REQUIRED, read_request_contract
from sinet_pipelines.errors import ServingError, UsageError
from tests.sinet_pipelines.deployment.conftest import ensure_rul
from tests.sinet_pipelines.deployment.served import rul_graph, save

MIDDLE = np.array([(column.minimum + column.maximum) / 2 for column in (*SETTINGS, *SENSORS)], np.float32)
TYPES = {name: np.dtype(np.float32) for name in ("window", "first_cycles", "cycle")}


def engines(rows=1, *, cycle=100.0):
    """Engines whose every channel is in the middle of its bounds, at one cycle, with one absent cycle in the window."""
    inputs = {
        "window": np.tile(MIDDLE, (rows, 30, 1)),
        "first_cycles": np.tile(MIDDLE, (rows, 10, 1)),
        "cycle": np.full((rows, 1), cycle, np.float32),
    }
    inputs["window"][:, 3] = np.nan
    inputs["first_cycles"][:, int(min(cycle, 10)) :] = np.nan
    return inputs


@pytest.fixture(scope="module")
def contract():
    return read_request_contract({METADATA_KEY: written.request_contract()}, TYPES)


@pytest.fixture(scope="module")
def endpoint(tmp_path_factory):
    """A server of a model whose graph has the contract that the exporter writes."""
    serving = tmp_path_factory.mktemp("contract")
    graph = rul_graph()
    onnx.helper.set_model_props(graph, {METADATA_KEY: written.request_contract()})
    path = save(graph, serving / "rul.onnx")
    publish_model(serving / "models", "rul", version="1", onnx=path, sample=engines())
    yield ensure_rul(serving / "WEST" / "rul", serving / "models", "1")
    stop_servers(serving / "WEST" / "rul")


def spoiled(name, at, value, *, cycle=100.0):
    inputs = engines(3, cycle=cycle)
    inputs[name][at] = value
    return inputs


REFUSED = {
    "a window of 1e30": (
        spoiled("window", (1, 5, 2), 1e30),
        "input 'window' has throttle_angle_pct 1e+30 in row 1, step 5 (allowed: 0 to 110 %); send values in that unit, "
        "NaN where one is absent",
    ),
    "an infinite sensor": (spoiled("first_cycles", (2, 0, 3), np.inf), "input 'first_cycles' has t2_degr inf in row 2"),
    "a cycle before the first": (
        spoiled("cycle", (0, 0), -5.0),
        "input 'cycle' has cycle -5 in row 0 (allowed: whole numbers from 1 to 100000 cycles)",
    ),
    "a cycle of half a flight": (spoiled("cycle", (0, 0), 31.5), "input 'cycle' has cycle 31.5"),
    "no cycle": (spoiled("cycle", (2, 0), np.nan), "input 'cycle' has cycle nan in row 2"),
    "first cycles that are absent": (
        spoiled("first_cycles", (1,), np.nan),
        "input 'first_cycles' has 0 complete steps in row 1, at cycle 100 (needed: 5); send the engine's cycles 1 to "
        "10, against which its wear is measured",
    ),
    "four first cycles of ten": (
        spoiled("first_cycles", (slice(None), slice(4, None)), np.nan),
        "input 'first_cycles' has 4 complete steps in row 0 and too few in 2 more rows, at cycle 100 (needed: 5)",
    ),
    "one channel absent in the first cycles": (
        spoiled("first_cycles", (0, slice(None), 7), np.nan),
        "input 'first_cycles' has 0 complete steps in row 0, at cycle 100 (needed: 5)",
    ),
    "the asked cycle alone": (
        spoiled("window", (2, slice(0, 29)), np.nan),
        "input 'window' has 1 complete steps in row 2, at cycle 100 (needed: 20); send the engine's last 30 cycles",
    ),
    "no first cycle while they are flown": (
        spoiled("first_cycles", (0,), np.nan, cycle=4.0),
        "input 'first_cycles' has 0 complete steps in row 0, at cycle 4 (needed: 2)",
    ),
}


@pytest.mark.parametrize("inputs", [engines(), engines(2, cycle=1.0), engines(4, cycle=10.0), engines(1, cycle=11.0)])
def test_engines_within_the_contract_are_predicted(contract, inputs):
    assert contract.check(inputs) is None


def test_a_value_at_its_bound_is_within(contract):
    inputs = engines(2)
    inputs["window"][0, -1] = [column.minimum for column in (*SETTINGS, *SENSORS)]
    inputs["window"][1, -1] = [column.maximum for column in (*SETTINGS, *SENSORS)]
    assert contract.check(inputs) is None


@pytest.mark.parametrize("refused", REFUSED)
def test_inputs_outside_the_contract_are_rejected_with_a_message(contract, refused):
    inputs, sentence = REFUSED[refused]
    with pytest.raises(UsageError) as error:
        contract.check(inputs)
    assert sentence in str(error.value)


@pytest.mark.parametrize("refused", REFUSED)
def test_a_server_rejects_it_over_http_and_grpc_with_the_same_message(endpoint, refused):
    inputs, sentence = REFUSED[refused]
    with pytest.raises(UsageError, match="returned 400") as error:
        infer(endpoint.url, "rul", inputs)
    assert sentence in str(error.value)
    request = pb.ModelInferRequest(model_name="rul")
    for name, values in inputs.items():
        request.inputs.add(name=name, datatype="FP32", shape=values.shape)
        request.raw_input_contents.append(values.tobytes())
    with grpc.insecure_channel(endpoint.grpc) as channel, pytest.raises(grpc.RpcError) as aborted:
        channel.unary_unary("/inference.GRPCInferenceService/ModelInfer")(request.SerializeToString(), timeout=300)
    assert (aborted.value.code(), sentence in aborted.value.details()) == (grpc.StatusCode.INVALID_ARGUMENT, True)


def test_a_server_predicts_inputs_within_the_contract(endpoint):
    assert np.isfinite(infer(endpoint.url, "rul", engines(5))["rul_cycles"]).all()


def test_a_graph_without_a_contract_accepts_every_input():
    assert open_graph(rul_graph().SerializeToString(), "rul").contract == NOTHING_REQUIRED


@pytest.mark.parametrize(
    "text",
    ["{", "[]", "{}", json.dumps({"columns": {"other": []}, "needs": []}), json.dumps({"columns": {}, "needs": [{}]})],
)
def test_a_contract_that_cannot_be_read_is_refused_when_the_graph_is_opened(text):
    graph = rul_graph()
    onnx.helper.set_model_props(graph, {METADATA_KEY: text})
    with pytest.raises(ServingError, match="request_contract cannot be read .*; export the model again"):
        open_graph(graph.SerializeToString(), "rul")
