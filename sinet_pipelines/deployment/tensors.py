"""Tensors of the Open Inference Protocol v2: datatypes, declared shapes, and parsing of one tensor from JSON or bytes.

These checks run before data reach a model. They reject a value that is not of the declared type, a shape that does not
fit the declaration, and a wrong number of values. Nothing is guessed or truncated.

JSON has no NaN. In floating-point data `null` is NaN: an absent cycle is a row of nulls.

>>> spec = TensorSpec("cycle", "FP32", (-1, 1))
>>> from_json([3, None], spec, shape_of(spec, [2, 1])).tolist()
[[3.0], [nan]]
"""

import math
import struct
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sinet_pipelines.errors import UsageError

#: Protocol name -> (little-endian numpy type of the raw bytes; ONNX Runtime's name).
DATATYPES: dict[str, tuple[str, str]] = {
    "BOOL": ("?", "tensor(bool)"),
    "INT8": ("<i1", "tensor(int8)"),
    "INT16": ("<i2", "tensor(int16)"),
    "INT32": ("<i4", "tensor(int32)"),
    "INT64": ("<i8", "tensor(int64)"),
    "UINT8": ("<u1", "tensor(uint8)"),
    "UINT16": ("<u2", "tensor(uint16)"),
    "UINT32": ("<u4", "tensor(uint32)"),
    "UINT64": ("<u8", "tensor(uint64)"),
    "FP16": ("<f2", "tensor(float16)"),
    "FP32": ("<f4", "tensor(float)"),
    "FP64": ("<f8", "tensor(double)"),
    "BYTES": ("O", "tensor(string)"),
}
DTYPES: dict[str, np.dtype] = {name: np.dtype(code) for name, (code, _) in DATATYPES.items()}
_BY_ONNX = {onnx: name for name, (_, onnx) in DATATYPES.items()}
MAX_SIZE = 2**31 - 1  # of one axis: larger than in any request, and safe for arithmetic and messages
_LENGTH = struct.Struct("<I")  # before each element of a BYTES tensor: its length in bytes


@dataclass(frozen=True)
class TensorSpec:
    """A model's declaration of one of its inputs or outputs.

    Attributes:
        name: its name in the graph.
        datatype: a key of `DATATYPES`.
        shape: size of each axis, -1 for any size of at least 1; the first axis is the batch.
    """

    name: str
    datatype: str
    shape: tuple[int, ...]


def datatype_of_onnx(onnx_type: str) -> str:
    """The protocol's name of an ONNX Runtime type.

    Raises:
        UsageError: the protocol has no such type (sequences, maps, bfloat16, complex numbers).

    >>> datatype_of_onnx("tensor(float)")
    'FP32'
    """
    if onnx_type not in _BY_ONNX:
        raise UsageError(f"no datatype for {onnx_type} (known: {', '.join(_BY_ONNX)}); change the graph's signature")
    return _BY_ONNX[onnx_type]


def check_datatype(spec: TensorSpec, datatype: object) -> None:
    """Rejects a datatype other than the declared one; numbers are never converted.

    Raises:
        UsageError: the datatypes differ.
    """
    if datatype != spec.datatype:
        raise UsageError(f"input {spec.name!r} came as {datatype!r} (allowed: {spec.datatype}); send it as that")


def shape_of(spec: TensorSpec, shape: Any) -> tuple[int, ...]:
    """Returns the shape in the request after a check against the declared one.

    Raises:
        UsageError: it is not a list of whole numbers, has another rank, or a size that is not allowed.
    """
    if not isinstance(shape, list | tuple) or any(type(size) is not int for size in shape):
        raise UsageError(f"shape of {spec.name!r} is not a list of whole numbers; send one like {list(spec.shape)}")
    if any(abs(size) > MAX_SIZE for size in shape):
        raise UsageError(
            f"shape of {spec.name!r} has a size beyond {MAX_SIZE} (allowed: {list(spec.shape)}, -1 is any size); "
            "send another shape"
        )
    fits = len(shape) == len(spec.shape) and all(
        sent > 0 and declared in (sent, -1) for sent, declared in zip(shape, spec.shape, strict=True)
    )
    if not fits:
        raise UsageError(
            f"input {spec.name!r} has shape {_short(shape)} (allowed: {list(spec.shape)}, -1 is any size from 1); "
            "send another shape"
        )
    return tuple(shape)


def from_raw(raw: memoryview, spec: TensorSpec, shape: tuple[int, ...]) -> NDArray:
    """The tensor of these bytes: little-endian, row-major; each element of BYTES follows its length in 4 bytes.

    Raises:
        UsageError: there are more or fewer bytes than the shape needs, or texts that are not UTF-8.
    """
    if spec.datatype == "BYTES":
        return _texts(_split(raw, spec), spec, shape)
    dtype = DTYPES[spec.datatype]
    expected = math.prod(shape) * dtype.itemsize
    if len(raw) != expected:
        raise UsageError(f"{len(raw)} bytes for {spec.name!r} (allowed: {expected} for {_short(shape)}); send those")
    if spec.datatype == "BOOL":
        return (np.frombuffer(raw, dtype="u1") != 0).reshape(shape)  # graphs may misread bytes other than 0 and 1
    values = np.frombuffer(raw, dtype=dtype).reshape(shape)
    return values if values.flags.aligned else values.copy()  # kernels may assume their type's alignment


def from_json(data: Any, spec: TensorSpec, shape: tuple[int, ...]) -> NDArray:
    """The tensor of a JSON list, flat or nested, row-major; null is NaN in floating-point data.

    Raises:
        UsageError: it is not a list, has another number of values than the shape needs, or a value of another datatype.
    """
    if not isinstance(data, list):
        raise UsageError(f"data of {spec.name!r} is not a list; send its {math.prod(shape)} values in one")
    if spec.datatype == "BYTES":
        return _texts(np.array(data, dtype=object).ravel().tolist(), spec, shape)
    try:
        # numpy reads a list with numbers below and above 2^63 as floats and would round them
        values = np.array(data, dtype=object if spec.datatype == "UINT64" else None)
    except (ValueError, OverflowError) as error:
        raise UsageError(f"data of {spec.name!r} is ragged; send lists of equal lengths, or one flat list") from error
    if values.dtype.kind in "iuf" and _has_booleans(data, values):
        raise UsageError(f"data of {spec.name!r} holds true or false, which is not {spec.datatype}; send numbers")
    return in_shape(_as_numbers(values, spec), spec, shape)


def in_shape(values: NDArray, spec: TensorSpec, shape: tuple[int, ...]) -> NDArray:
    """Reshapes the values to the shape in the request.

    Raises:
        UsageError: there are more or fewer values than the shape needs.
    """
    expected = math.prod(shape)
    if values.size != expected:
        raise UsageError(
            f"{values.size} values for {spec.name!r} (allowed: {expected} for {_short(shape)}); send those"
        )
    return values.reshape(shape)


def to_raw(values: NDArray, datatype: str) -> bytes:
    """The bytes of a tensor in the form that `from_raw` reads."""
    if datatype != "BYTES":
        return values.astype(DTYPES[datatype], copy=False).tobytes()
    texts = [str(text).encode() for text in values.ravel()]
    return b"".join(_LENGTH.pack(len(text)) + text for text in texts)


def whole_numbers(values: NDArray, spec: TensorSpec) -> NDArray:
    """Converts whole numbers to the declared integer type.

    Raises:
        UsageError: a number is outside the range of the type.
    """
    dtype = DTYPES[spec.datatype]
    limits = np.iinfo(dtype)
    low, high = (int(values.min()), int(values.max())) if values.size else (0, 0)
    if low < limits.min or high > limits.max:
        found = low if low < limits.min else high
        raise UsageError(
            f"{_short_number(found)} in {spec.name!r} is not {spec.datatype} (allowed: {limits.min} to {limits.max})"
        )
    return values.astype(dtype)


def _as_numbers(values: NDArray, spec: TensorSpec) -> NDArray:
    """Converts parsed JSON values to the declared type.

    Raises:
        UsageError: a value is not of the declared type.
    """
    dtype, kind = DTYPES[spec.datatype], values.dtype.kind
    if dtype.kind == "f" and (kind in "fiu" or _are_numbers_or_null(values)):
        try:
            with np.errstate(over="ignore"):  # 1e300 becomes infinite in FP32, as in a cast of any language
                return values.astype(dtype)
        except OverflowError as error:  # an integer of hundreds of digits, which only the slower parser accepts
            raise UsageError(
                f"data of {spec.name!r} holds an integer that is not {spec.datatype}; send numbers of that type"
            ) from error
    if dtype.kind in "iu" and kind in "iuO" and all(type(v) is int for v in values.ravel().tolist()):
        return whole_numbers(values, spec)
    if dtype.kind == "b" and kind == "b":
        return values
    raise UsageError(f"data of {spec.name!r} holds values that are not {spec.datatype}; send only values of that type")


def _has_booleans(data: list[Any], values: NDArray) -> bool:
    """Whether true or false is among the numbers: numpy reads these as 1 and 0, so only 1 and 0 are looked up."""
    if not ((values == 0) | (values == 1)).any():
        return False
    return any(type(value) is bool for value in np.array(data, dtype=object).ravel().tolist())


def _are_numbers_or_null(values: NDArray) -> bool:
    return values.dtype.kind == "O" and all(v is None or type(v) in (float, int) for v in values.ravel().tolist())


def _split(raw: memoryview, spec: TensorSpec) -> list[bytes]:
    """The elements of a BYTES tensor."""
    parts, at = [], 0
    while at < len(raw):
        start = at + _LENGTH.size
        if start > len(raw) or start + (size := _LENGTH.unpack(raw[at:start])[0]) > len(raw):
            raise UsageError(f"{spec.name!r} ends inside an element; put 4 bytes of length before each one's bytes")
        parts.append(bytes(raw[start : start + size]))
        at = start + size
    return parts


def _texts(elements: list[Any], spec: TensorSpec, shape: tuple[int, ...]) -> NDArray:
    """A tensor of texts; ONNX strings are UTF-8."""
    try:
        texts = [element.decode() if isinstance(element, bytes) else element for element in elements]
    except UnicodeDecodeError as error:
        raise UsageError(f"{spec.name!r} holds bytes that are not UTF-8; send texts") from error
    if not all(isinstance(text, str) for text in texts):
        raise UsageError(f"data of {spec.name!r} holds values that are not texts; send only texts")
    if not all(is_unicode(text) for text in texts):
        raise UsageError(f"data of {spec.name!r} holds half of a surrogate pair, which is not UTF-8; send whole texts")
    values = np.empty(len(texts), dtype=object)
    values[:] = texts
    return in_shape(values, spec, shape)


def is_unicode(text: str) -> bool:
    """Whether the text can be encoded as UTF-8; `json.loads` accepts half of a surrogate pair, which cannot."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _short_number(number: int) -> str:
    """The number for a message, shortened where it has many digits."""
    return str(number) if abs(number) < 10**30 else "an integer of more than 30 digits"


def _short(shape: Any) -> str:
    """The shape for a message, shortened where it is long."""
    text = str(list(shape))
    return text if len(text) <= 60 else text[:57] + "..."
