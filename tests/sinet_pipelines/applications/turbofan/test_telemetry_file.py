"""Files of a user's own: types come from the contract, every spelling works or is refused in one sentence."""

import decimal
import gzip
import io
import json

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sinet_pipelines.applications.turbofan.schemas.telemetry import CHANNELS, SENSORS, SETTINGS
from sinet_pipelines.applications.turbofan.telemetry_file import NAMES, read_telemetry_file
from sinet_pipelines.errors import SinetError, SourceError


def telemetry(unit="mine", cycles=3, *, start=1):
    rng = np.random.default_rng(cycles)
    channels = {one.name: rng.uniform(one.minimum, one.maximum, cycles).round(4) for one in (*SETTINGS, *SENSORS)}
    cycle = np.arange(start, start + cycles, dtype=np.int32)
    return pl.DataFrame({"unit": [unit] * cycles, "cycle": cycle} | channels)


def csv_of(rows, **options):
    return rows.write_csv(**options).encode()


def read(tmp_path, content, name="mine.csv"):
    path = tmp_path / name
    path.write_bytes(content)
    return read_telemetry_file(path).rows


def assert_same(found, rows=None):
    expected = telemetry() if rows is None else rows
    assert found.columns == list(NAMES)
    assert found["unit"].to_list() == expected["unit"].to_list()
    assert found["cycle"].to_list() == expected["cycle"].to_list()
    np.testing.assert_allclose(found.select(CHANNELS).to_numpy(), expected.select(CHANNELS).to_numpy(), rtol=1e-12)


def with_decimal_commas(rows):
    return rows.with_columns(pl.col(CHANNELS).cast(pl.String).str.replace(".", ",", literal=True))


SPELLINGS = {
    "a byte order mark": lambda rows: b"\xef\xbb\xbf" + csv_of(rows),
    "UTF-16": lambda rows: rows.write_csv().encode("utf-16"),
    "semicolons": lambda rows: csv_of(rows, separator=";"),
    "tabs": lambda rows: csv_of(rows, separator="\t"),
    "bars": lambda rows: csv_of(rows, separator="|"),
    "semicolons and decimal commas": lambda rows: csv_of(with_decimal_commas(rows), separator=";"),
    "quoted decimal commas": lambda rows: csv_of(with_decimal_commas(rows)),
    "everything quoted": lambda rows: csv_of(rows, quote_style="always"),
    "a header in capitals with blanks": lambda rows: csv_of(rows.rename(lambda name: f" {name.upper()} ")),
    "CRLF": lambda rows: csv_of(rows, line_terminator="\r\n"),
    "CR alone": lambda rows: csv_of(rows, line_terminator="\r"),
    "empty lines": lambda rows: b"\n\n" + csv_of(rows).replace(b"\n", b"\n\n") + b"\n,,,\n  \n",
    "no line end at the end": lambda rows: csv_of(rows).rstrip(b"\n"),
    "gzip": lambda rows: gzip.compress(csv_of(rows)),
    "gzip in two members": lambda rows: gzip.compress(csv_of(rows)[:300]) + gzip.compress(csv_of(rows)[300:]),
    "pandas' index": lambda rows: csv_of(rows.with_row_index("")),
    "other columns": lambda rows: csv_of(rows.with_columns(note=pl.lit('a "b", c'), role=pl.lit("live"))),
    "blanks around values": lambda rows: csv_of(
        rows.with_columns((pl.lit(" ") + pl.col(one).cast(pl.String) + " ").alias(one) for one in CHANNELS)
    ),
    "whole cycles as floats": lambda rows: csv_of(rows.with_columns(pl.col("cycle").cast(pl.Float64))),
    "numbers with exponents": lambda rows: csv_of(
        rows.with_columns(pl.col(CHANNELS).map_elements(lambda value: f"{value:.12e}", pl.String))
    ),
}


@pytest.mark.parametrize("spelling", SPELLINGS)
def test_a_csv_is_read_as_others_spell_it(tmp_path, spelling):
    assert_same(read(tmp_path, SPELLINGS[spelling](telemetry())))


@pytest.mark.parametrize("name", ["MINE.CSV", "mine.csv.gz", "mine.Csv", "mine.txt"])
def test_a_csv_is_known_by_its_suffix_in_any_case(tmp_path, name):
    content = csv_of(telemetry())
    assert_same(read(tmp_path, gzip.compress(content) if name.endswith("gz") else content, name))


JSONS = {
    "list of objects": lambda rows: rows.write_json(),
    "one object a line": lambda rows: rows.write_ndjson(),
    "one object a line and empty lines": lambda rows: "\n" + rows.write_ndjson().replace("\n", "\r\n\r\n"),
    "lists by column": lambda rows: json.dumps(rows.to_dict(as_series=False)),
    "pandas' own": lambda rows: rows.to_pandas().to_json(),
    "numbers as text": lambda rows: rows.cast(pl.String).write_json(),
    "other keys": lambda rows: rows.with_columns(more=pl.struct("unit")).write_json(),
    "a byte order mark": lambda rows: "\ufeff" + rows.write_json(),
}


@pytest.mark.parametrize("spelling", JSONS)
@pytest.mark.parametrize("suffix", ["json", "ndjson", "JSONL"])
def test_json_is_read_as_others_spell_it(tmp_path, spelling, suffix):
    assert_same(read(tmp_path, JSONS[spelling](telemetry()).encode(), f"mine.{suffix}"))


@pytest.mark.parametrize("name", ["mine.csv", "mine.json", "mine.ndjson"])
def test_numbers_are_whole_first_and_broken_after_thousands_of_rows(tmp_path, name):
    whole = telemetry("A", 5000).with_columns(altitude_kft=pl.lit("0"), mach_number=pl.lit("0"))
    broken = telemetry("B", 2)
    both = pl.concat([whole, broken.cast({"altitude_kft": pl.String, "mach_number": pl.String})])
    if name == "mine.csv":
        content = csv_of(both)
    else:
        whole = whole.cast({"altitude_kft": pl.Int64, "mach_number": pl.Int64})
        records = [*whole.to_dicts(), *broken.to_dicts()]
        lines = "\n".join(map(json.dumps, records))
        content = (lines if name == "mine.ndjson" else json.dumps(records)).encode()
    found = read(tmp_path, content, name)
    assert found.height == 5002
    assert_same(found.tail(2), broken)
    assert found["mach_number"].head(5000).to_list() == [0.0] * 5000


@pytest.mark.parametrize("name", ["mine.csv", "mine.json", "mine.ndjson", "mine.parquet"])
def test_names_of_engines_keep_their_leading_zeros(tmp_path, name):
    rows = pl.concat([telemetry("0042"), telemetry("42")])
    path = tmp_path / name
    getattr(rows, f"write_{name.split('.')[1]}")(path)
    assert read_telemetry_file(path).rows["unit"].unique(maintain_order=True).to_list() == ["0042", "42"]


def test_a_number_as_the_name_of_an_engine_is_spelled_without_a_decimal_point(tmp_path):
    rows = [row | {"unit": unit} for row, unit in zip(telemetry().to_dicts(), (7, 7.0, "A"), strict=True)]
    assert read(tmp_path, json.dumps(rows).encode(), "mine.json")["unit"].to_list() == ["7", "7", "A"]


REFUSED = {
    "a cycle and a half": (lambda rows: csv_of(rows.with_columns(cycle=pl.lit(31.5))), r"cycle '31.5' in row 1 "),
    "a word": (lambda rows: csv_of(rows.with_columns(nc_rpm=pl.lit("fast"))), r"nc_rpm 'fast' in row 1 .*allowed: num"),
    "an empty field": (lambda rows: csv_of(rows.with_columns(nc_rpm=pl.lit(None))), r"no number in nc_rpm of row 1"),
    "NaN": (lambda rows: csv_of(rows.with_columns(nc_rpm=pl.lit("NaN"))), r"no number in nc_rpm of row 1"),
    "infinity": (lambda rows: csv_of(rows.with_columns(nc_rpm=pl.lit("inf"))), r"nc_rpm inf in row 1 .*allowed: 6000"),
    "no name": (lambda rows: csv_of(rows.with_columns(unit=pl.lit("  "))), r"row 1 names no engine \(3 such rows\)"),
    "cycle 0": (lambda rows: csv_of(rows.with_columns(cycle=pl.col("cycle") - 1)), r"cycle 0 in row 1 .*from 1"),
    "a huge cycle": (lambda rows: csv_of(rows.with_columns(cycle=pl.lit(1e30))), r"cycle '1(\.0)?e\+?30' in row 1"),
    "a cycle of typing errors": (lambda rows: csv_of(rows.with_columns(cycle=200_000)), r"cycle 200000.*1 to 100000"),
    "another unit": (lambda rows: csv_of(rows.with_columns(t50_degr=775.0)), r"775 in row 1.*800 to 1900 degR"),
    "columns absent": (lambda rows: csv_of(rows.drop("nc_rpm", "t2_degr")), "it lacks t2_degr, nc_rpm"),
    "no header": (lambda rows: csv_of(rows, include_header=False), "it lacks unit, cycle"),
    "a column twice": (lambda rows: csv_of(rows.with_columns(UNIT=pl.lit("x"))), "unit stand in it twice"),
    "no rows": (lambda rows: csv_of(rows.clear()), "it has no rows"),
    "nothing": (lambda rows: b"", "it is empty"),
    "empty lines alone": (lambda rows: b"\n\r\n \n", "it is empty"),
    "another encoding": (lambda rows: csv_of(rows).replace(b"mine", "Motör".encode("cp1252")), r"line 2 is no UTF-8"),
    "binary": (lambda rows: b"unit,\x00\x01", "NUL characters"),
    "a long row": (lambda rows: csv_of(rows).replace(b"mine,2", b"mine,2,7,8", 1), "no CSV with ','"),
    "a short row": (lambda rows: csv_of(rows) + b"mine,9,1.0\n", "no number in mach_number of row 4"),
    "an open quote": (lambda rows: csv_of(rows) + b'"mine,9', "no CSV|row 4"),
    "points and commas": (
        lambda rows: csv_of(rows.with_columns(nc_rpm=pl.lit("9065,4"))),
        "nc_rpm has decimal commas and .* decimal points; write all with points",
    ),
    "thousands": (lambda rows: csv_of(rows.with_columns(nc_rpm=pl.lit("9,065.4"))), r"nc_rpm '9,065.4' in row 1"),
    "broken gzip": (lambda rows: gzip.compress(csv_of(rows))[:-9], "break off before their end"),
    "damaged gzip": (lambda rows: b"\x1f\x8b" + b"\xff" * 40, "gzip data are damaged"),
    "one cycle with two readings": (
        lambda rows: csv_of(pl.concat([rows, rows.with_columns(nc_rpm=pl.lit(7000.0))])),
        "cycle 1 of engine mine is there twice with different values; keep the right row",
    ),
}  # fmt: skip


@pytest.mark.parametrize("fault", REFUSED)
def test_a_csv_that_is_no_telemetry_is_refused_in_a_sentence(tmp_path, fault):
    change, found = REFUSED[fault]
    with pytest.raises(SourceError, match=found) as refused:
        read(tmp_path, change(telemetry()))
    assert str(refused.value).startswith(f"{tmp_path / 'mine.csv'}: ")
    assert "\n" not in str(refused.value)


REFUSED_JSON = {
    "no JSON": (b'[{"unit": "A",', "it is no JSON"),
    "a number": (b"7", "no list of objects"),
    "numbers": (b"[1, 2]", "no list of objects"),
    "nothing": (b"", "it is no JSON"),
    "an empty list": (b"[]", "it has no rows"),
    "a key twice": (b'[{"unit": "A", "unit": "B"}]', "an object has 'unit' twice"),
    "columns of different lengths": (b'{"unit": ["A"], "cycle": [1, 2]}', "different lengths"),
    "columns of different rows": (b'{"unit": {"0": "A"}, "cycle": {"1": 1}}', "different rows"),
    "deep nesting": (b"[" * 100_000, "it is no JSON"),
    "deep objects": (b'{"a":' * 100_000, "it is no JSON"),
    "a whole number of 5,000 digits": (b'[{"unit": ' + b"9" * 5000 + b"}]", "it is no JSON|lacks"),
    "half a character": (b'[{"unit": "\\ud800", "\\udfff": 1}]', "it lacks cycle"),
}


@pytest.mark.parametrize("fault", REFUSED_JSON)
def test_json_that_is_no_telemetry_is_refused_in_a_sentence(tmp_path, fault):
    content, found = REFUSED_JSON[fault]
    with pytest.raises(SourceError, match=found):
        read(tmp_path, content, "mine.json")


@pytest.mark.parametrize("value", [True, [1], {"a": 1}, "x", 31.5, 10**40, 10**400])
def test_a_cycle_that_is_no_whole_number_is_refused_in_json(tmp_path, value):
    rows = [row | {"cycle": value} for row in telemetry().to_dicts()]
    with pytest.raises(SourceError, match="cycle .* in row 1"):
        read(tmp_path, json.dumps(rows).encode(), "mine.json")


def test_a_parquet_in_another_unit_by_its_own_metadata_is_refused(tmp_path):
    table = telemetry().to_arrow()
    place = table.column_names.index("t2_degr")
    other = table.set_column(place, pa.field("t2_degr", pa.float64(), metadata={"unit": "K"}), table["t2_degr"])
    pq.write_table(other, tmp_path / "mine.parquet")
    with pytest.raises(SourceError, match=r"t2_degr is in 'K' \(allowed: 'degR'\); convert it"):
        read_telemetry_file(tmp_path / "mine.parquet")


def test_a_file_that_is_missing_foreign_or_no_file_is_refused(tmp_path):
    (tmp_path / "folder.csv").mkdir()
    (tmp_path / "loop.csv").symlink_to(tmp_path / "loop.csv")
    for name, found in (
        ("missing.csv", "no file there"),
        ("mine.xlsx", "no telemetry file by its name"),
        ("folder.csv", "it is a folder"),
        ("loop.csv", "no file there|cannot be read"),
        ("a\x00b.csv", "no file there"),
    ):
        with pytest.raises(SourceError, match=found):
            read_telemetry_file(tmp_path / name)
    for name in ("broken.parquet", "broken.json", "broken.csv"):
        with pytest.raises(SourceError):
            read(tmp_path, b"\x00\xff{", name)


def test_a_file_that_grows_beyond_the_limit_when_unpacked_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr("sinet_pipelines.ingestion.text_tables.MAX_BYTES", 1000)
    with pytest.raises(SourceError, match="when unpacked; split it by engines"):
        read(tmp_path, gzip.compress(b"0" * 2000))


_CELLS = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=8), st.binary(max_size=4).map(repr)
)
_HEADS = st.lists(st.sampled_from([*NAMES[:4], "Unit", "x", "", " cycle"]) | st.text(max_size=5), max_size=6)
_FUZZ = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def assert_read_or_refused(path, content):
    """A file is refused in one sentence that names it, or each of its rows is read whole."""
    path.write_bytes(content)
    found, refused = None, ""
    try:
        found = read_telemetry_file(path).rows
    except SinetError as error:
        refused = str(error)
    if found is None:
        assert path.name in refused
        assert "\n" not in refused
    else:
        assert found.height > 0
        assert found.null_count().sum_horizontal()[0] == 0


@_FUZZ
@given(content=st.binary(max_size=200), suffix=st.sampled_from(["csv", "json", "ndjson", "parquet", "csv.gz"]))
def test_any_bytes_are_read_or_refused(tmp_path, content, suffix):
    assert_read_or_refused(tmp_path / f"any.{suffix}", content)


@_FUZZ
@given(head=_HEADS, rows=st.lists(st.lists(_CELLS, max_size=6), max_size=4), mark=st.sampled_from(",;\t|"))
def test_any_csv_is_read_or_refused(tmp_path, head, rows, mark):
    lines = [mark.join(head), *(mark.join(map(str, row)) for row in rows)]
    assert_read_or_refused(tmp_path / "any.csv", "\n".join(lines).encode("utf-8", "surrogatepass"))


@pytest.mark.slow
@_FUZZ
@given(changes=st.dictionaries(st.sampled_from(NAMES), _CELLS | st.lists(_CELLS, max_size=2), min_size=1, max_size=3))
def test_any_values_among_telemetry_are_read_or_refused_alike_in_json_and_csv(tmp_path, changes):
    rows = telemetry().to_dicts()
    rows[1] |= changes
    assert_read_or_refused(tmp_path / "any.json", json.dumps(rows).encode())
    lines = [";".join(NAMES), *(";".join(str(row[name]) for name in NAMES) for row in rows)]
    assert_read_or_refused(tmp_path / "any.csv", "\n".join(lines).encode("utf-8", "surrogatepass"))


_TYPES = {
    **{kind: pa.array([7] * 3, kind) for kind in (pa.int8(), pa.uint64(), pa.float32(), pa.timestamp("ns"))},
    **{f"nulls of {kind}": pa.array([None] * 3, kind) for kind in (pa.null(), pa.string())},
    **{kind: pa.array(["7"] * 3, kind) for kind in (pa.string(), pa.large_string(), pa.binary(), pa.string_view())},
    "text that is no UTF-8": pa.array([b"\xff"] * 3).view(pa.string()),
    "dictionary": pa.array(["7"] * 3).dictionary_encode(),
    "list": pa.array([[7]] * 3),
    "struct": pa.array([{"a": 7}] * 3),
    "bool": pa.array([True] * 3),
    "date": pa.array([7] * 3, pa.int32()).cast(pa.date32()),
    "time": pa.array([7] * 3, pa.int64()).cast(pa.time64("ns")),
    "duration": pa.array([7] * 3, pa.int64()).cast(pa.duration("us")),
    "decimal": pa.array([decimal.Decimal("7.00")] * 3),
    "wide decimal": pa.array([decimal.Decimal("7.00")] * 3, pa.decimal256(60, 2)),
}


@pytest.mark.parametrize("kind", _TYPES, ids=str)
@pytest.mark.parametrize("column", ["unit", "cycle", "nc_rpm"])
def test_a_parquet_with_a_column_of_any_type_is_read_or_refused(tmp_path, column, kind):
    table = telemetry().to_arrow()
    buffer = io.BytesIO()
    pq.write_table(table.set_column(table.column_names.index(column), column, _TYPES[kind]), buffer)
    assert_read_or_refused(tmp_path / "any.parquet", buffer.getvalue())
