"""Models of columns: the graph predicts as its model, and bounds of requests are those of the table."""

import json
from dataclasses import replace

import numpy as np
import polars as pl
import pyarrow as pa
import pytest

from sinet_pipelines.applications.columns import (
    ColumnInputs,
    examples_of,
    feature_columns,
    graph_rows_of,
    inputs_of,
    middle_row,
    serve_columns,
)
from sinet_pipelines.deployment.request_contract import METADATA_KEY
from sinet_pipelines.errors import SourceError
from sinet_pipelines.models.baselines import Ridge
from sinet_pipelines.models.task import Kind, Metric, Task, weighted_rmse
from sinet_pipelines.quantization.agreement import check_agreement
from sinet_pipelines.quantization.export import export
from sinet_pipelines.quantization.session import answer, open_session
from sinet_pipelines.schemas.contract import Column, Contract, DataClass

TASK = Task(
    kind=Kind.REGRESSION,
    target="heat_kw",
    unit="kW",
    group="name",
    order="number",
    groups="ovens",
    feature_names=("load_kw", "air_c"),
    metric=Metric("RMSE", "kW", weighted_rmse),
    outputs=("predicted_kw",),
)
TABLE = Contract(
    "rows",
    "An oven.",
    DataClass.FEATURE,
    (
        Column("name", pa.string(), "its name"),
        Column("number", pa.int32(), "its number"),
        Column("air_c", pa.float64(), "air", "degC", -20.0, 40.0),
        Column("load_kw", pa.float64(), "load", "kW", 0.0, 10.0),
        Column("heat_kw", pa.float64(), "heat", "kW"),
    ),
    key=("name",),
)
ROWS = pl.DataFrame(
    {
        "name": [f"oven {i}" for i in range(20)],
        "number": range(20),
        "air_c": [float(i % 7) for i in range(20)],
        "load_kw": [i / 4 for i in range(20)],
        "heat_kw": [i / 2 + i % 7 for i in range(20)],
    }
)


@pytest.fixture(scope="module")
def graph():
    model = Ridge(1e-6).fit(examples_of(ROWS, TASK), seed=0)
    return model, export(model, preparation=ColumnInputs(feature_columns(TASK, TABLE)), family="ridge")


def test_the_graph_predicts_as_its_model(graph):
    model, onnx = graph
    source_B = model.predict(inputs_of(ROWS, TASK))
    assert check_agreement(onnx, graph_rows_of(ROWS, TASK), source_B, output="predicted_kw").passed
    np.testing.assert_allclose(source_B, ROWS["heat_kw"], atol=1e-2)  # heat = 2 load + air


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_a_row_without_a_number_is_answered_nan(graph, value):
    requested = graph_rows_of(ROWS.head(2).with_columns(air_c=pl.Series([1.0, value])), TASK)
    answered = answer(open_session(graph[1], inputs=requested.shapes, output="predicted_kw"), requested)["predicted_kw"]
    assert np.isnan(answered).tolist() == [False, True]


def test_bounds_of_requests_are_those_of_the_table():
    metadata = json.loads(ColumnInputs(feature_columns(TASK, TABLE)).metadata[METADATA_KEY])["columns"]
    assert list(metadata) == ["air_c", "load_kw"]
    assert metadata["load_kw"] == [{"name": "load_kw", "minimum": 0.0, "maximum": 10.0, "unit": "kW", "required": True}]


def test_a_row_in_the_middle_has_the_middle_of_each_bound():
    middle = middle_row(feature_columns(TASK, TABLE))
    assert {name: value.tolist() for name, value in middle.items()} == {"load_kw": [[5.0]], "air_c": [[10.0]]}


def test_a_file_is_asked_as_the_table_is(tmp_path):
    served = serve_columns(TASK, TABLE, noun="oven", headings=("kW",))
    ROWS.drop("heat_kw", "number").reverse().write_csv(tmp_path / "asked.csv")
    of_file, of_table = served.of_file(tmp_path / "asked.csv"), served.of_table(ROWS.sort("name"))
    assert of_file.names == of_table.names
    assert all(np.array_equal(of_file.inputs[name], of_table.inputs[name]) for name in TASK.feature_names)


def test_a_file_that_cannot_be_asked_is_refused_with_the_reason(tmp_path):
    served = serve_columns(replace(TASK), TABLE, noun="oven", headings=("kW",))
    (tmp_path / "asked.csv").write_text("name,load_kw\na,1\n")
    with pytest.raises(SourceError, match=r"lacks air_c \(has: name, load_kw\)"):
        served.of_file(tmp_path / "asked.csv")
    (tmp_path / "asked.csv").write_text("name,load_kw,air_c\na,full,1\n")
    with pytest.raises(SourceError, match="a value of another type"):
        served.of_file(tmp_path / "asked.csv")
    with pytest.raises(SourceError, match=r"no table that is read \(allowed: \.csv, \.parquet\)"):
        served.of_file(tmp_path / "asked.txt")
