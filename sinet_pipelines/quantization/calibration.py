"""Chooses the rows that a graph is calibrated on: as many from every operating regime, spread over all ages.

The ranges of a quantized graph are those of its calibration rows. A regime that is missing among them would be clipped
where it is served, and no average over all rows would show it.
"""

import numpy as np
from numpy.typing import NDArray

from sinet_pipelines.errors import ContractError
from sinet_pipelines.features.regimes import N_SETTINGS, OperatingRegimes
from sinet_pipelines.features.sequences import Sequences

ROWS_A_REGIME = 256  # ages from end to end, 1,536 rows of six regimes: a quarter of a second


def regimes_asked(sequences: Sequences, regimes: OperatingRegimes) -> NDArray[np.intp]:
    """(B,) the operating regime of each asked cycle; -1 where that cycle is absent."""
    asked_BC = sequences.window_BTC[:, -1]
    there_B = np.isfinite(asked_BC).all(axis=1)
    return np.where(there_B, regimes.assign(asked_BC[:, :N_SETTINGS]), -1)


def calibration_rows(
    sequences: Sequences, regimes: OperatingRegimes, *, rows_a_regime: int = ROWS_A_REGIME
) -> Sequences:
    """Equally many rows of every regime, by age from young to old, the same in whatever order the rows come.

    Args:
        sequences: of which engines may be seen: history engines, never those a model is judged by.
        regimes: those of the graph.
        rows_a_regime: of each; fewer where the scarcest regime has fewer.

    Raises:
        ContractError: a regime has no row.
    """
    regime_B = regimes_asked(sequences, regimes)
    counts = np.bincount(regime_B[regime_B >= 0], minlength=len(regimes))
    if not counts.all():
        missing = ", ".join(str(regime) for regime in np.flatnonzero(counts == 0))
        raise ContractError(
            f"no calibration row in operating regime {missing} of {len(regimes)} ({len(sequences)} rows; at least one "
            "of each is needed); calibrate on more engines"
        )
    n = min(rows_a_regime, int(counts.min()))
    by_age = np.lexsort((np.asarray(sequences.unit), sequences.cycle_B))
    chosen = [_spread(by_age[regime_B[by_age] == regime], n) for regime in range(len(regimes))]
    return sequences.take(np.concatenate(chosen))


def _spread(rows: NDArray[np.intp], n: int) -> NDArray[np.intp]:
    """Some of the rows, at equal distances, the first and the last among them."""
    return rows[np.linspace(0, len(rows) - 1, n).round().astype(np.intp)]
