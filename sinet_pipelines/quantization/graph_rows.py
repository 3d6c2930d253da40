"""Rows as inputs of a served graph: tensors by name, and for which rows it predicts a number.

Letters: B rows.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sinet_pipelines.errors import ContractError

Singles = NDArray[np.float32]


@dataclass(frozen=True)
class GraphRows:
    """B rows.

    Attributes:
        tensors: (B, ...) float32 by the name of the input.
        is_answerable_B: (B,) bool, whether a graph predicts a number for the row; it returns NaN for the others.
        names: (B,) names of the rows in messages: `engine FD001-0001 at cycle 12`.
    """

    tensors: Mapping[str, Singles]
    is_answerable_B: NDArray[np.bool_]
    names: tuple[str, ...]

    def __post_init__(self) -> None:
        lengths = {name: len(values) for name, values in self.tensors.items()}
        if set(lengths.values()) != {len(self.names)} or len(self.is_answerable_B) != len(self.names):
            raise ContractError(f"{len(self.names)} rows with inputs of {lengths} rows (allowed: one each); align them")

    def __len__(self) -> int:
        return len(self.names)

    @property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Shape of each input after its batch axis."""
        return {name: values.shape[1:] for name, values in self.tensors.items()}

    def take(self, rows: NDArray) -> "GraphRows":
        """A subset of the rows: (B,) bool, or indices."""
        tensors = {name: values[rows] for name, values in self.tensors.items()}
        return GraphRows(tensors, self.is_answerable_B[rows], tuple(np.asarray(self.names)[rows].tolist()))
