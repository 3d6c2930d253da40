"""Finds the cycles that a sequence lacks, and whether these are too many for a prediction.

Served graphs and servers follow the same limits: `graph/window_graph.py`, `graph/request_contract.py`.

Models are trained on engines with data from their first cycle, where only single cycles are absent. For 207 engines of
the simulated fleet, predicted after cycle 40, the prediction was outside of its own 90 % interval in
  - none with 5 of the first 10 cycles present, 7 % with 1, 55 % with none (as if the engine were new: +19 cycles);
  - at most 2.4 % with 20 of the last 30 cycles present, up to 11 % with 15, 27 % with only the predicted cycle.
The limits follow from these figures. For a young engine, cycles that it has not flown yet do not count as absent.
"""

import numpy as np
from numpy.typing import NDArray

from sinet_pipelines.applications.turbofan.features.sequences import Sequences
from sinet_pipelines.applications.turbofan.schemas.features import FIRST_CYCLES, WINDOW_CYCLES
from sinet_pipelines.applications.turbofan.schemas.telemetry import LAST_CYCLE

Share = tuple[int, int]
MIN_FIRST_SHARE: Share = (1, 2)  # of the first ten cycles, as far as flown
MIN_WINDOW_SHARE: Share = (2, 3)  # of the last thirty cycles, as far as flown
NEEDED = f"half of the first {FIRST_CYCLES} cycles and two thirds of the last {WINDOW_CYCLES}, as far as flown"
SHOWN_RANGES = 4  # of cycles in a message


def absent_first_cycles(sequences: Sequences) -> tuple[NDArray[np.int64], ...]:
    """For each sequence, the numbers of the engine's first cycles that were flown and are absent."""
    numbers_T = np.arange(1, FIRST_CYCLES + 1)
    absent_BT = ~np.isfinite(sequences.first_cycles_BTC).all(axis=2) & (numbers_T <= sequences.cycle_B[:, None])
    return tuple(numbers_T[absent_T] for absent_T in absent_BT)


def absent_window_cycles(sequences: Sequences) -> tuple[NDArray[np.int64], ...]:
    """For each sequence, the numbers of the last cycles that were flown and are absent."""
    numbers_BT = sequences.cycle_B[:, None] + np.arange(1 - WINDOW_CYCLES, 1)
    absent_BT = ~np.isfinite(sequences.window_BTC).all(axis=2) & (numbers_BT >= 1)
    return tuple(numbers_T[absent_T] for numbers_T, absent_T in zip(numbers_BT, absent_BT, strict=True))


def shortfalls(sequences: Sequences) -> tuple[str | None, ...]:
    """For each sequence, a text with the absent cycles if these are too many for a prediction; else None."""
    absent = zip(
        sequences.cycle_B.tolist(), absent_first_cycles(sequences), absent_window_cycles(sequences), strict=True
    )
    return tuple(_shortfall(cycle, first, window) for cycle, first, window in absent)


def are_answerable(sequences: Sequences) -> NDArray[np.bool_]:
    """(B,) whether a served graph predicts a number for the sequence; for the others it returns NaN.

    The predicted cycle itself must be present, with a possible cycle number, and as many cycles as in `NEEDED`.
    """
    is_there_B = np.isfinite(sequences.window_BTC[:, -1]).all(axis=1)
    is_numbered_B = (sequences.cycle_B >= 1) & (sequences.cycle_B <= LAST_CYCLE)
    is_complete_B = np.array([shortfall is None for shortfall in shortfalls(sequences)], dtype=bool)
    return is_there_B & is_numbered_B & is_complete_B


def _shortfall(cycle: int, first: NDArray, window: NDArray) -> str | None:
    found = []
    for absent, flown, share, name in (
        (first, min(cycle, FIRST_CYCLES), MIN_FIRST_SHARE, "first"),
        (window, min(cycle, WINDOW_CYCLES), MIN_WINDOW_SHARE, "last"),
    ):
        if (flown - len(absent)) * share[1] < flown * share[0]:
            found.append(f"cycles {cycle_ranges(absent)} of its {name} {flown}")
    return " and ".join(found) or None


def cycle_ranges(cycles: NDArray) -> str:
    """Sorted cycle numbers as ranges.

    >>> cycle_ranges(np.array([1, 2, 3, 7, 9, 10]))
    '1-3, 7, 9-10'
    """
    breaks = np.flatnonzero(np.diff(cycles) != 1) + 1
    runs = [(run[0], run[-1]) for run in np.split(cycles, breaks) if len(run)]
    ranges = [f"{first}" if first == last else f"{first}-{last}" for first, last in runs]
    more = f" and {len(ranges) - SHOWN_RANGES} more ranges" if len(ranges) > SHOWN_RANGES else ""
    return ", ".join(ranges[:SHOWN_RANGES]) + more
