"""Examples for tests: engines whose first feature says how long they have left, in noise."""

import numpy as np
import polars as pl

from sinet_pipelines.applications.turbofan.features.scaled import ScaledSequences, scaled_sequences
from sinet_pipelines.applications.turbofan.schemas.features import SCALED_SENSORS
from sinet_pipelines.applications.turbofan.schemas.telemetry import SENSORS
from sinet_pipelines.applications.turbofan.task import RUL
from sinet_pipelines.metrics.failure import average_precision
from sinet_pipelines.models.model import Examples, Inputs
from sinet_pipelines.models.task import Kind, Metric, Task

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
    return Examples(inputs, unit_B, cycle_B, rul_B, RUL)


#: A classification for tests: whether the wear of an engine is above a limit.
WORN = Task(
    kind=Kind.CLASSIFICATION,
    target="is_worn",
    unit="1",
    group="unit",
    order="cycle",
    groups="engines",
    feature_names=NAMES,
    metric=Metric("PR-AUC", "", lambda score, truth, weight: average_precision(score, truth), is_better_high=True),
    outputs=("worn_probability", "is_warned"),
)


def events(*, rows: int = 400, seed: int = 0, share: float = 0.2) -> Examples:
    """Rows of engines with three rows each; the event is likelier where the first feature is larger."""
    rng = np.random.default_rng(seed)
    wear_B = rng.normal(size=rows)
    happened_B = wear_B + 0.7 * rng.normal(size=rows) > np.quantile(wear_B, 1.0 - share)
    columns = [wear_B, rng.normal(size=rows), np.full(rows, 3.0)]
    inputs = Inputs(np.stack(columns, axis=1).astype(np.float32), NAMES)
    group_B = np.array([f"engine-{row // 3:04d}" for row in range(rows)])
    order_B = np.arange(rows, dtype=np.int32) % 3 + 1
    return Examples(inputs, group_B, order_B, happened_B.astype(np.float64), WORN)


def _sequences(unit_B: np.ndarray, cycle_B: np.ndarray, rng: np.random.Generator) -> ScaledSequences:
    z_BS = rng.normal(size=(len(cycle_B), len(SENSORS))).astype(np.float32)
    rows = pl.DataFrame({"unit": unit_B, "cycle": cycle_B, **dict(zip(SCALED_SENSORS, z_BS.T, strict=True))})
    return scaled_sequences(rows, at=rows)
