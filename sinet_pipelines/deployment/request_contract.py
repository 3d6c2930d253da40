"""Limits of a model's requests, read from its graph's metadata: bounds of every column, and the steps it needs.

The application writes them into the graph with its pre-processing. A graph without them accepts every request. The
checks run before every prediction, so they consist of a few numpy calls.
"""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sinet_pipelines.errors import ServingError, UsageError

METADATA_KEY = "request_contract"


@dataclass(frozen=True)
class Columns:
    """Bounds of the columns in the last axis of an input.

    Attributes:
        names: names of the C columns.
        units: units of the columns.
        minimum: (C,) least values in the input's type; -inf where there is no bound.
        maximum: (C,) greatest values in the input's type; inf where there is no bound.
        is_whole: whether all values must be whole numbers, which are then also required.
        is_required: whether all values must be present (not NaN).
    """

    names: tuple[str, ...]
    units: tuple[str, ...]
    minimum: NDArray
    maximum: NDArray
    is_whole: bool
    is_required: bool

    def check(self, name: str, values: NDArray) -> bool:
        """Rejects values outside their bounds; NaN is an absent value.

        Nearly every request is complete and within bounds. This case takes two comparisons and a search in bytes, since
        each reduction of numpy takes 10 us while a model runs.

        Args:
            name: name of the input.
            values: (..., C) values of the input.

        Returns:
            Whether every value is present.

        Raises:
            UsageError: a value is outside its bounds, not whole, or absent where it is required; the message names the
                first one.
        """
        if self.is_whole and values.size == 1:
            value = values.item()
            if self.minimum[0] <= value <= self.maximum[0] and value == int(value):
                return True
        elif not self.is_whole:
            within = (values >= self.minimum) & (values <= self.maximum)  # false for NaN
            if b"\0" not in within.tobytes():
                return True
        wrong = (values < self.minimum) | (values > self.maximum)
        if self.is_whole:
            wrong |= values != np.floor(values)  # true for NaN
        elif self.is_required:
            wrong |= np.isnan(values)
        if wrong.any():
            raise UsageError(self._sentence(name, values, wrong))
        return not np.isnan(values).any()

    def _sentence(self, name: str, values: NDArray, wrong: NDArray) -> str:
        at = np.argwhere(wrong)[0]
        column, value = int(at[-1]), values[tuple(at)]
        place = ", ".join(f"{axis} {index}" for axis, index in zip(("row", "step"), at[:-1].tolist(), strict=False))
        low, high = (f"{limit[column]:g}" for limit in (self.minimum, self.maximum))
        kind = "whole numbers from " if self.is_whole else ""
        return (
            f"input {name!r} has {self.names[column]} {value:g} in {place} (allowed: {kind}{low} to {high} "
            f"{self.units[column]}); send values in that unit"
            + ("" if self.is_required else ", NaN where one is absent")
        )


@dataclass(frozen=True)
class Need:
    """The share of an input's steps that must be complete.

    Attributes:
        input: name of the (B, T, C) input whose steps are counted; a step with an absent value is not complete.
        share: numerator and denominator of the share. It applies to T steps, or to the number in `by` if that is less.
        by: name of the (B, 1) input with the number of each row's newest step, from 1.
        ends_with_it: true where the last of the T steps has the number in `by` (a window); false where the first of
            them has number 1.
        cure: what to do where too few steps are complete.
    """

    input: str
    share: tuple[int, int]
    by: str
    ends_with_it: bool
    cure: str

    def check(self, inputs: Mapping[str, NDArray], *, is_complete: bool) -> None:
        """Rejects a request with a row that has too few complete steps.

        Args:
            inputs: the arrays of the request by name.
            is_complete: whether no value is absent in the input whose steps are counted.

        Raises:
            UsageError: a row has too few complete steps.
        """
        values_BTC, by_B1 = inputs[self.input], inputs[self.by].reshape(-1, 1)
        steps = values_BTC.shape[1]
        if is_complete and (by_B1.item() if by_B1.size == 1 else by_B1.min()) >= steps:
            return  # nearly every request
        absent_BTC = np.isnan(values_BTC)
        numbers_BT = np.arange(1, steps + 1) + (by_B1 - steps if self.ends_with_it else 0)
        due_BT = (numbers_BT >= 1) & (numbers_BT <= by_B1)
        complete_B = (due_BT & ~absent_BTC.any(axis=2)).sum(axis=1)
        due_B = np.minimum(by_B1[:, 0], steps)
        short = np.flatnonzero(complete_B * self.share[1] < due_B * self.share[0])
        if len(short):
            row = int(short[0])
            others = f" and too few in {len(short) - 1} more rows" if len(short) > 1 else ""
            needed = math.ceil(due_B[row] * self.share[0] / self.share[1])
            raise UsageError(
                f"input {self.input!r} has {complete_B[row]} complete steps in row {row}{others}, at {self.by} "
                f"{by_B1[row, 0]:g} (needed: {needed}); {self.cure}"
            )


@dataclass(frozen=True)
class RequestContract:
    """The limits of a model's requests.

    Attributes:
        columns: input name -> bounds of its columns.
        needs: shares of steps that must be complete.
    """

    columns: Mapping[str, Columns]
    needs: tuple[Need, ...]

    def check(self, inputs: Mapping[str, NDArray]) -> None:
        """Rejects inputs outside the model's limits.

        Args:
            inputs: input name -> array of the declared type and shape; all have one batch size.

        Raises:
            UsageError: a value or a number of steps is not allowed; the message names input, row and limit.
        """
        complete = {name for name, columns in self.columns.items() if columns.check(name, inputs[name])}
        for need in self.needs:
            need.check(inputs, is_complete=need.input in complete)


NOTHING_REQUIRED = RequestContract({}, ())


def read_request_contract(metadata: Mapping[str, str], inputs: Mapping[str, np.dtype]) -> RequestContract:
    """The request contract in a graph's metadata; one without limits where the metadata has none.

    Args:
        metadata: metadata of the graph.
        inputs: input name -> its numpy type.

    Raises:
        ServingError: the metadata has no valid contract for this graph.
    """
    text = metadata.get(METADATA_KEY)
    if text is None:
        return NOTHING_REQUIRED
    try:
        content = json.loads(text)
        columns = {name: _columns(parts, inputs[name]) for name, parts in content["columns"].items()}
        needs = tuple(Need(**{**need, "share": tuple(map(int, need["share"]))}) for need in content["needs"])
        if any(name not in inputs for need in needs for name in (need.input, need.by)):
            raise KeyError("an input that the graph does not have")
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ServingError(
            f"the graph's {METADATA_KEY} cannot be read ({type(error).__name__}: {error}); export the model again"
        ) from error
    return RequestContract(columns, needs)


def _columns(parts: list[dict], dtype: np.dtype) -> Columns:
    lowest, highest = -np.inf, np.inf
    return Columns(
        names=tuple(str(part["name"]) for part in parts),
        units=tuple(str(part.get("unit", "")) for part in parts),
        minimum=np.array([lowest if part["minimum"] is None else part["minimum"] for part in parts], dtype=dtype),
        maximum=np.array([highest if part["maximum"] is None else part["maximum"] for part in parts], dtype=dtype),
        is_whole=any(part.get("whole", False) for part in parts),
        is_required=any(part.get("required", False) for part in parts),
    )
