"""Describes how an application is served: how rows of a table or a file become tensors for its endpoint."""

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
        names: B names of what the rows describe: an engine, a product.
        inputs: (B, ...) tensors by the name of the model's input.
        lacking: B texts that name what a row lacks for a prediction; None where it lacks nothing.
        notes: remarks about the rows for the user who sends them.
    """

    names: tuple[str, ...]
    inputs: Mapping[str, NDArray]
    lacking: tuple[str | None, ...]
    notes: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.names)

    @property
    def is_whole_B(self) -> NDArray[np.bool_]:
        """(B,) whether each row lacks nothing, so that it can be predicted."""
        return np.array([lacks is None for lacks in self.lacking], dtype=bool)

    def take(self, rows: NDArray) -> "Requests":
        """The requests of some rows.

        Args:
            rows: (B,) bool, or indices.
        """
        places = np.flatnonzero(rows) if rows.dtype == bool else rows
        return Requests(
            tuple(self.names[place] for place in places),
            {name: values[places] for name, values in self.inputs.items()},
            tuple(self.lacking[place] for place in places),
            self.notes,
        )


@dataclass(frozen=True)
class ServedModel:
    """The rows that an application's endpoint predicts, and how its outputs are shown.

    Attributes:
        task: the task of the endpoint's model.
        table: contract of the table with the rows to predict; each region has such a table.
        noun: the word for what a row describes, such as `engine`.
        needed: text for messages: what a row needs for a prediction.
        cure: text for messages: what to do where a row of the table lacks it.
        headings: headings of the outputs in tables, in the order of the outputs.
        of_table: makes requests from rows of the table.
        of_file: makes requests from rows of a file, sorted by name.
        digits: number of decimals of each output in tables.
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
