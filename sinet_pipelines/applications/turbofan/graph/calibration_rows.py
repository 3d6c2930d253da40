"""Chooses the calibration rows of a graph: the same number from every operating regime, spread over all ages.

The ranges of a quantized graph are those of its calibration rows. Values of a missing regime would be clipped when
served, and an average over all rows would not show it.
"""

import numpy as np
from numpy.typing import NDArray

from sinet_pipelines.applications.turbofan.features.regimes import N_SETTINGS, OperatingRegimes
from sinet_pipelines.applications.turbofan.features.sequences import Sequences
from sinet_pipelines.errors import ContractError

ROWS_A_REGIME = 256  # over all ages; 1,536 rows of six regimes take a quarter of a second


def last_regimes(sequences: Sequences, regimes: OperatingRegimes) -> NDArray[np.intp]:
    """(B,) the operating regime of each predicted cycle; -1 where that cycle is absent."""
    last_BC = sequences.window_BTC[:, -1]
    there_B = np.isfinite(last_BC).all(axis=1)
    return np.where(there_B, regimes.assign(last_BC[:, :N_SETTINGS]), -1)


def calibration_rows(
    sequences: Sequences, regimes: OperatingRegimes, *, rows_a_regime: int = ROWS_A_REGIME
) -> Sequences:
    """The same number of rows from every regime, sorted by age, independent of the order of the rows.

    Args:
        sequences: of history engines, never of engines of the evaluation set.
        regimes: regimes of the graph.
        rows_a_regime: rows of each regime; fewer if the smallest regime has fewer.

    Raises:
        ContractError: a regime has no row.
    """
    regime_B = last_regimes(sequences, regimes)
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
    """Chooses n rows at equal distances, including the first and the last."""
    return rows[np.linspace(0, len(rows) - 1, n).round().astype(np.intp)]
