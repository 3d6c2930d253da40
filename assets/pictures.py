"""What a page shows to look at: a glance in its place, and the whole chart behind a link; numbers stand before both."""

import dagster as dg
from numpy.typing import ArrayLike

from sinet_pipelines.pictures.canvas import markdown_image
from sinet_pipelines.pictures.sparkline import bars, histogram, sparkline


def glance(values: ArrayLike, *, label: str, unit: str = "", limit: float | None = None) -> dg.MetadataValue:
    """A line through a series, drawn in the page itself, with its last value and range in words."""
    return dg.MetadataValue.md(sparkline(values, label=label, unit=unit, limit=limit))


def glance_of_bars(values: ArrayLike, *, label: str, unit: str = "", limit: float | None = None) -> dg.MetadataValue:
    """The same with a bar for each value: for counts, of which none is a value too."""
    return dg.MetadataValue.md(bars(values, label=label, unit=unit, limit=limit))


def glance_of_spread(values: ArrayLike, *, label: str, unit: str = "") -> dg.MetadataValue:
    """How often values occur, with their count, median and range in words."""
    return dg.MetadataValue.md(histogram(values, label=label, unit=unit))


def behind(png: bytes, *, label: str) -> dg.MetadataValue:
    """A whole chart: the page hides markdown this long behind `[Show Markdown]`, which opens the picture."""
    return dg.MetadataValue.md(markdown_image(png, label=label))
