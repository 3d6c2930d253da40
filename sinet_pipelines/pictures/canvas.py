"""The canvas of all charts: one style, no global state, the same bytes for the same numbers.

matplotlib's `Figure` is used without pyplot, which would keep every figure in memory and choose a window system. The
result is a PNG of at most 256 colours, small enough for a page's metadata.
"""

import base64
import io
import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from sinet_pipelines.errors import UsageError
from sinet_pipelines.markdown import Markdown
from sinet_pipelines.pictures.sparkline import LABEL_CHARACTERS, plain

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Floats = NDArray[np.float64]

LARGEST_BYTES = 40_000  # of a picture in a page's metadata, as text in base 64
COLOURS = (64, 32, 16)  # 64 are enough for flat charts; a crowded one uses fewer
MOST_POINTS = 1_000  # of a scatter plot; more points overlap, and the file does not compress

# Okabe, Ito 2008, "Color Universal Design": distinguishable with every kind of colour vision. Shapes differ as well.
BLUE, ORANGE, GREEN, PURPLE, SKY, GREY = "#0072b2", "#d55e00", "#009e73", "#aa4499", "#56b4e9", "#767676"
SERIES = ((BLUE, "o", "-"), (ORANGE, "s", "--"), (GREEN, "^", "-."), (PURPLE, "D", ":"), (SKY, "v", "-"))

_INCHES, _DPI = (7.2, 4.2), 110
_MARGINS = {"left": 0.105, "right": 0.975, "top": 0.875, "bottom": 0.14}
_LOOK: dict[Any, Any] = {
    "font.family": "DejaVu Sans",  # comes with matplotlib, so it is the same on every machine
    "font.size": 11,
    "axes.titlesize": 13,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.titlepad": 12,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "axes.edgecolor": GREY,
    "grid.color": "#e4e4e4",
    "grid.linewidth": 0.8,
    "lines.linewidth": 2.0,
    "legend.frameon": True,
    "legend.framealpha": 0.85,
    "legend.edgecolor": "none",
    "legend.fontsize": 10,
}

Paint = Callable[[Sequence["Axes"]], None]


def picture(paint: Paint, *, title: str, note: str = "", panels: int = 1) -> bytes:
    """A PNG of 792 x 462 pixels.

    Args:
        paint: draws into the panels, which it receives in order from the left.
        title: above all panels.
        note: small print below, such as the number of omitted points.
        panels: number of panels side by side.
    """
    import matplotlib
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    with matplotlib.rc_context():
        matplotlib.rcdefaults()  # ignores a user's matplotlibrc
        matplotlib.rcParams.update(_LOOK)
        figure = Figure(figsize=_INCHES, dpi=_DPI)
        canvas = FigureCanvasAgg(figure)
        axes = figure.subplots(1, panels, squeeze=False)[0]
        figure.subplots_adjust(**_MARGINS, wspace=0.24)
        paint(axes)
        axes[0].set_title(title)
        if note:
            figure.text(0.975, 0.015, note, ha="right", va="bottom", fontsize=8.5, color=GREY)
        canvas.draw()
    width, height = canvas.get_width_height()
    return _compact(bytes(canvas.buffer_rgba()), size=(width, height))


def nothing(axes: "Axes", text: str = "nothing to show yet") -> None:
    """Writes that there is nothing to draw."""
    axes.text(0.5, 0.5, text, transform=axes.transAxes, ha="center", va="center", fontsize=13, color=GREY)


def markdown_image(png: bytes, *, label: str) -> Markdown:
    """The picture as a markdown image without a file or a request."""
    return Markdown(f"![{plain(label, LABEL_CHARACTERS)}]({data_uri(png)})")


def data_uri(png: bytes) -> str:
    """The picture as a data URI."""
    return f"data:image/png;base64,{base64.b64encode(png).decode()}"


def together(**columns: ArrayLike) -> tuple[list[Floats], str]:
    """Columns of one length as float arrays, without rows that have a non-finite value, and a note on the omitted rows.

    Args:
        columns: each (n,), by the name for the error message.

    Raises:
        UsageError: their lengths differ.
    """
    arrays = {name: np.asarray(column, dtype=np.float64).ravel() for name, column in columns.items()}
    lengths = {len(array) for array in arrays.values()}
    if len(lengths) > 1:
        found = ", ".join(f"{name} has {len(array)}" for name, array in arrays.items())
        raise UsageError(f"columns differ in length: {found} (allowed: equal lengths); pass a value for each row")
    whole = np.logical_and.reduce([np.isfinite(array) for array in arrays.values()])
    gone = int((~whole).sum())
    return [array[whole] for array in arrays.values()], f"{gone} left out: no number" if gone else ""


def cloud(n: int) -> slice:
    """The slice of n points to draw, evenly spaced: all up to 1,000."""
    return slice(None, None, max(1, math.ceil(n / MOST_POINTS)))


def _compact(pixels: bytes, *, size: tuple[int, int]) -> bytes:
    """A PNG in few colours: with the first palette that is small enough, else with the smallest."""
    from PIL import Image

    whole = Image.frombytes("RGBA", size, pixels).convert("RGB")
    for colours in COLOURS:
        small = io.BytesIO()
        whole.quantize(colours, method=Image.Quantize.MAXCOVERAGE, dither=Image.Dither.NONE).save(
            small, format="PNG", optimize=True
        )
        if len(data_uri(small.getvalue())) <= LARGEST_BYTES:
            break
    return small.getvalue()
