"""The Open Inference Protocol v2 over gRPC, with Triton's protobufs: the same predictions as over HTTP.

Only the server process imports this module, since gRPC and its protobufs take a tenth of a second to import.
"""

import asyncio
import math
import time
from collections.abc import AsyncIterator, Callable, Mapping
from concurrent.futures import Executor
from typing import Any

import grpc
from google.protobuf.message import Message
from grpc_health.v1 import health_pb2
from tritonclient.grpc import service_pb2 as pb

from sinet_pipelines.deployment import metadata
from sinet_pipelines.deployment.bodies import BODY_LIMIT_BYTES
from sinet_pipelines.deployment.catalogue import Catalogue
from sinet_pipelines.deployment.control import ControlRefusedError, require_control
from sinet_pipelines.deployment.grpc_messages import inputs_of, respond_raw, wanted_outputs
from sinet_pipelines.deployment.http_server import INLINE_BYTES
from sinet_pipelines.deployment.model import ServedModel
from sinet_pipelines.deployment.request_log import RequestLog
from sinet_pipelines.deployment.tensors import DTYPES, to_raw
from sinet_pipelines.errors import BusyError, ModelNotFoundError, ServingError, SinetError, UsageError

SERVICE = "inference.GRPCInferenceService"
HEALTH_SERVICE = "grpc.health.v1.Health"
WATCH_S = 1.0  # between two polls of a health stream
CALLS_AT_ONCE = 256  # further calls end with RESOURCE_EXHAUSTED
SPARE_BYTES = 1024**2  # of a message, in addition to the raw rows of a full batch
_CONTROL = ("RepositoryModelLoad", "RepositoryModelUnload")


def make_server(
    catalogue: Catalogue,
    *,
    host: str,
    port: int,
    workers: Executor,
    log: RequestLog | None = None,
    control_token: str = "",
) -> tuple[grpc.aio.Server, int]:
    """A gRPC server that is bound but not started, and its port.

    Args:
        catalogue: the models to serve.
        host: address to bind.
        port: port to bind; 0 for a free one.
        workers: threads for long requests and for loads.
        log: log of requests; None for no log.
        control_token: token for loading and unloading models; empty where that is not allowed.

    Raises:
        BusyError: another process uses the port.
    """
    options = [
        ("grpc.so_reuseport", 0),  # by default a second server shares the port without an error
        ("grpc.max_receive_message_length", message_limit(catalogue)),
        ("grpc.max_send_message_length", BODY_LIMIT_BYTES),
        ("grpc.max_metadata_size", 16 * 1024),
    ]
    server = grpc.aio.server(options=options, maximum_concurrent_rpcs=CALLS_AT_ONCE)
    service = GrpcService(catalogue, workers=workers, log=log, control_token=control_token)
    handlers = [
        grpc.method_handlers_generic_handler(SERVICE, service.handlers()),
        grpc.method_handlers_generic_handler(HEALTH_SERVICE, service.health_handlers()),
    ]
    server.add_generic_rpc_handlers(tuple(handlers))
    address = f"[{host}]" if ":" in host else host
    try:
        return server, server.add_insecure_port(f"{address}:{port}")
    except RuntimeError as error:
        raise BusyError(f"port {port} for gRPC is in use; end its process or choose another --grpc-port") from error


def message_limit(catalogue: Catalogue) -> int:
    """The size limit of a message in bytes: a full batch of raw rows of the largest loaded model, and a reserve.

    gRPC reads a whole message into memory before the server can check it, so the limit is as low as the models allow,
    and at most the limit of HTTP.
    """
    sizes = [_batch_bytes(model) for model in catalogue.defaults()]
    return min(BODY_LIMIT_BYTES, max(sizes, default=BODY_LIMIT_BYTES) + SPARE_BYTES)


def _batch_bytes(model: ServedModel) -> int:
    """The size of a full batch of inputs in bytes; the limit of HTTP where a size is not fixed."""
    inner = [size for spec in model.inputs.values() for size in spec.shape[1:]]
    is_open = not model.max_batch or -1 in inner or any(spec.datatype == "BYTES" for spec in model.inputs.values())
    if is_open:
        return BODY_LIMIT_BYTES
    rows = [math.prod(spec.shape[1:]) * DTYPES[spec.datatype].itemsize for spec in model.inputs.values()]
    return model.max_batch * sum(rows)


class GrpcService:
    """The gRPC services of this server: inference and health."""

    def __init__(
        self, catalogue: Catalogue, *, workers: Executor, log: RequestLog | None = None, control_token: str = ""
    ) -> None:
        self._catalogue = catalogue
        self._workers = workers
        self._log = log
        self._control_token = control_token.encode()

    def handlers(self) -> Mapping[str, grpc.RpcMethodHandler]:
        """Method name -> handler; gRPC itself rejects other methods with UNIMPLEMENTED."""
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
        handlers = {
            name: grpc.unary_unary_rpc_method_handler(self._unary(name, *row, is_control=name in _CONTROL))
            for name, row in unary.items()
        }
        return handlers | {"ModelStreamInfer": grpc.stream_stream_rpc_method_handler(self._stream)}

    def health_handlers(self) -> Mapping[str, grpc.RpcMethodHandler]:
        """Method name -> handler of gRPC's health protocol (grpc.health.v1), which Kubernetes probes use."""
        check = self._unary("Check", health_pb2.HealthCheckRequest, self._health)
        return {
            "Check": grpc.unary_unary_rpc_method_handler(check),
            "Watch": grpc.unary_stream_rpc_method_handler(self._watch_health),
        }

    def _health(self, request: Any) -> Message:
        """Whether the server, the inference service or the model with this name is serving.

        Raises:
            ModelNotFoundError: no service has this name.
        """
        if request.service in ("", SERVICE, HEALTH_SERVICE):
            is_serving = self._catalogue.is_ready
        else:
            self._catalogue.find(request.service)
            is_serving = True
        status = health_pb2.HealthCheckResponse
        return status(status=status.SERVING if is_serving else status.NOT_SERVING)

    async def _watch_health(self, message: bytes, _: grpc.aio.ServicerContext) -> AsyncIterator[bytes]:
        """Yields the present state, then each change; SERVICE_UNKNOWN for a service that does not exist."""
        last = None
        while True:
            try:
                now, _request = respond_raw(health_pb2.HealthCheckRequest, self._health, message)
            except SinetError:
                unknown = health_pb2.HealthCheckResponse.SERVICE_UNKNOWN
                now = health_pb2.HealthCheckResponse(status=unknown).SerializeToString()
            if now != last:
                yield now
                last = now
            await asyncio.sleep(WATCH_S)

    def _unary(
        self,
        name: str,
        request_type: type[Message],
        respond: Callable[[Any], Message],
        *,
        is_control: bool = False,
    ) -> Callable[..., Any]:
        """A handler of raw messages: parses the request, responds, and maps each error to a gRPC status."""

        async def handle(message: bytes, context: grpc.aio.ServicerContext) -> bytes:
            started = time.perf_counter()
            try:
                if is_control:
                    self._require_control(context)
                raw, request = await self._in_turn(request_type, respond, message)
            except SinetError as error:
                status = (
                    grpc.StatusCode.PERMISSION_DENIED if isinstance(error, ControlRefusedError) else _status_of(error)
                )
                self._log_request(name, status.name, started)
                await context.abort(status, str(error))
                raise  # never reached, since abort raises; for type checkers
            self._log_request(name, "OK", started, request)
            return raw

        return handle

    def _require_control(self, context: grpc.aio.ServicerContext) -> None:
        sent = dict(context.invocation_metadata() or ())
        authorization = sent.get("authorization")
        require_control(self._control_token, None if authorization is None else str(authorization).encode())

    def _log_request(self, name: str, status: str, started: float, request: Any = None) -> None:
        if self._log is None:
            return
        model = version = ""
        if isinstance(request, pb.ModelInferRequest):
            model, version = request.model_name, request.model_version or self._default_version(request.model_name)
        self._log.add("grpc", name, status, time.perf_counter() - started, model=model, version=version)

    def _default_version(self, model: str) -> str:
        try:
            return self._catalogue.find(model).version
        except ModelNotFoundError:  # the model was unloaded after its prediction
            return ""

    async def _in_turn(
        self, request_type: type[Message], respond: Callable[[Any], Message], message: bytes
    ) -> tuple[bytes, Message]:
        """Handles short requests at once; long ones and loads on a worker thread, so that others are not delayed."""
        if len(message) <= INLINE_BYTES and request_type is not pb.RepositoryModelLoadRequest:
            return respond_raw(request_type, respond, message)
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._workers, respond_raw, request_type, respond, message)

    async def _stream(self, messages: AsyncIterator[bytes], _: grpc.aio.ServicerContext) -> AsyncIterator[bytes]:
        """Yields one response for each request; after an invalid request the stream continues, as in Triton."""
        async for message in messages:
            started = time.perf_counter()
            try:
                raw, request = await self._in_turn(pb.ModelInferRequest, self._infer, message)
                self._log_request("ModelStreamInfer", "OK", started, request)
                yield pb.ModelStreamInferResponse(
                    infer_response=pb.ModelInferResponse.FromString(raw)
                ).SerializeToString()
            except SinetError as error:
                self._log_request("ModelStreamInfer", _status_of(error).name, started)
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
            raise UsageError("a load accepts no parameters; publish the model into the repository and load it")
        self._catalogue.load(request.model_name)
        return pb.RepositoryModelLoadResponse()

    def _unload(self, request: Any) -> Message:
        self._catalogue.unload(request.model_name)
        return pb.RepositoryModelUnloadResponse()

    def _infer(self, request: Any) -> Message:
        model = self._catalogue.find(request.model_name, request.model_version or None)
        inputs = inputs_of(model, request)
        wanted = wanted_outputs(model, request)
        outputs = model.run(inputs, outputs=[spec.name for spec in wanted])
        response = pb.ModelInferResponse(model_name=model.name, model_version=model.version, id=request.id)
        for spec, values in zip(wanted, outputs, strict=True):
            response.outputs.add(name=spec.name, datatype=spec.datatype, shape=values.shape)
            response.raw_output_contents.append(to_raw(values, spec.datatype))
        return response


def _status_of(error: SinetError) -> grpc.StatusCode:
    if isinstance(error, ModelNotFoundError):
        return grpc.StatusCode.NOT_FOUND
    return grpc.StatusCode.FAILED_PRECONDITION if isinstance(error, ServingError) else grpc.StatusCode.INVALID_ARGUMENT
