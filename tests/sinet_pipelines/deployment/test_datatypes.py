"""Every datatype of the protocol through a real graph: raw and JSON in, raw and JSON out, HTTP and gRPC alike."""

import numpy as np
import orjson
import pytest
from tritonclient.grpc import service_pb2 as pb

from sinet_pipelines.deployment.catalogue import Catalogue
from sinet_pipelines.deployment.grpc_messages import CONTENTS
from sinet_pipelines.deployment.grpc_server import GrpcService
from sinet_pipelines.deployment.http_server import HttpApplication
from sinet_pipelines.deployment.publish import publish_model
from sinet_pipelines.deployment.tensors import DATATYPES, DTYPES, to_raw
from tests.sinet_pipelines.deployment.served import save

SAMPLES = {
    "BOOL": [True, False],
    "INT8": [-128, 127],
    "INT16": [-(2**15), 2**15 - 1],
    "INT32": [-(2**31), 2**31 - 1],
    "INT64": [-(2**63), 2**63 - 1],
    "UINT8": [0, 255],
    "UINT16": [0, 2**16 - 1],
    "UINT32": [0, 2**32 - 1],
    "UINT64": [0, 2**64 - 1],
    "FP16": [-1.5, 65504.0],
    "FP32": [-1.5, 2.0**127],
    "FP64": [-1.5, 2.0**1023],
    "BYTES": ["", "Grüße"],
}


@pytest.fixture(scope="module")
def catalogue(tmp_path_factory):
    """One model per datatype that gives back what it takes."""
    from onnx import TensorProto
    from onnx import helper as h

    folder = tmp_path_factory.mktemp("types")
    catalogue = Catalogue(folder / "models")
    for name, (_, onnx_type) in DATATYPES.items():
        number = getattr(TensorProto, onnx_type.removeprefix("tensor(").removesuffix(")").upper())
        value_infos = [h.make_tensor_value_info(word, number, ["batch"]) for word in ("x", "y")]
        graph = h.make_graph([h.make_node("Identity", ["x"], ["y"])], name, value_infos[:1], value_infos[1:])
        path = save(h.make_model(graph, opset_imports=[h.make_opsetid("", 18)], ir_version=10), folder / f"{name}.onnx")
        publish_model(
            folder / "models", name, version="1", onnx=path, sample={"x": np.array(SAMPLES[name][:1], DTYPES[name])}
        )
        catalogue.start(name, version="1")
    return catalogue


@pytest.mark.parametrize("datatype", SAMPLES)
@pytest.mark.parametrize("raw_in", [False, True])
@pytest.mark.parametrize("raw_out", [False, True])
def test_extreme_values_of_every_datatype_pass_through_http(catalogue, datatype, raw_in, raw_out):
    values = np.array(SAMPLES[datatype], DTYPES[datatype])
    tensor = {"name": "x", "datatype": datatype, "shape": [2]}
    raw = to_raw(values, datatype) if raw_in else b""
    tensor |= {"parameters": {"binary_data_size": len(raw)}} if raw_in else {"data": SAMPLES[datatype]}
    header = orjson.dumps({"inputs": [tensor], "parameters": {"binary_data_output": raw_out}})
    headers = [(b"inference-header-content-length", b"%d" % len(header))] if raw_in else []
    application = HttpApplication(catalogue, token="", workers=None)
    status, got, content = application.respond("POST", f"/v2/models/{datatype}/infer", headers, header + raw)
    assert status == 200
    if raw_out:
        assert content[int(dict(got)[b"inference-header-content-length"]) :] == to_raw(values, datatype)
    else:
        found = orjson.loads(content)["outputs"][0]["data"]
        assert np.array(found, DTYPES[datatype]).tolist() == values.tolist()


@pytest.mark.parametrize("datatype", SAMPLES)
def test_extreme_values_of_every_datatype_pass_through_grpc(catalogue, datatype):
    values = np.array(SAMPLES[datatype], DTYPES[datatype])
    request = pb.ModelInferRequest(model_name=datatype)
    tensor = request.inputs.add(name="x", datatype=datatype, shape=[2])
    if datatype in CONTENTS:
        sent = [v.encode() for v in values] if datatype == "BYTES" else values.tolist()
        getattr(tensor.contents, CONTENTS[datatype]).extend(sent)
    else:
        request.raw_input_contents.append(values.tobytes())
    response = GrpcService(catalogue, workers=None)._infer(request)
    assert response.raw_output_contents[0] == to_raw(values, datatype)
