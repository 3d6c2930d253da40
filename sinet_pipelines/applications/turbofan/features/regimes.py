"""Operating regimes: finds them and their number from regional statistics, and standardises sensors by regime.

A turbofan's sensors depend more on its flight settings than on its wear, so wear is visible only in comparison with
engines at the same settings. Rows may not leave their region: each region publishes the mean and the squared
deviations of the cells of a grid of settings (`setting_cells`), and the union of these determines the regimes and their
moments exactly (`find_regimes`; moments merged after Chan, Golub, LeVeque 1983). Only history engines are used, so that
live engines do not change the reference.
"""

import hashlib
import json
from dataclasses import asdict, dataclass
from functools import cached_property

import numpy as np
import polars as pl
from numpy.typing import ArrayLike, NDArray

from sinet_pipelines.applications.turbofan.schemas.features import SETTING_CELLS
from sinet_pipelines.applications.turbofan.schemas.telemetry import CHANNELS, SETTING_NAMES
from sinet_pipelines.errors import ContractError

GRID_STEPS = (1.0, 0.02, 2.0)  # kft, Mach, %: within a step, altitude, speed and throttle are practically equal
LINK_STEPS = 3  # cells nearer than three steps are one regime; the six published ones are seven or more apart
MIN_CELL_ROWS = 5  # a cell with fewer rows would reveal single rows, and rows stay in their region
MIN_REGIME_SHARE = 0.005  # a less frequent regime is a rare setting; its rows are assigned to the nearest regime
FLAT_SD = 1e-6  # relative to the mean: a sensor with a smaller deviation is constant but for float32 rounding

Floats = NDArray[np.float64]
REGIMES = "operating_regimes"  # the ref of the newest regimes among the blobs of the region that finds them
N_SETTINGS = len(SETTING_NAMES)


@dataclass(frozen=True)
class OperatingRegimes:
    """The regimes of a fleet: their settings and the moments of each sensor.

    Attributes:
        setting_scales: (3,) divisor of each setting before distances are computed.
        centroids: (n_regimes, 3) in scaled settings.
        sensor_means: (n_regimes, 21) in the sensors' units.
        sensor_sds: (n_regimes, 21) in the sensors' units; 0 where the sensor is constant in the regime.
        row_counts: (n_regimes,) number of history rows of each.
    """

    setting_scales: tuple[float, ...]
    centroids: tuple[tuple[float, ...], ...]
    sensor_means: tuple[tuple[float, ...], ...]
    sensor_sds: tuple[tuple[float, ...], ...]
    row_counts: tuple[int, ...]

    def __len__(self) -> int:
        return len(self.centroids)

    @cached_property
    def version(self) -> str:
        """First 16 hex digits of the SHA-256 of the content."""
        return hashlib.sha256(self.to_json().encode()).hexdigest()[:16]

    @cached_property
    def inverse_sds(self) -> Floats:
        """(n_regimes, 21) factor of a deviation; 0 for a constant sensor, whose z is then 0."""
        sds = np.asarray(self.sensor_sds)
        return np.divide(1.0, sds, out=np.zeros_like(sds), where=sds > 0)

    def to_json(self) -> str:
        """Canonical JSON: equal regimes have equal text."""
        return json.dumps(asdict(self), sort_keys=True, separators=(",", ":"), allow_nan=False)

    @classmethod
    def from_json(cls, text: str) -> "OperatingRegimes":
        """The regimes in text of `to_json`."""
        content = json.loads(text)
        rows = {name: tuple(map(tuple, content[name])) for name in ("centroids", "sensor_means", "sensor_sds")}
        return cls(setting_scales=tuple(content["setting_scales"]), row_counts=tuple(content["row_counts"]), **rows)

    def assign(self, settings: ArrayLike) -> NDArray[np.intp]:
        """The regime of each row of settings: the nearest centroid, the first of equals.

        Args:
            settings: (..., 3) altitude in kft, Mach number, throttle in %.

        Returns:
            (...) index of the regime; 0 where a setting is NaN.
        """
        scaled = np.asarray(settings, dtype=np.float64) / np.asarray(self.setting_scales)
        offsets = scaled[..., None, :] - np.asarray(self.centroids)
        return np.argmin((offsets * offsets).sum(axis=-1), axis=-1)

    def standardise(self, channels: ArrayLike) -> Floats:
        """Each sensor's z-score within its regime.

        Channels are rounded to float32 first, the type of requests to a served model; the arithmetic is float64.

        Args:
            channels: (..., 24) in the order of `schemas.telemetry.CHANNELS`.

        Returns:
            (..., 21) in the order of the sensors; a row with any NaN or infinite value is NaN in all sensors.
        """
        rounded = np.asarray(channels, dtype=np.float32).astype(np.float64)
        settings, sensors = rounded[..., :N_SETTINGS], rounded[..., N_SETTINGS:]
        if len(self) == 1:  # no index is needed: half the time of the general case
            z = (sensors - self.sensor_means[0]) * self.inverse_sds[0]
        else:
            regime = self.assign(settings)
            z = (sensors - np.asarray(self.sensor_means)[regime]) * self.inverse_sds[regime]
        z[~np.isfinite(rounded).all(axis=-1)] = np.nan
        return z


def setting_cells(history: pl.DataFrame) -> pl.DataFrame:
    """Statistics of one region's history engines for each cell of the grid of settings (contract `setting_cells`).

    Cells with fewer than `MIN_CELL_ROWS` rows are left out, because they would reveal single rows.

    Args:
        history: validated telemetry; rows of live engines are ignored.

    Returns:
        One row for each cell, independent of the order of `history`.
    """
    rows = history.filter(pl.col("role") == "history").sort("unit", "cycle")
    channels = rows.select(CHANNELS).to_numpy().astype(np.float32).astype(np.float64)
    grid = np.round(channels[:, :N_SETTINGS] / GRID_STEPS).astype(np.int64)
    _, cell, counts = np.unique(grid, axis=0, return_inverse=True, return_counts=True)
    cell = cell.reshape(-1)
    means = _sums_by_cell(channels, cell, len(counts)) / counts[:, None]
    m2 = _sums_by_cell((channels - means[cell]) ** 2, cell, len(counts))
    kept = counts >= MIN_CELL_ROWS
    columns = [counts[kept], *means[kept].T, *m2[kept].T]
    return pl.DataFrame(dict(zip(SETTING_CELLS.schema.names, columns, strict=True)))


def _sums_by_cell(values: Floats, cell: NDArray[np.intp], n_cells: int) -> Floats:
    """(n_cells, n_channels) sums in row order, so that equal rows have bitwise equal sums on every machine."""
    return np.stack([np.bincount(cell, weights=column, minlength=n_cells) for column in values.T], axis=1)


def find_regimes(cells: pl.DataFrame) -> OperatingRegimes:
    """The operating regimes of a fleet from the cells of all of its regions.

    Cells whose mean settings are within `LINK_STEPS` grid steps are linked, and each connected component is one regime:
    the number of regimes is computed. Nothing is random; the order of cells and the distribution of rows among regions
    change only the last digits.

    Args:
        cells: rows of `setting_cells` of every region, in any order.

    Raises:
        ContractError: there are no cells.
    """
    if cells.is_empty():
        raise ContractError(
            f"no cell of settings (a cell needs {MIN_CELL_ROWS} rows of history engines); land more history"
        )
    cells = cells.sort(cells.columns)
    counts = cells["row_count"].to_numpy().astype(np.float64)
    means = cells.select(f"{name}_mean" for name in CHANNELS).to_numpy()
    m2 = cells.select(f"{name}_m2" for name in CHANNELS).to_numpy()
    scales = LINK_STEPS * np.asarray(GRID_STEPS)
    labels = _linked(means[:, :N_SETTINGS] / scales)
    groups = [labels == label for label in np.unique(labels)]
    groups = [group for group in groups if counts[group].sum() >= MIN_REGIME_SHARE * counts.sum()]
    merged = sorted(_merge(counts[group], means[group], m2[group]) for group in groups)
    return OperatingRegimes(
        setting_scales=tuple(scales.tolist()),
        centroids=tuple(tuple((np.asarray(mean[:N_SETTINGS]) / scales).tolist()) for mean, _, _ in merged),
        sensor_means=tuple(mean[N_SETTINGS:] for mean, _, _ in merged),
        sensor_sds=tuple(_sds(mean, spread) for mean, spread, _ in merged),
        row_counts=tuple(count for _, _, count in merged),
    )


def _linked(points: Floats) -> NDArray[np.intp]:
    """(n,) label of each point's connected component, where points within distance 1 are linked."""
    gaps = points[:, None, :] - points[None, :, :]
    linked = (gaps * gaps).sum(axis=-1) <= 1.0
    labels = np.arange(len(points))
    while True:  # every pass propagates the smallest label by one link
        spread = np.where(linked, labels[None, :], len(points)).min(axis=1)
        if np.array_equal(spread, labels):
            return labels
        labels = spread


def _merge(counts: Floats, means: Floats, m2: Floats) -> tuple[tuple[float, ...], tuple[float, ...], int]:
    """Mean, variance and count of all rows of some cells (Chan, Golub, LeVeque 1983, eq. 1.5 for many parts)."""
    total = counts.sum()
    mean = (counts[:, None] * means).sum(axis=0) / total
    squares = m2.sum(axis=0) + (counts[:, None] * (means - mean) ** 2).sum(axis=0)
    return tuple(mean.tolist()), tuple((squares / total).tolist()), int(total)


def _sds(mean: tuple[float, ...], variance: tuple[float, ...]) -> tuple[float, ...]:
    """Standard deviation of each sensor, 0 where the sensor is constant but for rounding."""
    sds = np.sqrt(np.asarray(variance[N_SETTINGS:]))
    flat = sds <= FLAT_SD * np.maximum(np.abs(mean[N_SETTINGS:]), 1e-9)
    return tuple(np.where(flat, 0.0, sds).tolist())
