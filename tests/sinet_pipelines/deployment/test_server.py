"""The server process as strangers meet it: Triton's own clients, mutated bytes on its sockets, signals, its ports."""

import ipaddress
import json
import os
import random
import signal
import socket
import threading
import time
from pathlib import Path
from urllib.parse import urlsplit

import numpy as np
import psutil
import pytest

from sinet_pipelines.deployment.client import infer, instance
from sinet_pipelines.deployment.endpoint import ServerOptions, is_alive
from sinet_pipelines.deployment.process import ensure_server
from sinet_pipelines.deployment.publish import publish_model
from sinet_pipelines.deployment.server import parse_options
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


def test_tritons_http_client_gets_what_it_asks_for(start, questions, monkeypatch):
    monkeypatch.setenv("SINET_SERVE_TOKEN", "control")
    said = run_script(TRITON_HTTP, urlsplit(start("1").url).netloc, questions)
    assert said.stdout == "passed\n", said.stderr


def test_tritons_grpc_client_gets_what_it_asks_for(start, questions, monkeypatch):
    monkeypatch.setenv("SINET_SERVE_TOKEN", "control")
    said = run_script(TRITON_GRPC, start("1").grpc, questions)
    assert said.stdout == "passed\n", said.stderr


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
    assert statuses <= {b"", b"200", b"400", b"404", b"405", b"413"}
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


def test_a_request_under_way_is_answered_after_sigterm(folder, repository, tmp_path):
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


def test_a_server_that_nobody_names_ends_itself(folder, repository):
    import subprocess
    import sys

    folder.mkdir(parents=True)
    options = ServerOptions(str(repository), "rul", "1", token="a1b2c3d4", folder=str(folder), orphan_s=0.3)
    command = [sys.executable, "-m", "sinet_pipelines.deployment.server", *options.arguments()]
    assert subprocess.run(command, timeout=300, cwd=Path.cwd()).returncode == 0
    assert not list(folder.glob("server-*.json"))


def test_options_come_back_from_their_command_line():
    options = ServerOptions("/r", "rul", "3", sha256="ab", port=8000, grpc_port=8001, token="t", orphan_s=2.5)
    assert parse_options(options.arguments()) == options


def test_a_model_that_cannot_be_served_ends_it_with_a_sentence_and_exit_3(repository, capsys):
    from sinet_pipelines.deployment.server import main

    publish_rul(repository, "3", answers_nan=True)
    assert main(["--repository", str(repository), "--model", "rul", "--version", "3"]) == 3
    assert "ServingError: 'rul' version 3 answers a sane row with nan" in capsys.readouterr().err
