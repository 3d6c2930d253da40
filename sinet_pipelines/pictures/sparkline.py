"""A series in one line: an SVG in a markdown image with its numbers beside it, under 1,000 characters in all.

Dagster's UI shows shorter markdown directly and hides longer markdown behind a link. The colours contrast with white
and with the UI's dark theme (above 3, WCAG 2.1 criterion 1.4.11), and the content of the picture is also in the text.
"""

import math
import re
from collections.abc import Sequence
from urllib.parse import quote

import numpy as np
from numpy.typing import ArrayLike, NDArray

from sinet_pipelines.markdown import Markdown

LONGEST = 1000  # Dagster's UI shows markdown directly below this number of characters
MOST_POINTS, MOST_BARS = 60, 50  # of seven and of ten characters each: half of the allowed length
LABEL_CHARACTERS, UNIT_CHARACTERS = 60, 16

WIDTH, HEIGHT, EDGE = 122, 36, 3  # pixels; the margin keeps the ends of a line inside
SERIES_COLOUR, LIMIT_COLOUR = "#2a7fd4", "#c2571a"  # contrast with white 4.1 and 4.5, with #171a23 4.2 and 3.9

Floats = NDArray[np.float64]


def sparkline(values: ArrayLike, *, label: str, unit: str = "", limit: float | None = None) -> Markdown:
    """A line through a series, with its last value, its range and its limit as text beside it.

    Where there are more than 60 values, means of neighbours are drawn; the text refers to the values themselves. A
    non-finite value is a gap.

    Args:
        values: (n,) in the order of the line, n from 0.
        label: description of the values, for readers without pictures.
        unit: of the values, for the text.
        limit: drawn as a dashed line.

    Returns:
        Markdown of fewer than 1,000 characters.

    >>> sparkline([], label="error by epoch")
    'error by epoch: no value yet'
    >>> sparkline([2.0, 1.0, 4.0], label="error by epoch", unit="cycles").partition(") ")[2]
    'last **4** cycles (1 to 4)'
    """
    series = np.asarray(values, dtype=np.float64).ravel()
    drawn = _thin(series, MOST_POINTS)
    low, high = _range(drawn, limit)
    points = list(zip(_columns(len(drawn)), _rows(drawn, low=low, high=high), strict=True))
    last = next(((x, y) for x, y in reversed(points) if y is not None), None)
    dot = "" if last is None else f"<circle cx='{last[0]}' cy='{last[1]}' r='2' fill='{SERIES_COLOUR}'/>"
    return _image(_line(points) + dot, series, label=label, unit=unit, limit=limit, span=(low, high))


def bars(values: ArrayLike, *, label: str, unit: str = "", limit: float | None = None) -> Markdown:
    """A bar for each value, from zero, with the same text and arguments as `sparkline`; 50 bars at most.

    >>> bars([120.0, 0.0], label="rows by day", limit=30).partition(") ")[2]
    'last **0** (0 to 120); limit 30'
    """
    series = np.asarray(values, dtype=np.float64).ravel()
    drawn = _thin(series, MOST_BARS)
    low, high = _range(np.append(drawn, 0.0), limit)
    return _image(_bars(drawn, low=low, high=high), series, label=label, unit=unit, limit=limit, span=(low, high))


def _image(
    drawn: str, series: Floats, *, label: str, unit: str, limit: float | None, span: tuple[float, float]
) -> Markdown:
    """The picture with its limit line, and the text."""
    finite = series[np.isfinite(series)]
    if not len(finite):
        return _nothing(label)
    last = f"**{_number(series[-1])}**{_unit(unit)}" if math.isfinite(series[-1]) else "**missing**"
    text = f"last {last} {_span(finite)}"
    if limit is not None:
        (y,) = _rows(np.array([limit]), low=span[0], high=span[1])
        line = f"<path d='M0,{y}h{WIDTH}' stroke='{LIMIT_COLOUR}' stroke-dasharray='4'/>"
        drawn, text = drawn + line, f"{text}; limit {_number(limit)}"
    return Markdown(f"![{plain(label, LABEL_CHARACTERS)}]({_svg(drawn)}) {text}")


def _svg(drawn: str) -> str:
    """The drawing as a data URI that is valid in markdown: no space, no bracket, no double quote."""
    head = f"<svg xmlns='http://www.w3.org/2000/svg' width='{WIDTH}' height='{HEIGHT}' stroke-width='2' fill='none'>"
    return "data:image/svg+xml," + quote(f"{head}{drawn}</svg>", safe="/:=,';")


def _line(points: Sequence[tuple[int, int | None]]) -> str:
    """Runs of neighbours as lines, single points as dots."""
    parts: list[str] = []
    joined = False
    for x, y in points:
        if y is not None:
            parts.append(f",{x},{y}" if joined else f"M{x},{y}")
        elif joined:
            parts.append("h0")
        joined = y is not None
    return f"<path d='{''.join(parts)}h0' stroke='{SERIES_COLOUR}' stroke-linecap='round'/>" if parts else ""


def _bars(heights: Floats, *, low: float, high: float) -> str:
    (floor,) = _rows(np.array([0.0]), low=low, high=high)
    columns, rows = _columns(len(heights)), _rows(heights, low=low, high=high)
    path = "".join(f"M{x},{floor}V{y}" for x, y in zip(columns, rows, strict=True) if y not in (None, floor))
    wide = max(1, WIDTH // max(20, len(heights)) - 1)
    return (
        f"<path d='{path}' stroke='{SERIES_COLOUR}' stroke-width='{wide}'/>"
        f"<path d='M0,{floor}h{WIDTH}' stroke='{SERIES_COLOUR}' stroke-width='1'/>"
    )


def _thin(series: Floats, most: int) -> Floats:
    """At most so many values: means of the finite values in equal stretches, NaN where there are none."""
    finite = np.where(np.isfinite(series), series, np.nan)
    if len(finite) <= most:
        return finite
    starts = np.arange(most) * len(finite) // most
    there = np.add.reduceat(np.isfinite(finite).astype(np.float64), starts)
    lengths = np.diff(np.append(starts, len(finite)))
    weights = np.repeat(1.0 / np.maximum(there, 1.0), lengths)  # weighted before summing, so that no sum overflows
    means = np.add.reduceat(np.nan_to_num(finite) * weights, starts)
    return np.where(there > 0, means, np.nan)


def _range(drawn: Floats, limit: float | None) -> tuple[float, float]:
    """Minimum and maximum of what is drawn, including the limit; zeros where there is nothing."""
    shown = np.append(drawn, np.nan if limit is None else limit)
    shown = shown[np.isfinite(shown)]
    return (float(shown.min()), float(shown.max())) if len(shown) else (0.0, 0.0)


def _shares(values: Floats, *, low: float, high: float) -> Floats:
    """Positions of values between two ends, from 0 to 1; 0.5 where the ends are equal."""
    span = high / 2 - low / 2  # halves, since the full span may overflow
    return np.clip((values / 2 - low / 2) / span, 0, 1) if span > 0 else np.full(len(values), 0.5)


def _columns(n: int) -> list[int]:
    return np.rint(np.linspace(EDGE, WIDTH - EDGE, n)).astype(int).tolist() if n > 1 else [WIDTH // 2] * n


def _rows(values: Floats, *, low: float, high: float) -> list[int | None]:
    """Pixels from the top, None for a non-finite value."""
    shares = _shares(values, low=low, high=high)
    return [
        round(HEIGHT - EDGE - share * (HEIGHT - 2 * EDGE)) if math.isfinite(value) else None
        for value, share in zip(values.tolist(), shares.tolist(), strict=True)
    ]


def _nothing(label: str) -> Markdown:
    return Markdown(f"{plain(label, LABEL_CHARACTERS)}: no value yet")


def _span(finite: Floats) -> str:
    return f"({_number(finite.min())} to {_number(finite.max())})"


def _unit(unit: str) -> str:
    shown = plain(unit, UNIT_CHARACTERS)
    return f" {shown}" if shown else ""


def _number(value: float) -> str:
    return f"{float(value):.4g}"


def plain(text: str, longest: int) -> str:
    """Text without characters that markdown interprets, shortened to the available space."""
    return " ".join(re.sub(r"[^\w.,:;%/+=-]", " ", text).replace("_", " ").split())[:longest].strip()
