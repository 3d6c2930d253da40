"""Charts of a fleet by day and by region: drift, landed rows, remaining lives; arrays to PNG bytes.

Each region has its own colour, mark and line style, in the order of the regions.
"""

from collections.abc import Mapping, Sequence
from datetime import date
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike

from sinet_pipelines.pictures.canvas import BLUE, GREY, ORANGE, SERIES, Floats, nothing, picture

if TYPE_CHECKING:
    from matplotlib.axes import Axes

JITTER = 0.3  # spread of a region's dots, so that equal lives do not overlap


def drift_by_day(
    worst: Mapping[str, Mapping[date, float]],
    *,
    drifted: Mapping[str, Sequence[date]] | None = None,
    title: str = "Input drift by day",
) -> bytes:
    """The worst sensor's PSI divided by its limit, by day, with a line for each region; drifted days have a cross.

    A day above the limit without a cross may be chance: a day has drifted only if the test agrees.

    Args:
        worst: by region and day, the largest PSI divided by its limit (1 is at the limit).
        drifted: by region, the days on which a sensor drifted.
        title: above the chart.
    """

    def paint(panels: Sequence["Axes"]) -> None:
        (axes,) = panels
        axes.axhline(1.0, color=GREY, linewidth=1.4, linestyle="--", label="limit")
        for (region, days), (colour, mark, line) in zip(worst.items(), SERIES, strict=False):
            there = sorted(day for day, ratio in days.items() if np.isfinite(ratio))
            ratios = [days[day] for day in there]
            axes.plot(_days(there), ratios, color=colour, marker=mark, linestyle=line, markersize=4, label=region)
            crossed = [day for day in (drifted or {}).get(region, ()) if day in there]
            if crossed:
                at = [days[day] for day in crossed]
                axes.plot(_days(crossed), at, "x", color=colour, markersize=11, markeredgewidth=2.5, label="drifted")
        if any(worst.values()):
            axes.legend(loc="upper left", ncols=2)
            _by_date(axes)
        else:
            nothing(axes)
        axes.set_ylim(bottom=0)
        axes.set(xlabel="day (UTC)", ylabel="worst PSI / limit")

    return picture(paint, title=title)


def rows_by_day(
    days: Sequence[date], rows: ArrayLike, *, usual: float | None = None, title: str = "Rows by day"
) -> bytes:
    """Landed rows of each day; days without rows have a cross at the bottom.

    Args:
        days: D days in order.
        rows: (D,) rows of each.
        usual: rows of a usual day, drawn as a line; None if unknown.
        title: above the chart.
    """
    counts = np.asarray(rows, dtype=np.float64).ravel()

    def paint(panels: Sequence["Axes"]) -> None:
        (axes,) = panels
        if not len(counts):
            nothing(axes)
        else:
            at = _days(days)
            axes.bar(at, counts, width=0.8, color=BLUE)
            silent = counts == 0
            if silent.any():
                label = f"silent: {silent.sum()}"
                axes.plot(at[silent], counts[silent], "x", color=ORANGE, markersize=9, markeredgewidth=2, label=label)
            if usual is not None:
                axes.axhline(usual, color=ORANGE, linestyle="--", label=f"reference days: {usual:.0f}")
            if silent.any() or usual is not None:
                axes.legend(loc="upper left", ncols=2)
            axes.set_ylim(0, max(counts.max(), usual or 0.0, 1.0) * 1.18)
            _by_date(axes)
        axes.set(xlabel="day (UTC)", ylabel="rows")

    return picture(paint, title=title)


def rul_by_region(lives: Mapping[str, ArrayLike], *, title: str = "Remaining life of the fleet by region") -> bytes:
    """A dot for each live engine by region, with the region's median as a bar and as text; shortest lives on the left.

    Args:
        lives: by region, (n,) predicted RUL in cycles.
        title: above the chart.
    """
    given = {region: np.asarray(values, dtype=np.float64).ravel() for region, values in lives.items()}
    finite = {region: np.sort(values[np.isfinite(values)]) for region, values in given.items()}
    gone = sum(len(values) for values in given.values()) - sum(len(values) for values in finite.values())

    def paint(panels: Sequence["Axes"]) -> None:
        (axes,) = panels
        names = []
        for row, ((region, values), (colour, mark, _)) in enumerate(zip(finite.items(), SERIES, strict=False)):
            axes.plot(values, row + _apart(len(values)), mark, color=colour, alpha=0.65, markersize=6)
            names.append(f"{region}\nn = {len(values)}")
            if len(values):
                median = float(np.median(values))
                axes.vlines(median, row - 0.36, row + 0.36, color="black", linewidth=2)
                axes.text(median, row + 0.38, f"median {median:.0f}", ha="center", va="bottom", fontsize=9.5)
        if not any(map(len, finite.values())):
            nothing(axes)
        axes.set_yticks(range(len(names)), names)
        axes.set(xlabel="predicted RUL (cycles)", ylim=(-0.6, max(len(names), 1) - 0.3))
        axes.set_xlim(left=0)
        axes.figure.subplots_adjust(left=0.16)

    return picture(paint, title=title, note=f"{gone} left out: no number" if gone else "")


def _days(days: Sequence[date]) -> Floats:
    from matplotlib.dates import date2num

    return np.array([date2num(day) for day in days], dtype=np.float64)


def _by_date(axes: "Axes") -> None:
    from matplotlib.dates import AutoDateLocator, ConciseDateFormatter

    locator = AutoDateLocator(minticks=3, maxticks=8)
    axes.xaxis.set_major_locator(locator)
    axes.xaxis.set_major_formatter(ConciseDateFormatter(locator))


def _apart(n: int) -> Floats:
    """(n,) heights that look random and are the same each time: multiples of the golden ratio (Weyl's sequence)."""
    turns: Floats = np.arange(n, dtype=np.float64) * 0.6180339887
    return JITTER * (2 * (turns % 1) - 1)
