"""How an application is served: turns the rows that its endpoint predicts, from a table or a file, into tensors."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

from sinet_pipelines.models.task import Task
from sinet_pipelines.schemas.contract import Contract


@dataclass(frozen=True)
class Requests:
    """Rows to predict.

    Attributes:
        names: (B,) what each row is about: an engine, a product.
        inputs: (B, ...) tensors by the name of the model's input.
        lacking: (B,) why a row cannot be predicted, as text after `lacks`; None where it can.
        notes: about the rows, for their sender.
    """

    names: tuple[str, ...]
    inputs: Mapping[str, NDArray]
    lacking: tuple[str | None, ...]
    notes: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.names)

    @property
    def is_whole_B(self) -> NDArray[np.bool_]:
        """(B,) whether each row can be predicted."""
        return np.array([lacks is None for lacks in self.lacking], dtype=bool)

    def take(self, rows: NDArray) -> "Requests":
        """A subset of the rows: (B,) bool, or indices."""
        places = np.flatnonzero(rows) if rows.dtype == bool else rows
        return Requests(
            tuple(self.names[place] for place in places),
            {name: values[places] for name, values in self.inputs.items()},
            tuple(self.lacking[place] for place in places),
            self.notes,
        )


@dataclass(frozen=True)
class ServedModel:
    """How an application is served.

    Attributes:
        task: what the endpoint predicts.
        table: contract of the rows that it predicts; each region has such a table.
        noun: what a row is about, such as `engine`.
        needed: what a row needs to be predicted, for messages.
        cure: what to do where a row of the table lacks it.
        headings: of the outputs in tables, in their order.
        of_table: makes requests from rows of the table.
        of_file: makes requests from rows of a file, sorted by name.
        digits: decimals of each output in tables.
    """

    task: Task
    table: Contract
    noun: str
    needed: str
    cure: str
    headings: tuple[str, ...]
    of_table: Callable[[pl.DataFrame], Requests]
    of_file: Callable[[Path], Requests]
    digits: int = 1
