"""Sequences: the channels of an engine up to a predicted cycle, as arrays, the inputs of the served model.

Windows are counted in cycles, not rows: an absent cycle (in quarantine, not landed, before the first) is a row of NaN
in its place. A sequence has the predicted cycle and earlier cycles, never later ones.

Letters: B predicted rows, T cycles (30 in a window, 10 at the start of a life), C channels (24).
"""

from dataclasses import dataclass

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from sinet_pipelines.applications.turbofan.schemas.features import EVALUATION_SEQUENCES, FIRST_CYCLES, WINDOW_CYCLES
from sinet_pipelines.applications.turbofan.schemas.telemetry import CHANNELS
from sinet_pipelines.errors import ContractError

Singles = NDArray[np.float32]


@dataclass(frozen=True)
class Sequences:
    """The inputs of a model for some engines, each at one predicted cycle.

    Attributes:
        unit: (B,) engine.
        cycle_B: (B,) predicted cycle, from 1.
        window_BTC: (B, 30, 24) float32, oldest first, the last row is the predicted cycle; absent cycles are NaN.
        first_cycles_BTC: (B, 10, 24) float32, cycles 1 to 10; absent or not yet flown ones are NaN.
    """

    unit: tuple[str, ...]
    cycle_B: NDArray[np.int32]
    window_BTC: Singles
    first_cycles_BTC: Singles

    def __len__(self) -> int:
        return len(self.unit)

    def take(self, rows: NDArray) -> "Sequences":
        """A subset of the sequences: (B,) bool, or indices."""
        unit = tuple(np.asarray(self.unit)[rows].tolist())
        return Sequences(unit, self.cycle_B[rows], self.window_BTC[rows], self.first_cycles_BTC[rows])


@dataclass(frozen=True)
class Timeline:
    """Engines one after another on one axis, one place for each cycle, so that a window is a slice.

    Attributes:
        rows: rows of telemetry in the order of their places, sorted by unit and cycle.
        place: (n_rows,) place of each row.
        length: total number of places; before every engine are `WINDOW_CYCLES - 1` empty ones.
    """

    rows: pl.DataFrame
    place: NDArray[np.int64]
    length: int

    def lay(self, values: NDArray) -> NDArray:
        """(n_columns, length) the columns of `values` (n_rows, n_columns) at their places, NaN elsewhere."""
        laid = np.full((values.shape[1], self.length), np.nan, dtype=values.dtype)
        laid[:, self.place] = values.T
        return laid


def timeline(telemetry: pl.DataFrame) -> Timeline:
    """The place of each row of telemetry when engines follow one another on one axis.

    Raises:
        ContractError: an engine has one cycle twice.
    """
    rows = telemetry.sort("unit", "cycle")
    twice = rows.filter(pl.struct("unit", "cycle").is_duplicated())
    if not twice.is_empty():
        unit, cycle = twice.row(0, named=True)["unit"], twice.row(0, named=True)["cycle"]
        raise ContractError(f"cycle {cycle} of engine {unit} is there twice (allowed: once); deduplicate by row_hash")
    spans = rows.select(
        cycle=pl.col("cycle").cast(pl.Int64),
        start=pl.col("cycle").cast(pl.Int64).min().over("unit"),
        span=(pl.col("cycle").max() - pl.col("cycle").min()).over("unit").cast(pl.Int64),
        number=pl.col("unit").rle_id(),
    )
    number = spans["number"].to_numpy()
    first_rows = np.unique(number, return_index=True)[1]
    lengths = WINDOW_CYCLES + spans["span"].to_numpy()[first_rows]
    offsets = np.cumsum(lengths) - lengths + WINDOW_CYCLES - 1
    place = offsets[number] + (spans["cycle"] - spans["start"]).to_numpy()
    return Timeline(rows, place, int(lengths.sum()))


def windows_at(laid: NDArray, place: NDArray[np.int64]) -> NDArray:
    """(n_columns, B, 30) the last `WINDOW_CYCLES` places up to each given place, of columns on a timeline."""
    back_T = np.arange(1 - WINDOW_CYCLES, 1)
    return np.take(laid, place[:, None] + back_T, axis=1)


def first_cycles_of(telemetry: pl.DataFrame, values: NDArray, unit: pl.Series) -> tuple[NDArray, NDArray[np.int64]]:
    """The first cycles of engines on any day, and the index of each engine.

    Args:
        telemetry: `unit` and `cycle` of the rows of `values`; rows after cycle 10 are ignored.
        values: (n_rows, n_columns).
        unit: (B,) engines.

    Returns:
        (n_engines, 10, n_columns), NaN where a cycle is absent, and (B,) the index of each engine of `unit`.
    """
    numbers = pl.DataFrame({"unit": unit.unique().sort()}).with_row_index("number")
    early = telemetry.select("unit", "cycle").with_row_index("row").filter(pl.col("cycle") <= FIRST_CYCLES)
    early = early.join(numbers, on="unit")
    first = np.full((len(numbers), FIRST_CYCLES, values.shape[1]), np.nan, dtype=values.dtype)
    first[early["number"].to_numpy(), early["cycle"].to_numpy() - 1] = values[early["row"].to_numpy()]
    numbered = unit.to_frame("unit").join(numbers, on="unit", how="left", maintain_order="left")
    return first, numbered["number"].to_numpy().astype(np.int64)


def hide_later(first_BTC: NDArray, cycle_B: NDArray) -> NDArray:
    """The same first cycles; those after the predicted cycle are NaN, because they had not been flown."""
    later_BT = np.arange(1, FIRST_CYCLES + 1)[None, :] > cycle_B[:, None]
    return np.where(later_BT[:, :, None], np.asarray(np.nan, dtype=first_BTC.dtype), first_BTC)


def sequence_windows(telemetry: pl.DataFrame, *, at: pl.DataFrame) -> Sequences:
    """The sequences for the predictions of a model, in the order of `at`.

    Args:
        telemetry: validated telemetry that has, for each row of `at`, its last 30 cycles and the engine's first 10.
        at: columns `unit` and `cycle` of the rows to predict.

    Raises:
        ContractError: a row of `at` is not in `telemetry`, or an engine has one cycle twice.
    """
    line = timeline(telemetry)
    index = line.rows.select("unit", "cycle").with_row_index("row")
    keys = at.select("unit", pl.col("cycle").cast(index.schema["cycle"]))
    placed = keys.join(index, on=["unit", "cycle"], how="left", maintain_order="left")
    missing = placed.filter(pl.col("row").is_null())
    if not missing.is_empty():
        unit, cycle, _ = missing.row(0)
        raise ContractError(f"no cycle {cycle} of engine {unit} in the telemetry; request cycles that it has")
    channels = line.rows.select(CHANNELS).to_numpy().astype(np.float32)
    window_CBT = windows_at(line.lay(channels), line.place[placed["row"].to_numpy()])
    cycle_B = placed["cycle"].to_numpy().astype(np.int32)
    first_UTC, engine_B = first_cycles_of(line.rows, channels, placed["unit"])
    return Sequences(
        unit=tuple(placed["unit"]),
        cycle_B=cycle_B,
        window_BTC=np.ascontiguousarray(window_CBT.transpose(1, 2, 0)),
        first_cycles_BTC=hide_later(first_UTC[engine_B], cycle_B),
    )


def latest_sequences(telemetry: pl.DataFrame) -> Sequences:
    """The sequences of all engines, each at its last cycle, sorted by unit.

    Args:
        telemetry: `unit`, `cycle` and the 24 channels, in any order.

    Raises:
        ContractError: an engine has one cycle twice.
    """
    last = pl.col("cycle").max().over("unit")
    recent = telemetry.filter(pl.col("cycle") > last - WINDOW_CYCLES)  # memory does not grow with the cycles between
    early = telemetry.filter(pl.col("cycle") <= FIRST_CYCLES)
    newest = telemetry.group_by("unit").agg(pl.col("cycle").max()).sort("unit")
    windows = sequence_windows(recent, at=newest)
    channels = early.select(CHANNELS).to_numpy().astype(np.float32)
    first_UTC, engine_B = first_cycles_of(early, channels, newest["unit"])
    first_BTC = hide_later(first_UTC[engine_B], windows.cycle_B)
    return Sequences(windows.unit, windows.cycle_B, windows.window_BTC, first_BTC)


def sequences_to_table(sequences: Sequences, *, rows: pl.DataFrame) -> pa.Table:
    """The sequences as a table (contracts `evaluation_sequences`, `live_sequences`).

    Args:
        sequences: B sequences.
        rows: the predicted rows in the same order, with `event_date` and `row_hash`.
    """
    schema = EVALUATION_SEQUENCES.schema
    flat = {
        "window": sequences.window_BTC.reshape(len(sequences), WINDOW_CYCLES * len(CHANNELS)),
        "first_cycles": sequences.first_cycles_BTC.reshape(len(sequences), FIRST_CYCLES * len(CHANNELS)),
    }
    lists = {name: _lists(values, schema.field(name).type) for name, values in flat.items()}
    arrays = {"unit": pa.array(sequences.unit, pa.string()), "cycle": pa.array(sequences.cycle_B, pa.int32())}
    dates = rows.select("event_date", "row_hash").to_arrow()
    return pa.table(
        [
            arrays["unit"],
            arrays["cycle"],
            dates["event_date"].cast(pa.date32()),
            dates["row_hash"].cast(pa.string()),
            lists["window"],
            lists["first_cycles"],
        ],
        schema=schema,
    )


def _lists(values: Singles, dtype: pa.ListType) -> pa.Array:
    """Each row of (B, n) as a list."""
    offsets = np.arange(len(values) + 1, dtype=np.int32) * values.shape[1]
    flat = pa.array(np.ascontiguousarray(values).reshape(-1), pa.float32())
    return pa.ListArray.from_arrays(pa.array(offsets), flat, type=dtype)


def sequences_from_table(table: pa.Table) -> Sequences:
    """The sequences of a table, in its order.

    Raises:
        ContractError: the number of values in a window or in the first cycles differs from its shape.
    """
    return Sequences(
        unit=tuple(table["unit"].to_pylist()),
        cycle_B=table["cycle"].to_numpy().astype(np.int32),
        window_BTC=_array(table, "window", WINDOW_CYCLES),
        first_cycles_BTC=_array(table, "first_cycles", FIRST_CYCLES),
    )


def _array(table: pa.Table, name: str, n_cycles: int) -> Singles:
    """(B, n_cycles, 24) of a column of lists."""
    expected = n_cycles * len(CHANNELS)
    lengths = set(pc.list_value_length(table[name]).to_pylist())
    if lengths - {expected}:
        raise ContractError(f"{name} has lists of {sorted(lengths)} values (allowed: {expected}); rebuild the table")
    flat = table[name].combine_chunks().flatten().to_numpy(zero_copy_only=False).astype(np.float32)
    return flat.reshape(-1, n_cycles, len(CHANNELS))
