import numpy as np
import polars as pl

from sinet_pipelines.applications.turbofan.labels import examples_of, inputs_of, labelled
from sinet_pipelines.applications.turbofan.schemas.features import FEATURE_NAMES

ROWS = pl.DataFrame(
    {"unit": ["B", "A", "A", "C", "A"], "cycle": [3, 1, 2, 9, 6], "kept": [1, 2, 3, 4, 5]},
    schema_overrides={"cycle": pl.Int32},
)
FAILURES = pl.DataFrame({"unit": ["A", "B"], "cycle": [5, 3]}, schema_overrides={"cycle": pl.Int32})


def test_the_label_counts_to_the_failure_not_to_the_last_row():
    labels = labelled(ROWS, FAILURES).filter(pl.col("unit") == "A").select("cycle", "rul_cycles")
    assert labels.rows() == [(1, 4), (2, 3)]


def test_the_cycle_of_the_failure_has_none_left():
    assert labelled(ROWS, FAILURES).filter(pl.col("unit") == "B")["rul_cycles"].to_list() == [0]


def test_an_engine_that_has_not_failed_has_no_label():
    assert "C" not in labelled(ROWS, FAILURES)["unit"]


def test_rows_keep_their_order_and_columns():
    labels = labelled(ROWS, FAILURES)
    assert labels["kept"].to_list() == [1, 2, 3]
    assert labels.columns == ["unit", "cycle", "kept", "rul_cycles"]
    assert labels.schema["rul_cycles"] == pl.Int32


def test_rows_become_arrays_in_their_order():
    values = {name: [1.0 * i, 2.0 * i] for i, name in enumerate(FEATURE_NAMES)}
    rows = pl.DataFrame({"unit": ["B", "A"], "cycle": [3, 4], "rul_cycles": [200, 0], **values})
    examples = examples_of(rows.with_columns(pl.col(FEATURE_NAMES).cast(pl.Float32)))
    assert examples.group_B.tolist() == ["B", "A"]
    assert examples.target_B.tolist() == [125.0, 0.0]
    assert examples.inputs.feature_names == FEATURE_NAMES
    np.testing.assert_array_equal(examples.inputs.features_BF[1], 2.0 * np.arange(len(FEATURE_NAMES)))
    assert inputs_of(rows).features_BF.dtype == np.float32
