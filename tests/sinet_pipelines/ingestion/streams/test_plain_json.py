"""Plain JSON messages are read at once, with the result of reading one after the other; all others are left to it."""

import json
from itertools import product

import pyarrow as pa
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from sinet_pipelines.ingestion.landed import landed_rows
from sinet_pipelines.ingestion.streams import decoding
from sinet_pipelines.ingestion.streams.decoding import decode
from sinet_pipelines.ingestion.streams.plain_json import read_plain
from sinet_pipelines.ingestion.streams.source import Message
from sinet_pipelines.schemas.contract import Column

COLUMNS = (
    Column("unit", pa.string(), "a machine"),
    Column("cycle", pa.int32(), "its cycle"),
    Column("speed_rpm", pa.float64(), "its speed", "rpm"),
    Column("note", pa.string(), "a remark", nullable=True),
)
DROP = landed_rows("plant", "samples", COLUMNS, key=("unit", "recorded_at")).drop
ROW = '{"unit": "M1", "cycle": 1, "speed_rpm": 2.5, "recorded_at": "2026-03-01T10:00:00Z"}'


def messages(*payloads):
    return [Message(0, place, one if isinstance(one, bytes) else one.encode(), 0) for place, one in enumerate(payloads)]


def one_by_one(*payloads):
    """The rows and dead letters without the fast reader."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(decoding, "read_plain", lambda *_: None)
        return decode(messages(*payloads), DROP)


def require_same(*payloads):
    found, expected = decode(messages(*payloads), DROP), one_by_one(*payloads)
    assert_frame_equal(found.rows, expected.rows, check_exact=True)
    assert (found.dead, found.unknown) == (expected.dead, expected.unknown)


WHOLE = ["0", "-0", "9007199254740993", "2147483648", "9223372036854775807", "9223372036854775808", "1" * 30]
BROKEN = ["-0.0", "0.1", "1e2", "1E-400", "1e400", "-1e400", "0.30000000000000004", "5e-324", "1.00000000000000011"]
NEITHER = ["01", "1.", ".5", "+1", "NaN", "Infinity", "-", "0x1", "1_000", "null", "true"]
NUMBERS = st.sampled_from([*WHOLE, *BROKEN, *NEITHER])
FINITE = st.floats(allow_nan=False, allow_infinity=False).map(repr)
TEXTS = st.one_of(
    st.text(max_size=6).map(lambda text: json.dumps(text, ensure_ascii=False)),
    st.text(max_size=4).map(json.dumps),
    st.sampled_from(
        ['"2026-03-01 10:00"', '"2026-03-01T10:00:00+02:00"', '"1"', '"{}"', '"a\tb"', '"\\ud800"', '"nan"', "7"]
    ),
)
VALUES = st.one_of(NUMBERS, FINITE, st.integers().map(str), TEXTS)


@st.composite
def payloads(draw):
    """An object that is plain in most of its columns, with an odd one now and then, in a spelling of its own."""
    plain = {"unit": '"M1"', "cycle": "1", "speed_rpm": "2.5", "recorded_at": '"2026-03-01T10:00:00Z"'}
    names = draw(st.lists(st.sampled_from([*plain, "note", "extra", "unit"]), max_size=2))
    pairs = [*plain.items(), *((name, draw(VALUES)) for name in names)]
    if draw(st.booleans()):
        pairs = [*dict(pairs).items()]  # else a name occurs twice
    if draw(st.integers(0, 9)) == 0:
        pairs.pop()
    gap = draw(st.sampled_from(["", " ", "", "\n", "\t"]))
    text = "{" + f",{gap}".join(f'"{name}":{gap}{value}' for name, value in pairs) + "}"
    return draw(
        st.sampled_from([text] * 8 + [f" {text}", f"{text} ", f"[{text}]", f"{text}{text}", "", " ", text[:-1]])
    )


@settings(max_examples=60)
@given(st.lists(payloads(), min_size=1, max_size=4))
@example([ROW + ROW, " "])
@example([ROW[:-1], "}" + ROW])
@example([f"{ROW}\n{ROW}", ROW, ""])
def test_what_is_read_at_once_is_what_is_read_one_by_one(sent):
    require_same(*sent)


@pytest.mark.slow
@given(st.sampled_from(["unit", "cycle", "speed_rpm", "recorded_at", "note"]), VALUES)
def test_one_value_of_any_kind_is_what_it_is_when_read_alone(name, value):
    pairs = {**{key: json.dumps(one) for key, one in json.loads(ROW).items()}, name: value}
    require_same(ROW, "{" + ", ".join(f'"{key}": {one}' for key, one in pairs.items()) + "}")


def test_bytes_that_are_no_text_are_left():
    for odd, place in product([b"\xff", b"\xed\xa0\x80", b"\xc3", b"\x00"], [b"M1", b"unit"]):
        broken = ROW.encode().replace(place, odd)
        assert read_plain(messages(ROW, broken), DROP) is None
        require_same(ROW, broken)


def test_plain_messages_are_read_at_once_whatever_their_order_of_columns_and_null_remarks():
    other = '{"note":null,"recorded_at":"2026-03-01T10:00:01+00:00","speed_rpm":3,"cycle":-2,"unit":"Größe"}'
    assert read_plain(messages(ROW, other, ROW), DROP).num_rows == 3
    require_same(ROW, other, ROW)


@pytest.mark.parametrize("sent", [[], [""], [f"[{ROW}]"], [ROW.replace("2.5", "null")], [ROW.replace("1,", "1.5,")]])
def test_other_messages_are_not_plain(sent):
    assert read_plain(messages(*sent), DROP) is None
