"""Writes the files that MLflow's own loaders need beside a version's graph: `MLmodel` and `requirements.txt`.

With them `mlflow.onnx.load_model("models:/NAME@champion")` and `mlflow.pyfunc.load_model(...)` work without code of the
platform. Nothing is pickled: `MLmodel` is text, derived from the graph and the installed packages.
"""

import json
import platform
from importlib.metadata import version
from typing import Any

MLMODEL = "MLmodel"
REQUIREMENTS = "requirements.txt"
# numpy names of ONNX's element types (`TensorProto.DataType`) that MLflow's schemas support
_TYPES = {
    1: "float32",
    2: "uint8",
    3: "int8",
    5: "int16",
    6: "int32",
    7: "int64",
    8: "str",
    9: "bool",
    10: "float16",
    11: "float64",
    12: "uint32",
    13: "uint64",
}


def loader_files(content: bytes, *, file: str) -> dict[str, bytes]:
    """The content of the files by name; empty for bytes that are not an ONNX graph.

    Args:
        content: bytes of the graph.
        file: name of the graph's file in the same folder.
    """
    import onnx
    import yaml
    from google.protobuf.message import DecodeError

    try:
        graph = onnx.load_from_string(content).graph
    except DecodeError:
        return {}
    if not graph.input or not graph.output:
        return {}
    packages = [f"{name}=={version(name)}" for name in ("mlflow", "numpy", "onnx", "onnxruntime")]
    described = {
        "flavors": {
            "onnx": {
                "code": None,
                "data": file,
                "onnx_version": onnx.__version__,
                "providers": ["CPUExecutionProvider"],
                "onnx_session_options": None,
            },
            "python_function": {
                "data": file,
                "loader_module": "mlflow.onnx",
                "python_version": platform.python_version(),
            },
        },
        "mlflow_version": version("mlflow"),
        "model_size_bytes": len(content),
        "signature": {
            "inputs": json.dumps([_tensor(value) for value in graph.input]),
            "outputs": json.dumps([_tensor(value) for value in graph.output]),
            "params": None,
        },
    }
    return {
        MLMODEL: yaml.safe_dump(described, sort_keys=True).encode(),
        REQUIREMENTS: "".join(f"{package}\n" for package in packages).encode(),
    }


def _tensor(value: Any) -> dict[str, Any]:
    """One input or output of the graph in the form of MLflow's schema; a dimension without a fixed size is -1."""
    kind = value.type.tensor_type
    shape = [one.dim_value if one.HasField("dim_value") else -1 for one in kind.shape.dim]
    return {
        "name": value.name,
        "type": "tensor",
        "tensor-spec": {"dtype": _TYPES.get(kind.elem_type, "object"), "shape": shape},
    }
