"""What an evaluation shows of rows that were corrected after their prediction."""

import polars as pl
import pyarrow as pa
import pytest

from assets.framework.corrected import CORRECTED_LATER, difference_entries, keep_corrected, with_present_values
from sinet_pipelines.schemas.contract import Column, Contract, DataClass
from sinet_pipelines.storage.tables import TableStore

SET = Contract(
    "evaluation_set",
    "A row.",
    DataClass.FEATURE,
    (Column("unit", pa.string(), "unit"), Column("mean", pa.int64(), "mean")),
    key=("unit",),
)
KNOWN = pl.DataFrame({"unit": ["a", "b", "c"], "mean": [1, 2, 3], "is_former": [False, True, False]})
PRESENT = pl.DataFrame({"unit": ["a", "b", "c"], "mean": [1, 9, 3]})


@pytest.fixture
def tables(tmp_path):
    return TableStore(str(tmp_path), "mill")


def test_corrected_rows_have_their_present_values_in_the_order_of_the_set(tables):
    keep_corrected(tables, SET, known=KNOWN, present=PRESENT)
    now = with_present_values(tables, SET, KNOWN.drop("is_former"))
    assert now.equals(PRESENT)


def test_without_a_correction_nothing_is_written_and_nothing_is_compared(tables):
    keep_corrected(tables, SET, known=KNOWN.with_columns(is_former=pl.lit(value=False)), present=PRESENT)
    assert with_present_values(tables, SET, KNOWN.drop("is_former")) is None
    assert difference_entries(0, {}, {}, figures=()) == {CORRECTED_LATER: 0}


def test_a_correction_that_is_taken_back_is_no_longer_compared(tables):
    keep_corrected(tables, SET, known=KNOWN, present=PRESENT)
    keep_corrected(tables, SET, known=KNOWN.with_columns(is_former=pl.lit(value=False)), present=PRESENT)
    assert with_present_values(tables, SET, KNOWN.drop("is_former")) is None
