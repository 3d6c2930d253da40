"""Opens a graph in onnxruntime as it is served: one thread, on the CPU; imports nothing else, for use in a server."""

from functools import cache
from typing import Any


def served_session(onnx_bytes: bytes) -> Any:
    """An `onnxruntime.InferenceSession` of one thread.

    Raises:
        Exception: one of `runtime_failures`, when onnxruntime cannot run the bytes as a graph.
    """
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 3  # errors are exceptions; warnings about the host are not useful here
    return onnxruntime.InferenceSession(onnx_bytes, options, providers=["CPUExecutionProvider"])


@cache
def runtime_failures() -> tuple[type[Exception], ...]:
    """The exceptions of onnxruntime, which have no common base class of their own."""
    from onnxruntime.capi import onnxruntime_pybind11_state as state

    own = [value for value in vars(state).values() if isinstance(value, type) and issubclass(value, Exception)]
    return (*own, RuntimeError, ValueError)  # the Python layer raises these two for invalid inputs
