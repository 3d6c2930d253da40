"""Measures the cost of a graph: its bytes, those of its network's weights, and the time of one prediction."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from sinet_pipelines.quantization.graph_rows import GraphRows
from sinet_pipelines.quantization.session import median_latencies_us, open_session

LAYERS = ("Conv", "Gemm")  # the operators of a network's layers; an application's pre-processing has none of them


@dataclass(frozen=True)
class Footprint:
    """The cost of a graph.

    Attributes:
        n_bytes: of the whole graph as served.
        weight_bytes: of its network's weights, scales and biases; 0 where it has no such layer.
        p50_us: median time of one prediction on one thread, in microseconds.
    """

    n_bytes: int
    weight_bytes: int
    p50_us: float


def footprints(
    graphs: Mapping[str, bytes], graph_rows: GraphRows, *, output: str, calls: int = 1000
) -> dict[str, Footprint]:
    """The footprint of each graph; all are timed in turns, so that other load of the machine affects every one.

    Args:
        graphs: by name.
        graph_rows: rows, one in each call; at least one.
        output: name of an output that each must have.
        calls: number of calls of each.

    Raises:
        DisagreementError: one cannot be opened.
    """
    sessions = {name: open_session(graph, inputs=graph_rows.shapes, output=output) for name, graph in graphs.items()}
    p50_us = median_latencies_us(sessions, graph_rows, calls=calls)
    return {name: Footprint(len(graph), weight_bytes(graph), p50_us[name]) for name, graph in graphs.items()}


def weight_bytes(onnx_bytes: bytes) -> int:
    """Bytes of the constants that a network's layers read, with the constants of their dequantization."""
    from onnx import load_from_string, numpy_helper

    graph = load_from_string(onnx_bytes).graph
    sizes = {tensor.name: int(numpy_helper.to_array(tensor).nbytes) for tensor in graph.initializer}
    made_by = {node.output[0]: node for node in graph.node}
    read = (name for node in graph.node if node.op_type in LAYERS for name in node.input[1:])
    return sum(sizes[name] for name in _constants(read, sizes, made_by))


def _constants(names: Iterable[str], sizes: Mapping[str, int], made_by: Mapping[str, Any]) -> set[str]:
    """The constants from which some tensors are computed."""
    found, open_names = set(), list(names)
    while open_names:
        name = open_names.pop()
        if name in sizes:
            found.add(name)
        elif name in made_by:
            open_names.extend(made_by[name].input)
    return found
