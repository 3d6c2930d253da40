"""Writes the pre-processing into a graph: from a raw window to the features of the training set.

It repeats `features/windows.py`, operation by operation in float64 and rounded to float32 at the end, so that served
features equal training features; a test compares the two. It is hand-written instead of traced by torch: an export
takes hundredths of a second instead of seconds and always writes the same bytes.

Letters: B predicted rows, W cycles of the window (30), T cycles of window and first cycles together (40), C channels
(24), S sensors (21), R regimes, K horizons, F features.
"""

import numpy as np
from numpy.typing import NDArray

from sinet_pipelines.applications.turbofan.features.completeness import MIN_FIRST_SHARE, MIN_WINDOW_SHARE, Share
from sinet_pipelines.applications.turbofan.features.regimes import OperatingRegimes
from sinet_pipelines.applications.turbofan.features.sequences import Sequences
from sinet_pipelines.applications.turbofan.features.windows import NEGLIGIBLE, TWO_NEIGHBOURS
from sinet_pipelines.applications.turbofan.schemas.features import (
    CHANGE_HORIZONS,
    FEATURE_NAMES,
    FIRST_CYCLES,
    MEAN_HORIZONS,
    SLOPE_HORIZONS,
    SPREAD_HORIZONS,
    WINDOW_CYCLES,
)
from sinet_pipelines.applications.turbofan.schemas.telemetry import CHANNELS, LAST_CYCLE, SETTING_NAMES
from sinet_pipelines.quantization.graph import GraphWriter
from sinet_pipelines.quantization.signals import Signals

#: Shape of each FP32 input after its batch axis: the signature of every family.
INPUTS = {
    "window": (WINDOW_CYCLES, len(CHANNELS)),
    "first_cycles": (FIRST_CYCLES, len(CHANNELS)),
    "cycle": (1,),
}
Floats = NDArray[np.float64]

_AGE_W = np.arange(WINDOW_CYCLES)[::-1]  # cycles before the predicted one


def tensors_of(sequences: Sequences) -> dict[str, NDArray[np.float32]]:
    """The sequences as the inputs of a served graph."""
    return {
        "window": sequences.window_BTC,
        "first_cycles": sequences.first_cycles_BTC,
        "cycle": sequences.cycle_B.astype(np.float32)[:, None],
    }


def write_signals(graph: GraphWriter, regimes: OperatingRegimes) -> Signals:
    """The signals of the inputs `window`, `first_cycles` and `cycle`.

    A row is answerable as defined by `features.completeness.are_answerable`: the predicted cycle is present and has a
    number, and enough of the engine's first and last cycles are present. A cycle with a NaN or infinite channel counts
    as absent, because validation would reject its row.
    """
    both = graph.cast(graph.node("Concat", "window", "first_cycles", axis=1), np.float64)
    cycle = graph.cast("cycle", np.float64)
    present_BT1 = _is_number(graph, _sum(graph, both, 2))  # a sum is finite when all of its parts are
    z_BTS = _standardise(graph, graph.node("Where", present_BT1, both, _number(graph, 0.0)), regimes)
    z_BTS = graph.node("Where", present_BT1, z_BTS, _number(graph, 0.0))
    z, first = _split(graph, z_BTS)
    present, first_present = _split(graph, present_BT1)
    seen_B1, baseline = _baseline(graph, first, first_present, cycle)
    statistics = _statistics(graph, z, present, baseline=baseline)
    values = graph.node("Concat", _without_negligible(graph, statistics), cycle, axis=1)
    return Signals(
        z=z,
        present=present,
        steps=WINDOW_CYCLES,
        features=graph.cast(graph.cast(values, np.float32), np.float64),
        feature_names=FEATURE_NAMES,
        answerable=_answerable(graph, present, cycle, seen_B1),
    )


def _number(graph: GraphWriter, value: float) -> str:
    return graph.constant(value, np.float64)


def _axes(graph: GraphWriter, *axes: int) -> str:
    return graph.constant(list(axes), np.int64)


def _sum(graph: GraphWriter, tensor: str, axis: int) -> str:
    return graph.node("ReduceSum", tensor, _axes(graph, axis), keepdims=1)


def _slice(graph: GraphWriter, tensor: str, start: int, end: int, *, axis: int) -> str:
    return graph.node("Slice", tensor, *(_axes(graph, number) for number in (start, end, axis)))


def _split(graph: GraphWriter, tensor_BTx: str) -> tuple[str, str]:
    """The part of the window and the part of the first cycles."""
    end = WINDOW_CYCLES + FIRST_CYCLES
    return _slice(graph, tensor_BTx, 0, WINDOW_CYCLES, axis=1), _slice(graph, tensor_BTx, WINDOW_CYCLES, end, axis=1)


def _is_number(graph: GraphWriter, tensor: str) -> str:
    """Whether each value is finite: x - x is 0 only for finite values."""
    return graph.node("Not", graph.node("IsNaN", graph.node("Sub", tensor, tensor)))


def _answerable(graph: GraphWriter, present_BW1: str, cycle_B1: str, seen_B1: str) -> str:
    answerable = graph.node("Squeeze", _slice(graph, present_BW1, -1, WINDOW_CYCLES, axis=1), _axes(graph, 2))
    in_window_B1 = graph.node("Squeeze", _sum(graph, graph.cast(present_BW1, np.float64), 1), _axes(graph, 2))
    conditions = [
        graph.node("GreaterOrEqual", cycle_B1, _number(graph, 1.0)),  # False for NaN
        graph.node("LessOrEqual", cycle_B1, _number(graph, float(LAST_CYCLE))),
        _is_enough(graph, seen_B1, cycle_B1, cycles=FIRST_CYCLES, share=MIN_FIRST_SHARE),
        _is_enough(graph, in_window_B1, cycle_B1, cycles=WINDOW_CYCLES, share=MIN_WINDOW_SHARE),
    ]
    for condition in conditions:
        answerable = graph.node("And", answerable, condition)
    return answerable


def _is_enough(graph: GraphWriter, present_B1: str, cycle_B1: str, *, cycles: int, share: Share) -> str:
    """(B, 1) whether a share of `cycles` cycles is present, counting only cycles that were flown."""
    part, whole = (_number(graph, float(number)) for number in share)
    flown = graph.node("Min", cycle_B1, _number(graph, float(cycles)))
    return graph.node("GreaterOrEqual", graph.node("Mul", present_B1, whole), graph.node("Mul", flown, part))


def _standardise(graph: GraphWriter, channels_BTC: str, regimes: OperatingRegimes) -> str:
    """(B, T, S) z-score of each sensor within its regime."""
    sensors = _slice(graph, channels_BTC, len(SETTING_NAMES), len(CHANNELS), axis=2)
    means = graph.constant(np.asarray(regimes.sensor_means), np.float64)
    inverse_sds = graph.constant(regimes.inverse_sds, np.float64)
    if len(regimes) > 1:  # the moments of one regime broadcast without a lookup
        regime = _nearest_regime(graph, channels_BTC, regimes)
        means = graph.node("Gather", means, regime, axis=0)
        inverse_sds = graph.node("Gather", inverse_sds, regime, axis=0)
    return graph.node("Mul", graph.node("Sub", sensors, means), inverse_sds)


def _nearest_regime(graph: GraphWriter, channels_BTC: str, regimes: OperatingRegimes) -> str:
    """(B, T) index of the nearest centroid in scaled settings, the first of equals."""
    settings = _slice(graph, channels_BTC, 0, len(SETTING_NAMES), axis=2)
    scaled = graph.node("Div", settings, graph.constant(regimes.setting_scales, np.float64))
    centroids = graph.constant(np.asarray(regimes.centroids), np.float64)
    offsets_BTRc = graph.node("Sub", graph.node("Unsqueeze", scaled, _axes(graph, 2)), centroids)
    distances = graph.node("ReduceSumSquare", offsets_BTRc, _axes(graph, 3), keepdims=0)
    return graph.node("ArgMin", distances, axis=2, keepdims=0, select_last_index=0)


def _baseline(graph: GraphWriter, first: str, present: str, cycle: str) -> tuple[str, str]:
    """(B, 1) number of present first cycles that had been flown, (B, 1, S) their mean, 0 where none is present."""
    numbers = graph.constant(np.arange(1, FIRST_CYCLES + 1)[None, :, None], np.float64)
    flown = graph.node("LessOrEqual", numbers, graph.node("Unsqueeze", cycle, _axes(graph, 2)))
    seen = graph.cast(graph.node("And", present, flown), np.float64)
    count_B11 = _sum(graph, seen, 1)
    n = graph.node("Max", count_B11, _number(graph, 1.0))
    mean = graph.node("Div", _sum(graph, graph.node("Mul", first, seen), 1), n)
    return graph.node("Squeeze", count_B11, _axes(graph, 2)), mean


def _statistics(graph: GraphWriter, z: str, present: str, *, baseline: str) -> str:
    """(B, F - 1) every statistic of every sensor, in the order of `FEATURE_NAMES`."""
    there = graph.cast(present, np.float64)
    means = _means(graph, z, there)
    changing = graph.constant([MEAN_HORIZONS.index(h) for h in CHANGE_HORIZONS], np.int64)
    parts = [
        _slice(graph, z, -1, WINDOW_CYCLES, axis=1),
        means,
        *(_spread(graph, z, there, h) for h in SPREAD_HORIZONS),
        _slopes(graph, z, there),
        graph.node("Sub", graph.node("Gather", means, changing, axis=1), baseline),
    ]
    stacked = graph.node("Concat", *parts, axis=1)
    return graph.node("Reshape", stacked, _axes(graph, 0, len(FEATURE_NAMES) - 1))


def _within(horizons: tuple[int, ...]) -> Floats:
    """(K, W) 1 where a cycle of the window is within a horizon."""
    return (np.asarray(horizons)[:, None] > _AGE_W).astype(np.float64)


def _weighted(graph: GraphWriter, weights_KW: Floats, tensor_BWx: str) -> str:
    """(B, K, x) sums over the window."""
    return graph.node("MatMul", graph.constant(weights_KW, np.float64), tensor_BWx)


def _means(graph: GraphWriter, z: str, there: str) -> str:
    """(B, K, S) mean over each horizon."""
    within = _within(MEAN_HORIZONS)
    return graph.node("Div", _weighted(graph, within, z), _weighted(graph, within, there))


def _spread(graph: GraphWriter, z: str, there: str, horizon: int) -> str:
    """(B, 1, S) standard deviation over a horizon, in two passes, so that it is exactly 0 for a constant."""
    within = _within((horizon,))
    n = _weighted(graph, within, there)
    off = graph.node("Sub", z, graph.node("Div", _weighted(graph, within, z), n))
    squares = graph.node("Mul", graph.node("Mul", off, off), there)
    return graph.node("Sqrt", graph.node("Div", _weighted(graph, within, squares), n))


def _slopes(graph: GraphWriter, z: str, there: str) -> str:
    """(B, K, S) least-squares slope over each horizon, per cycle; 0 where only one cycle is present."""
    within = _within(SLOPE_HORIZONS)
    t = within * -_AGE_W
    n, t_sum, tt_sum = (_weighted(graph, weights, there) for weights in (within, t, t * t))
    t_mean = graph.node("Div", t_sum, n)
    over = graph.node("Sub", tt_sum, graph.node("Mul", t_sum, t_mean))
    above = graph.node("Sub", _weighted(graph, t, z), graph.node("Mul", _weighted(graph, within, z), t_mean))
    several = graph.node("Greater", over, _number(graph, TWO_NEIGHBOURS))
    return graph.node("Where", several, graph.node("Div", above, over), _number(graph, 0.0))


def _without_negligible(graph: GraphWriter, values: str) -> str:
    """The values, with 0 for values that are only the rounding error of a sum."""
    negligible = graph.node("Less", graph.node("Abs", values), _number(graph, NEGLIGIBLE))
    return graph.node("Where", negligible, _number(graph, 0.0), values)
