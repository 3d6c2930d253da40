"""One loaded version of a model: an ONNX Runtime session with its signature, which checks inputs before it runs."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sinet_pipelines.deployment.repository import read_model
from sinet_pipelines.deployment.request_contract import RequestContract, read_request_contract
from sinet_pipelines.deployment.tensors import DTYPES, TensorSpec, datatype_of_onnx
from sinet_pipelines.deployment.triton_config import read_config, read_sample
from sinet_pipelines.errors import ServingError, UsageError, first_line

PLATFORM = "onnxruntime_onnx"  # Triton's name for ONNX graphs


@dataclass(frozen=True)
class Graph:
    """A session and its signature.

    Attributes:
        session: an `onnxruntime.InferenceSession`.
        inputs: its declared inputs; the first axis is the batch.
        outputs: its declared outputs.
        contract: the limits of requests.
    """

    session: Any
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    contract: RequestContract


class ServedModel:
    """A loaded version of a model.

    Attributes:
        name: name of the model.
        version: number of the version, as text.
        sha256: SHA-256 of its graph, 64 hex digits.
        config: its `ModelConfig`, a protobuf of Triton.
        max_batch: largest number of rows of one request; 0 without a limit.
        inputs: input name -> its declaration, in the graph's order.
        outputs: output name -> its declaration, in the graph's order.
    """

    def __init__(self, graph: Graph, *, name: str, version: str, sha256: str, config: Any) -> None:
        self.name = name
        self.version = version
        self.sha256 = sha256
        self.config = config
        self.inputs = {spec.name: spec for spec in graph.inputs}
        self.outputs = {spec.name: spec for spec in graph.outputs}
        self.max_batch = int(config.max_batch_size)
        self._session = graph.session
        self._contract = graph.contract
        self._failures = _runtime_failures()

    def input_spec(self, name: object) -> TensorSpec:
        """The declaration of an input.

        Raises:
            UsageError: no input has this name.
        """
        spec = self.inputs.get(name) if isinstance(name, str) else None
        if spec is None:
            raise UsageError(f"no input {_quoted(name)} (allowed: {', '.join(self.inputs)}); leave it out or rename it")
        return spec

    def output_spec(self, name: object) -> TensorSpec:
        """The declaration of an output.

        Raises:
            UsageError: no output has this name.
        """
        spec = self.outputs.get(name) if isinstance(name, str) else None
        if spec is None:
            raise UsageError(f"no output {_quoted(name)} (allowed: {', '.join(self.outputs)}); request one of those")
        return spec

    def run(self, inputs: Mapping[str, NDArray], *, outputs: Sequence[str]) -> list[NDArray]:
        """Runs the graph; returns the requested outputs in the requested order.

        Args:
            inputs: input name -> array of the declared type and shape.
            outputs: names of the outputs to return.

        Raises:
            UsageError: an input is missing, batch sizes differ or exceed the limit, values violate the model's request
                contract, or the graph cannot compute them.
        """
        self._check_batch(inputs)
        self._contract.check(inputs)
        try:
            return self._session.run(outputs, inputs)
        except self._failures as error:
            why = first_line(error)[:300]
            raise UsageError(f"{self.name!r} cannot compute these inputs: {why}; send other values") from error

    def _check_batch(self, inputs: Mapping[str, NDArray]) -> None:
        if len(inputs) != len(self.inputs):
            missing = ", ".join(name for name in self.inputs if name not in inputs)
            raise UsageError(f"no input {missing} (needed: {', '.join(self.inputs)}); send all of them")
        sizes = {len(inputs[name]) for name, spec in self.inputs.items() if spec.shape[:1] == (-1,)}
        if len(sizes) > 1:
            found = ", ".join(f"{name} {len(values)}" for name, values in inputs.items())
            raise UsageError(
                f"inputs have different batch sizes ({found}; allowed: one); send equally many rows of each"
            )
        if sizes and self.max_batch and max(sizes) > self.max_batch:
            raise UsageError(f"{max(sizes)} rows in one request (allowed: {self.max_batch}); send them in parts")


def load_model(repository: Path, model: str, *, version: str) -> ServedModel:
    """Loads a published version and predicts its sample once.

    Args:
        repository: folder of the model repository.
        model: name of the model.
        version: number of the version, as text.

    Raises:
        ModelNotFoundError: there is no such model or version.
        ServingError: its SHA-256 differs from its manifest, it is not a graph that can be served, or its prediction of
            the sample fails or is not finite.
    """
    content, manifest = read_model(repository, model, version)
    config = read_config(repository, model)
    served = ServedModel(open_graph(content, model), name=model, version=version, sha256=manifest.sha256, config=config)
    _warm_up(served, read_sample(repository, config))
    return served


def open_graph(content: bytes, name: str) -> Graph:
    """A session of one thread over the graph, with its signature and request contract.

    Args:
        content: bytes of the ONNX graph.
        name: name of the model, for messages.

    Raises:
        ServingError: ONNX Runtime cannot load the bytes, the protocol has no name for a type of the signature, or the
            request contract cannot be read.
    """
    import onnxruntime

    failures: tuple[type[Exception], ...] = (*_runtime_failures(), UsageError)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 3  # errors only; the server itself reports a failed load or prediction
    try:
        session = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
        inputs, outputs = (tuple(map(_spec, found)) for found in (session.get_inputs(), session.get_outputs()))
    except failures as error:
        raise ServingError(f"{name!r} cannot be loaded: {first_line(error)[:300]}; export it again") from error
    types = {spec.name: DTYPES[spec.datatype] for spec in inputs}
    contract = read_request_contract(session.get_modelmeta().custom_metadata_map, types)
    return Graph(session, inputs, outputs, contract)


def _warm_up(served: ServedModel, sample: Mapping[str, NDArray]) -> None:
    if not sample:
        return  # a repository that another program wrote may have none; the first request is then slower
    try:
        outputs = served.run(sample, outputs=list(served.outputs))
    except UsageError as error:
        raise ServingError(f"{served.name!r} version {served.version} cannot predict its sample: {error}") from error
    for name, values in zip(served.outputs, outputs, strict=True):
        if values.dtype.kind == "f" and not np.isfinite(values).all():
            raise ServingError(
                f"{served.name!r} version {served.version} predicts {values.ravel()[0]} in {name!r} for a valid row "
                "(allowed: finite numbers); train and export it again"
            )


def _spec(node: Any) -> TensorSpec:
    """The declaration of an input or output of the session; a size that is not a fixed number is -1."""
    shape = tuple(size if isinstance(size, int) and size > 0 else -1 for size in node.shape)
    return TensorSpec(node.name, datatype_of_onnx(node.type), shape)


@cache
def _runtime_failures() -> tuple[type[Exception], ...]:
    """The exceptions of ONNX Runtime, which have no base class in common but `Exception`."""
    from onnxruntime.capi import onnxruntime_pybind11_state as state

    own = [value for value in vars(state).values() if isinstance(value, type) and issubclass(value, Exception)]
    return (*own, RuntimeError, ValueError)  # the Python layer raises these two for invalid inputs


def _quoted(name: object) -> str:
    return repr(name)[:60]
