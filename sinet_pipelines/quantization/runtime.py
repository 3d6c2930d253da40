"""Opens a graph in onnxruntime as it is served: one thread, on the processor; imports nothing else, so a server may."""

from functools import cache
from typing import Any


def served_session(onnx_bytes: bytes) -> Any:
    """An `onnxruntime.InferenceSession` of one thread.

    Raises:
        Exception: one of `runtime_failures`, when the bytes are no graph that onnxruntime can run.
    """
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 3  # what is wrong comes as an exception; warnings about the host help nobody here
    return onnxruntime.InferenceSession(onnx_bytes, options, providers=["CPUExecutionProvider"])


@cache
def runtime_failures() -> tuple[type[Exception], ...]:
    """What onnxruntime raises; its exceptions share no ancestor of their own."""
    from onnxruntime.capi import onnxruntime_pybind11_state as state

    own = [value for value in vars(state).values() if isinstance(value, type) and issubclass(value, Exception)]
    return (*own, RuntimeError, ValueError)  # the Python layer checks inputs with these two
