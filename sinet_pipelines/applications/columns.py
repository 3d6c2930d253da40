"""Applications whose features are columns of a table: examples, graph inputs and requests, without any computation.

It is not in `deployment/`, because this code decides what is trained and served, and code there decides no content of
assets. Letters: B rows.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from sinet_pipelines.deployment.request_contract import METADATA_KEY
from sinet_pipelines.deployment.served_model import Requests, ServedModel
from sinet_pipelines.ingestion.table_file import cast_rows, read_table
from sinet_pipelines.models.model import Examples, Inputs
from sinet_pipelines.models.task import Task
from sinet_pipelines.quantization.graph import GraphWriter
from sinet_pipelines.quantization.graph_rows import GraphRows
from sinet_pipelines.quantization.signals import Signals
from sinet_pipelines.schemas.contract import Column, Contract


@dataclass(frozen=True)
class ColumnInputs:
    """Columns as the inputs of a graph, float32 (B, 1) each (`quantization.signals.Preparation`).

    Attributes:
        columns: bounded on both sides; requests have the same bounds.
    """

    columns: tuple[Column, ...]

    @property
    def inputs(self) -> Mapping[str, Sequence[int]]:
        """One input for each column."""
        return {column.name: (1,) for column in self.columns}

    @property
    def metadata(self) -> Mapping[str, str]:
        """The contract of requests."""
        columns = {column.name: [_bounds(column)] for column in self.columns}
        return {METADATA_KEY: json.dumps({"columns": columns, "needs": []}, sort_keys=True)}

    def write(self, graph: GraphWriter) -> Signals:
        """The columns side by side; a row with a NaN or infinite value is not answerable."""
        names = tuple(column.name for column in self.columns)
        features = graph.cast(graph.node("Concat", *names, axis=1), np.float64)
        total = graph.node("ReduceSum", features, graph.constant([1], np.int64), keepdims=1)
        is_number = graph.node("Not", graph.node("IsNaN", graph.node("Sub", total, total)))  # also False for infinity
        return Signals(features=features, feature_names=names, answerable=is_number)


def _bounds(column: Column) -> dict[str, Any]:
    return {**{name: getattr(column, name) for name in ("name", "minimum", "maximum", "unit")}, "required": True}


def feature_columns(task: Task, contract: Contract) -> tuple[Column, ...]:
    """The columns of a table that are the task's features, in their order."""
    return tuple(contract.column(name) for name in task.feature_names)


def examples_of(rows: pl.DataFrame, task: Task) -> Examples:
    """Rows of a table as B examples: features, group, order and target are columns of the table."""
    return Examples(
        inputs_of(rows, task),
        rows[task.group].cast(pl.String).to_numpy().astype(np.str_),
        rows[task.order].cast(pl.Int32).to_numpy(),
        rows[task.target].cast(pl.Float64).to_numpy(),
        task,
    )


def inputs_of(rows: pl.DataFrame, task: Task) -> Inputs:
    """The inputs of a model for B rows."""
    return Inputs(rows.select(task.feature_names).to_numpy().astype(np.float32), task.feature_names)


def graph_rows_of(rows: pl.DataFrame, task: Task) -> GraphRows:
    """B rows as inputs of a graph, each named by its group and order."""
    tensors = {name: rows[name].to_numpy().astype(np.float32)[:, None] for name in task.feature_names}
    names = tuple(f"{task.group} {group}" for group in rows[task.group].to_list())
    return GraphRows(tensors, np.ones(rows.height, dtype=bool), names)


def middle_row(columns: Sequence[Column]) -> Mapping[str, NDArray]:
    """The inputs of one row whose values are the middle of the bounds."""
    middles = {column.name: ((column.minimum or 0.0) + (column.maximum or 0.0)) / 2 for column in columns}
    return {name: np.array([[value]], dtype=np.float32) for name, value in middles.items()}


def serve_columns(task: Task, table: Contract, *, noun: str, headings: tuple[str, ...], digits: int = 1) -> ServedModel:
    """Requests to a model of columns: rows of the table, or of a CSV or Parquet file with the same columns.

    Args:
        task: the prediction task.
        table: contract of the rows that the endpoint predicts.
        noun: name of one row's object: `sample`.
        headings: headings of the outputs in printed tables.
        digits: decimal places of each output.
    """

    def of_table(rows: pl.DataFrame) -> Requests:
        graph_rows = graph_rows_of(rows, task)
        return Requests(tuple(rows[task.group].cast(pl.String).to_list()), graph_rows.tensors, (None,) * rows.height)

    def of_file(path: Path) -> Requests:
        types = {task.group: pl.String(), **dict.fromkeys(task.feature_names, pl.Float64())}
        return of_table(cast_rows(read_table(path, types), types, path=path).sort(task.group))

    features = ", ".join(task.feature_names)
    return ServedModel(task, table, noun, features, f"land rows with {features}", headings, of_table, of_file, digits)
