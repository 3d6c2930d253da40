"""A client of the Open Inference Protocol v2 over HTTP for numpy arrays; uses the standard library alone.

Rows are sent as raw bytes, in parts of at most 512 rows over one connection.
"""

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPResponse
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sinet_pipelines.deployment.connection import (
    HEADER_LENGTH,
    UnreachableError,
    connect,
    exchange,
    not_of_protocol,
    read_json,
)
from sinet_pipelines.deployment.endpoint import Endpoint, current, is_starting
from sinet_pipelines.deployment.tensors import DATATYPES, DTYPES, TensorSpec, from_json, from_raw, to_raw
from sinet_pipelines.errors import SinetError, UsageError

PART_ROWS = 512  # half of a model's largest batch; 2 MB of windows
SWITCH_S = 10.0  # time for which a request is repeated while one server replaces another
_NAMES = {dtype.newbyteorder("="): name for name, dtype in DTYPES.items()}


@dataclass(frozen=True)
class Prediction:
    """The outputs of a model, with the name and version of the model that computed them.

    Attributes:
        outputs: output name -> (n_rows, ...) array.
        model: name of the model.
        version: number of the version, as text.
    """

    outputs: dict[str, NDArray]
    model: str
    version: str


def infer(
    url: str,
    model: str,
    inputs: Mapping[str, NDArray],
    *,
    version: str | None = None,
    outputs: Sequence[str] | None = None,
    timeout_s: float = 30.0,
) -> dict[str, NDArray]:
    """A model's outputs for these rows: output name -> (n_rows, ...) array.

    Args:
        url: root of the server, `http://127.0.0.1:8000`.
        model: name of the model.
        inputs: input name -> (n_rows, ...) array of the type that the model declares.
        version: number of the version; None for the server's default.
        outputs: names of the outputs to return; None for all.
        timeout_s: time limit in seconds for each part of at most 512 rows.

    Raises:
        UsageError: the server rejected the request.
        ModelNotFoundError: the server has no such model or version.
        ServingError: no server is at this address, it is not a server of this protocol, it did not respond in time, or
            another version replaced the first one between two parts.
    """
    return predict(url, model, inputs, version=version, outputs=outputs, timeout_s=timeout_s).outputs


def predict(
    url: str,
    model: str,
    inputs: Mapping[str, NDArray],
    *,
    version: str | None = None,
    outputs: Sequence[str] | None = None,
    timeout_s: float = 30.0,
) -> Prediction:
    """The outputs as of `infer`, with the model's name and version; arguments and errors are those of `infer`."""
    rows = {len(values) for values in inputs.values()}
    if len(rows) != 1 or 0 in rows:
        raise UsageError(f"inputs of {sorted(rows)} rows (allowed: the same number, from 1); send equally many of each")
    path = f"/v2/models/{model}" + (f"/versions/{version}" if version else "") + "/infer"
    connection = connect(url, timeout_s)
    try:
        parts = [
            _predict_part(connection, url, path, {name: v[at : at + PART_ROWS] for name, v in inputs.items()}, outputs)
            for at in range(0, rows.pop(), PART_ROWS)
        ]
    finally:
        connection.close()
    if len({part.version for part in parts}) > 1:  # a new connection reached another version
        raise UnreachableError(f"another version took over at {url} between two parts of the rows; repeat the request")
    joined = {name: np.concatenate([part.outputs[name] for part in parts]) for name in parts[0].outputs}
    return Prediction(joined, parts[-1].model, parts[-1].version)


def predict_at(
    folder: Path, inputs: Mapping[str, NDArray], *, outputs: Sequence[str] | None = None, timeout_s: float = 30.0
) -> Prediction:
    """The outputs of an endpoint on this machine; repeats the request while one server replaces another.

    Args:
        folder: folder of the endpoint.
        inputs: as for `infer`.
        outputs: as for `infer`.
        timeout_s: as for `infer`.

    Raises:
        UsageError: the server rejected the request.
        ServingError: no server of this endpoint runs or responds.
    """
    deadline = time.monotonic() + SWITCH_S
    while True:
        endpoint = current(folder)
        try:
            if endpoint is None:
                raise UnreachableError(
                    f"no model server runs for {folder.name!r}; start one with `sinet run` or `sinet serve`"
                )
            return predict(
                endpoint.url, endpoint.model, inputs, version=endpoint.version, outputs=outputs, timeout_s=timeout_s
            )
        except UnreachableError:
            if time.monotonic() > deadline or not _has_moved(folder, endpoint):
                raise
            time.sleep(0.01)


def _has_moved(folder: Path, former: Endpoint | None) -> bool:
    """Whether another server has replaced the one that did not respond, or is about to."""
    if is_starting(folder):  # checked before the file: a start that ends in between has written it
        return True
    now = current(folder)
    return now is not None and now != former


def get_json(url: str, path: str, *, timeout_s: float = 5.0) -> dict[str, Any]:
    """The JSON object at a path of the server.

    Raises:
        UsageError: the server rejected the request.
        ModelNotFoundError: the server has no such model or version.
        ServingError: no server is at this address, or it is not a server of this protocol.
    """
    decoded = _request_json(url, "GET", path, timeout_s)
    if not isinstance(decoded, dict):
        raise not_of_protocol(url, f"a {type(decoded).__name__}")
    return decoded


def ready_models(url: str, *, timeout_s: float = 5.0) -> tuple[str, ...]:
    """The names of the models that are ready on the server, sorted.

    Raises:
        ServingError: no server is at this address, or it is not a server of this protocol.
    """
    index = _request_json(url, "POST", "/v2/repository/index", timeout_s)
    try:
        return tuple(sorted({str(entry["name"]) for entry in index if entry.get("state") == "READY"}))
    except (KeyError, TypeError, AttributeError) as error:
        raise not_of_protocol(url, error) from error


def instance(url: str, *, timeout_s: float = 5.0) -> str | None:
    """The token of the server that is ready at this address; None where no server is ready."""
    try:
        health = get_json(url, "/v2/health/ready", timeout_s=timeout_s)
    except SinetError:
        return None
    return str(health.get("instance")) if health.get("ready") is True else None


def _predict_part(
    connection: HTTPConnection, url: str, path: str, rows: Mapping[str, NDArray], outputs: Sequence[str] | None
) -> Prediction:
    raw = {name: to_raw(values, _datatype(name, values)) for name, values in rows.items()}
    request: dict[str, Any] = {
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
        request["outputs"] = [{"name": name} for name in outputs]
    header = json.dumps(request).encode()
    body = b"".join((header, *raw.values()))
    response, content = exchange(connection, url, "POST", path, body, {HEADER_LENGTH: str(len(header))})
    prediction = _prediction(url, response, content)
    n_rows, lengths = len(next(iter(rows.values()))), {values.shape[:1] for values in prediction.outputs.values()}
    if lengths != {(n_rows,)}:
        raise not_of_protocol(url, f"outputs of {sorted(lengths)} rows for {n_rows}")
    return prediction


def _request_json(url: str, method: str, path: str, timeout_s: float) -> Any:
    connection = connect(url, timeout_s)
    try:
        return read_json(url, *exchange(connection, url, method, path))
    finally:
        connection.close()


def _prediction(url: str, response: HTTPResponse, content: bytes) -> Prediction:
    decoded = read_json(url, response, content)
    at = int(response.headers.get(HEADER_LENGTH) or len(content))
    tensors: dict[str, NDArray] = {}
    try:
        for output in decoded["outputs"]:
            shape = tuple(output["shape"])
            spec = TensorSpec(output["name"], output["datatype"], shape)
            size = output.get("parameters", {}).get("binary_data_size")
            if size is None:
                tensors[spec.name] = from_json(output["data"], spec, shape)
            else:
                tensors[spec.name] = from_raw(memoryview(content)[at : at + size], spec, shape)
                at += size
        return Prediction(tensors, decoded["model_name"], decoded.get("model_version", ""))
    except (KeyError, TypeError, ValueError, AttributeError, UsageError) as error:
        raise not_of_protocol(url, error) from error


def _datatype(name: str, values: NDArray) -> str:
    if values.dtype.kind in "OU":
        return "BYTES"
    found = _NAMES.get(values.dtype.newbyteorder("="))
    if found is None:
        raise UsageError(f"input {name!r} is of {values.dtype} (allowed: {', '.join(DATATYPES)}); convert it first")
    return found
