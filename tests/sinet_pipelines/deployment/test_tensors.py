"""Tensors from strangers: a value of its type comes through unchanged, everything else is refused in a sentence."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from sinet_pipelines.deployment.tensors import (
    DATATYPES,
    DTYPES,
    TensorSpec,
    check_datatype,
    datatype_of_onnx,
    from_json,
    from_raw,
    shape_of,
    to_raw,
)
from sinet_pipelines.errors import UsageError

NUMBERS = sorted(set(DATATYPES) - {"BYTES"})


def spec(datatype: str, shape: tuple[int, ...]) -> TensorSpec:
    return TensorSpec("x", datatype, shape)


@given(st.data())
def test_raw_bytes_of_any_number_come_back_bit_by_bit(data):
    datatype = data.draw(st.sampled_from(NUMBERS))
    values = data.draw(arrays(DTYPES[datatype], array_shapes(max_dims=3, max_side=4)))
    back = from_raw(memoryview(to_raw(values, datatype)), spec(datatype, values.shape), values.shape)
    assert back.dtype == values.dtype
    assert back.tobytes() == values.tobytes()


@given(st.lists(st.text(max_size=5), min_size=1, max_size=4))
def test_raw_bytes_of_any_texts_come_back(texts):
    values = np.array([*texts, None], dtype=object)[:-1]
    back = from_raw(memoryview(to_raw(values, "BYTES")), spec("BYTES", (-1,)), values.shape)
    assert back.tolist() == texts


def test_raw_texts_have_their_length_before_them():
    assert to_raw(np.array(["ab", ""], dtype=object), "BYTES") == b"\x02\0\0\0ab\0\0\0\0"


@given(arrays(np.float32, (2, 3), elements=st.floats(width=32, allow_infinity=False)))
def test_json_floats_come_back_and_null_is_nan(values):
    nested = [[None if np.isnan(v) else float(v) for v in row] for row in values]
    for data in (nested, sum(nested, [])):
        np.testing.assert_array_equal(from_json(data, spec("FP32", (-1, 3)), (2, 3)), values)


def test_values_that_lie_askew_in_memory_are_aligned_before_a_kernel_sees_them():
    body = memoryview(b"\0" + np.float32([1, 2]).tobytes())
    assert from_raw(body[1:], spec("FP32", (2,)), (2,)).flags.aligned


def test_any_nonzero_byte_is_true():
    assert from_raw(memoryview(b"\x00\x02"), spec("BOOL", (2,)), (2,)).tobytes() == b"\x00\x01"


def test_a_number_too_large_for_fp32_is_infinite():
    assert from_json([1e300], spec("FP32", (1,)), (1,))[0] == np.inf


@pytest.mark.parametrize(
    ("datatype", "data"),
    [
        ("FP32", ["1.5"]),
        ("FP32", [True]),
        ("FP32", [[]]),
        ("FP32", [{}]),
        ("FP32", "1"),
        ("FP32", [10**400]),
        ("FP64", [10**400]),
        ("INT64", [10**4299]),
        ("UINT64", [10**4299]),
        ("FP32", [1.0, [2.0]]),
        ("FP32", [1.0, 2.0]),
        ("INT64", [1.5]),
        ("INT64", [None]),
        ("INT64", [2**63]),
        ("UINT8", [256]),
        ("UINT8", [-1]),
        ("INT8", [True]),
        ("BOOL", [1]),
        ("BYTES", [1]),
        ("BYTES", [["a"], "b"]),
        ("BYTES", None),
        ("BYTES", ["\ud800"]),
    ],
)
def test_json_that_is_no_value_of_its_type_is_refused(datatype, data):
    with pytest.raises(UsageError, match="'x'"):
        from_json(data, spec(datatype, (1,)), (1,))


@pytest.mark.parametrize(
    ("datatype", "data"),
    [("FP32", [1.5, True]), ("FP32", [[1.5, False]]), ("INT64", [5, True]), ("UINT8", [[0], [False]])],
)
def test_truth_among_numbers_is_refused(datatype, data):
    with pytest.raises(UsageError, match="true or false"):
        from_json(data, spec(datatype, (2,)), (2,))


@pytest.mark.parametrize(("datatype", "data"), [("FP32", [0.0, 1.0]), ("FP32", [[0], [None]]), ("INT64", [1, 0])])
def test_nought_and_one_are_numbers(datatype, data):
    found = from_json(data, spec(datatype, (2,)), (2,))
    np.testing.assert_array_equal(found, np.array(data, dtype=float).ravel())


def test_a_half_float_comes_through_as_raw_bytes_and_as_json():
    values = np.array([1.5, np.nan], "<f2")
    for found in (
        from_raw(memoryview(values.tobytes()), spec("FP16", (2,)), (2,)),
        from_json([1.5, None], spec("FP16", (2,)), (2,)),
    ):
        assert found.dtype == np.float16
        np.testing.assert_array_equal(found, values)
    with pytest.raises(UsageError, match="8 bytes for 'x'"):
        from_raw(memoryview(values.astype("<f4").tobytes()), spec("FP16", (2,)), (2,))


@pytest.mark.parametrize("raw", [b"", b"\0\0\0", b"\0" * 5])
def test_raw_bytes_of_another_count_are_refused(raw):
    with pytest.raises(UsageError, match="allowed: 4"):
        from_raw(memoryview(raw), spec("FP32", (1,)), (1,))


@pytest.mark.parametrize("raw", [b"\1", b"\5\0\0\0ab", b"\1\0\0\0\xff"])
def test_raw_texts_that_end_early_or_are_no_utf8_are_refused(raw):
    with pytest.raises(UsageError, match="'x'"):
        from_raw(memoryview(raw), spec("BYTES", (1,)), (1,))


@pytest.mark.parametrize(
    "shape",
    [
        None,
        "13",
        [1],
        [1, 2],
        [0, 3],
        [-1, 3],
        [True, 3],
        [1.0, 3],
        [10**30, 4],
        [1, 3, 1],
        [10**4299, 3],
        [-(10**4400), 3],
    ],
)
def test_a_shape_that_the_model_does_not_declare_is_refused(shape):
    with pytest.raises(UsageError, match="'x'"):
        shape_of(spec("FP32", (-1, 3)), shape)


def test_numbers_are_never_converted_on_the_way_in():
    with pytest.raises(UsageError, match=r"'FP64' \(allowed: FP32\)"):
        check_datatype(spec("FP32", (1,)), "FP64")


def test_an_onnx_type_without_a_name_in_the_protocol_is_refused():
    with pytest.raises(UsageError, match="no datatype for seq"):
        datatype_of_onnx("seq(tensor(float))")


def test_datatypes_are_as_wide_as_tritons_own_client_takes_them():
    from tritonclient.utils import triton_to_np_dtype

    for name in NUMBERS:
        assert DTYPES[name] == np.dtype(triton_to_np_dtype(name)), name
