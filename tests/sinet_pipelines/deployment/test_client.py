"""The client: what it asks is what is answered, and what does not answer is named with the way out."""

import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

import numpy as np
import pytest

from sinet_pipelines.deployment.client import PART_ROWS, get_json, infer, instance, predict, predict_at, ready_models
from sinet_pipelines.errors import ModelNotFoundError, ServingError, UsageError
from tests.sinet_pipelines.deployment.served import expected_rul, sane_inputs


def test_many_rows_are_sent_in_parts_and_returned_in_order(shared):
    inputs = sane_inputs(2 * PART_ROWS + 3, seed=5)
    answers = infer(shared.url, "rul", inputs)
    assert list(answers) == ["rul_cycles"]
    np.testing.assert_allclose(answers["rul_cycles"], expected_rul(inputs, bias=100.0), rtol=1e-6)


def test_errors_of_the_server_become_errors_of_the_platform_with_its_message(shared):
    url = shared.url
    with pytest.raises(UsageError, match=r"returned 400: input 'window' came as 'FP64' \(allowed: FP32\)"):
        infer(url, "rul", {name: values.astype(np.float64) for name, values in sane_inputs().items()})
    with pytest.raises(UsageError, match="no output 'life'"):
        infer(url, "rul", sane_inputs(), outputs=["life"])
    with pytest.raises(ModelNotFoundError, match="version '9' of 'rul' is not loaded"):
        infer(url, "rul", sane_inputs(), version="9")


def test_it_finds_the_models_that_a_server_serves(shared):
    assert ready_models(shared.url) == ("rul",)
    assert get_json(shared.url, "/v2/models/rul")["versions"] == ["1"]
    assert predict(shared.url, "rul", sane_inputs()).version == "1"


def test_the_error_without_a_server_has_the_command_that_starts_one(folder):
    with pytest.raises(ServingError, match=r"no model server responds at http://127.0.0.1:1 .*sinet serve"):
        infer("http://127.0.0.1:1", "rul", sane_inputs())
    with pytest.raises(ServingError, match="no model server runs for 'rul'; start one with `sinet run`"):
        predict_at(folder, sane_inputs())
    assert instance("http://127.0.0.1:1") is None


@pytest.mark.parametrize("url", ["", "127.0.0.1:8000", "ftp://x", "http://", "http://x:port", "http://x/v2"])
def test_a_url_that_is_no_root_is_refused(url):
    with pytest.raises(UsageError, match="is not the root of a server"):
        infer(url, "rul", sane_inputs())


def test_rows_must_be_equally_many_and_some():
    with pytest.raises(UsageError, match=r"inputs of \[1, 2\] rows"):
        infer("http://127.0.0.1:1", "rul", sane_inputs(2) | {"cycle": np.ones((1, 1), np.float32)})
    with pytest.raises(UsageError, match=r"inputs of \[0\] rows"):
        infer("http://127.0.0.1:1", "rul", {name: values[:0] for name, values in sane_inputs().items()})


ANSWERS = [
    (200, {}, b"hello"),
    (200, {}, b"[]"),
    (200, {}, b"{}"),
    (200, {}, b'{"outputs": [{"name": "y", "datatype": "FP99", "shape": [1], "data": [1]}]}'),
    (200, {}, b'{"outputs": [{"name": "y", "datatype": "FP32", "shape": [2], "data": [1]}]}'),
    (200, {"Inference-Header-Content-Length": "many"}, b"{}"),
    (502, {}, b"<html>"),
    (500, {}, b'{"error": "out of memory"}'),
]


@pytest.mark.parametrize(("status", "headers", "content"), ANSWERS)
def test_what_is_no_model_server_is_named(status, headers, content):
    class Foreign(BaseHTTPRequestHandler):
        def do_POST(self):
            self.rfile.read(int(self.headers["Content-Length"]))
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_):
            pass

    with HTTPServer(("127.0.0.1", 0), Foreign) as server:
        threading.Thread(target=server.handle_request).start()
        with pytest.raises(ServingError, match="returned|the response of"):
            infer(f"http://127.0.0.1:{server.server_port}", "rul", sane_inputs())


def test_its_import_is_light():
    code = "import sinet_pipelines.deployment.client, sys; print(sorted({m.split('.')[0] for m in sys.modules}))"
    output = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    for heavy in ("requests", "httpx", "grpc", "onnxruntime", "pyarrow", "polars", "pandas"):
        assert f"'{heavy}'" not in output
