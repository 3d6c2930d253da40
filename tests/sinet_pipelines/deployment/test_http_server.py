"""The protocol over HTTP: what the application answers to whole requests, well-formed and mutated, without a socket."""

import gzip
import zlib
from concurrent.futures import ThreadPoolExecutor
from unittest.mock import AsyncMock

import numpy as np
import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sinet_pipelines.applications.turbofan.schemas.telemetry import CHANNELS
from sinet_pipelines.deployment.bodies import BODY_LIMIT_BYTES, FREE_BYTES, BodyReader, ClientGoneError, CrowdedError
from sinet_pipelines.deployment.catalogue import Catalogue
from sinet_pipelines.deployment.http_server import HttpApplication
from tests.examples import sampled
from tests.sinet_pipelines.deployment.served import expected_rul, publish_rul, sane_inputs

INFER = "/v2/models/rul/infer"
N = len(CHANNELS)

SMALL_GZIP = gzip.compress(b"{}", mtime=0)  # the same bytes in every process that collects the tests


@pytest.fixture(scope="module")
def catalogue(tmp_path_factory):
    repository = tmp_path_factory.mktemp("http") / "models"
    publish_rul(repository, "1", bias=100.0, with_interval=True)
    publish_rul(repository, "2", bias=200.0, with_interval=True)
    catalogue = Catalogue(repository)
    catalogue.start("rul", version="1")
    return catalogue


@pytest.fixture(scope="module")
def application(catalogue):
    with ThreadPoolExecutor(1) as workers:
        yield HttpApplication(catalogue, token="t0", workers=workers, control_token="control")


def post(application, path, body=b"", headers=(), method="POST"):
    control = [(b"authorization", b"Bearer control")] if path.startswith("/v2/repository/models/") else []
    status, sent, content = application.respond(method, path, [*headers, *control], body)
    return status, dict(sent), content


def get(application, path):
    status, _, content = post(application, path, method="GET")
    return status, orjson.loads(content)


def json_body(inputs, **more):
    tensors = [
        {"name": name, "datatype": "FP32", "shape": values.shape, "data": values.ravel()}
        for name, values in inputs.items()
    ]
    return orjson.dumps({"inputs": tensors, **more}, option=orjson.OPT_SERIALIZE_NUMPY)


def raw_body(inputs, **more):
    tensors = [
        {"name": name, "datatype": "FP32", "shape": v.shape, "parameters": {"binary_data_size": v.nbytes}}
        for name, v in inputs.items()
    ]
    header = orjson.dumps({"inputs": tensors, **more})
    return header + b"".join(v.tobytes() for v in inputs.values()), [
        (b"inference-header-content-length", b"%d" % len(header))
    ]


def error_of(response):
    status, _, content = response
    parsed = orjson.loads(content)
    assert list(parsed) == ["error"]
    return status, parsed["error"]


def test_json_in_json_out_with_null_for_an_absent_cycle(application):
    inputs = sane_inputs(2)
    status, headers, content = post(application, INFER, json_body(inputs, id="q7"))
    parsed = orjson.loads(content)
    assert (status, headers[b"content-type"]) == (200, b"application/json")
    assert (parsed["id"], parsed["model_name"], parsed["model_version"]) == ("q7", "rul", "1")
    assert [output["name"] for output in parsed["outputs"]] == ["rul_cycles", "lower_cycles", "upper_cycles"]
    assert parsed["outputs"][0]["shape"] == [2, 1]
    np.testing.assert_allclose(parsed["outputs"][0]["data"], expected_rul(inputs, bias=100.0).ravel(), rtol=1e-6)


def test_raw_in_raw_out(application):
    inputs = sane_inputs(3)
    body, headers = raw_body(inputs, parameters={"binary_data_output": True}, outputs=[{"name": "rul_cycles"}])
    status, found, content = post(application, INFER, body, headers)
    length = int(found[b"inference-header-content-length"])
    assert (status, found[b"content-type"]) == (200, b"application/octet-stream")
    assert orjson.loads(content[:length])["outputs"][0]["parameters"] == {"binary_data_size": 12}
    np.testing.assert_allclose(
        np.frombuffer(content[length:], "<f4"), expected_rul(inputs, bias=100.0).ravel(), rtol=1e-6
    )


def test_raw_and_json_mix_both_ways(application):
    inputs = sane_inputs(1)
    body, headers = raw_body({"window": inputs["window"], "cycle": inputs["cycle"]})
    length = int(headers[0][1])
    header = orjson.loads(body[:length])
    first = {"name": "first_cycles", "datatype": "FP32", "shape": [1, 10, N], "data": [None] * 10 * N}
    header["inputs"].insert(1, first)
    header["outputs"] = [
        {"name": "upper_cycles", "parameters": {"binary_data": True}},
        {"name": "rul_cycles", "parameters": {"binary_data": False}},
    ]
    encoded = orjson.dumps(header)
    mixed = encoded + body[length:]
    status, found, content = post(
        application, INFER, mixed, [(b"inference-header-content-length", b"%d" % len(encoded))]
    )
    assert status == 200
    cut = int(found[b"inference-header-content-length"])
    outputs = orjson.loads(content[:cut])["outputs"]
    assert [output["name"] for output in outputs] == ["upper_cycles", "rul_cycles"]
    np.testing.assert_allclose(np.frombuffer(content[cut:], "<f4") - 10, outputs[1]["data"], rtol=1e-6)


def test_an_output_that_is_nan_is_null_in_json(application):
    inputs = sane_inputs() | {"cycle": np.array([[np.nan]], np.float32)}
    _, _, content = post(application, INFER, json_body(inputs))
    assert orjson.loads(content)["outputs"][0]["data"] == [None]


def test_the_words_nan_and_infinity_are_read_as_triton_s_client_writes_them(application):
    inputs = sane_inputs()
    good = post(application, INFER, json_body(inputs))
    assert post(application, INFER, json_body(inputs).replace(b"null", b"NaN")) == good
    infinite = json_body(inputs).replace(b"null", b"-Infinity", 1)
    assert orjson.loads(post(application, INFER, infinite)[2])["outputs"][0]["data"] == [None]


@pytest.mark.parametrize(
    "body",
    [
        b'{"id": "\\ud800", "a": NaN}',
        b"[" * 9999 + b"NaN",
        b"NaN",
        b'{"a": NaN, "b": ' + b"9" * 5000 + b"}",
        b"\xffNaN",
    ],
)
def test_what_only_the_slower_parser_reads_is_refused_too(application, body):
    assert error_of(post(application, INFER, body))[0] == 400


@pytest.mark.parametrize("digits", [400, 4299, 4301])
def test_integers_of_hundreds_of_digits_are_refused_in_data_and_in_shapes(application, digits):
    inputs = sane_inputs()
    whole = json_body({name: inputs[name] for name in ("window", "first_cycles")})[:-2]
    for cycle in (b'"shape":[1,1],"data":[%s]', b'"shape":[%s,1],"data":[NaN]'):
        tensor = b',{"name":"cycle","datatype":"FP32",' + cycle % (b"9" * digits) + b"}]}"
        body = (whole + tensor).replace(b"null", b"NaN")
        status, sentence = error_of(post(application, INFER, body))
        assert status == 400
        assert len(sentence) < 400


def test_a_version_predicts_at_its_own_path(application):
    application._catalogue.load("rul")
    content = orjson.loads(post(application, "/v2/models/rul/versions/2/infer", json_body(sane_inputs()))[2])
    assert content["model_version"] == "2"
    assert content["outputs"][0]["data"][0] == pytest.approx(expected_rul(sane_inputs(), bias=200.0)[0, 0])


def test_health_metadata_and_index(application):
    assert get(application, "/v2/health/live") == (200, {"live": True})
    assert get(application, "/v2/health/ready") == (200, {"ready": True, "instance": "t0"})
    assert get(application, "/v2/models/rul/ready")[1] == {"name": "rul", "version": "1", "ready": True}
    assert "binary_tensor_data" in get(application, "/v2")[1]["extensions"]
    model = get(application, "/v2/models/rul/versions/1")[1]
    assert (model["versions"], model["platform"]) == (["1"], "onnxruntime_onnx")
    assert model["inputs"][0] == {"name": "window", "datatype": "FP32", "shape": [-1, 30, N]}
    assert get(application, "/v2/models/rul/config")[1]["max_batch_size"] == 1024
    index = orjson.loads(post(application, "/v2/repository/index")[2])
    assert index[0] == {"name": "rul", "version": "1", "state": "READY", "reason": ""}


def test_the_root_path_lists_the_models(application):
    status, found = get(application, "/")
    assert (status, found["ready"]) == (200, True)
    assert {
        "name": "rul",
        "version": "1",
        "state": "READY",
        "reason": "",
        "path": "/v2/models/rul/versions/1",
    } in found["models"]
    for path in (*found["paths"], found["models"][0]["path"]):
        assert get(application, path)[0] == 200


@pytest.mark.parametrize("path", ["/v1", "/v2/models", "/v2/models/rul/guess", "/v2/models/rul/versions", "/v2/x"])
def test_a_path_outside_the_protocol_is_404(application, path):
    assert error_of(post(application, path))[0] == 404


@pytest.mark.parametrize(
    ("path", "method", "allowed"),
    [
        (INFER, "GET", b"POST"),
        ("/v2", "POST", b"GET, HEAD"),
        ("/v2/repository/index", "GET", b"POST"),
        (INFER, "PUT", b"POST"),
    ],
)
def test_another_method_is_405_and_names_the_right_one(application, path, method, allowed):
    response = post(application, path, method=method)
    assert error_of(response)[0] == 405
    assert response[1][b"allow"] == allowed


@pytest.mark.parametrize(
    ("path", "found"),
    [
        ("/v2/models/nope/infer", "model 'nope' is not loaded"),
        ("/v2/models/rul/versions/9/infer", "version '9' of 'rul' is not loaded"),
        ("/v2/repository/models/nope/load", "no model 'nope'"),
        ("/v2/repository/models/../load", "no path"),
        ("/v2/repository/models/nope/unload", "not loaded"),
    ],
)
def test_a_model_that_is_not_there_is_404_and_named(application, path, found):
    path = path.replace("..", "..%2f")
    status, sentence = error_of(post(application, path, json_body(sane_inputs())))
    assert status == 404
    assert found in sentence or "no model" in sentence


def broken(change):
    """The body of a good request after a change to its header."""
    header = orjson.loads(json_body(sane_inputs()))
    change(header)
    return orjson.dumps(header)


@pytest.mark.parametrize(
    ("change", "found"),
    [
        (lambda h: h.pop("inputs"), "inputs is not a list"),
        (lambda h: h.update(inputs={}), "inputs is not a list"),
        (lambda h: h.update(inputs=[1]), "inputs is not a list"),
        (lambda h: h["inputs"].pop(), "no input cycle"),
        (lambda h: h["inputs"].append(h["inputs"][0]), "occurs twice"),
        (lambda h: h["inputs"][0].update(name="vindow"), "no input 'vindow' (allowed: window, first_cycles, cycle)"),
        (lambda h: h["inputs"][0].update(name=None), "no input None"),
        (lambda h: h["inputs"][0].update(datatype="FP64"), "came as 'FP64' (allowed: FP32)"),
        (lambda h: h["inputs"][0].update(datatype="BYTES"), "came as 'BYTES' (allowed: FP32)"),
        (lambda h: h["inputs"][0].update(shape=[1, 30, N - 1]), f"has shape [1, 30, {N - 1}] (allowed: [-1, 30, {N}]"),
        (lambda h: h["inputs"][0].update(shape=[1, 30 * N]), f"has shape [1, {30 * N}]"),
        (lambda h: h["inputs"][0].update(shape=[2, 30, N]), f"{30 * N} values for 'window' (allowed: {60 * N}"),
        (lambda h: h["inputs"][0].update(data=["a"] * 30 * N), "values that are not FP32"),
        (lambda h: h["inputs"][0].pop("data"), "data of 'window' is not a list"),
        (lambda h: h["inputs"][0].update(parameters={"binary_data_size": 8}), "both data and binary_data_size"),
        (lambda h: h["inputs"][0].update(parameters=[]), "parameters are not a JSON object"),
        (
            lambda h: h["inputs"][0].update(parameters={"shared_memory_region": "r"}),
            "shared_memory_region is not supported",
        ),
        (lambda h: h.update(id=7), "id is not a text"),
        (lambda h: h.update(outputs=[{"name": "rul"}]), "no output 'rul' (allowed: rul_cycles"),
        (lambda h: h.update(outputs=[{"name": "rul_cycles"}] * 2), "requested twice"),
        (lambda h: h.update(outputs="all"), "outputs is not a list"),
        (lambda h: h.update(parameters={"binary_data_output": 1}), "neither true nor false"),
    ],
)
def test_an_invalid_request_is_400_with_what_was_found(application, change, found):
    status, sentence = error_of(post(application, INFER, broken(change)))
    assert status == 400
    assert found in sentence


@pytest.mark.parametrize("length", [b"", b"0", b"-1", b"+5", b"1e3", b" 7", b"99999999", b"9" * 5000, "٣".encode()])
def test_a_header_length_that_is_no_length_is_400(application, length):
    body, _ = raw_body(sane_inputs())
    status, sentence = error_of(post(application, INFER, body, [(b"inference-header-content-length", length)]))
    assert (status, sentence[:31]) == (400, "Inference-Header-Content-Length")


def test_raw_bytes_that_are_not_accounted_for_are_400(application):
    body, headers = raw_body(sane_inputs())
    assert "bytes after the JSON header" in error_of(post(application, INFER, body + b"\0", headers))[1]
    assert "bytes for 'cycle'" in error_of(post(application, INFER, body[:-1], headers))[1]


@pytest.mark.parametrize(
    ("encoding", "compressed"),
    [
        (b"gzip", gzip.compress),
        (b"x-gzip", gzip.compress),
        (b"GZIP", gzip.compress),
        (b"deflate", zlib.compress),
        (b"deflate", lambda body: zlib.compress(body, wbits=-15)),
        (b"identity", bytes),
    ],
)
def test_a_compressed_body_has_the_same_response_as_the_plain_one(application, encoding, compressed):
    plain, headers = raw_body(sane_inputs(3))
    answered = post(application, INFER, compressed(plain), [*headers, (b"content-encoding", encoding)])
    assert answered == post(application, INFER, plain, headers)
    assert answered[0] == 200


@pytest.mark.parametrize("body", [b"", b"\x1f\x8b", SMALL_GZIP[:-4], SMALL_GZIP + b"more", b"{}"])
def test_a_body_that_is_no_whole_stream_is_400(application, body):
    assert error_of(post(application, INFER, body, [(b"content-encoding", b"gzip")]))[0] == 400


@pytest.mark.parametrize("encoding", [b"br", b"zstd", b"gzip, gzip", b"\xff"])
def test_another_encoding_is_415_with_the_supported_ones(application, encoding):
    response = post(application, INFER, b"{}", [(b"content-encoding", encoding)])
    assert error_of(response)[0] == 415
    assert response[1][b"accept-encoding"] == b"gzip, deflate, identity"


def test_a_body_that_inflates_beyond_the_limit_is_413(application):
    bomb = gzip.compress(b"0" * (BODY_LIMIT_BYTES + 1))
    assert len(bomb) < 100_000
    assert error_of(post(application, INFER, bomb, [(b"content-encoding", b"gzip")]))[0] == 413


@pytest.mark.parametrize("path", ["/v2", "/v2/health/ready", "/v2/models/rul", "/v2/models/rul/ready"])
def test_head_is_handled_as_get(application, path):
    assert post(application, path, method="HEAD") == post(application, path, method="GET")
    assert post(application, path, method="HEAD")[0] == 200


@pytest.mark.parametrize(
    "host",
    [b"localhost", b"LOCALHOST:8000", b"127.0.0.1:1", b"127.8.9.1", b"[::1]:80", b"[::1]", b"localhost.", b"gpu-7"],
)
def test_a_host_that_names_this_machine_is_accepted(catalogue, host):
    application = HttpApplication(catalogue, token="t", workers=None, hosts=frozenset({"gpu-7"}))
    assert post(application, "/v2", method="GET", headers=[(b"host", host)])[0] == 200


@pytest.mark.parametrize(
    "host", [b"rebound.example", b"rebound.example:8000", b"10.0.0.1", b"127.0.0.1.example", b"", b"\xff", b"[::1"]
)
def test_another_host_is_refused_since_a_page_may_have_rebound_its_name(application, host):
    for _ in range(2):
        status, sentence = error_of(post(application, "/v2", method="GET", headers=[(b"host", host)]))
        assert status == 421
        assert "allowed: localhost" in sentence


def test_any_host_is_accepted_where_the_option_allows_it(catalogue):
    application = HttpApplication(catalogue, token="t", workers=None, hosts=frozenset({"*"}))
    assert post(application, "/v2", method="GET", headers=[(b"host", b"models.cluster.example")])[0] == 200


@pytest.mark.parametrize("sent", [[], [(b"authorization", b"Bearer other")], [(b"authorization", b"control")]])
@pytest.mark.parametrize("verb", ["load", "unload"])
def test_models_are_loaded_and_unloaded_with_the_control_token_alone(application, catalogue, sent, verb):
    path = f"/v2/repository/models/rul/{verb}"
    status, _, content = application.respond("POST", path, sent, b"")
    assert (status, "control token" in orjson.loads(content)["error"]) == (403, True)
    closed = HttpApplication(catalogue, token="t", workers=None)
    assert closed.respond("POST", path, [(b"authorization", b"Bearer ")], b"")[0] == 403
    assert get(application, "/v2/models/rul/ready")[0] == 200


def test_load_takes_no_parameters(application):
    body = orjson.dumps({"parameters": {"config": "{}"}})
    assert error_of(post(application, "/v2/repository/models/rul/load", body))[0] == 400


def test_bodies_that_are_read_at_once_take_no_more_than_their_budget():
    import asyncio

    async def read(reader, parts, gate):
        async def receive():
            part = next(parts, None)
            if part is None:
                await gate.wait()
                return {"type": "http.disconnect"}
            return {"type": "http.request", "body": part, "more_body": True}

        return await reader.read([], receive)

    async def crowd():
        reader, gate = BodyReader(budget_bytes=10 * FREE_BYTES), asyncio.Event()
        held = [asyncio.create_task(read(reader, iter([b"x" * (6 * FREE_BYTES)]), gate)) for _ in range(2)]
        await asyncio.sleep(0)
        with pytest.raises(CrowdedError, match="many large requests"):
            await read(reader, iter([b"x" * (2 * FREE_BYTES)]), gate)
        short = {"type": "http.request", "body": b"short", "more_body": False}
        assert await reader.read([], AsyncMock(return_value=short)) == b"short"
        gate.set()
        assert [type(one) for one in await asyncio.gather(*held, return_exceptions=True)] == [ClientGoneError] * 2
        whole = iter([{"type": "http.request", "body": b"x" * (9 * FREE_BYTES), "more_body": True}, {**short}])
        assert len(await reader.read([], AsyncMock(side_effect=whole))) == 9 * FREE_BYTES + 5

    asyncio.run(crowd())


@pytest.mark.parametrize("declared", [str(BODY_LIMIT_BYTES + 1).encode(), b"9" * 30])
def test_a_body_above_the_limit_is_413_before_it_is_read(application, declared):
    import asyncio

    sent = []

    async def receive():
        raise AssertionError("the body was read")

    async def send(message):
        sent.append(message)

    scope = {"method": "POST", "path": INFER, "headers": [(b"content-length", declared)]}
    asyncio.run(application(scope, receive, send))
    assert sent[0]["status"] == 413
    assert b"larger than" in sent[1]["body"]


GOOD_RAW, GOOD_RAW_HEADERS = raw_body(sane_inputs(2), parameters={"binary_data_output": True})
GOOD_JSON = json_body(sane_inputs(1), id="q", outputs=[{"name": "rul_cycles", "parameters": {"binary_data": True}}])
NAN_JSON = GOOD_JSON.replace(b"null", b"NaN", 3).replace(b'"q"', b'"q\\u0041"')
JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)


def is_in_the_protocol(response):
    status, headers, content = response
    assert status in (200, 400, 404, 405)
    if status != 200:
        assert isinstance(orjson.loads(content)["error"], str)


@settings(max_examples=sampled(1500), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.sampled_from([(GOOD_RAW, GOOD_RAW_HEADERS), (GOOD_JSON, []), (NAN_JSON, [])]),
    st.lists(st.tuples(st.floats(0, 1, exclude_max=True), st.binary(max_size=4), st.integers(0, 4)), max_size=4),
    st.sampled_from([None, b"0", b"1", b"5", b"700", b"99999"]) | st.binary(max_size=6),
)
def test_no_mutation_of_the_bytes_or_the_header_is_ever_a_fault_of_the_server(application, good, edits, length):
    body, headers = good
    for place, inserted, removed in edits:
        at = int(place * len(body))
        body = body[:at] + inserted + body[at + removed :]
    if length is not None:
        headers = [(b"inference-header-content-length", length)]
    is_in_the_protocol(post(application, INFER, body, headers))


@settings(max_examples=sampled(1500), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.sampled_from([(), ("inputs",), ("inputs", 0), ("inputs", 1), ("outputs",), ("outputs", 0), ("parameters",)]),
    st.sampled_from(["name", "datatype", "shape", "data", "parameters", "id", "inputs", "outputs", "binary_data"]),
    JSON_VALUES,
)
def test_no_json_in_any_place_is_ever_a_fault_of_the_server(application, path, key, value):
    header = orjson.loads(GOOD_JSON) | {"parameters": {}}
    place = header
    for step in path:
        place = place[step]
    if isinstance(place, list):
        place.append(value)
    else:
        place[key] = value
    is_in_the_protocol(post(application, INFER, orjson.dumps(header)))


@settings(max_examples=sampled(300), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.sampled_from(["GET", "POST", "PUT", "HEAD"]),
    st.lists(
        st.sampled_from(["v2", "models", "rul", "versions", "1", "infer", "ready", "config", "index"])
        | st.text(max_size=6)
    ),
    st.binary(max_size=20),
)
def test_no_path_is_ever_a_fault_of_the_server(application, method, parts, body):
    is_in_the_protocol(post(application, "/" + "/".join(parts), body, method=method))


@pytest.mark.parametrize("path", [INFER, "/v2/repository/models/rul/unload"])
def test_a_page_in_a_browser_can_do_nothing(application, path):
    """A form or script of a foreign page may post to a loopback port; browsers then say whose page it is."""
    status, _, content = post(application, path, headers=[(b"origin", b"https://elsewhere.example")])
    assert status == 403
    assert "https://elsewhere.example" in orjson.loads(content)["error"]
    assert get(application, "/v2/models/rul/ready")[0] == 200
