"""Counts the fields of a protobuf message before it is parsed: a parsed field of two bytes takes a hundred in memory.

The wire format is in protobuf.dev/programming-guides/encoding: a varint with field number and type, then the value.
"""

from collections.abc import Mapping

_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
Schema = Mapping[int, "Schema"]  # number of a field that is a message -> the same for that message

_PARAMETER: Schema = {2: {}}
_TENSOR: Schema = {4: _PARAMETER}  # its contents are arrays, which take no more memory than their bytes in the message
INFER_REQUEST: Schema = {4: _PARAMETER, 5: _TENSOR, 6: _TENSOR}


def count_fields(message: bytes, schema: Schema, *, at_most: int) -> int:
    """The number of fields of a message and its nested messages; counting stops at the first number above `at_most`.

    Invalid bytes end the count of their message, since the parser rejects it later.

    Args:
        message: bytes of the message.
        schema: the fields that are messages, by number.
        at_most: the largest allowed number.

    >>> count_fields(bytes([0x0A, 1, 65, 0x2A, 2, 0x10, 7]), INFER_REQUEST, at_most=10)
    3
    """
    found = 0
    parts = [(memoryview(message), schema)]
    while parts and found <= at_most:
        part, nested = parts.pop()
        at = 0
        while at < len(part) and found <= at_most:
            tag, at = _varint(part, at)
            kind = tag & 7
            found += 1
            if kind == _VARINT:
                _, at = _varint(part, at)
            elif kind in (_FIXED32, _FIXED64):
                at += 4 if kind == _FIXED32 else 8
            elif kind == _BYTES:
                size, at = _varint(part, at)
                if tag >> 3 in nested:
                    parts.append((part[at : at + size], nested[tag >> 3]))
                at += size
            else:
                break
    return found


def _varint(part: memoryview, at: int) -> tuple[int, int]:
    """The varint at a position, and the position after it; 0 and the end of the part where the varint is incomplete."""
    value = shift = 0
    while at < len(part) and shift < 70:
        byte = part[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
        shift += 7
    return 0, len(part)
