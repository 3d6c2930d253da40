"""The protocol over gRPC: the same answers and the same refusals as over HTTP, whatever bytes arrive."""

import asyncio
from concurrent.futures import ThreadPoolExecutor

import grpc
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tritonclient.grpc import service_pb2 as pb

from sinet_pipelines.deployment.catalogue import Catalogue
from sinet_pipelines.deployment.grpc_server import GrpcService, make_server
from sinet_pipelines.errors import BusyError
from tests.examples import sampled
from tests.sinet_pipelines.deployment.served import expected_rul, publish_rul, sane_inputs


class Aborted(Exception):
    """What the real context raises too: an abort ends the call."""


class Context:
    """The methods of a gRPC context that the service uses."""

    def invocation_metadata(self):
        return (("authorization", "Bearer control"),)

    async def abort(self, code, sentence):
        assert sentence
        raise Aborted(code)


@pytest.fixture(scope="module")
def service(tmp_path_factory):
    repository = tmp_path_factory.mktemp("grpc") / "models"
    publish_rul(repository, "1", bias=100.0)
    publish_rul(repository, "2", bias=200.0)
    catalogue = Catalogue(repository)
    catalogue.start("rul", version="1")
    with ThreadPoolExecutor(1) as workers:
        yield GrpcService(catalogue, workers=workers, control_token="control")


def call(service, method, message):
    raw = message if isinstance(message, bytes) else message.SerializeToString()
    return asyncio.run(service.handlers()[method].unary_unary(raw, Context()))


def infer_request(inputs, *, typed=False, **more):
    request = pb.ModelInferRequest(model_name="rul", **more)
    for name, values in inputs.items():
        tensor = request.inputs.add(name=name, datatype="FP32", shape=values.shape)
        if typed:
            tensor.contents.fp32_contents.extend(values.ravel().tolist())
        else:
            request.raw_input_contents.append(values.tobytes())
    return request


@pytest.mark.parametrize("typed", [False, True])
def test_raw_and_typed_tensors_have_equal_responses(service, typed):
    inputs = sane_inputs(3)
    response = pb.ModelInferResponse.FromString(call(service, "ModelInfer", infer_request(inputs, typed=typed, id="q")))
    assert (response.id, response.model_version, list(response.outputs[0].shape)) == ("q", "1", [3, 1])
    found = np.frombuffer(response.raw_output_contents[0], "<f4")
    np.testing.assert_allclose(found, expected_rul(inputs, bias=100.0).ravel(), rtol=1e-6)


def test_a_stream_continues_after_an_invalid_request(service):
    async def ask():
        async def messages():
            for version in ("1", "7", "1"):
                yield infer_request(sane_inputs(), model_version=version).SerializeToString()

        stream = service.handlers()["ModelStreamInfer"].stream_stream(messages(), Context())
        return [pb.ModelStreamInferResponse.FromString(raw) async for raw in stream]

    first, second, third = asyncio.run(ask())
    assert first.infer_response == third.infer_response
    assert "version '7' of 'rul' is not loaded" in second.error_message


def test_a_second_server_does_not_share_a_port(service):
    async def twice():
        with ThreadPoolExecutor(1) as workers:
            first, port = make_server(service._catalogue, host="127.0.0.1", port=0, workers=workers)
            try:
                with pytest.raises(BusyError, match=f"port {port} for gRPC is in use"):
                    make_server(service._catalogue, host="127.0.0.1", port=port, workers=workers)
            finally:
                await first.stop(grace=None)

    asyncio.run(twice())


@pytest.mark.parametrize(
    ("method", "message", "code"),
    [
        ("ModelInfer", b"\xff\xff", grpc.StatusCode.INVALID_ARGUMENT),
        ("ModelInfer", pb.ModelInferRequest(), grpc.StatusCode.NOT_FOUND),
        ("ModelInfer", pb.ModelInferRequest(model_name="rul"), grpc.StatusCode.INVALID_ARGUMENT),
        ("ModelInfer", infer_request(sane_inputs(), model_version="9"), grpc.StatusCode.NOT_FOUND),
        ("ModelMetadata", pb.ModelMetadataRequest(name="nope"), grpc.StatusCode.NOT_FOUND),
        ("RepositoryModelLoad", pb.RepositoryModelLoadRequest(model_name="../x"), grpc.StatusCode.NOT_FOUND),
    ],
)
def test_an_invalid_request_has_the_status_of_its_kind(service, method, message, code):
    with pytest.raises(Aborted) as caught:
        call(service, method, message)
    assert caught.value.args == (code,)


def test_a_broken_model_is_a_failed_precondition_and_leaves_the_running_one(tmp_path):
    publish_rul(tmp_path / "models", "1", answers_nan=False)
    catalogue = Catalogue(tmp_path / "models")
    catalogue.start("rul", version="1")
    publish_rul(tmp_path / "models", "2", answers_nan=True)
    with ThreadPoolExecutor(1) as workers:
        service = GrpcService(catalogue, workers=workers, control_token="control")
        with pytest.raises(Aborted) as caught:
            call(service, "RepositoryModelLoad", pb.RepositoryModelLoadRequest(model_name="rul"))
    assert caught.value.args == (grpc.StatusCode.FAILED_PRECONDITION,)
    assert catalogue.versions("rul") == ("1",)


def status_of(service, message):
    """The status a question ends with; None where it is answered."""
    try:
        call(service, "ModelInfer", message)
    except Aborted as error:
        return error.args[0]
    return None


GOOD = infer_request(sane_inputs()).SerializeToString()
GOOD_TYPED = infer_request(sane_inputs(), typed=True).SerializeToString()


@settings(max_examples=sampled(1000), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.sampled_from([GOOD, GOOD_TYPED]),
    st.lists(st.tuples(st.floats(0, 1, exclude_max=True), st.binary(max_size=3), st.integers(0, 3)), max_size=3),
    st.booleans(),
)
def test_no_mutation_of_a_message_is_ever_a_fault_of_the_server(service, good, edits, near_the_head):
    message = good
    for place, inserted, removed in edits:
        at = int(place * (min(80, len(message)) if near_the_head else len(message)))
        message = message[:at] + inserted + message[at + removed :]
    assert status_of(service, message) in (None, grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.NOT_FOUND)


def _with_contents_beside(request):
    request.inputs[0].contents.fp32_contents.append(1.0)


def _with_an_output_twice(request):
    for _ in "ab":
        request.outputs.add(name="rul_cycles")


def _with_an_output_into_shared_memory(request):
    request.outputs.add(name="rul_cycles").parameters["shared_memory_region"].string_param = "region"


def _with_a_classification(request):
    request.outputs.add(name="rul_cycles").parameters["classification"].int64_param = 3


def _with_an_input_twice(request):
    request.inputs.append(request.inputs[0])
    request.raw_input_contents.append(request.raw_input_contents[0])


def _with_no_rows(request):
    for tensor in request.inputs:
        tensor.shape[0] = 0


def _with_a_negative_size(request):
    request.inputs[0].shape[0] = -1


def _of_whole_numbers(request):
    request.inputs[0].datatype = "INT64"


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (_with_contents_beside, "contents beside raw_input_contents"),
        (_with_an_output_twice, "an output is requested twice"),
        (_with_an_output_into_shared_memory, "shared_memory_region is not supported"),
        (_with_a_classification, "classification is not supported"),
        (_with_an_input_twice, "occurs twice"),
        (_with_no_rows, "any size from 1"),
        (_with_a_negative_size, "any size from 1"),
        (_of_whole_numbers, "allowed: FP32"),
    ],
)
def test_a_contradictory_request_is_rejected_as_over_http(service, change, sentence):
    request = infer_request(sane_inputs())
    change(request)
    found = []

    class Hears(Context):
        async def abort(self, code, text):
            found.append((code, text))
            raise Aborted(code)

    with pytest.raises(Aborted):
        asyncio.run(service.handlers()["ModelInfer"].unary_unary(request.SerializeToString(), Hears()))
    ((code, text),) = found
    assert code is grpc.StatusCode.INVALID_ARGUMENT
    assert sentence in text
