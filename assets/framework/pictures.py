"""Pictures in metadata: a sparkline shown directly, and the chart behind a link; numbers come before both."""

from collections.abc import Mapping

import dagster as dg
from numpy.typing import ArrayLike

from resources.markdown import shown
from sinet_pipelines.pictures.canvas import markdown_image
from sinet_pipelines.pictures.sparkline import bars, sparkline
from sinet_pipelines.storage.blobs import BlobStore


def glance(values: ArrayLike, *, label: str, unit: str = "", limit: float | None = None) -> dg.MetadataValue:
    """A line through a series, shown directly in the UI, with its last value and range as text."""
    return shown(sparkline(values, label=label, unit=unit, limit=limit))


def glance_of_bars(values: ArrayLike, *, label: str, unit: str = "", limit: float | None = None) -> dg.MetadataValue:
    """The same with a bar for each value: for counts, where 0 is a value too."""
    return shown(bars(values, label=label, unit=unit, limit=limit))


def behind(png: bytes, *, label: str) -> dg.MetadataValue:
    """A whole chart: Dagster's UI hides markdown of this length behind `[Show Markdown]`, which opens the picture."""
    return shown(markdown_image(png, label=label))


NAMES = (
    "predicted_against_true",
    "error_against_truth",
    "calibration",
    "coverage_by_predicted",
    "learning_curves",
    "pareto",
)  # of the charts that a model card shows too


def keep_pictures(blobs: BlobStore, owner: str, pictures: Mapping[str, bytes]) -> dict[str, dg.MetadataValue]:
    """Stores charts under their owner's name for the model card, and returns them as metadata.

    Args:
        blobs: of the region.
        owner: the asset, or a name that represents it.
        pictures: PNG by name.
    """
    for name, png in pictures.items():
        blobs.point(f"pictures/{owner}/{name}", blobs.put(png))
    return {name: behind(png, label=name.replace("_", " ")) for name, png in pictures.items()}


def kept_pictures(blobs: BlobStore, owner: str) -> dict[str, bytes]:
    """The charts that are stored under an owner's name."""
    refs = {name: f"pictures/{owner}/{name}" for name in NAMES}
    return {name: blobs.get_ref(ref) for name, ref in refs.items() if blobs.resolve(ref) is not None}
