"""Files as they come from outside: packed, cut, in another encoding, with lines that are no rows."""

import gzip
import io
import json
import math

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from sinet_pipelines.ingestion.connectors import lines
from sinet_pipelines.ingestion.connectors.formats import format_of, read_blocks
from sinet_pipelines.ingestion.connectors.source import UnreadableError
from tests.outside import as_csv, as_json_lines
from tests.pulls import DATA, a_row, some_rows


def read(name, content, hive=()):
    """The rows of a file, and its dead letters."""
    blocks = list(read_blocks(io.BytesIO(content), name=name, size=len(content), hive=hive, drop=DATA.drop))
    return pl.concat([one.rows for one in blocks]), [letter for one in blocks for letter in one.dead]


def as_parquet(rows, **options):
    file = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(rows), file, **options)
    return file.getvalue()


def zstd(content):
    return pa.Codec("zstd").compress(content, asbytes=True)


FORMS = {"csv": as_csv, "jsonl": as_json_lines, "parquet": as_parquet}
PACKINGS = {"": bytes, ".gz": gzip.compress, ".zst": zstd}


@pytest.mark.parametrize("packing", PACKINGS)
@pytest.mark.parametrize("form", FORMS)
def test_each_format_has_the_same_rows_packed_or_not(form, packing):
    rows, dead = read(f"a.{form}{packing}", PACKINGS[packing](FORMS[form](some_rows(0, 5))))
    assert (rows["unit"].to_list(), dead) == ([f"M{number}" for number in range(5)], [])
    assert rows["speed_rpm"].to_list() == [0.0, 0.25, 0.5, 0.75, 1.0]
    assert rows["unparsed"].null_count() == 5


@pytest.mark.parametrize(("packing", "form"), [(".gz", "csv"), (".zst", "jsonl"), (".gz", "parquet"), ("", "parquet")])
def test_a_file_that_breaks_off_has_no_rows(packing, form):
    content = PACKINGS[packing](FORMS[form]([a_row(number, unit=f"{number * 7919:x}") for number in range(900)]))
    with pytest.raises(UnreadableError, match=r"break off|no readable Parquet"):
        read(f"a.{form}{packing}", content[: len(content) * 2 // 3])


def test_two_packed_files_in_one_are_both_read():
    both = gzip.compress(as_csv(some_rows(0, 2))) + gzip.compress(as_csv(some_rows(2, 3)).split(b"\n", 1)[1])
    assert read("a.csv.gz", both)[0]["unit"].to_list() == ["M0", "M1", "M2"]
    frames = zstd(as_json_lines(some_rows(0, 2))) + zstd(as_json_lines(some_rows(2, 3)))
    assert read("a.jsonl.zst", frames)[0]["unit"].to_list() == ["M0", "M1", "M2"]


def test_a_file_that_unpacks_to_far_more_than_it_is_ends_early(monkeypatch):
    monkeypatch.setattr(lines, "FREE_BYTES", 1 << 20)
    monkeypatch.setattr(lines, "MOST_RATIO", 2)
    with pytest.raises(UnreadableError, match="unpacks to more than"):
        read("a.csv.gz", gzip.compress(b"unit,speed_rpm,recorded_at\n" + b"," * (64 << 20)))


def test_a_line_in_another_encoding_is_a_dead_letter_and_its_neighbours_are_rows():
    content = as_csv([a_row(0), a_row(1, unit="Öse"), a_row(2)]).decode().encode("latin-1")
    rows, dead = read("a.csv", content)
    assert rows["unit"].to_list() == ["M0", "M2"]
    assert [(one.place, one.reason) for one in dead] == [(3, "it is not UTF-8 (byte 0); save the file as UTF-8")]
    assert dead[0].payload.startswith(b"\xd6se,")


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
@pytest.mark.parametrize("form", ["csv", "jsonl"])
def test_a_byte_order_mark_decides_the_encoding(form, encoding):
    content = FORMS[form]([a_row(0, unit="Öse 轴")]).decode().encode(encoding)
    assert read(f"a.{form}", content)[0]["unit"].to_list() == ["Öse 轴"]


def test_a_line_of_ten_megabytes_is_a_row_with_a_short_text():
    content = as_csv([a_row(0), a_row(1, speed_rpm="x" * 10_000_000), a_row(2)])
    rows, dead = read("a.csv", content)
    assert (rows["unit"].to_list(), dead) == (["M0", "M1", "M2"], [])
    assert "10000000 characters" in rows["unparsed"][1]


def test_a_line_above_the_limit_is_a_dead_letter(monkeypatch):
    found = list(lines.split_lines([b"a" * 30, b"a" * 30 + b"\nb\r\n", b"c"], longest=40))
    assert [(one.number, len(one.content), one.omitted) for one in found] == [(1, 40, 20), (2, 1, 0), (3, 1, 0)]
    rows, dead = read("a.csv", as_csv([a_row(0)]))
    assert (rows.height, dead) == (1, [])


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        ('"M1,1,2026-03-01T00:00:00Z', "a quote in it is not closed"),
        ("M1,1", "it has 2 values (allowed: 3, as its header)"),
        ("M1,1,2026-03-01T00:00:00Z,more", "it has 4 values (allowed: 3, as its header)"),
        ('"M1"x,1,2026-03-01T00:00:00Z', "it is no CSV (',' expected after '\"')"),
    ],
)
def test_a_line_that_is_no_record_takes_no_other_line(bad, reason):
    whole = as_csv(some_rows(0, 4)).decode().splitlines()
    rows, dead = read("a.csv", "\n".join([*whole[:2], bad, *whole[2:]]).encode())
    assert rows["unit"].to_list() == ["M0", "M1", "M2", "M3"]
    assert [(one.place, one.reason) for one in dead] == [(3, reason)]


def test_two_lines_with_open_quotes_take_only_themselves():
    head, *whole = as_csv(some_rows(0, 3)).decode().splitlines()
    rows, dead = read("a.csv", "\n".join([head, '"M7', whole[0], '5",1', whole[1], whole[2]]).encode())
    assert rows["unit"].to_list() == ["M0", "M1", "M2"]
    assert [one.place for one in dead] == [2, 4]


def test_a_quoted_value_may_have_quotes_separators_and_line_ends():
    rows, dead = read("a.csv", as_csv([a_row(0, unit='a "b", c'), a_row(1, speed_rpm="two\nlines"), a_row(2)]))
    assert (rows["unit"].to_list(), dead) == (['a "b", c', "M1", "M2"], [])
    assert json.loads(rows["unparsed"][1]) == {"speed_rpm": "two\nlines"}


def test_line_ends_of_other_systems_are_line_ends():
    whole = as_csv(some_rows(0, 3))
    for end in (b"\r\n", b"\r"):
        assert read("a.csv", whole.replace(b"\n", end))[0]["unit"].to_list() == ["M0", "M1", "M2"]
    quoted = whole.replace(b"M1", b'"M1\r\n\r"').replace(b"\n", b"\r\n")
    rows, dead = read("a.csv", quoted)
    assert (rows["unit"].to_list(), dead) == (["M0", "M1", "M2"], [])


def test_a_mark_may_come_in_pieces():
    content = b"\xef\xbb\xbf" + as_csv(some_rows(0, 1))
    pieces = [content[place : place + 1] for place in range(len(content))]
    assert b"".join(lines.text_blocks(pieces)) == as_csv(some_rows(0, 1))


def test_a_missing_instant_of_parquet_is_a_row_without_one():
    kinds = pa.schema([("unit", pa.string()), ("speed_rpm", pa.float64()), ("recorded_at", pa.timestamp("ns"))])
    file = io.BytesIO()
    pq.write_table(pa.Table.from_pylist([{"unit": "M0"}, {"unit": "M1", "speed_rpm": 1.0}], schema=kinds), file)
    rows, dead = read("a.parquet", file.getvalue())
    assert (rows["unit"].to_list(), rows["recorded_at"].null_count(), dead) == (["M0", "M1"], 2, [])


def test_a_quote_within_a_value_is_a_character():
    rows, dead = read(
        "a.csv", b'unit,speed_rpm,recorded_at\n5" pipe,1,2026-03-01T00:00:00Z\nM2,2,2026-03-01T00:00:00Z\n'
    )
    assert (rows["unit"].to_list(), dead) == (['5" pipe', "M2"], [])


@pytest.mark.parametrize("separator", [";", "\t", "|"])
def test_the_separator_is_the_one_of_the_header(separator):
    assert read("a.csv", as_csv(some_rows(0, 2)).replace(b",", separator.encode()))[0].height == 2


def test_columns_may_have_another_order_and_unknown_ones_are_named():
    content = b"note,recorded_at,unit,speed_rpm\nx,2026-03-01T00:00:00Z,M1,2\n\n,,,\n"
    (block,) = read_blocks(io.BytesIO(content), name="a.csv", size=1, hive=(), drop=DATA.drop)
    assert block.rows.select("unit", "speed_rpm").rows() == [("M1", 2.0)]
    assert block.unknown == {"note"}


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("a.csv", b"", "it is empty"),
        ("a.csv", b"\n\n", "it is empty"),
        ("a.csv", b"unit,recorded_at\nM1,2026-03-01T00:00:00Z\n", r"no column speed_rpm \(found: unit, recorded_at\)"),
        ("a.csv", b"unit,unit,speed_rpm,recorded_at\n", "columns unit stand in its header twice"),
        ("a.csv", b"\xff\xff\xff,a\n", "its header is not UTF-8"),
        ("a.csv", b"<html><body>Sign in</body></html>", "no column unit, speed_rpm, recorded_at"),
        ("a.parquet", b"", "no readable Parquet"),
        ("a.parquet", b"unit,speed_rpm", "no readable Parquet"),
        ("a.parquet", as_parquet([{"unit": "M1"}]), "has no column speed_rpm"),
    ],
)
def test_a_file_without_the_columns_has_no_rows(name, content, reason):
    with pytest.raises(UnreadableError, match=reason):
        read(name, content)


def test_json_lines_that_are_no_objects_are_dead_letters():
    content = as_json_lines(some_rows(0, 1)) + b'[1]\n"x"\n{"unit": "M9"}\n{\n' + as_json_lines(some_rows(1, 2))
    rows, dead = read("a.jsonl", content)
    assert rows["unit"].to_list() == ["M0", "M1"]
    assert [one.place for one in dead] == [2, 3, 4, 5]
    assert dead[2].reason.startswith("it has no recorded_at, speed_rpm")


def test_nan_of_json_is_a_missing_value():
    rows, dead = read("a.jsonl", json.dumps(a_row(0, speed_rpm=math.nan)).encode())
    assert (rows["speed_rpm"].to_list(), dead) == ([None], [])


@pytest.mark.parametrize("form", FORMS)
def test_folders_fill_the_columns_that_a_file_lacks(form):
    rows = [{name: value for name, value in row.items() if name != "unit"} for row in some_rows(0, 2)]
    found, dead = read(f"unit=007/a.{form}", FORMS[form](rows), hive=(("unit", "007"), ("year", "2026")))
    assert (found["unit"].to_list(), dead) == (["007", "007"], [])


def test_a_file_of_many_blocks_is_complete():
    rows, dead = read("a.csv", as_csv(some_rows(0, 45_000)))
    assert (rows["unit"].n_unique(), dead) == (45_000, [])


@pytest.mark.parametrize(
    ("name", "form"), [("a.CSV", "csv"), ("a.parquet.gz", "parquet"), ("a.gz", ""), ("csv", ""), ("a.xlsx", "")]
)
def test_the_format_follows_from_the_name(name, form):
    assert format_of(name) == form
