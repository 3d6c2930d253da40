"""Rows of many small drops are cast together, and are those of each drop alone."""

import io

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from sinet_pipelines.ingestion.drops import no_rows, read_as_written, read_drop
from sinet_pipelines.ingestion.landed import landed_rows
from sinet_pipelines.ingestion.small_drops import cast_together
from sinet_pipelines.schemas.contract import Column

COLUMNS = (
    Column("unit", pa.string(), "a machine"),
    Column("cycle", pa.int32(), "its cycle"),
    Column("speed_rpm", pa.float64(), "its speed", "rpm"),
)
DROP = landed_rows("plant", "samples", COLUMNS, key=("unit", "recorded_at")).drop
UNITS = st.one_of(st.none(), st.sampled_from(["M1", "7", "7.0", " M1 ", "nan", ""]))
SPEEDS = st.one_of(st.none(), st.floats(width=64))
VALUES = {
    "unit": st.one_of(st.lists(UNITS, max_size=3), st.lists(st.integers(0, 9), max_size=3)),
    "cycle": st.one_of(st.lists(st.integers(0, 2**40), max_size=3), st.lists(st.sampled_from(["1", "x"]), max_size=3)),
    "speed_rpm": st.one_of(st.lists(SPEEDS, max_size=3), st.lists(st.booleans(), max_size=3)),
    "recorded_at": st.lists(st.sampled_from(["2026-03-01T10:00:00Z", "yesterday", None]), max_size=3),
}
FILES = st.fixed_dictionaries({}, optional=VALUES)


def a_file(columns):
    """A Parquet file of columns, as long as the shortest, one of them with its unit; a file may have no column."""
    height = min(map(len, columns.values()), default=0)
    table = pa.table({name: values[:height] for name, values in columns.items()} or {"other": [1, 2]})
    fields = [
        one.with_metadata({"unit": "rpm"}) if one.name == "speed_rpm" and height > 1 else one for one in table.schema
    ]
    buffer = io.BytesIO()
    pq.write_table(pa.table(table.columns, schema=pa.schema(fields)), buffer)
    return buffer.getvalue()


@pytest.mark.slow
@settings(deadline=None, max_examples=60)
@given(st.lists(FILES, min_size=1, max_size=5), st.integers(1, 4))
def test_rows_of_drops_together_are_those_of_each_drop_alone(files, rows):
    contents = {f"drop {number}": a_file(columns) for number, columns in enumerate(files)}
    read = {key: read_as_written(content, DROP, file=key)[0] for key, content in contents.items()}
    together = pl.concat([_nothing(), *cast_together(read.items(), DROP, rows=rows)])
    alone = [
        read_drop(content, DROP, file=key)[0].with_columns(drop_id=pl.lit(key)) for key, content in contents.items()
    ]
    assert_frame_equal(together, pl.concat([_nothing(), *alone]))


def test_no_drops_have_no_rows():
    assert list(cast_together([], DROP)) == []


def _nothing():
    return no_rows(DROP).with_columns(drop_id=pl.lit(None, pl.String))
