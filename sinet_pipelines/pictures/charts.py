"""Charts of a model: errors, intervals, learning curves and costs; arrays to PNG bytes.

Letters: B predictions, E epochs, L levels, M models. Cycles are flight cycles. Non-finite values are omitted,
and the picture shows their number.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike

from sinet_pipelines.metrics.coverage import BAND_LEVEL, covered_band
from sinet_pipelines.pictures.canvas import BLUE, GREEN, GREY, ORANGE, Floats, cloud, nothing, picture, together

if TYPE_CHECKING:
    from matplotlib.axes import Axes

BIN_CYCLES = 10.0  # of a running mean: a single cycle has too few predictions
COVERAGE_BINS = 6  # of predicted life, with equally many predictions; suitable for a hundred engines


def error_against_truth(true_B: ArrayLike, predicted_B: ArrayLike, *, title: str = "Error against true RUL") -> bytes:
    """Each prediction's error against the truth, with the mean of every ten cycles; above zero is too late.

    Args:
        true_B: (B,) remaining cycles, capped or not as for the error.
        predicted_B: (B,) cycles.
        title: above the chart.
    """
    (true, predicted), note = together(true_B=true_B, predicted_B=predicted_B)
    late = predicted - true

    def paint(panels: Sequence["Axes"]) -> None:
        (axes,) = panels
        axes.axhline(0.0, color=GREY, linewidth=1.2)
        if len(true):
            some = cloud(len(true))
            axes.plot(true[some], late[some], "o", color=BLUE, alpha=0.4, markersize=4, label="one prediction")
            middle, mean = _means(true, late)
            axes.plot(middle, mean, "s-", color=ORANGE, markersize=5, label=f"mean of {BIN_CYCLES:g} cycles")
            axes.legend(loc="best", ncols=2)
        else:
            nothing(axes)
        axes.set(xlabel="true RUL (cycles)", ylabel="predicted less true (cycles)")

    return picture(paint, title=title, note=note)


def predicted_against_true(
    true_B: ArrayLike,
    predicted_B: ArrayLike,
    *,
    lower_B: ArrayLike | None = None,
    upper_B: ArrayLike | None = None,
    title: str = "Predicted against true RUL",
) -> bytes:
    """Each prediction against the truth, with the line of equality; an interval is a vertical bar.

    Bars that miss the truth have another colour and a cross, and are counted.

    Args:
        true_B: (B,) remaining cycles.
        predicted_B: (B,) cycles.
        lower_B: (B,) lower ends of the intervals in cycles; rows without one are NaN.
        upper_B: (B,) upper ends.
        title: above the chart.
    """
    (true, predicted), note = together(true_B=true_B, predicted_B=predicted_B)
    ends = None
    if lower_B is not None and upper_B is not None:
        ends = together(true_B=true_B, predicted_B=predicted_B, lower_B=lower_B, upper_B=upper_B)[0]

    def paint(panels: Sequence["Axes"]) -> None:
        (axes,) = panels
        if not len(true):
            nothing(axes)
        else:
            most = max(true.max(), predicted.max(), 1.0)
            axes.plot([0, most], [0, most], color=GREY, linewidth=1.2, linestyle="--", label="equal")
            if ends is not None and len(ends[0]):
                _whiskers(axes, *ends)
            some = cloud(len(true))
            axes.plot(true[some], predicted[some], "o", color=BLUE, alpha=0.6, markersize=4, label="one prediction")
            axes.legend(loc="upper left")
        axes.set(xlabel="true RUL (cycles)", ylabel="predicted RUL (cycles)")

    return picture(paint, title=title, note=note)


def learning_curves(
    train_E: ArrayLike,
    validation_E: ArrayLike,
    *,
    chosen_epoch: int | None = None,
    ylabel: str = "RMSE (cycles)",
    title: str = "Learning curves",
) -> bytes:
    """Error by epoch on training and on validation engines, with the chosen epoch.

    Args:
        train_E: (E,) one for each epoch.
        validation_E: (E,) one for each epoch.
        chosen_epoch: counted from 1; None without a choice.
        ylabel: the measure with its unit.
        title: above the chart.
    """
    from matplotlib.ticker import MaxNLocator

    train, validation = (np.asarray(values, dtype=np.float64).ravel() for values in (train_E, validation_E))

    def paint(panels: Sequence["Axes"]) -> None:
        (axes,) = panels
        if not len(train) and not len(validation):
            nothing(axes)
        for values, name, style in (
            (train, "learnt from", {"color": BLUE, "marker": "o"}),
            (validation, "never seen", {"color": ORANGE, "marker": "s", "linestyle": "--"}),
        ):
            if len(values):
                axes.plot(np.arange(1, len(values) + 1), values, markersize=4, label=name, **style)  # type: ignore[arg-type]
        if chosen_epoch is not None:
            axes.axvline(chosen_epoch, color=GREEN, linestyle=":", label=f"chosen: epoch {chosen_epoch}")
        if len(train) or len(validation):
            axes.legend(loc="best")
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.set(xlabel="epoch", ylabel=ylabel)

    return picture(paint, title=title)


def calibration(nominal_L: ArrayLike, covered_L: ArrayLike, *, n: int, title: str = "Calibration") -> bytes:
    """Measured against nominal coverage of intervals, with the band that chance allows for valid intervals.

    Args:
        nominal_L: (L,) nominal shares, 0 to 1.
        covered_L: (L,) measured shares, 0 to 1.
        n: number of predictions behind each share.
        title: above the chart.
    """
    (nominal, covered), note = together(nominal_L=nominal_L, covered_L=covered_L)
    order = np.argsort(nominal)

    def paint(panels: Sequence["Axes"]) -> None:
        (axes,) = panels
        levels = np.linspace(0, 1, 51)
        bands = np.array([covered_band(n, level=level) for level in levels]) / max(n, 1)
        label = f"chance, {BAND_LEVEL:.0%} of the time (n = {n})"
        axes.fill_between(100 * levels, *(100 * bands.T), color=GREY, alpha=0.22, linewidth=0, label=label)
        axes.plot([0, 100], [0, 100], color=GREY, linewidth=1.2, linestyle="--", label="honest")
        if len(order) and n:
            axes.plot(100 * nominal[order], 100 * covered[order], "o-", color=BLUE, markersize=5, label="measured")
        else:
            nothing(axes)
        axes.legend(loc="upper left")
        axes.set(xlabel="nominal coverage (%)", ylabel="measured coverage (%)", xlim=(0, 100), ylim=(0, 103))

    return picture(paint, title=title, note=note)


def coverage_by_predicted(
    predicted_B: ArrayLike, covered_B: ArrayLike, *, level: float, title: str = "Coverage by predicted RUL"
) -> bytes:
    """Coverage of intervals by predicted life, with the band that chance allows in each bin.

    Args:
        predicted_B: (B,) cycles.
        covered_B: (B,) whether the interval contains the truth.
        level: nominal coverage, 0 to 1.
        title: above the chart.
    """
    (predicted, covered), note = together(predicted_B=predicted_B, covered_B=covered_B)
    bins = np.array_split(np.argsort(predicted, kind="stable"), min(COVERAGE_BINS, max(len(predicted), 1)))
    bins = [rows for rows in bins if len(rows)]

    def paint(panels: Sequence["Axes"]) -> None:
        (axes,) = panels
        axes.axhline(100 * level, color=GREY, linewidth=1.2, linestyle="--", label=f"promised: {level:.0%}")
        if bins:
            place = np.arange(len(bins))
            bands = np.array([covered_band(len(rows), level=level) for rows in bins]).T / [len(rows) for rows in bins]
            axes.bar(place, 100 * (bands[1] - bands[0]), 0.6, 100 * bands[0], color=GREY, alpha=0.22, label="chance")
            shares = [100 * covered[rows].mean() for rows in bins]
            axes.plot(place, shares, "o", color=BLUE, markersize=8, label="measured")
            axes.set_xticks(place, [_span(predicted[rows]) for rows in bins])
            axes.legend(loc="lower right", ncols=3)
            axes.figure.subplots_adjust(bottom=0.2)
        else:
            nothing(axes)
        axes.set(xlabel="predicted RUL (cycles)", ylabel="covered (%)", ylim=(0, 103))

    return picture(paint, title=title, note=note)


def pareto(
    names: Sequence[str],
    error_M: ArrayLike,
    bytes_M: ArrayLike,
    p50_ms_M: ArrayLike,
    *,
    chosen: str | None = None,
    title: str = "Error against size and latency",
) -> bytes:
    """Each model's error against its bytes and its latency; lower left is better, the chosen one is a filled square.

    The line joins models that no other model beats in both.

    Args:
        names: M names, written beside the points.
        error_M: (M,) RMSE in cycles.
        bytes_M: (M,) size of the file.
        p50_ms_M: (M,) median time of one prediction in milliseconds.
        chosen: name of the served model.
        title: above the chart.
    """
    columns, note = together(error_M=error_M, bytes_M=bytes_M, p50_ms_M=p50_ms_M, place=np.arange(len(names)))
    error, size, p50, place = columns
    labels = [names[int(row)] for row in place]

    def paint(panels: Sequence["Axes"]) -> None:
        for axes, cost, label in zip(panels, (size / 1000, p50), ("size (kB)", "p50 (ms)"), strict=True):
            if not labels:
                nothing(axes)
                continue
            best = _undominated(cost, error)
            axes.plot(cost[best], error[best], color=GREY, linestyle="--", linewidth=1.2, zorder=1)
            for x, y, name in zip(cost, error, labels, strict=True):
                mine = name == chosen
                style = {"marker": "s", "color": ORANGE} if mine else {"marker": "o", "color": BLUE}
                axes.plot(x, y, linestyle="", markersize=9, fillstyle="full" if mine else "none", **style)  # type: ignore[arg-type]
            axes.set(xlabel=label)
            axes.margins(0.25, 0.2)
            _by_magnitude(axes, cost)
            _name_points(axes, cost, error, labels, chosen=chosen)
        panels[0].set_ylabel("RMSE (cycles)")

    return picture(paint, title=title, note=note, panels=2)


def _means(x: Floats, y: Floats) -> tuple[Floats, Floats]:
    """Centre and mean of y in every bin of ten of x that has values."""
    cell = np.floor(x / BIN_CYCLES).astype(int)
    there, at = np.unique(cell, return_inverse=True)
    return (there + 0.5) * BIN_CYCLES, np.bincount(at, weights=y) / np.bincount(at)


def _whiskers(axes: "Axes", true: Floats, predicted: Floats, lower: Floats, upper: Floats) -> None:
    inside = (true >= lower) & (true <= upper)
    held = f"{inside.sum()} of {len(inside)} intervals contain the truth"
    for rows, colour, label in ((inside, BLUE, held), (~inside, ORANGE, f"{(~inside).sum()} do not")):
        if rows.any():
            some = cloud(int(rows.sum()))
            x, low, high = (column[rows][some] for column in (true, lower, upper))
            axes.vlines(x, low, high, color=colour, linewidth=1.2, alpha=0.5 if colour == BLUE else 1.0, label=label)
    if not inside.all():
        axes.plot(true[~inside], predicted[~inside], "x", color=ORANGE, markersize=8, markeredgewidth=2, zorder=3)


def _by_magnitude(axes: "Axes", cost: Floats) -> None:
    """A logarithmic axis with plain numbers, unless a cost is zero."""
    from matplotlib.ticker import FormatStrFormatter, LogLocator, NullFormatter

    if cost.min() > 0:
        axes.set_xscale("log")
        steps = (1.0, 2.0, 5.0) if cost.max() < 10 * cost.min() else (1.0, 4.0)  # as many as fit
        axes.xaxis.set_major_locator(LogLocator(subs=steps, numticks=12))
        axes.xaxis.set_major_formatter(FormatStrFormatter("%g"))
        axes.xaxis.set_minor_formatter(NullFormatter())


def _span(values: Floats) -> str:
    return f"{values.min():.0f} to {values.max():.0f}\nn = {len(values)}"


def _undominated(cost: Floats, error: Floats) -> list[int]:
    """Indices of models that no other model beats in both, by rising cost."""
    best: list[int] = []
    for row in np.lexsort((error, cost)).tolist():
        if not best or error[row] < error[best[-1]]:
            best.append(row)
    return best


def _name_points(axes: "Axes", x: Floats, y: Floats, names: Sequence[str], *, chosen: str | None) -> None:
    """Names beside their points, moved up where one would cover another."""
    axes.autoscale_view()
    at = axes.transData.transform(np.column_stack([x, y]))
    taken: list[tuple[float, float]] = []
    for row in np.argsort(at[:, 1]).tolist():
        left, level = at[row]
        right_half = axes.transAxes.inverted().transform(at[row])[0] > 0.5
        while any(abs(level - other) < 18 and abs(left - beside) < 220 for beside, other in taken):
            level += 6
        taken.append((left, level))
        axes.annotate(
            names[row],
            (x[row], y[row]),
            xytext=(-10 if right_half else 10, (level - at[row, 1]) * 72 / axes.figure.dpi),
            textcoords="offset points",
            ha="right" if right_half else "left",
            va="center",
            fontsize=9.5,
            fontweight="bold" if names[row] == chosen else "normal",
            bbox={"facecolor": "white", "edgecolor": "none", "alpha": 0.8, "pad": 0.5},
        )
