"""The Open Inference Protocol v2 over gRPC, with Triton's own protobufs: the same answers as over HTTP.

Only the server process imports this module: gRPC and its protobufs cost a tenth of a second. Messages are parsed here
and not by gRPC, since bytes that are no message are the client's mistake (INVALID_ARGUMENT), not ours (INTERNAL).
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from concurrent.futures import Executor
from typing import Any

import grpc
import numpy as np
from google.protobuf.message import DecodeError, Message
from numpy.typing import NDArray
from tritonclient.grpc import service_pb2 as pb

from sinet_pipelines.deployment import metadata
from sinet_pipelines.deployment.catalogue import Catalogue
from sinet_pipelines.deployment.http_server import BODY_LIMIT_BYTES, INLINE_BYTES
from sinet_pipelines.deployment.model import ServedModel
from sinet_pipelines.deployment.tensors import (
    DTYPES,
    TensorSpec,
    check_datatype,
    from_json,
    from_raw,
    in_shape,
    shape_of,
    to_raw,
    whole_numbers,
)
from sinet_pipelines.errors import BusyError, ModelNotFoundError, ServingError, SinetError, UsageError

SERVICE = "inference.GRPCInferenceService"
_CONTENTS = {
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
}  # FP16 has no field of its own and travels raw


def make_server(catalogue: Catalogue, *, host: str, port: int, workers: Executor) -> tuple[grpc.aio.Server, int]:
    """A gRPC server that is bound but not started, and its port.

    Raises:
        BusyError: another process holds the port.
    """
    options = [
        ("grpc.so_reuseport", 0),  # by default a second server shares the port silently
        ("grpc.max_receive_message_length", BODY_LIMIT_BYTES),
        ("grpc.max_send_message_length", BODY_LIMIT_BYTES),
    ]
    server = grpc.aio.server(options=options)
    service = GrpcService(catalogue, workers=workers)
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(SERVICE, service.handlers()),))
    address = f"[{host}]" if ":" in host else host
    try:
        return server, server.add_insecure_port(f"{address}:{port}")
    except RuntimeError as error:
        raise BusyError(f"port {port} for gRPC is taken; end who holds it or choose another --grpc-port") from error


class GrpcService:
    """What this server answers over gRPC."""

    def __init__(self, catalogue: Catalogue, *, workers: Executor) -> None:
        self._catalogue = catalogue
        self._workers = workers

    def handlers(self) -> Mapping[str, grpc.RpcMethodHandler]:
        """Method name -> handler; a method that is not here is answered UNIMPLEMENTED by gRPC itself."""
        unary = {
            "ServerLive": (pb.ServerLiveRequest, lambda _: pb.ServerLiveResponse(live=True)),
            "ServerReady": (pb.ServerReadyRequest, self._server_ready),
            "ServerMetadata": (pb.ServerMetadataRequest, lambda _: pb.ServerMetadataResponse(**metadata.SERVER)),
            "ModelReady": (pb.ModelReadyRequest, self._model_ready),
            "ModelMetadata": (pb.ModelMetadataRequest, self._model_metadata),
            "ModelConfig": (pb.ModelConfigRequest, self._model_config),
            "ModelInfer": (pb.ModelInferRequest, self._infer),
            "RepositoryIndex": (pb.RepositoryIndexRequest, self._index),
            "RepositoryModelLoad": (pb.RepositoryModelLoadRequest, self._load),
            "RepositoryModelUnload": (pb.RepositoryModelUnloadRequest, self._unload),
        }
        handlers = {name: grpc.unary_unary_rpc_method_handler(self._unary(*row)) for name, row in unary.items()}
        return handlers | {"ModelStreamInfer": grpc.stream_stream_rpc_method_handler(self._stream)}

    def _unary(self, request_type: type[Message], answer: Callable[[Any], Message]) -> Callable[..., Any]:
        """A handler of raw messages: parse, answer, and every mistake of the client's as its status."""

        async def handle(message: bytes, context: grpc.aio.ServicerContext) -> bytes:
            try:
                return await self._in_turn(request_type, answer, message)
            except SinetError as error:
                await context.abort(_status_of(error), str(error))
                raise  # abort has raised; this is for readers and type checkers

        return handle

    async def _in_turn(self, request_type: type[Message], answer: Callable[[Any], Message], message: bytes) -> bytes:
        """Short work at once; long work, and loads, on a worker, so that others are answered meanwhile."""
        if len(message) <= INLINE_BYTES and request_type is not pb.RepositoryModelLoadRequest:
            return _answer_raw(request_type, answer, message)
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._workers, _answer_raw, request_type, answer, message)

    async def _stream(self, messages: AsyncIterator[bytes], _: grpc.aio.ServicerContext) -> AsyncIterator[bytes]:
        """One answer a question; a wrong question is answered by a message and the stream goes on, as Triton's does."""
        async for message in messages:
            try:
                raw = await self._in_turn(pb.ModelInferRequest, self._infer, message)
                yield pb.ModelStreamInferResponse(
                    infer_response=pb.ModelInferResponse.FromString(raw)
                ).SerializeToString()
            except SinetError as error:
                yield pb.ModelStreamInferResponse(error_message=str(error)).SerializeToString()

    def _server_ready(self, _: Message) -> Message:
        return pb.ServerReadyResponse(ready=self._catalogue.is_ready)

    def _model_ready(self, request: Any) -> Message:
        try:
            self._catalogue.find(request.name, request.version or None)
        except ModelNotFoundError:
            return pb.ModelReadyResponse(ready=False)
        return pb.ModelReadyResponse(ready=True)

    def _model_metadata(self, request: Any) -> Message:
        return pb.ModelMetadataResponse(
            **metadata.describe_model(self._catalogue, request.name, request.version or None)
        )

    def _model_config(self, request: Any) -> Message:
        return pb.ModelConfigResponse(config=self._catalogue.find(request.name, request.version or None).config)

    def _index(self, request: Any) -> Message:
        entries = self._catalogue.index(only_ready=request.ready)
        return pb.RepositoryIndexResponse(
            models=[pb.RepositoryIndexResponse.ModelIndex(**vars(entry)) for entry in entries]
        )

    def _load(self, request: Any) -> Message:
        if request.parameters:
            raise UsageError("a load takes no parameters here; publish the model into the repository and load it")
        self._catalogue.load(request.model_name)
        return pb.RepositoryModelLoadResponse()

    def _unload(self, request: Any) -> Message:
        self._catalogue.unload(request.model_name)
        return pb.RepositoryModelUnloadResponse()

    def _infer(self, request: Any) -> Message:
        model = self._catalogue.find(request.model_name, request.model_version or None)
        inputs = _inputs(model, request)
        wanted = [model.output_spec(tensor.name) for tensor in request.outputs] or list(model.outputs.values())
        answers = model.run(inputs, outputs=[spec.name for spec in wanted])
        response = pb.ModelInferResponse(model_name=model.name, model_version=model.version, id=request.id)
        for spec, values in zip(wanted, answers, strict=True):
            response.outputs.add(name=spec.name, datatype=spec.datatype, shape=values.shape)
            response.raw_output_contents.append(to_raw(values, spec.datatype))
        return response


def _answer_raw(request_type: type[Message], answer: Callable[[Any], Message], message: bytes) -> bytes:
    try:
        request = request_type.FromString(message)
    except DecodeError as error:
        raise UsageError(f"the message is no {request_type.DESCRIPTOR.name}: {error}; send one") from error
    return answer(request).SerializeToString()


def _inputs(model: ServedModel, request: Any) -> dict[str, NDArray]:
    raw = request.raw_input_contents
    if raw and len(raw) != len(request.inputs):
        raise UsageError(f"{len(raw)} raw contents for {len(request.inputs)} inputs; send one for each, or none")
    inputs: dict[str, NDArray] = {}
    for index, tensor in enumerate(request.inputs):
        spec = model.input_spec(tensor.name)
        if spec.name in inputs:
            raise UsageError(f"input {spec.name!r} stands there twice; send it once")
        if "shared_memory_region" in tensor.parameters:
            raise UsageError("shared_memory_region is not spoken here (allowed: data in the message); send the tensor")
        check_datatype(spec, tensor.datatype)
        shape = shape_of(spec, tuple(tensor.shape))
        inputs[spec.name] = from_raw(memoryview(raw[index]), spec, shape) if raw else _typed(tensor, spec, shape)
    return inputs


def _typed(tensor: Any, spec: TensorSpec, shape: tuple[int, ...]) -> NDArray:
    """The tensor from the field of its datatype."""
    if spec.datatype not in _CONTENTS:
        raise UsageError(f"{spec.datatype} of {spec.name!r} has no field in contents; send it in raw_input_contents")
    values = getattr(tensor.contents, _CONTENTS[spec.datatype])
    if spec.datatype == "BYTES":
        return from_json(list(values), spec, shape)
    if DTYPES[spec.datatype].kind in "iu":
        widest = np.uint64 if "uint" in _CONTENTS[spec.datatype] else np.int64  # a field may be wider than the datatype
        return in_shape(whole_numbers(np.array(values, dtype=widest), spec), spec, shape)
    return in_shape(np.array(values, dtype=DTYPES[spec.datatype]), spec, shape)


def _status_of(error: SinetError) -> grpc.StatusCode:
    if isinstance(error, ModelNotFoundError):
        return grpc.StatusCode.NOT_FOUND
    return grpc.StatusCode.FAILED_PRECONDITION if isinstance(error, ServingError) else grpc.StatusCode.INVALID_ARGUMENT
