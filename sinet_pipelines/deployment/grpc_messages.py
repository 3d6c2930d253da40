"""Parses the messages of the Open Inference Protocol over gRPC: their size, outputs, and inputs as arrays.

gRPC itself would report an invalid message as a fault of the server (INTERNAL), not of the client (INVALID_ARGUMENT).
"""

import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from google.protobuf.message import DecodeError, Message
from numpy.typing import NDArray
from tritonclient.grpc import service_pb2 as pb

from sinet_pipelines.deployment.model import ServedModel
from sinet_pipelines.deployment.protocol import UNSUPPORTED
from sinet_pipelines.deployment.tensors import (
    DTYPES,
    TensorSpec,
    check_datatype,
    from_json,
    from_raw,
    in_shape,
    shape_of,
    whole_numbers,
)
from sinet_pipelines.deployment.wire import INFER_REQUEST, count_fields
from sinet_pipelines.errors import UsageError

# the fields of larger messages are counted before they are parsed: they may take 50 times as much memory
LARGE_BYTES = 256 * 1024
MAX_FIELDS = 4096  # of such a message; a request has about twenty
CONTENTS = {
    "BOOL": "bool_contents",
    "INT8": "int_contents",
    "INT16": "int_contents",
    "INT32": "int_contents",
    "INT64": "int64_contents",
    "UINT8": "uint_contents",
    "UINT16": "uint_contents",
    "UINT32": "uint_contents",
    "UINT64": "uint64_contents",
    "FP32": "fp32_contents",
    "FP64": "fp64_contents",
    "BYTES": "bytes_contents",
}  # FP16 has no field of its own and is sent raw


def respond_raw(
    request_type: type[Message], respond: Callable[[Any], Message], message: bytes
) -> tuple[bytes, Message]:
    """The bytes of the response, and the parsed request.

    Args:
        request_type: type of the message.
        respond: returns the response to a request.
        message: the request's bytes.

    Raises:
        UsageError: the message is not a request of this type, or is too large.
    """
    if len(message) > LARGE_BYTES:
        if request_type is not pb.ModelInferRequest:
            raise UsageError(f"{len(message)} bytes for a {request_type.DESCRIPTOR.name} (allowed: {LARGE_BYTES})")
        if count_fields(message, INFER_REQUEST, at_most=MAX_FIELDS) > MAX_FIELDS:
            raise UsageError(f"the message has more than {MAX_FIELDS} fields; send rows raw, in raw_input_contents")
    try:
        request = request_type.FromString(message)
    except DecodeError as error:
        raise UsageError(f"the message is not a {request_type.DESCRIPTOR.name}: {error}; send one") from error
    return respond(request).SerializeToString(), request


def wanted_outputs(model: ServedModel, request: Any) -> list[TensorSpec]:
    """The outputs to return: those requested, else all.

    Args:
        model: the model.
        request: a `ModelInferRequest`.

    Raises:
        UsageError: the model has no such output, or it is requested twice.
    """
    for tensor in request.outputs:
        _reject_unsupported(tensor.parameters)
    wanted = [model.output_spec(tensor.name) for tensor in request.outputs]
    if len({spec.name for spec in wanted}) != len(wanted):
        raise UsageError("an output is requested twice; request it once")
    return wanted or list(model.outputs.values())


def _reject_unsupported(parameters: Mapping[str, Any]) -> None:
    for name in UNSUPPORTED:
        if name in parameters:
            raise UsageError(f"{name} is not supported (allowed: data in the message); send the tensor itself")


def inputs_of(model: ServedModel, request: Any) -> dict[str, NDArray]:
    """The inputs of a request by name, as arrays of the model's types and shapes.

    Args:
        model: the model.
        request: a `ModelInferRequest`.

    Raises:
        UsageError: an input is missing, occurs twice, or is not of the model's type and shape.
    """
    raw = request.raw_input_contents
    if raw and len(raw) != len(request.inputs):
        raise UsageError(f"{len(raw)} raw contents for {len(request.inputs)} inputs; send one for each, or none")
    inputs: dict[str, NDArray] = {}
    for index, tensor in enumerate(request.inputs):
        spec = model.input_spec(tensor.name)
        if spec.name in inputs:
            raise UsageError(f"input {spec.name!r} occurs twice; send it once")
        _reject_unsupported(tensor.parameters)
        if raw and tensor.HasField("contents"):
            raise UsageError(f"{spec.name!r} has contents beside raw_input_contents; send one of them")
        check_datatype(spec, tensor.datatype)
        shape = shape_of(spec, tuple(tensor.shape))
        inputs[spec.name] = from_raw(memoryview(raw[index]), spec, shape) if raw else _typed(tensor, spec, shape)
    return inputs


def _typed(tensor: Any, spec: TensorSpec, shape: tuple[int, ...]) -> NDArray:
    """The tensor from the typed field of its datatype in `contents`."""
    if spec.datatype not in CONTENTS:
        raise UsageError(f"{spec.datatype} of {spec.name!r} has no field in contents; send it in raw_input_contents")
    values = getattr(tensor.contents, CONTENTS[spec.datatype])
    if len(values) != math.prod(shape):
        raise UsageError(
            f"{len(values)} values for {spec.name!r} (allowed: {math.prod(shape)} for its shape); send those"
        )
    if spec.datatype == "BYTES":
        return from_json(list(values), spec, shape)
    if DTYPES[spec.datatype].kind in "iu":
        widest = np.uint64 if "uint" in CONTENTS[spec.datatype] else np.int64  # a field may be wider than the datatype
        return in_shape(whole_numbers(np.array(values, dtype=widest), spec), spec, shape)
    return in_shape(np.array(values, dtype=DTYPES[spec.datatype]), spec, shape)
