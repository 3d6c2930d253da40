"""A client of the Open Inference Protocol v2 over HTTP: arrays in, arrays out, with nothing but the standard library.

Rows go as raw tensors, in parts of a bounded size over one connection.
"""

import json
import time
from collections.abc import Mapping, Sequence
from http.client import HTTPConnection, HTTPException, HTTPResponse, HTTPSConnection
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import numpy as np
from numpy.typing import NDArray

from sinet_pipelines.deployment.endpoint import Endpoint, current, is_starting
from sinet_pipelines.deployment.tensors import DATATYPES, DTYPES, TensorSpec, from_json, from_raw, to_raw
from sinet_pipelines.errors import ModelNotFoundError, ServingError, SinetError, UsageError

PART_ROWS = 512  # half of what a model here takes at once; 2 MB of windows
SWITCH_S = 10.0  # how long a client goes on asking while one server replaces another
_HEADER_LENGTH = "Inference-Header-Content-Length"
_NAMES = {dtype.newbyteorder("="): name for name, dtype in DTYPES.items()}


class _UnreachableError(ServingError):
    """Nothing listens, or the connection ended before an answer came: asking again is safe."""


def infer(
    url: str,
    model: str,
    inputs: Mapping[str, NDArray],
    *,
    version: str | None = None,
    outputs: Sequence[str] | None = None,
    timeout_s: float = 30.0,
) -> dict[str, NDArray]:
    """What a model answers for these rows.

    Args:
        url: root of the server, `http://127.0.0.1:8000`.
        model: its name.
        inputs: input name -> (n_rows, ...) array of the type the model declares.
        version: the server's default where None.
        outputs: names of the wanted outputs; all where None.
        timeout_s: for each part of at most 512 rows.

    Returns:
        Output name -> (n_rows, ...) array.

    Raises:
        UsageError: the server refused what was sent.
        ModelNotFoundError: the server has no such model or version.
        ServingError: nothing listens there, or what answered is no such server.
    """
    rows = {len(values) for values in inputs.values()}
    if len(rows) != 1 or 0 in rows:
        raise UsageError(f"inputs of {sorted(rows)} rows (allowed: the same number, from 1); give equally many of each")
    path = f"/v2/models/{model}" + (f"/versions/{version}" if version else "") + "/infer"
    connection = _connect(url, timeout_s)
    try:
        parts = [
            _ask_part(connection, url, path, {name: v[at : at + PART_ROWS] for name, v in inputs.items()}, outputs)
            for at in range(0, rows.pop(), PART_ROWS)
        ]
    finally:
        connection.close()
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def infer_at(
    folder: Path, inputs: Mapping[str, NDArray], *, outputs: Sequence[str] | None = None, timeout_s: float = 30.0
) -> tuple[dict[str, NDArray], Endpoint]:
    """What an endpoint answers, through the switch from one server to the next, and which server it was.

    Args:
        folder: the endpoint's folder.
        inputs: as `infer` takes them.
        outputs: as `infer` takes them.
        timeout_s: as `infer` takes it.

    Raises:
        UsageError: the server refused what was sent.
        ServingError: no server of this endpoint answers.
    """
    give_up_at = time.monotonic() + SWITCH_S
    while True:
        endpoint = current(folder)
        try:
            if endpoint is None:
                raise _UnreachableError(
                    f"no model server runs for {folder.name!r}; start one with `sinet run` or `sinet serve`"
                )
            answers = infer(
                endpoint.url, endpoint.model, inputs, version=endpoint.version, outputs=outputs, timeout_s=timeout_s
            )
        except _UnreachableError:
            if time.monotonic() > give_up_at or not _has_moved(folder, endpoint):
                raise
            time.sleep(0.01)
        else:
            return answers, endpoint


def _has_moved(folder: Path, asked: Endpoint | None) -> bool:
    """Whether another server stands, or is about to stand, in the place of the one that did not answer."""
    if is_starting(folder):  # asked first: a start that ends in between has written its file
        return True
    now = current(folder)
    return now is not None and now != asked


def get_json(url: str, path: str, *, timeout_s: float = 5.0) -> dict[str, Any]:
    """The JSON object under a path of a server.

    Raises:
        ModelNotFoundError: it has no such model or version.
        ServingError: nothing listens there, or what answered is no such server.
    """
    connection = _connect(url, timeout_s)
    try:
        response, content = _exchange(connection, url, "GET", path)
    finally:
        connection.close()
    return _header_of(url, response, content)


def instance(url: str, *, timeout_s: float = 5.0) -> str | None:
    """The token of the server that is ready at this root; None where none is."""
    try:
        said = get_json(url, "/v2/health/ready", timeout_s=timeout_s)
    except SinetError:
        return None
    return str(said.get("instance")) if said.get("ready") is True else None


def _connect(url: str, timeout_s: float) -> HTTPConnection:
    root = urlsplit(url)
    try:
        host, port = root.hostname, root.port
    except ValueError:
        host, port = None, None
    if root.scheme not in ("http", "https") or not host or root.path.strip("/"):
        raise UsageError(f"{url!r} is no root of a server; give one like http://127.0.0.1:8000")
    kind = HTTPSConnection if root.scheme == "https" else HTTPConnection
    return kind(host, port, timeout=timeout_s)


def _ask_part(
    connection: HTTPConnection, url: str, path: str, rows: Mapping[str, NDArray], outputs: Sequence[str] | None
) -> dict[str, NDArray]:
    raw = {name: to_raw(values, _datatype(name, values)) for name, values in rows.items()}
    said: dict[str, Any] = {
        "inputs": [
            {
                "name": name,
                "datatype": _datatype(name, values),
                "shape": values.shape,
                "parameters": {"binary_data_size": len(raw[name])},
            }
            for name, values in rows.items()
        ],
        "parameters": {"binary_data_output": True},
    }
    if outputs is not None:
        said["outputs"] = [{"name": name} for name in outputs]
    header = json.dumps(said).encode()
    body = b"".join((header, *raw.values()))
    response, content = _exchange(connection, url, "POST", path, body, {_HEADER_LENGTH: str(len(header))})
    return _tensors(url, response, content)


def _exchange(
    connection: HTTPConnection, url: str, method: str, path: str, body: bytes = b"", headers: Mapping[str, str] = {}
) -> tuple[HTTPResponse, bytes]:
    try:
        connection.request(method, path, body or None, dict(headers))
        response = connection.getresponse()
        return response, response.read()
    except TimeoutError as error:
        raise ServingError(
            f"{url} did not answer within {connection.timeout} s; ask again or look at its log"
        ) from error
    except (OSError, HTTPException) as error:
        raise _UnreachableError(
            f"no model server answers at {url} ({error or type(error).__name__}); "
            "start one with `sinet run` or `sinet serve`"
        ) from error


def _header_of(url: str, response: HTTPResponse, content: bytes) -> dict[str, Any]:
    """The JSON of a good answer; a bad one as the error it is."""
    length = response.headers.get(_HEADER_LENGTH)
    try:
        said = json.loads(content[: int(length)] if length is not None else content)
    except ValueError:
        said = None
    if response.status == 200 and isinstance(said, dict):
        return said
    sentence = said.get("error") if isinstance(said, dict) else None
    if not isinstance(sentence, str):
        raise ServingError(f"{url} answered {response.status} in no words of the protocol; is it a model server?")
    kinds: dict[int, type[SinetError]] = {400: UsageError, 404: ModelNotFoundError, 413: UsageError}
    raise kinds.get(response.status, ServingError)(f"{url} answered: {sentence}")


def _tensors(url: str, response: HTTPResponse, content: bytes) -> dict[str, NDArray]:
    said = _header_of(url, response, content)
    at = int(response.headers.get(_HEADER_LENGTH) or len(content))
    tensors: dict[str, NDArray] = {}
    try:
        for output in said["outputs"]:
            shape = tuple(output["shape"])
            spec = TensorSpec(output["name"], output["datatype"], shape)
            size = output.get("parameters", {}).get("binary_data_size")
            if size is None:
                tensors[spec.name] = from_json(output["data"], spec, shape)
            else:
                tensors[spec.name] = from_raw(memoryview(content)[at : at + size], spec, shape)
                at += size
    except (KeyError, TypeError, AttributeError, UsageError) as error:
        raise ServingError(f"{url} answered in no words of the protocol ({error}); is it a model server?") from error
    return tensors


def _datatype(name: str, values: NDArray) -> str:
    if values.dtype.kind in "OU":
        return "BYTES"
    found = _NAMES.get(values.dtype.newbyteorder("="))
    if found is None:
        raise UsageError(f"input {name!r} is of {values.dtype} (allowed: {', '.join(DATATYPES)}); convert it first")
    return found
