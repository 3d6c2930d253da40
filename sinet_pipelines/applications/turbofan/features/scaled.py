"""Scaled sequences: sensors z-scored within their regimes, engines one after another, as inputs of a network.

Each cycle is one row of a table, so no value is stored thirty times; a window is a slice of one line. Only this module
decides which cycles a prediction uses: its own, the 29 before it, and the engine's first ten that have been flown.

Letters: B predicted rows, L places on the line, T cycles of the window (30), S sensors (21).
"""

from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from sinet_pipelines.applications.turbofan.features.regimes import OperatingRegimes
from sinet_pipelines.applications.turbofan.features.sequences import Sequences, first_cycles_of, hide_later, timeline
from sinet_pipelines.applications.turbofan.schemas.features import SCALED_SENSORS, TRAINING_SEQUENCES, WINDOW_CYCLES
from sinet_pipelines.applications.turbofan.schemas.telemetry import CHANNELS
from sinet_pipelines.errors import ContractError

Singles = NDArray[np.float32]


@dataclass(frozen=True)
class ScaledSequences:
    """The inputs of a network for some engines, each at one predicted cycle.

    Attributes:
        z_LS: (L, 21) float32 standardised sensors of all engines on one line, 0 where a cycle is absent; before every
            engine are 29 empty places, so that no window includes another engine.
        present_L: (L,) bool, whether a cycle is present.
        place_B: (B,) int64, place of each predicted row.
        baseline_BS: (B, 21) float32 mean of the engine's first ten cycles that were flown; 0 where none is present.
        cycle_B: (B,) int32 predicted cycle, from 1.
    """

    z_LS: Singles
    present_L: NDArray[np.bool_]
    place_B: NDArray[np.int64]
    baseline_BS: Singles
    cycle_B: NDArray[np.int32]

    def __len__(self) -> int:
        return len(self.place_B)

    def take(self, rows: NDArray) -> "ScaledSequences":
        """The sequences of a subset of the rows, on the same line: (B,) bool, or indices."""
        return ScaledSequences(
            self.z_LS, self.present_L, self.place_B[rows], self.baseline_BS[rows], self.cycle_B[rows]
        )

    def windows(self) -> Singles:
        """(B, 30, 21) the last 30 cycles of each predicted row, oldest first."""
        back_T = np.arange(1 - WINDOW_CYCLES, 1)
        return self.z_LS[self.place_B[:, None] + back_T]


def scale_telemetry(telemetry: pl.DataFrame, regimes: OperatingRegimes) -> pl.DataFrame:
    """Telemetry z-scored within its regime (contract `training_sequences`), sorted by unit and cycle.

    Args:
        telemetry: `unit`, `cycle` and the 24 channels; `event_date` and `row_hash` are kept if present.
        regimes: regimes for the standardisation of sensors.
    """
    rows = telemetry.sort("unit", "cycle")
    z_BS = regimes.standardise(rows.select(CHANNELS).to_numpy()).astype(np.float32)
    scaled = pl.DataFrame(dict(zip(SCALED_SENSORS, z_BS.T, strict=True)))
    found = rows.select(name for name in TRAINING_SEQUENCES.schema.names if name in rows.columns)
    known = found.with_columns(regimes_version=pl.lit(regimes.version)).hstack(scaled)
    return known.select(name for name in TRAINING_SEQUENCES.schema.names if name in known.columns)


def scaled_sequences(scaled: pl.DataFrame, *, at: pl.DataFrame) -> ScaledSequences:
    """The sequences of the rows in `at`, in their order.

    Args:
        scaled: rows of contract `training_sequences`, all available cycles of each engine.
        at: columns `unit` and `cycle` of the rows to predict.

    Raises:
        ContractError: a row of `at` is not in `scaled`, or an engine has one cycle twice.
    """
    line = timeline(scaled)
    z_BS = line.rows.select(SCALED_SENSORS).to_numpy().astype(np.float32)
    index = line.rows.select("unit", "cycle").with_columns(place=pl.Series(line.place))
    keys = at.select("unit", pl.col("cycle").cast(index.schema["cycle"]))
    placed = keys.join(index, on=["unit", "cycle"], how="left", maintain_order="left")
    missing = placed.filter(pl.col("place").is_null())
    if not missing.is_empty():
        unit, cycle, _ = missing.row(0)
        raise ContractError(
            f"no cycle {cycle} of engine {unit} among the sequences, nor of {len(missing) - 1} more; make them again"
        )
    cycle_B = placed["cycle"].to_numpy().astype(np.int32)
    first_UTS, engine_B = first_cycles_of(line.rows, z_BS, placed["unit"])
    laid_SL = line.lay(z_BS)
    return ScaledSequences(
        z_LS=np.ascontiguousarray(np.nan_to_num(laid_SL).T),
        present_L=~np.isnan(laid_SL[0]),
        place_B=placed["place"].to_numpy().astype(np.int64),
        baseline_BS=baseline(first_UTS[engine_B], cycle_B),
        cycle_B=cycle_B,
    )


def scaled_windows(sequences: Sequences, regimes: OperatingRegimes) -> ScaledSequences:
    """Standardised sequences of served requests: each row has its own 30 places on the line."""
    z_BTS = regimes.standardise(sequences.window_BTC).astype(np.float32)
    first_BTS = regimes.standardise(sequences.first_cycles_BTC).astype(np.float32)
    laid_LS = z_BTS.reshape(-1, z_BTS.shape[-1])
    ends_B = np.arange(1, len(sequences) + 1, dtype=np.int64) * WINDOW_CYCLES - 1
    return ScaledSequences(
        z_LS=np.nan_to_num(laid_LS),
        present_L=~np.isnan(laid_LS[:, 0]),
        place_B=ends_B,
        baseline_BS=baseline(first_BTS, sequences.cycle_B),
        cycle_B=sequences.cycle_B,
    )


def baseline(first_BTS: NDArray, cycle_B: NDArray) -> Singles:
    """(B, 21) float32 mean of the first cycles flown until the predicted one; 0 where none is present."""
    flown_BTS = hide_later(first_BTS, cycle_B).astype(np.float64)
    n_B = (~np.isnan(flown_BTS[:, :, 0])).sum(axis=1)
    return (np.nansum(flown_BTS, axis=1) / np.maximum(n_B, 1)[:, None]).astype(np.float32)
