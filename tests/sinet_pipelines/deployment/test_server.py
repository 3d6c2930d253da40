"""The server process as strangers meet it: Triton's own clients, mutated bytes on its sockets, signals, its ports."""

import ipaddress
import json
import os
import random
import resource
import signal
import socket
import subprocess
import sys
import threading
import time
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from urllib.parse import urlsplit

import grpc
import numpy as np
import psutil
import pytest
from grpc_health.v1 import health_pb2
from tritonclient.grpc import service_pb2 as pb

from sinet_pipelines.deployment.client import infer, instance
from sinet_pipelines.deployment.endpoint import ServerOptions, is_alive, read_current, read_wanted, write_wanted
from sinet_pipelines.deployment.process import ensure_server
from sinet_pipelines.deployment.publish import publish_model
from sinet_pipelines.deployment.server import parse_options
from tests.loopback import free_port
from tests.sinet_pipelines.deployment.served import (
    expected_rul,
    publish_rul,
    run_script,
    sane_inputs,
    save,
    slow_graph,
)
from tests.waiting import until

TRITON_HTTP = """
import sys, numpy as np, tritonclient.http as http
from tritonclient.utils import InferenceServerException
client = http.InferenceServerClient(sys.argv[1])
CONTROL = {"Authorization": "Bearer control"}
assert client.is_server_live() and client.is_server_ready()
assert client.is_model_ready("rul") and client.is_model_ready("rul", "1") and not client.is_model_ready("rul", "2")
assert client.get_server_metadata()["name"] == "sinet"
metadata = client.get_model_metadata("rul")
assert metadata["versions"] == ["1"] and metadata["platform"] == "onnxruntime_onnx", metadata
assert client.get_model_config("rul")["max_batch_size"] == 1024
states = [(m["version"], m["state"]) for m in client.get_model_repository_index()]
assert states == [("1", "READY"), ("2", "UNAVAILABLE")], states

data = np.load(sys.argv[2])
def ask(binary_in, binary_out, version=""):
    inputs = []
    for name in ("window", "first_cycles", "cycle"):
        tensor = http.InferInput(name, data[name].shape, "FP32")
        tensor.set_data_from_numpy(data[name], binary_data=binary_in)
        inputs.append(tensor)
    outputs = None if binary_out is None else [http.InferRequestedOutput("rul_cycles", binary_data=binary_out)]
    return client.infer("rul", inputs, version, outputs=outputs, request_id="7")

for binary_in in (True, False):
    for binary_out in (True, False, None):
        answer = ask(binary_in, binary_out)
        assert answer.get_response()["id"] == "7"
        np.testing.assert_allclose(answer.as_numpy("rul_cycles"), data["expected"], rtol=1e-6)

def status_of(call):
    try:
        call()
    except InferenceServerException as error:
        return error.status()
assert status_of(lambda: ask(True, True, "2")) == "404"
assert status_of(lambda: client.get_model_metadata("nope")) == "404"
assert status_of(lambda: client.load_model("nope", headers=CONTROL)) == "404"
client.load_model("rul", headers=CONTROL)
assert client.is_model_ready("rul", "2") and client.get_model_metadata("rul")["versions"] == ["1", "2"]
np.testing.assert_allclose(ask(True, True, "2").as_numpy("rul_cycles"), data["expected"] + 100, rtol=1e-6)
client.unload_model("rul", headers=CONTROL)
assert not client.is_model_ready("rul") and not client.is_server_ready()
assert status_of(lambda: ask(True, True)) == "404"
client.load_model("rul", headers=CONTROL)
assert ask(True, True).get_response()["model_version"] == "1"
print("passed")
"""

TRITON_GRPC = """
import sys, numpy as np, tritonclient.grpc as grpc
from tritonclient.utils import InferenceServerException
client = grpc.InferenceServerClient(sys.argv[1])
CONTROL = {"authorization": "Bearer control"}
assert client.is_server_live() and client.is_server_ready()
assert client.is_model_ready("rul") and client.is_model_ready("rul", "1") and not client.is_model_ready("rul", "2")
assert client.get_server_metadata().name == "sinet"
assert list(client.get_model_metadata("rul").versions) == ["1"]
assert client.get_model_config("rul").config.max_batch_size == 1024
assert [m.state for m in client.get_model_repository_index().models] == ["READY", "UNAVAILABLE"]

data = np.load(sys.argv[2])
def tensors(names=("window", "first_cycles", "cycle")):
    inputs = []
    for name in names:
        tensor = grpc.InferInput(name, data[name].shape, "FP32")
        tensor.set_data_from_numpy(data[name])
        inputs.append(tensor)
    return inputs
answer = client.infer("rul", tensors(), outputs=[grpc.InferRequestedOutput("rul_cycles")], request_id="7")
assert answer.get_response().id == "7"
np.testing.assert_allclose(answer.as_numpy("rul_cycles"), data["expected"], rtol=1e-6)

def status_of(call):
    try:
        call()
    except InferenceServerException as error:
        return error.status()
assert status_of(lambda: client.infer("rul", tensors(), "2")) == "StatusCode.NOT_FOUND"
assert status_of(lambda: client.infer("rul", tensors(("window",)))) == "StatusCode.INVALID_ARGUMENT"
assert status_of(lambda: client.get_inference_statistics("rul")) == "StatusCode.UNIMPLEMENTED"
client.load_model("rul", headers=CONTROL)
answer = client.infer("rul", tensors(), "2")
np.testing.assert_allclose(answer.as_numpy("rul_cycles"), data["expected"] + 100, rtol=1e-6)
client.unload_model("rul", headers=CONTROL)
assert not client.is_model_ready("rul")

import queue
client.load_model("rul", headers=CONTROL)
answers = queue.Queue()
client.start_stream(lambda result, error: answers.put((result, error)))
client.async_stream_infer("rul", tensors())
result, error = answers.get(timeout=300)
assert error is None
np.testing.assert_allclose(result.as_numpy("rul_cycles"), data["expected"], rtol=1e-6)
client.stop_stream()
print("passed")
"""


@pytest.fixture
def questions(tmp_path):
    inputs = sane_inputs(3)
    path = tmp_path / "questions.npz"
    np.savez(path, expected=expected_rul(inputs, bias=100.0).astype(np.float32), **inputs)
    return path


def address_of(endpoint):
    root = urlsplit(endpoint.url)
    return root.hostname, root.port


def test_tritons_http_client_gets_the_requested_outputs(start, questions, monkeypatch):
    monkeypatch.setenv("SINET_SERVE_TOKEN", "control")
    result = run_script(TRITON_HTTP, urlsplit(start("1").url).netloc, questions)
    assert result.stdout == "passed\n", result.stderr


def test_tritons_grpc_client_gets_the_requested_outputs(start, questions, monkeypatch):
    monkeypatch.setenv("SINET_SERVE_TOKEN", "control")
    result = run_script(TRITON_GRPC, start("1").grpc, questions)
    assert result.stdout == "passed\n", result.stderr


def test_it_listens_on_loopback_alone(shared):
    listening = [
        connection.laddr
        for connection in psutil.Process(shared.pid).connections(kind="inet")
        if connection.status == psutil.CONN_LISTEN
    ]
    assert len(listening) == 2
    for address in listening:
        ip = ipaddress.ip_address(address.ip)
        ip = getattr(ip, "ipv4_mapped", None) or ip  # gRPC's socket shows itself as ::ffff:127.0.0.1
        assert ip.is_loopback


def test_its_import_graph_is_small(start, folder, monkeypatch):
    monkeypatch.setenv("PYTHONPROFILEIMPORTTIME", "1")
    endpoint = start("1")
    infer(endpoint.url, "rul", sane_inputs())
    log = (folder / f"server-{endpoint.token}.log").read_text()
    imported = {line.rpartition("|")[2].strip().partition(".")[0] for line in log.splitlines() if "import time" in line}
    assert {"onnxruntime", "grpc", "uvicorn", "orjson"} <= imported
    unwanted = {"pandas", "polars", "pyarrow", "torch", "mlflow", "feast", "dagster", "onnx", "sklearn", "pydantic"}
    assert imported & unwanted == set()


def test_it_is_small_in_memory(shared):
    resident = psutil.Process(shared.pid).memory_info().rss
    assert resident < 150e6  # about 95 MB; kserve's server has 242


def test_it_keeps_a_connection_that_is_idle_for_longer_than_uvicorns_five_seconds():
    from sinet_pipelines.deployment.request_log import RequestLog
    from sinet_pipelines.deployment.server import KEEP_ALIVE_S, _config

    assert _config(None, 100, RequestLog(None)).timeout_keep_alive == KEEP_ALIVE_S == 65


def exchange(address, data):
    """The first line of what comes back for raw bytes on a connection of their own."""
    with socket.create_connection(address, timeout=300) as connection:
        connection.sendall(data)
        connection.shutdown(socket.SHUT_WR)
        return connection.makefile("rb").readline()


def test_no_mutation_of_the_bytes_on_the_wire_is_ever_a_500(shared):
    inputs = sane_inputs()
    tensors = [
        {"name": n, "datatype": "FP32", "shape": v.shape, "parameters": {"binary_data_size": v.nbytes}}
        for n, v in inputs.items()
    ]
    header = json.dumps({"inputs": tensors}).encode()
    body = header + b"".join(v.tobytes() for v in inputs.values())
    head = (
        f"POST /v2/models/rul/infer HTTP/1.1\r\nHost: localhost\r\nInference-Header-Content-Length: {len(header)}\r\n"
        f"Content-Length: {len(body)}\r\nConnection: close\r\n\r\n"
    ).encode()
    good, generator = head + body, random.Random(7)
    assert exchange(address_of(shared), good).startswith(b"HTTP/1.1 200")
    statuses = set()
    for _ in range(1500):
        data = bytearray(good)
        for _ in range(generator.randint(1, 4)):
            at = generator.randrange(generator.choice([len(head), len(head) + len(header), len(data)]))
            data[at : at + generator.randint(0, 2)] = generator.randbytes(generator.randint(0, 2))
        statuses.add(exchange(address_of(shared), bytes(data))[9:12])
    assert statuses <= {b"", b"200", b"400", b"404", b"405", b"413", b"415", b"421"}
    assert {b"200", b"400", b"404"} <= statuses
    assert instance(shared.url) == shared.token


def test_a_body_above_the_limit_is_413(shared):
    head = b"POST /v2/models/rul/infer HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999\r\n\r\n"
    with socket.create_connection(address_of(shared), timeout=300) as connection:
        connection.sendall(head)
        assert connection.makefile("rb").readline() == b"HTTP/1.1 413 Request Entity Too Large\r\n"


def test_a_chunked_body_above_the_limit_is_413(shared):
    piece = b"100000\r\n" + b"x" * 0x100000 + b"\r\n"
    with socket.create_connection(address_of(shared), timeout=300) as connection:
        connection.sendall(b"POST /v2/models/rul/infer HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n")
        for _ in range(34):
            connection.sendall(piece)
        assert connection.makefile("rb").readline().startswith(b"HTTP/1.1 413")


@pytest.mark.slow
def test_a_request_in_progress_is_completed_after_sigterm(folder, repository, tmp_path):
    path = save(slow_graph(), tmp_path / "slow.onnx")
    sample = {"rounds": np.array([[1]], np.int64)}
    manifest = publish_model(repository, "slow", version="1", onnx=path, sample=sample)
    endpoint = ensure_server(
        folder, name="slow", region="WEST", repository=repository, model="slow", version="1", sha256=manifest.sha256
    )
    started = time.monotonic()
    infer(endpoint.url, "slow", {"rounds": np.array([[200]], np.int64)})
    rounds = int(200 * 2.0 / (time.monotonic() - started)) + 1  # about 2 s of work
    answers = []
    asking = threading.Thread(
        target=lambda: answers.append(infer(endpoint.url, "slow", {"rounds": np.array([[rounds]], np.int64)}))
    )
    server = psutil.Process(endpoint.pid)
    idle_s = server.cpu_times().user
    asking.start()
    until(lambda: server.cpu_times().user > idle_s + 0.1)  # it is at work on the request
    os.kill(endpoint.pid, signal.SIGTERM)
    asking.join(timeout=300)
    assert answers[0]["total"].shape == (1, 1)
    until(lambda: not is_alive(endpoint))


def test_a_server_that_current_json_does_not_name_ends_itself(folder, repository):
    import subprocess
    import sys

    folder.mkdir(parents=True)
    options = ServerOptions(str(repository), "rul", "1", instance="a1b2c3d4", folder=str(folder), orphan_s=0.3)
    command = [sys.executable, "-m", "sinet_pipelines.deployment.server", *options.arguments()]
    assert subprocess.run(command, timeout=300, cwd=Path.cwd()).returncode == 0
    assert not list(folder.glob("server-*.json"))


def test_options_are_parsed_from_their_command_line():
    options = ServerOptions("/r", "rul", "3", sha256="ab", port=8000, grpc_port=8001, instance="t", orphan_s=2.5)
    assert parse_options(options.arguments()) == options


def test_the_control_token_is_in_no_command_line(start, monkeypatch):
    monkeypatch.setenv("SINET_SERVE_TOKEN", "s3cret-c0ntrol")
    endpoint = start("1")
    words = Path(f"/proc/{endpoint.pid}/cmdline").read_text().split("\0")
    assert f"--instance={endpoint.token}" in words
    assert not [word for word in words if "s3cret" in word or "token" in word.split("=")[0]]


def test_the_options_that_0_1_0_wrote_are_read(tmp_path):
    folder = tmp_path / "serving" / "WEST" / "rul"
    folder.mkdir(parents=True)
    options = ServerOptions("/r", "rul", "3", port=8000)
    write_wanted(folder, options)
    content = json.loads((folder / "wanted.json").read_text())
    content["token"] = content.pop("instance")
    (folder / "wanted.json").write_text(json.dumps(content))
    assert read_wanted(folder) == options


def test_a_model_that_cannot_be_served_ends_it_with_a_message_and_exit_3(repository, capsys):
    from sinet_pipelines.deployment.server import main

    publish_rul(repository, "3", answers_nan=True)
    assert main(["--repository", str(repository), "--model", "rul", "--version", "3"]) == 3
    assert "ServingError: 'rul' version 3 predicts nan" in capsys.readouterr().err


HEALTH = "/grpc.health.v1.Health"


@pytest.mark.parametrize("service", ["", "rul", "inference.GRPCInferenceService"])
def test_a_kubernetes_probe_over_grpc_gets_serving(shared, service):
    with grpc.insecure_channel(shared.grpc) as channel:
        request = health_pb2.HealthCheckRequest(service=service).SerializeToString()
        answer = channel.unary_unary(f"{HEALTH}/Check")(request, timeout=300)
        first = next(channel.unary_stream(f"{HEALTH}/Watch")(request, timeout=300))
    assert answer == first == b"\x08\x01"


def test_health_of_a_model_that_is_not_there_is_not_found(shared):
    request = health_pb2.HealthCheckRequest(service="nope").SerializeToString()
    with grpc.insecure_channel(shared.grpc) as channel, pytest.raises(grpc.RpcError) as aborted:
        channel.unary_unary(f"{HEALTH}/Check")(request, timeout=300)
    assert aborted.value.code() == grpc.StatusCode.NOT_FOUND


@pytest.mark.slow
def test_health_follows_what_is_loaded(start, monkeypatch):
    monkeypatch.setenv("SINET_SERVE_TOKEN", "control")
    endpoint = start("1")
    control = [("authorization", "Bearer control")]
    with grpc.insecure_channel(endpoint.grpc) as channel:
        states = channel.unary_stream(f"{HEALTH}/Watch")(b"", timeout=300)
        assert next(states) == b"\x08\x01"
        unload = channel.unary_unary("/inference.GRPCInferenceService/RepositoryModelUnload")
        request = pb.RepositoryModelUnloadRequest(model_name="rul").SerializeToString()
        with pytest.raises(grpc.RpcError) as refused:
            unload(request, timeout=300)
        assert refused.value.code() == grpc.StatusCode.PERMISSION_DENIED
        unload(request, timeout=300, metadata=control)
        assert next(states) == b"\x08\x02"


def test_a_body_of_40_megabytes_is_413_and_the_client_can_send_all_of_it(shared):
    connection = HTTPConnection(*address_of(shared), timeout=300)
    connection.request("POST", "/v2/models/rul/infer", b"x" * (40 * 1024**2))
    response = connection.getresponse()
    assert (response.status, b"send the rows in parts" in response.read()) == (413, True)
    connection.request("GET", "/v2/health/live")  # the same connection goes on
    assert connection.getresponse().status == 200
    connection.close()


@pytest.mark.slow
def test_a_client_that_keeps_its_connection_sees_no_reset_through_a_switch(start, folder):
    """Each answer of a server that ends also ends the connection; the next request opens one to the new server."""
    endpoint = start("1")
    versions, stop, faults = [], threading.Event(), []

    def ask():
        connection = HTTPConnection(*address_of(read_current(folder)), timeout=300)
        while not stop.is_set():
            try:
                connection.request("GET", "/v2/models/rul")
                response = connection.getresponse()
                versions.append(json.loads(response.read())["versions"])
            except (OSError, HTTPException) as error:
                faults.append(error)
                return
            if response.getheader("connection") == "close":
                connection.close()
                connection = HTTPConnection(*address_of(read_current(folder)), timeout=300)
        connection.close()

    clients = [threading.Thread(target=ask) for _ in range(4)]
    for client in clients:
        client.start()
    until(lambda: len(versions) > 100)
    start("2")
    seen = len(versions)
    until(lambda: len(versions) > seen + 100)
    stop.set()
    for client in clients:
        client.join()
    assert faults == []
    assert versions[0] == ["1"]
    assert versions[-1] == ["2"]
    assert not is_alive(endpoint)


@pytest.mark.slow
def test_each_request_is_a_line_with_model_version_and_time(start, folder):
    endpoint = start("1")
    infer(endpoint.url, "rul", sane_inputs())
    with grpc.insecure_channel(endpoint.grpc) as channel:
        channel.unary_unary("/inference.GRPCInferenceService/ModelInfer")(grpc_request(), timeout=300)
    exchange(address_of(endpoint), b"no http\r\n\r\n")
    for _ in range(100):
        exchange(address_of(endpoint), b"GET /nope HTTP/1.1\r\nconnection: close\r\n\r\n")
    lines = until(lambda: _logged(folder) if len(_logged(folder)) > 5 else None)
    served = [line for line in lines if line.get("request", "").endswith(("/infer", "ModelInfer"))]
    assert [(line["transport"], line["status"], line["model"], line["version"]) for line in served] == [
        ("http", 200, "rul", "1"),
        ("grpc", "OK", "rul", "1"),
    ]
    assert all(0 < line["ms"] < 60_000 and line["at"].endswith("+00:00") for line in served)
    os.kill(endpoint.pid, signal.SIGTERM)
    until(lambda: not is_alive(endpoint))
    refused = [line for line in _logged(folder) if line.get("status") in (400, 404)]
    left_out = sum(line["not_listed"].get("404", 0) for line in _logged(folder) if "not_listed" in line)
    assert len(refused) + left_out == 101
    assert (folder / f"server-{endpoint.token}.log").read_text() == ""


def test_secrets_of_the_starter_do_not_reach_the_server(start, monkeypatch):
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    monkeypatch.setenv("SINET_POSTGRES_URL", "postgresql://user:secret@host")
    environment = psutil.Process(start("1").pid).environ()
    assert not [name for name, value in environment.items() if "secret" in value]
    assert (environment["ORT_DISABLE_TELEMETRY"], "PATH" in environment) == ("1", True)


def test_new_clients_are_served_when_connections_take_all_files(folder, repository):
    """Under a hard limit of 256 files, 400 clients keep their connections open."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard < 2048:
        pytest.skip(f"this process may open {hard} files; 400 connections and a server need more")
    options = ServerOptions(str(repository), "rul", "1", instance="f11e5", folder=str(folder), port=free_port())
    folder.mkdir(parents=True)
    limited = "import resource, sys; resource.setrlimit(resource.RLIMIT_NOFILE, (256, 256)); "
    code = limited + "from sinet_pipelines.deployment.server import main; sys.exit(main(sys.argv[1:]))"
    server = subprocess.Popen([sys.executable, "-c", code, *options.arguments()])
    kept = []
    try:
        until(lambda: instance(f"http://127.0.0.1:{options.port}") == "f11e5")
        for _ in range(400):
            kept.append(socket.create_connection(("127.0.0.1", options.port), timeout=300))
        until(lambda: status_of(options.port) == 503)  # once the flood is over: what is refused lingers for a second
        for connection in kept:
            connection.close()
        until(lambda: instance(f"http://127.0.0.1:{options.port}") == "f11e5")
    finally:
        for connection in kept:
            connection.close()
        server.terminate()
        assert server.wait(timeout=300) == 0


def status_of(port):
    """The status of a request on a connection of its own; None where the connection is reset."""
    try:
        return int(exchange(("127.0.0.1", port), b"GET /v2 HTTP/1.1\r\nconnection: close\r\n\r\n").split()[1])
    except (OSError, IndexError):
        return None


def grpc_request():
    request = pb.ModelInferRequest(model_name="rul")
    for name, values in sane_inputs().items():
        request.inputs.add(name=name, datatype="FP32", shape=values.shape)
        request.raw_input_contents.append(values.tobytes())
    return request.SerializeToString()


def _logged(folder):
    path = folder / "requests.log"
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []
