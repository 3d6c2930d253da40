"""Window features: statistics of an engine's last 30 cycles, relative to its regime and to its own first cycles.

One definition serves the tables (`rolling_statistics`) and the served model (`window_features`): channels rounded to
float32, then float64 arithmetic in the order written here, then float32. Absent cycles are left out, so sums run over
those present.

Letters: B predicted rows, S sensors (21), T cycles of the window (30), K horizons, F features.
"""

from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from sinet_pipelines.applications.turbofan.features.regimes import OperatingRegimes
from sinet_pipelines.applications.turbofan.features.sequences import (
    Sequences,
    first_cycles_of,
    hide_later,
    timeline,
    windows_at,
)
from sinet_pipelines.applications.turbofan.schemas.features import (
    CHANGE_HORIZONS,
    FEATURE_NAMES,
    MEAN_HORIZONS,
    SLOPE_HORIZONS,
    SPREAD_HORIZONS,
    WINDOW_CYCLES,
    WINDOW_FEATURES,
)
from sinet_pipelines.applications.turbofan.schemas.telemetry import CHANNELS

NEGLIGIBLE = 1e-6  # of a standard deviation: smaller values are rounding errors, and no tree may split on them
TWO_NEIGHBOURS = 0.5  # spread of time of two neighbouring cycles: their difference is noise, not a slope
CHUNK_ROWS = 2048  # the windows of this number of rows fit in the processor's cache

Floats = NDArray[np.float64]
Singles = NDArray[np.float32]


def window_features(sequences: Sequences, regimes: OperatingRegimes) -> Singles:
    """(B, F) features of sequences, columns as `FEATURE_NAMES`; the served graph computes the same."""
    z_BTS = regimes.standardise(sequences.window_BTC)
    first_BTS = regimes.standardise(sequences.first_cycles_BTC)
    return window_statistics(z_BTS.transpose(2, 0, 1), first_BTS, sequences.cycle_B)


def rolling_statistics(history: pl.DataFrame, *, first_cycles: pl.DataFrame, regimes: OperatingRegimes) -> pl.DataFrame:
    """Features of one region's telemetry, one row for each engine and cycle (contract `window_features`).

    Args:
        history: validated telemetry, any number of days.
        first_cycles: validated rows of cycles 1 to 10 of those engines, of any day.
        regimes: regimes for the standardisation of sensors.

    Returns:
        Rows sorted by unit and cycle.

    Raises:
        ContractError: an engine has one cycle twice.
    """
    features = features_by_row(history, first_cycles=first_cycles, regimes=regimes)
    added = pl.DataFrame(
        {
            "regimes_version": [regimes.version] * len(features.rows),
            "window_cycles_present": features.cycles_present_B,
            **dict(zip(FEATURE_NAMES, features.values_BF.T, strict=True)),
        },
        schema_overrides={"regimes_version": pl.String},
    )
    return features.rows.hstack(added).select(WINDOW_FEATURES.schema.names)


@dataclass(frozen=True)
class RowFeatures:
    """Rows of telemetry and the features of their windows.

    Attributes:
        rows: sorted by unit and cycle.
        cycles_present_B: (B,) int32 number of present cycles in the window, from 1 to 30.
        values_BF: (B, F) float32, columns as `FEATURE_NAMES`.
    """

    rows: pl.DataFrame
    cycles_present_B: NDArray[np.int32]
    values_BF: Singles


def features_by_row(history: pl.DataFrame, *, first_cycles: pl.DataFrame, regimes: OperatingRegimes) -> RowFeatures:
    """Features of each row of telemetry.

    A row uses its own cycle, the 29 before it, and those of the engine's first 10 that had been flown. The result is
    independent of the order of rows, and equal for all days at once or each day with the earlier days in its windows.

    Args:
        history: `unit`, `cycle` and the 24 channels.
        first_cycles: the same of cycles 1 to 10 of those engines; later rows are ignored.
        regimes: regimes for the standardisation of sensors.

    Raises:
        ContractError: an engine has one cycle twice.
    """
    line = timeline(history)
    z_SL = line.lay(regimes.standardise(line.rows.select(CHANNELS).to_numpy()))
    present_L = ~np.isnan(z_SL[:1])
    first_z = regimes.standardise(first_cycles.select(CHANNELS).to_numpy())
    first_UTS, engine_B = first_cycles_of(first_cycles, first_z, line.rows["unit"])
    cycle_B = line.rows["cycle"].to_numpy()
    values_BF = np.empty((len(cycle_B), len(FEATURE_NAMES)), dtype=np.float32)
    for start in range(0, len(cycle_B), CHUNK_ROWS):
        chunk = slice(start, start + CHUNK_ROWS)
        z_SBT = windows_at(z_SL, line.place[chunk])
        values_BF[chunk] = window_statistics(z_SBT, first_UTS[engine_B[chunk]], cycle_B[chunk])
    cycles_present_B = windows_at(present_L, line.place)[0].sum(axis=1)
    return RowFeatures(line.rows, cycles_present_B.astype(np.int32), values_BF)


def window_statistics(z_SBT: Floats, first_BTS: Floats, cycle_B: NDArray) -> Singles:
    """(B, F) features of standardised windows.

    With t the cycles since the predicted one (0, -1, ...), n the cycles present among the last h, and sums over those:

        mean   = sum(z) / n
        spread = sqrt(sum((z - mean)^2) / n)
        slope  = (sum(t z) - mean sum(t)) / (sum(t^2) - sum(t)^2 / n), 0 where the divisor is <= `TWO_NEIGHBOURS`
        change = mean - (mean of the first cycles; 0, the regime's own mean, when none of them is present)

    Values smaller than `NEGLIGIBLE` become 0.

    Args:
        z_SBT: (21, B, 30) standardised sensors, oldest first, NaN where a cycle is absent.
        first_BTS: (B, 10, 21) the same of cycles 1 to 10; cycles after the predicted one are not read.
        cycle_B: (B,) predicted cycle.
    """
    present_BT = ~np.isnan(z_SBT[0])
    z_SBT = np.where(present_BT, z_SBT, 0.0)
    means = dict(zip(MEAN_HORIZONS, _means(z_SBT, present_BT, MEAN_HORIZONS), strict=True))
    baseline_SB = _baseline(hide_later(first_BTS, cycle_B))
    parts = [
        z_SBT[:, :, -1],
        *means.values(),
        *(_spread(z_SBT, present_BT, means[h], h) for h in SPREAD_HORIZONS),
        *_slopes(z_SBT, present_BT, SLOPE_HORIZONS),
        *(means[h] - baseline_SB for h in CHANGE_HORIZONS),
    ]
    features = np.empty((len(cycle_B), len(FEATURE_NAMES)), dtype=np.float32)
    values_FB = np.concatenate(parts)
    values_FB[np.abs(values_FB) < NEGLIGIBLE] = 0.0
    features[:, :-1] = values_FB.T
    features[:, -1] = cycle_B
    return features


def _within(horizons: tuple[int, ...]) -> Floats:
    """(T, K) 1 where a cycle of the window is within a horizon."""
    age_T = np.arange(WINDOW_CYCLES)[::-1]
    return (age_T[:, None] < np.asarray(horizons)).astype(np.float64)


def _means(z_SBT: Floats, present_BT: NDArray, horizons: tuple[int, ...]) -> Floats:
    """(K, S, B) mean over each horizon."""
    within_TK = _within(horizons)
    n_BK = present_BT @ within_TK
    return np.moveaxis((z_SBT @ within_TK) / n_BK, -1, 0)


def _spread(z_SBT: Floats, present_BT: NDArray, mean_SB: Floats, horizon: int) -> Floats:
    """(S, B) standard deviation over a horizon."""
    recent_BT = present_BT[:, -horizon:]
    off_SBT = np.where(recent_BT, z_SBT[:, :, -horizon:] - mean_SB[:, :, None], 0.0)
    return np.sqrt(np.einsum("sbt,sbt->sb", off_SBT, off_SBT) / recent_BT.sum(axis=1))


def _slopes(z_SBT: Floats, present_BT: NDArray, horizons: tuple[int, ...]) -> Floats:
    """(K, S, B) least-squares slope over each horizon, per cycle."""
    within_TK = _within(horizons)
    t_TK = within_TK * (np.arange(WINDOW_CYCLES) - (WINDOW_CYCLES - 1.0))[:, None]
    n_BK, t_BK, tt_BK = present_BT @ within_TK, present_BT @ t_TK, present_BT @ (t_TK * t_TK)
    over_BK = tt_BK - t_BK * t_BK / n_BK
    above_SBK = z_SBT @ t_TK - (z_SBT @ within_TK) / n_BK * t_BK
    return np.moveaxis(
        np.divide(above_SBK, over_BK, out=np.zeros_like(above_SBK), where=over_BK > TWO_NEIGHBOURS), -1, 0
    )


def _baseline(first_BTS: Floats) -> Floats:
    """(S, B) mean of the first cycles, 0 where none is present."""
    n_B = (~np.isnan(first_BTS[:, :, 0])).sum(axis=1)
    return (np.nansum(first_BTS, axis=1) / np.maximum(n_B, 1)[:, None]).T
