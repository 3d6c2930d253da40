"""Examples for tests: engines whose first feature says how long they have left, in noise."""

import numpy as np
import polars as pl

from sinet_pipelines.features.scaled import ScaledSequences, scaled_sequences
from sinet_pipelines.models.model import Examples, Inputs
from sinet_pipelines.schemas.features import SCALED_SENSORS
from sinet_pipelines.schemas.telemetry import SENSORS

NAMES = ("wear", "noise", "constant")


def examples(*, lives: tuple[int, ...] = (60, 90, 75, 120, 80, 100), seed: int = 0, sequences: bool = True) -> Examples:
    """Every cycle of engines of these lives."""
    rng = np.random.default_rng(seed)
    unit_B = np.repeat([f"FD001-{number:04d}" for number in range(1, len(lives) + 1)], lives)
    cycle_B = np.concatenate([np.arange(1, life + 1) for life in lives]).astype(np.int32)
    rul_B = np.repeat(lives, lives) - cycle_B.astype(np.float64)
    wear_B = -np.minimum(rul_B, 125) / 30 + 0.2 * rng.normal(size=len(rul_B))
    columns = [wear_B, rng.normal(size=len(rul_B)), np.full(len(rul_B), 3.0)]
    behind = _sequences(unit_B, cycle_B, rng) if sequences else None
    inputs = Inputs(np.stack(columns, axis=1).astype(np.float32), NAMES, behind)
    return Examples(inputs, unit_B, cycle_B, rul_B)


def _sequences(unit_B: np.ndarray, cycle_B: np.ndarray, rng: np.random.Generator) -> ScaledSequences:
    z_BS = rng.normal(size=(len(cycle_B), len(SENSORS))).astype(np.float32)
    rows = pl.DataFrame({"unit": unit_B, "cycle": cycle_B, **dict(zip(SCALED_SENSORS, z_BS.T, strict=True))})
    return scaled_sequences(rows, at=rows)
