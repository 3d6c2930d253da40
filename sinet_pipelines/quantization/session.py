"""Opens a served graph as the server does - onnxruntime, one thread - and runs it on rows."""

import time
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from sinet_pipelines.errors import DisagreementError
from sinet_pipelines.quantization.graph_rows import GraphRows, Singles
from sinet_pipelines.quantization.runtime import runtime_failures, served_session

BATCH_ROWS = 1024  # a window in float64 is 6 kB: the memory for so many rows is some tens of MB
TURN_CALLS = 20  # of one session before the next one's turn: enough for warm caches, few enough for short turns


def open_session(onnx_bytes: bytes, *, inputs: Mapping[str, Sequence[int]], output: str) -> Any:
    """An onnxruntime session of the model, on one thread, as it is served.

    Args:
        onnx_bytes: the graph.
        inputs: shape of each input after its batch axis.
        output: name of an output that it must have.

    Raises:
        DisagreementError: onnxruntime cannot run the bytes, or the model has other inputs, or no such output.
    """
    try:
        session = served_session(onnx_bytes)
    except runtime_failures() as error:
        raise DisagreementError(f"onnxruntime cannot open the model ({error}); export it again") from error
    found = {tensor.name: (tensor.type, tuple(tensor.shape[1:])) for tensor in session.get_inputs()}
    allowed = {name: ("tensor(float)", tuple(shape)) for name, shape in inputs.items()}
    outputs = [tensor.name for tensor in session.get_outputs()]
    if found != allowed or output not in outputs:
        raise DisagreementError(
            f"the model's signature is {found} -> {outputs} (allowed: {allowed} -> {output}, ...); export it again"
        )
    return session


def answer(session: Any, graph_rows: GraphRows) -> dict[str, Singles]:
    """The model's outputs for each row, by name, (B,) each."""
    names = [tensor.name for tensor in session.get_outputs()]
    tensors = graph_rows.tensors
    starts = range(0, len(graph_rows), BATCH_ROWS)
    parts = [session.run(names, _rows(tensors, slice(start, start + BATCH_ROWS))) for start in starts]
    return {name: np.concatenate([part[i][:, 0] for part in parts] or [_NONE]) for i, name in enumerate(names)}


_NONE = np.empty(0, dtype=np.float32)


def _rows(tensors: Mapping[str, Singles], rows: slice) -> dict[str, Singles]:
    return {name: values[rows] for name, values in tensors.items()}


def median_latencies_us(sessions: Mapping[str, Any], graph_rows: GraphRows, *, calls: int = 1000) -> dict[str, float]:
    """The median time of one call with one row, in microseconds, without any transport, of each session by name.

    They take turns, so that other load of the machine affects all of them.

    Args:
        sessions: by name.
        graph_rows: rows, one in each call, the first hundred in turn; at least one.
        calls: number of calls of each.
    """
    tensors = graph_rows.tensors
    singles = [_rows(tensors, slice(i, i + 1)) for i in range(min(len(graph_rows), 100))]
    seconds: dict[str, list[float]] = {name: [] for name in sessions}
    for start in range(0, calls, TURN_CALLS):
        for name, session in sessions.items():
            for i in range(start, min(start + TURN_CALLS, calls)):
                started = time.perf_counter()
                session.run(None, singles[i % len(singles)])
                seconds[name].append(time.perf_counter() - started)
    return {name: float(np.median(values) * 1e6) for name, values in seconds.items()}
