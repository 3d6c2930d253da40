"""Labels: the remaining cycles of an engine, computed only from failure events.

An engine's last row is not used: it may be late, in quarantine, or not yet flown.
"""

import numpy as np
import polars as pl

from sinet_pipelines.applications.turbofan.features.scaled import ScaledSequences
from sinet_pipelines.applications.turbofan.schemas.features import FEATURE_NAMES
from sinet_pipelines.applications.turbofan.task import RUL
from sinet_pipelines.models.model import Examples, Inputs


def labelled(rows: pl.DataFrame, failures: pl.DataFrame) -> pl.DataFrame:
    """The rows of engines whose failure is known, with `rul_cycles`.

    Rows of an engine without a failure event have no label yet and are left out, as are rows after the failure.

    Args:
        rows: `unit`, `cycle` and any other columns.
        failures: failure events: `unit`, and `cycle`, the last before the failure.

    Returns:
        Rows in their order, `rul_cycles` int32 last.
    """
    ends = failures.select("unit", failed_cycle=pl.col("cycle").cast(pl.Int32))
    joined = rows.join(ends, on="unit", how="inner", maintain_order="left")
    left = (pl.col("failed_cycle") - pl.col("cycle")).cast(pl.Int32).alias("rul_cycles")
    return joined.with_columns(left).filter(pl.col("rul_cycles") >= 0).drop("failed_cycle")


def inputs_of(rows: pl.DataFrame, *, sequences: ScaledSequences | None = None) -> Inputs:
    """The inputs of a model, in the order of the rows.

    Args:
        rows: the columns `FEATURE_NAMES` (contracts `training_set`, `evaluation_set`, `window_features`).
        sequences: the scaled sensors of the same rows in the same order.
    """
    features_BF = np.ascontiguousarray(rows.select(FEATURE_NAMES).to_numpy().astype(np.float32, copy=False))
    return Inputs(features_BF, FEATURE_NAMES, sequences)


def examples_of(rows: pl.DataFrame, *, sequences: ScaledSequences | None = None) -> Examples:
    """The training examples of a family, in the order of the rows: sort them first, since bagging uses the position.

    Args:
        rows: `unit`, `cycle`, `rul_cycles` and the columns `FEATURE_NAMES`.
        sequences: the scaled sensors of the same rows in the same order.
    """
    return Examples(
        inputs=inputs_of(rows, sequences=sequences),
        group_B=rows["unit"].to_numpy().astype(np.str_),
        order_B=rows["cycle"].to_numpy().astype(np.int32),
        truth_B=rows["rul_cycles"].to_numpy().astype(np.float64),
        task=RUL,
    )
