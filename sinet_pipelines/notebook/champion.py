"""The champion model as a function: from a frame with the inputs of its ONNX graph as columns to predictions.

Each output of a served graph is one number for each row. Letters: B rows.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from sinet_pipelines.errors import ContractError
from sinet_pipelines.quantization.runtime import runtime_failures, served_session
from sinet_pipelines.schemas.contract import Contract

if TYPE_CHECKING:
    from typing import TypeAlias

    import pandas as pd
    import pyarrow as pa

    Frame: TypeAlias = pl.DataFrame | pd.DataFrame | pa.Table

BATCH_ROWS = 1024  # rows in one call of the graph: the inputs need tens of MB
# the tensor types of graphs; a missing number is NaN, so integers and booleans need a value
DTYPES: Mapping[str, type] = {
    "tensor(float)": np.float32,
    "tensor(double)": np.float64,
    "tensor(int32)": np.int32,
    "tensor(int64)": np.int64,
    "tensor(bool)": np.bool_,
}


@dataclass(frozen=True)
class Champion:
    """The version of a model that has the alias `champion`, as a function of a frame.

    Attributes:
        model: name of the registered model.
        version: its number, from 1.
        graph: the served ONNX graph.
        contracts: contracts of the application's tables.
    """

    model: str
    version: int
    graph: bytes
    contracts: tuple[Contract, ...]

    def __call__(self, frame: "Frame") -> "Frame":
        """Predictions for the rows of a frame, in its order: one column for each output of the graph.

        Args:
            frame: polars, pandas or Arrow, with one column for each of `inputs`: a number, or a list with the numbers
                of the input's shape. Other columns are ignored.

        Returns:
            A frame of the same library; a pandas frame keeps its index. NaN where the model cannot predict.

        Raises:
            ContractError: a column is absent, or its values do not have the input's type or shape.
        """
        rows = _polars(frame)
        if lacking := [name for name in self.inputs if name not in rows.columns]:
            raise ContractError(
                f"the frame lacks {', '.join(lacking)} (needed by {self.model} version {self.version}: "
                f"{', '.join(self.inputs)}); take a table that has them: {', '.join(self.tables) or 'none has'}"
            )
        parts = [self._predict(rows[at : at + BATCH_ROWS]) for at in range(0, max(len(rows), 1), BATCH_ROWS)]
        return _like(frame, pl.concat(parts))

    @property
    def tables(self) -> tuple[str, ...]:
        """Names of the application's tables that have all input columns of the graph."""
        named = {one.name: {column.name for column in one.columns} for one in self.contracts}
        return tuple(name for name, columns in named.items() if columns.issuperset(self.inputs))

    @cached_property
    def inputs(self) -> Mapping[str, tuple[int, ...]]:
        """The input columns, each with the shape of one row: `()` for a number."""
        return {one.name: tuple(n for n in one.shape[1:] if n != 1) for one in self._session.get_inputs()}

    @cached_property
    def outputs(self) -> tuple[str, ...]:
        """The returned columns."""
        return tuple(one.name for one in self._session.get_outputs())

    @cached_property
    def _session(self) -> Any:
        return served_session(self.graph)

    def _predict(self, rows: pl.DataFrame) -> pl.DataFrame:
        tensors = {one.name: _tensor(rows[one.name], one) for one in self._session.get_inputs()}
        try:
            found = self._session.run(list(self.outputs), tensors)
        except runtime_failures() as error:
            raise ContractError(f"{self.model} version {self.version} cannot read these rows: {error}") from error
        return pl.DataFrame({name: values.ravel() for name, values in zip(self.outputs, found, strict=True)})


def _polars(frame: "Frame") -> pl.DataFrame:
    if isinstance(frame, pl.DataFrame):
        return frame
    import pandas as pd
    import pyarrow as pa

    if isinstance(frame, pd.DataFrame):
        return pl.from_pandas(frame)
    if isinstance(frame, pa.Table):
        found = pl.from_arrow(frame)
        assert isinstance(found, pl.DataFrame)  # the input is a table, not one column
        return found
    raise ContractError(f"a {type(frame).__name__} is no frame (allowed: polars, pandas or Arrow); convert it")


def _like(frame: "Frame", rows: pl.DataFrame) -> "Frame":
    """The rows as a frame of the same library."""
    if isinstance(frame, pl.DataFrame):
        return rows
    import pandas as pd

    if isinstance(frame, pd.DataFrame):
        return rows.to_pandas().set_index(frame.index)
    return rows.to_arrow()


def _tensor(column: pl.Series, wanted: Any) -> NDArray[Any]:
    """(B, ...) values of a column in the type and shape of a graph's input."""
    n_values = int(np.prod(wanted.shape[1:]))
    dtype = DTYPES.get(wanted.type)
    if dtype is None:
        raise ContractError(f"input {wanted.name} is a {wanted.type} (allowed: {', '.join(DTYPES)}); export it again")
    if isinstance(column.dtype, pl.List | pl.Array):
        lengths = set(column.cast(pl.List(column.dtype.inner)).list.len().to_list())
        if lengths - {n_values}:
            raise ContractError(
                f"column {wanted.name} has lists of {sorted(map(str, lengths))} values (allowed: {n_values}); "
                "rebuild its table"
            )
        column = column.explode() if len(column) else pl.Series(wanted.name, [], dtype=pl.Float64)
    elif n_values != 1:
        raise ContractError(f"column {wanted.name} holds {column.dtype} (allowed: lists of {n_values} numbers)")
    if not (column.dtype.is_numeric() or column.dtype == pl.Boolean):
        raise ContractError(f"column {wanted.name} holds {column.dtype} (allowed: numbers); convert it")
    if column.null_count() and not np.issubdtype(dtype, np.floating):
        raise ContractError(f"column {wanted.name} has {column.null_count()} empty values (allowed: none); fill them")
    return column.to_numpy().astype(dtype).reshape(-1, *wanted.shape[1:])
