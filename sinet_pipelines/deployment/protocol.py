"""Bodies of the Open Inference Protocol v2 over HTTP: parses requests to arrays, and formats arrays as responses.

A body is a JSON header. Raw bytes may follow it where `Inference-Header-Content-Length` states its length: the bytes of
the tensors with `binary_data_size` instead of `data`, in their order (Triton's binary tensor data extension). A request
may use both forms. The client chooses the form of each output.

JSON has no NaN. In floating-point data `null` is NaN, in requests and responses. The words NaN, Infinity and -Infinity,
which some clients write although they are not JSON, are accepted in requests and never written.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import orjson
from numpy.typing import NDArray

from sinet_pipelines.deployment.model import ServedModel
from sinet_pipelines.deployment.tensors import (
    TensorSpec,
    check_datatype,
    from_json,
    from_raw,
    is_unicode,
    shape_of,
    to_raw,
)
from sinet_pipelines.errors import UsageError

HEADER_LENGTH = b"inference-header-content-length"
CACHED_HEADERS = 256  # limit of cached headers; there is one for each client and batch size
CACHED_HEADER_BYTES = 2048  # longer headers are not cached; one with three inputs has about 450
UNSUPPORTED = ("shared_memory_region", "classification")  # parameters of Triton's extensions


@dataclass(frozen=True)
class SentTensor:
    """An input in the header of a request.

    Attributes:
        spec: the model's declaration of it.
        shape: a shape that the declaration allows.
        raw_size: number of its bytes after the header; None where its values are in the header.
        data: its values in the header, as parsed JSON; None where they are raw.
    """

    spec: TensorSpec
    shape: tuple[int, ...]
    raw_size: int | None
    data: Any


@dataclass(frozen=True)
class RequestHeader:
    """The header of a request.

    Attributes:
        id: the client's id of the request, which the response repeats; None for none.
        tensors: the inputs, in the order of their raw bytes.
        outputs: name of each requested output, and whether the client wants it as raw bytes, in the client's order.
    """

    id: str | None
    tensors: tuple[SentTensor, ...]
    outputs: tuple[tuple[str, bool], ...]


class RequestReader:
    """Parses bodies of requests, and caches short headers, since a client sends the same header many times."""

    def __init__(self) -> None:
        self._known: dict[tuple[str, bytes], RequestHeader] = {}

    def read(
        self, model: ServedModel, body: bytes, header_length: bytes | None
    ) -> tuple[RequestHeader, dict[str, NDArray]]:
        """The header of a request's body, and its inputs as arrays of the declared type and shape.

        Args:
            model: the model with the signature.
            body: JSON header, and raw bytes after it.
            header_length: the value of `Inference-Header-Content-Length`; None where the whole body is JSON.

        Raises:
            UsageError: the body is invalid.
        """
        raw_from = len(body) if header_length is None else _header_length(header_length, len(body))
        header = self._parsed_header(model, body[:raw_from])
        return header, _arrays(header.tensors, memoryview(body)[raw_from:])

    def _parsed_header(self, model: ServedModel, text: bytes) -> RequestHeader:
        key = (model.sha256, text)  # the parsed header depends on its text and on the model's signature alone
        header = self._known.get(key)
        if header is None:
            header = _read_header(model, text)
            if len(text) <= CACHED_HEADER_BYTES and all(tensor.raw_size is not None for tensor in header.tensors):
                if len(self._known) >= CACHED_HEADERS:
                    self._known.clear()
                self._known[key] = header
        return header


def write_response(model: ServedModel, request: RequestHeader, outputs: Sequence[NDArray]) -> tuple[bytes, int | None]:
    """The body of a response, and the length of its JSON header in bytes; None where no raw tensors follow it.

    Args:
        model: the model that predicted.
        request: the header of the request.
        outputs: the requested outputs, in the order of the request.
    """
    raw: list[bytes] = []
    described = [
        _output(model.outputs[name], values, raw if is_raw else None)
        for (name, is_raw), values in zip(request.outputs, outputs, strict=True)
    ]
    response: dict[str, Any] = {"model_name": model.name, "model_version": model.version, "outputs": described}
    if request.id is not None:
        response["id"] = request.id
    header = orjson.dumps(response, option=orjson.OPT_SERIALIZE_NUMPY)
    if any(is_raw for _, is_raw in request.outputs):
        return b"".join((header, *raw)), len(header)
    return header, None


def _output(spec: TensorSpec, values: NDArray, raw: list[bytes] | None) -> dict[str, Any]:
    """The JSON header's entry for an output; appends its bytes to `raw` where the client requested bytes."""
    described: dict[str, Any] = {"name": spec.name, "datatype": spec.datatype, "shape": values.shape}
    if raw is not None:
        raw.append(to_raw(values, spec.datatype))
        described["parameters"] = {"binary_data_size": len(raw[-1])}
    else:
        described["data"] = values.ravel().tolist() if spec.datatype == "BYTES" else values.ravel()
    return described


def _read_header(model: ServedModel, text: bytes) -> RequestHeader:
    header = _loads(text)
    request_id = header.get("id")
    if request_id is not None and not (isinstance(request_id, str) and is_unicode(request_id)):
        raise UsageError("id is not a text; send a text or leave it out")
    tensors = tuple(_sent_tensor(model, tensor) for tensor in _list_of(header, "inputs"))
    if len({tensor.spec.name for tensor in tensors}) != len(tensors):
        raise UsageError("an input occurs twice; send it once")
    return RequestHeader(request_id, tensors, _wanted(model, header))


def _sent_tensor(model: ServedModel, tensor: dict[str, Any]) -> SentTensor:
    spec = model.input_spec(tensor.get("name"))
    check_datatype(spec, tensor.get("datatype"))
    return SentTensor(spec, shape_of(spec, tensor.get("shape")), _raw_size(spec, tensor), tensor.get("data"))


def _arrays(tensors: Sequence[SentTensor], raw: memoryview) -> dict[str, NDArray]:
    inputs: dict[str, NDArray] = {}
    at = 0
    for tensor in tensors:
        spec, size = tensor.spec, tensor.raw_size
        if size is None:
            inputs[spec.name] = from_json(tensor.data, spec, tensor.shape)
        else:
            inputs[spec.name] = from_raw(raw[at : at + size], spec, tensor.shape)
            at += size
    if at != len(raw):
        raise UsageError(f"{len(raw)} bytes after the JSON header (needed by its tensors: {at}); make both equal")
    return inputs


def _raw_size(spec: TensorSpec, tensor: dict[str, Any]) -> int | None:
    """The number of the tensor's bytes after the header; None where its values are in the header."""
    parameters = _parameters(tensor)
    size = parameters.get("binary_data_size")
    if size is None:
        return None
    if type(size) is not int or size < 0:
        raise UsageError(f"binary_data_size of {spec.name!r} is not a number of bytes; send a whole number from 0")
    if "data" in tensor:
        raise UsageError(f"input {spec.name!r} has both data and binary_data_size; send one of them")
    return size


def _wanted(model: ServedModel, header: dict[str, Any]) -> tuple[tuple[str, bool], ...]:
    """The outputs to return: those requested, else all."""
    as_raw = _flag(_parameters(header), "binary_data_output", otherwise=False)
    if not header.get("outputs"):
        return tuple((name, as_raw) for name in model.outputs)
    wanted = tuple(
        (model.output_spec(tensor.get("name")).name, _flag(_parameters(tensor), "binary_data", otherwise=as_raw))
        for tensor in _list_of(header, "outputs")
    )
    if len({name for name, _ in wanted}) != len(wanted):
        raise UsageError("an output is requested twice; request it once")
    return wanted


def _flag(parameters: dict[str, Any], name: str, *, otherwise: bool) -> bool:
    value = parameters.get(name, otherwise)
    if not isinstance(value, bool):
        raise UsageError(f"{name} is neither true nor false; send one of them")
    return value


def _parameters(request: dict[str, Any]) -> dict[str, Any]:
    parameters = request.get("parameters")
    if parameters is None:
        return {}
    if not isinstance(parameters, dict):
        raise UsageError("parameters are not a JSON object; send one or leave them out")
    for name in UNSUPPORTED:
        if name in parameters:
            raise UsageError(f"{name} is not supported (allowed: data in the body); send the tensor itself")
    return parameters


def _list_of(header: dict[str, Any], name: str) -> list[dict[str, Any]]:
    tensors = header.get(name)
    if not isinstance(tensors, list) or not all(isinstance(tensor, dict) for tensor in tensors):
        raise UsageError(f"{name} is not a list of JSON objects; send one object for each tensor")
    return tensors


def _header_length(value: bytes, body_size: int) -> int:
    # bytes.isdigit() accepts ASCII digits alone; ten of them are enough for every allowed body
    length = int(value) if value.isdigit() and len(value) <= 10 else -1
    if not 0 < length <= body_size:
        found = value[:20].decode("latin-1")
        raise UsageError(
            f"Inference-Header-Content-Length is {found!r} (allowed: 1 to {body_size}); send the JSON's length"
        )
    return length


def _loads(text: bytes) -> dict[str, Any]:
    try:
        header = orjson.loads(text)
    except orjson.JSONDecodeError as error:
        if b"NaN" not in text and b"Infinity" not in text:
            raise UsageError(f"the body is not JSON: {error}; send a JSON object") from error
        header = _loads_with_nan(text)
    if not isinstance(header, dict):
        raise UsageError("the body is not a JSON object; send one with a list of inputs")
    return header


def _loads_with_nan(text: bytes) -> Any:
    """Parses JSON with the words NaN and Infinity by the standard library, which accepts them and is slower."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise UsageError(f"the body is not JSON: {str(error)[:200]}; send a JSON object") from error
