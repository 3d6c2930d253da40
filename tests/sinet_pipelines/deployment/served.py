"""Small real models with the house's signature, and what they must answer; shared by the tests of servers."""

import subprocess
import sys
from pathlib import Path

import numpy as np

from sinet_pipelines.applications.turbofan.schemas.telemetry import CHANNELS
from sinet_pipelines.deployment.publish import publish_model
from sinet_pipelines.deployment.repository import Manifest

Inputs = dict[str, np.ndarray]


def sane_inputs(rows: int = 1, *, seed: int = 0) -> Inputs:
    """Rows as the house's models take them, with one absent cycle (a row of NaN) in each window."""
    generator = np.random.default_rng(seed)
    inputs = {
        "window": generator.normal(size=(rows, 30, len(CHANNELS))).astype(np.float32),
        "first_cycles": generator.normal(size=(rows, 10, len(CHANNELS))).astype(np.float32),
        "cycle": generator.integers(30, 300, size=(rows, 1)).astype(np.float32),
    }
    inputs["window"][:, 3] = np.nan
    return inputs


def expected_rul(inputs: Inputs, *, bias: float) -> np.ndarray:
    """The same rule as `rul_graph`, in numpy: absent cycles count as zero."""
    present = np.nan_to_num(inputs["window"].astype(np.float64))
    return bias + present.mean(axis=(1, 2))[:, None] + 0.01 * inputs["cycle"]


def rul_graph(bias: float = 100.0, *, answers_nan: bool = False, with_interval: bool = False):
    """RUL = bias + mean of the window (NaN as 0) + cycle / 100; `first_cycles` is declared and only passed over."""
    from onnx import TensorProto as T
    from onnx import helper as h
    from onnx import numpy_helper as n

    constants = {
        "zero": np.float32(0),
        "bias": np.float32(np.nan if answers_nan else bias),
        "share": np.float32(0.01),
        "axes": np.array([1, 2], dtype=np.int64),
        "column": np.array([1], dtype=np.int64),
        "width": np.float32(10),
    }
    nodes = [
        h.make_node("IsNaN", ["window"], ["absent"]),
        h.make_node("Where", ["absent", "zero", "window"], ["present"]),
        h.make_node("ReduceMean", ["present", "axes"], ["mean"], keepdims=0),
        h.make_node("Unsqueeze", ["mean", "column"], ["mean_column"]),
        h.make_node("Mul", ["cycle", "share"], ["age"]),
        h.make_node("Add", ["mean_column", "age"], ["worn"]),
        h.make_node("Add", ["worn", "bias"], ["rul_cycles"]),
        h.make_node("Shape", ["first_cycles"], ["unused"]),
    ]
    outputs = ["rul_cycles"]
    if with_interval:
        nodes += [
            h.make_node("Sub", ["rul_cycles", "width"], ["lower_cycles"]),
            h.make_node("Add", ["rul_cycles", "width"], ["upper_cycles"]),
        ]
        outputs += ["lower_cycles", "upper_cycles"]
    shapes = {
        "window": ["batch", 30, len(CHANNELS)],
        "first_cycles": ["batch", 10, len(CHANNELS)],
        "cycle": ["batch", 1],
    }
    graph = h.make_graph(
        nodes,
        "rul",
        [h.make_tensor_value_info(name, T.FLOAT, shape) for name, shape in shapes.items()],
        [h.make_tensor_value_info(name, T.FLOAT, ["batch", 1]) for name in outputs],
        [n.from_array(np.asarray(value), name) for name, value in constants.items()],
    )
    return h.make_model(graph, opset_imports=[h.make_opsetid("", 18)], ir_version=10)


def save(graph, path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(graph.SerializeToString())
    return path


def publish_rul(repository: Path, version: str, *, bias: float = 100.0, alias: str | None = None, **kind) -> Manifest:
    """A version of the model `rul`, told apart from the others by its bias."""
    path = save(rul_graph(bias, **kind), repository.parent / f"rul-{version}-{bias}.onnx")
    return publish_model(repository, "rul", version=version, onnx=path, sample=sane_inputs(), alias=alias)


def run_script(code: str, *arguments: object, timeout_s: float = 300.0) -> subprocess.CompletedProcess[str]:
    """A script in a process of its own, as a stranger's program is."""
    command = [sys.executable, "-W", "ignore", "-c", code, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=timeout_s)


def slow_graph():
    """Work for about as long as `rounds` says: that many products of matrices, one after another."""
    from onnx import TensorProto as T
    from onnx import helper as h
    from onnx import numpy_helper as n

    body = h.make_graph(
        [
            h.make_node("MatMul", ["before", "matrix"], ["after"]),
            h.make_node("Identity", ["go_on"], ["goes_on"]),
        ],
        "round",
        [
            h.make_tensor_value_info("i", T.INT64, []),
            h.make_tensor_value_info("go_on", T.BOOL, []),
            h.make_tensor_value_info("before", T.FLOAT, [256, 256]),
        ],
        [h.make_tensor_value_info("goes_on", T.BOOL, []), h.make_tensor_value_info("after", T.FLOAT, [256, 256])],
    )
    identity = np.eye(256, dtype=np.float32)
    nodes = [
        h.make_node("ReduceMax", ["rounds"], ["count"], keepdims=0),
        h.make_node("Loop", ["count", "", "matrix"], ["last"], body=body),
        h.make_node("ReduceSum", ["last"], ["sum"], keepdims=0),
        h.make_node("Cast", ["rounds"], ["asked"], to=T.FLOAT),
        h.make_node("Add", ["asked", "sum"], ["total"]),
    ]
    graph = h.make_graph(
        nodes,
        "slow",
        [h.make_tensor_value_info("rounds", T.INT64, ["batch", 1])],
        [h.make_tensor_value_info("total", T.FLOAT, ["batch", 1])],
        [n.from_array(identity, "matrix")],
    )
    return h.make_model(graph, opset_imports=[h.make_opsetid("", 18)], ir_version=10)
