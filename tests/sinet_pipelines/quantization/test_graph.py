import numpy as np
import onnx

from sinet_pipelines.quantization.graph import GraphWriter


def _doubled(*, by: float = 2.0) -> bytes:
    graph = GraphWriter()
    twice = graph.node("Mul", "x", graph.constant(by, np.float32))
    both = graph.node("Add", twice, graph.constant(by, np.float32))
    return graph.finish(inputs={"x": (1,)}, outputs={"y": (both, (1,))}, metadata={"b": "2", "a": "1"})


def test_the_same_calls_give_the_same_bytes():
    assert _doubled() == _doubled()


def test_another_constant_gives_other_bytes():
    assert _doubled() != _doubled(by=3.0)


def test_equal_constants_are_held_once():
    model = onnx.load_from_string(_doubled())
    assert len(model.graph.initializer) == 1


def test_constants_of_one_value_and_two_formats_are_two():
    graph = GraphWriter()
    assert graph.constant(0.0, np.float32) != graph.constant(0.0, np.float64)
    assert graph.constant(0.0, np.float64) != graph.constant([0.0], np.float64)


def test_metadata_is_written_in_the_order_of_its_names():
    model = onnx.load_from_string(_doubled())
    assert [(prop.key, prop.value) for prop in model.metadata_props] == [("a", "1"), ("b", "2")]


def test_the_batch_axis_is_free():
    model = onnx.load_from_string(_doubled())
    dims = model.graph.input[0].type.tensor_type.shape.dim
    assert [dim.dim_param or dim.dim_value for dim in dims] == ["batch", 1]
