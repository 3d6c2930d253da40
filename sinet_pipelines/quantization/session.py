"""Opens a served graph as the server does - onnxruntime, one thread - and asks it about sequences."""

import time
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sinet_pipelines.errors import DisagreementError
from sinet_pipelines.features.sequences import Sequences
from sinet_pipelines.quantization.runtime import runtime_failures, served_session
from sinet_pipelines.quantization.window_graph import INPUTS

BATCH_ROWS = 1024  # a window in float64 is 6 kB: the working set of so many rows stays at some tens of MB
TURN_CALLS = 20  # of one session before the next takes its turn: caches are warm as under load, and turns stay short

Singles = NDArray[np.float32]


def open_session(onnx_bytes: bytes) -> Any:
    """An onnxruntime session of the model, on one thread, as it is served.

    Raises:
        DisagreementError: the bytes are no model that onnxruntime can run, or it asks for other inputs than `INPUTS`,
            or does not answer `rul_cycles`.
    """
    try:
        session = served_session(onnx_bytes)
    except runtime_failures() as error:
        raise DisagreementError(f"onnxruntime cannot open the model ({error}); export it again") from error
    _check_signature(session)
    return session


def _check_signature(session: Any) -> None:
    found = {tensor.name: (tensor.type, tuple(tensor.shape[1:])) for tensor in session.get_inputs()}
    allowed = {name: ("tensor(float)", shape) for name, shape in INPUTS.items()}
    outputs = [tensor.name for tensor in session.get_outputs()]
    if found != allowed or "rul_cycles" not in outputs:
        raise DisagreementError(
            f"the model's signature is {found} -> {outputs} (allowed: {allowed} -> rul_cycles, ...); export it again"
        )


def feed(sequences: Sequences) -> dict[str, Singles]:
    """The sequences as the tensors that every served model takes."""
    return {
        "window": sequences.window_BTC,
        "first_cycles": sequences.first_cycles_BTC,
        "cycle": sequences.cycle_B.astype(np.float32)[:, None],
    }


def answer(session: Any, sequences: Sequences) -> dict[str, Singles]:
    """What the model says about each sequence: every output by name, (B,) each."""
    names = [tensor.name for tensor in session.get_outputs()]
    tensors = feed(sequences)
    starts = range(0, len(sequences), BATCH_ROWS)
    parts = [session.run(names, _rows(tensors, slice(start, start + BATCH_ROWS))) for start in starts]
    return {name: np.concatenate([part[i][:, 0] for part in parts] or [_NONE]) for i, name in enumerate(names)}


_NONE = np.empty(0, dtype=np.float32)


def _rows(tensors: Mapping[str, Singles], rows: slice) -> dict[str, Singles]:
    return {name: values[rows] for name, values in tensors.items()}


def median_latencies_us(sessions: Mapping[str, Any], sequences: Sequences, *, calls: int = 1000) -> dict[str, float]:
    """The median time of one call about one engine, in microseconds, without any transport, of each session by name.

    They take turns, so that a busy moment meets all of them alike.

    Args:
        sessions: by name.
        sequences: what is asked, one row a call, the first hundred in turn; at least one.
        calls: of each.
    """
    tensors = feed(sequences)
    singles = [_rows(tensors, slice(i, i + 1)) for i in range(min(len(sequences), 100))]
    seconds: dict[str, list[float]] = {name: [] for name in sessions}
    for start in range(0, calls, TURN_CALLS):
        for name, session in sessions.items():
            for i in range(start, min(start + TURN_CALLS, calls)):
                started = time.perf_counter()
                session.run(None, singles[i % len(singles)])
                seconds[name].append(time.perf_counter() - started)
    return {name: float(np.median(values) * 1e6) for name, values in seconds.items()}
