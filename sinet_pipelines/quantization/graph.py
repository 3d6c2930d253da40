"""Writes an ONNX graph node by node, so that the same calls make the same bytes.

Names are numbers in the order of the calls, and equal constants are stored once. Nothing of the machine, the clock or a
hash seed is in a graph, so a model's SHA-256 identifies its predictions.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

# 18 is the first opset whose reductions all have their axes as an input. ai.onnx.ml 5 is the first with trees in
# float64 throughout (onnx Operators-ml.md, TreeEnsemble) and came with IR 10. An onnxruntime older than its pull
# request 22333 (end of 2024) does not support it and reports that when it opens the model.
OPSET, ML_OPSET, IR_VERSION = 18, 5, 10
ML_DOMAIN = "ai.onnx.ml"


class GraphWriter:
    """A graph in progress; every method returns the name of the tensor that it made."""

    def __init__(self) -> None:
        self._nodes: list[Any] = []
        self._constants: dict[tuple[str, tuple[int, ...], bytes], str] = {}
        self._initializers: list[Any] = []

    def node(self, operator: str, *inputs: str, domain: str = "", **attributes: Any) -> str:
        """The one output of a new node."""
        from onnx import helper

        name = f"t{len(self._nodes)}"
        self._nodes.append(
            helper.make_node(operator, inputs, [name], name=f"{operator}_{name}", domain=domain, **attributes)
        )
        return name

    def constant(self, values: Any, dtype: type) -> str:
        """A constant tensor, stored once however often it is requested."""
        from onnx import numpy_helper

        array: NDArray = np.ascontiguousarray(np.asarray(values, dtype=dtype)).reshape(np.shape(values))
        key = (str(array.dtype), array.shape, array.tobytes())
        if key not in self._constants:
            self._constants[key] = f"c{len(self._constants)}"
            self._initializers.append(numpy_helper.from_array(array, self._constants[key]))
        return self._constants[key]

    def cast(self, tensor: str, dtype: type) -> str:
        """The tensor in another number format."""
        from onnx import helper

        return self.node("Cast", tensor, to=helper.np_dtype_to_tensor_dtype(np.dtype(dtype)))

    def finish(
        self,
        *,
        inputs: Mapping[str, Sequence[int]],
        outputs: Mapping[str, tuple[str, Sequence[int]]],
        metadata: Mapping[str, str],
    ) -> bytes:
        """The model's bytes, checked by onnx.

        Args:
            inputs: the shape of each FP32 input after its batch axis.
            outputs: the FP32 tensor of each output, and its shape after its batch axis.
            metadata: the model's metadata.
        """
        import onnx
        from onnx import helper

        results = [helper.make_node("Identity", [tensor], [name], name=name) for name, (tensor, _) in outputs.items()]
        graph = helper.make_graph(
            self._nodes + results,
            "served_model",
            [_tensor(name, shape) for name, shape in inputs.items()],
            [_tensor(name, shape) for name, (_, shape) in outputs.items()],
            self._initializers,
        )
        opsets = [helper.make_opsetid("", OPSET), helper.make_opsetid(ML_DOMAIN, ML_OPSET)]
        model = helper.make_model(graph, opset_imports=opsets, ir_version=IR_VERSION, producer_name="sinet_pipelines")
        helper.set_model_props(model, dict(sorted(metadata.items())))
        onnx.checker.check_model(model, full_check=True)
        return bytes(model.SerializeToString(deterministic=True))


def write_clipped(graph: GraphWriter, values: str, bounds: tuple[float, float] | None) -> str:
    """The values within the bounds, float64; NaN stays NaN, so that gates find it."""
    if bounds is None:
        return values
    return graph.node("Clip", values, *(graph.constant(bound, np.float64) for bound in bounds))


def _tensor(name: str, shape: Sequence[int]) -> Any:
    from onnx import TensorProto, helper

    return helper.make_tensor_value_info(name, TensorProto.FLOAT, ["batch", *shape])
