"""Quantizes a network's graph to INT8: static, weights by channel, calibrated on rows from the application.

Convolutions compute in INT8 (onnxruntime's own quantizer, QDQ form: each tensor between a quantizing and a dequantizing
node, which a runtime fuses into integer kernels). Dense layers are stored in INT8 and computed in FP32: their inputs
have outliers, and one scale for all inputs raised the error by 1.0 %, while integer products of one row
save no time. The application's pre-processing stays float64. Trees are not quantized: their thresholds compare, they
do not multiply.
"""

from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from sinet_pipelines.errors import QuantizationError
from sinet_pipelines.quantization.graph_rows import GraphRows, Singles
from sinet_pipelines.quantization.session import answer, open_session

COMPUTED = ("Conv", "Relu")  # in INT8
KEPT = "Gemm"  # the operator whose weights alone become INT8
LARGEST = 127  # symmetric: -128 has no positive counterpart

# The quantizer's option for graphs without anything to fold or fuse, such as these; else it warns, twice. Its own
# preparation fails on these graphs or gains nothing (docs/decisions/0011).
_PREPARED = ("onnx.quant.pre_process", "onnxruntime.quant")


def quantize(onnx_bytes: bytes, rows: GraphRows, *, output: str) -> bytes:
    """The graph with its weights in INT8, with the same signature; equal input makes equal bytes.

    Args:
        onnx_bytes: an exported temporal convolution, FP32.
        rows: answerable rows of groups that calibration may use; they set the ranges of the graph.
        output: name of the prediction among its outputs.

    Raises:
        QuantizationError: the graph is not a temporal convolution in FP32, or predicts NaN for a row.
        DisagreementError: the graph cannot be opened.
    """
    import onnx

    model = onnx.load_from_string(onnx_bytes)
    metadata = metadata_of(model)
    _require_convolution(model, metadata)
    _require_numbers(answer(open_session(onnx_bytes, inputs=rows.shapes, output=output), rows)[output])
    quantized = onnx.load_from_string(quantize_layers(onnx_bytes, rows.tensors))
    _describe(quantized, {**metadata, "calibration_rows": str(len(rows)), "precision": "int8"})
    return bytes(quantized.SerializeToString(deterministic=True))


def metadata_of(model: Any) -> dict[str, str]:
    """The metadata of an ONNX model, by key."""
    return {prop.key: prop.value for prop in model.metadata_props}


def quantize_layers(onnx_bytes: bytes, tensors: Mapping[str, Singles]) -> bytes:
    """Any graph with its convolutions computed and its dense layers stored in INT8, without its metadata.

    Args:
        onnx_bytes: the graph.
        tensors: its calibration inputs by name.
    """
    import onnx

    model = onnx.load_from_string(onnx_bytes)
    _describe(model, dict([_PREPARED]))
    quantized = _quantize_computed(model, tensors)
    _quantize_kept(quantized.graph)
    _describe(quantized, {})
    onnx.checker.check_model(quantized, full_check=True)
    return bytes(quantized.SerializeToString(deterministic=True))


def _require_convolution(model: Any, metadata: dict[str, str]) -> None:
    operators = {node.op_type for node in model.graph.node}
    if "Conv" not in operators or "TreeEnsemble" in operators:
        raise QuantizationError(
            f"a graph of family {metadata.get('family')} has no INT8 form (allowed: a temporal convolution alone); "
            "serve it as FP32"
        )
    if "QuantizeLinear" in operators:
        raise QuantizationError("the graph is INT8 already (allowed: FP32); quantize the one it was made from")


def _require_numbers(answers: Singles) -> None:
    broken = int((~np.isfinite(answers)).sum())
    if broken:
        raise QuantizationError(
            f"the graph predicts NaN for {broken} of {len(answers)} calibration rows (allowed: none); train and "
            "export it again"
        )


def _quantize_computed(model: Any, tensors: Mapping[str, Singles]) -> Any:
    """The model with its convolutions in INT8; the quantizer uses files, which are deleted when this returns."""
    import onnx
    from onnxruntime.quantization import (
        CalibrationDataReader,
        CalibrationMethod,
        QuantFormat,
        QuantType,
        quantize_static,
    )

    class Reader(CalibrationDataReader):
        """Passes all rows in one batch."""

        def __init__(self) -> None:
            self._batches = iter([dict(tensors)])

        def get_next(self) -> dict[str, Singles] | None:
            return next(self._batches, None)

    with TemporaryDirectory(prefix="sinet-quantize-") as folder:
        source, target = Path(folder, "fp32.onnx"), Path(folder, "int8.onnx")
        source.write_bytes(model.SerializeToString(deterministic=True))
        quantize_static(
            source,
            target,
            Reader(),
            quant_format=QuantFormat.QDQ,
            op_types_to_quantize=list(COMPUTED),
            per_channel=True,
            # Weights of seven bits: without VNNI two products of eight bits are summed in sixteen bits, which overflow.
            # The same graph then differed by up to half a cycle from another processor; the error is the same.
            reduce_range=True,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
            calibrate_method=CalibrationMethod.MinMax,
        )
        return onnx.load(target)


def _quantize_kept(graph: Any) -> None:
    """Writes the weights of dense layers as integers times a step.

    A cast and a product become constants when onnxruntime opens the model; it would keep a dequantizing node and run it
    again at every call.
    """
    from onnx import TensorProto, helper, numpy_helper

    tensors = {tensor.name: tensor for tensor in graph.initializer}
    for node in [node for node in graph.node if node.op_type == KEPT]:
        name = node.input[1]
        weights_OI = numpy_helper.to_array(tensors[name])
        scales_O1 = channel_scales(weights_OI)[:, None]
        parts = {f"{name}_quantized": np.round(weights_OI / scales_O1).astype(np.int8), f"{name}_scale": scales_O1}
        graph.initializer.remove(tensors[name])
        graph.initializer.extend(numpy_helper.from_array(values, part) for part, values in parts.items())
        integers, scales = parts
        cast = helper.make_node("Cast", [integers], [f"{integers}_cast"], name=f"{name}_Cast", to=TensorProto.FLOAT)
        graph.node.insert(0, helper.make_node("Mul", [f"{integers}_cast", scales], [name], name=f"{name}_Mul"))
        graph.node.insert(0, cast)


def channel_scales(weights_OI: Singles) -> Singles:
    """(O,) float32 scale of each row of weights, so that its largest becomes 127; 1 for a row of zeros.

    >>> channel_scales(np.array([[1.27, -0.5], [0.0, 0.0]], dtype=np.float32)).tolist() == [np.float32(0.01), 1.0]
    True
    """
    steps_O = np.abs(weights_OI).max(axis=1) / np.float32(LARGEST)
    return np.where(steps_O >= np.finfo(np.float32).tiny, steps_O, np.float32(1.0))


def _describe(model: Any, metadata: dict[str, str]) -> None:
    from onnx import helper

    del model.metadata_props[:]
    helper.set_model_props(model, dict(sorted(metadata.items())))
