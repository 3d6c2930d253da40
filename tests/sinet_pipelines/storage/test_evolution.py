"""A contract that changed meets a table of its old form: nullable columns are added, anything else begins anew."""

from dataclasses import replace
from datetime import date
from pathlib import Path

import polars as pl
import pyarrow as pa
import pytest

from sinet_pipelines.schemas.contract import Column, Contract, DataClass
from sinet_pipelines.storage.aside import ASIDE
from sinet_pipelines.storage.tables import TableStore

OLD = Contract(
    "readings",
    "One reading.",
    DataClass.RAW,
    (
        Column("unit", pa.string(), "engine"),
        Column("value", pa.float32(), "value"),
        Column("event_date", pa.date32(), "day"),
    ),
    key=("unit",),
)
FIRST, SECOND = date(2026, 1, 1), date(2026, 1, 2)
ROWS = pl.DataFrame({"unit": ["a", "b"], "value": [1.0, 2.0], "event_date": [FIRST, SECOND]})
OPTIONAL = Column("more", pa.float64(), "a column more", nullable=True)
REQUIRED = Column("more", pa.float64(), "a column more")
UNIT, VALUE, DAY = OLD.columns


@pytest.fixture
def store(tmp_path):
    found = TableStore(str(tmp_path / "tables"))
    found.replace_days(OLD, ROWS, days=[FIRST, SECOND])
    return found


def test_an_added_nullable_column_is_null_on_days_that_were_not_made_again(store, tmp_path):
    new = replace(OLD, columns=(*OLD.columns, OPTIONAL))
    assert store.read(new)["more"].to_list() == [None, None]
    store.replace_days(new, ROWS.with_columns(more=pl.lit(3.0)).filter(pl.col("event_date") == SECOND), days=[SECOND])
    assert store.read(new).sort("unit")["more"].to_list() == [None, 3.0]
    assert store.read(OLD).columns == [column.name for column in OLD.columns]
    assert not (Path(store.uri(OLD)).parent / ASIDE).exists()


@pytest.mark.parametrize(
    "columns",
    [
        (UNIT, DAY),
        (UNIT, VALUE, DAY, REQUIRED),
        (UNIT, replace(VALUE, name="renamed"), DAY),
        (UNIT, replace(VALUE, dtype=pa.float64()), DAY),
        (UNIT, replace(VALUE, nullable=True), DAY),
    ],
    ids=["removed", "required", "renamed", "retyped", "made optional"],
)
def test_any_other_change_begins_the_table_anew_and_keeps_the_old_one_aside(store, tmp_path, columns):
    new = replace(OLD, columns=columns)
    names = [column.name for column in columns]
    second = ROWS.with_columns(more=pl.lit(1 / 3), renamed=pl.lit(1 / 3)).filter(pl.col("event_date") == SECOND)
    store.replace_days(new, second.select(names), days=[SECOND])
    found = store.read(new)
    assert found.height == 1
    assert found.columns == names
    (aside,) = (Path(store.uri(OLD)).parent / ASIDE).iterdir()
    assert pl.read_delta(str(aside)).height == 2


def test_a_table_written_whole_takes_any_change_in_one_commit(tmp_path):
    store = TableStore(str(tmp_path / "tables"))
    store.replace(replace(OLD, columns=(UNIT, VALUE)), ROWS.drop("event_date"))
    wider = replace(OLD, columns=(UNIT, replace(VALUE, dtype=pa.float64()), REQUIRED))
    written = store.replace(wider, ROWS.select("unit", value=pl.lit(1 / 3), more=pl.lit(2.0)))
    assert store.read(wider)["value"].to_list() == [1 / 3, 1 / 3]
    assert written.version == 1


def test_a_table_that_gets_days_is_partitioned_by_them(tmp_path):
    store = TableStore(str(tmp_path / "tables"))
    store.replace(replace(OLD, columns=(UNIT, VALUE)), ROWS.drop("event_date"))
    store.replace_days(OLD, ROWS, days=[FIRST, SECOND])
    store.replace_days(OLD, ROWS.filter(pl.col("event_date") == SECOND), days=[SECOND])
    assert store.read(OLD).height == 2
