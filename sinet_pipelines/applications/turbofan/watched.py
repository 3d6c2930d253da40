"""The turbofan features that are monitored for drift: every sensor, compared among engines of the same age.

Engines wear, and the distribution of their ages changes every day. Each feature is a sensor z-scored within its
operating regime, so another distribution of flights is not drift. Drift of a constant sensor is not detected here (its
z is always 0); only the bounds of its contract check it.
"""

import numpy as np
import polars as pl

from sinet_pipelines.applications.turbofan.schemas.monitoring import INPUT_DRIFT
from sinet_pipelines.applications.turbofan.schemas.telemetry import SENSOR_NAMES
from sinet_pipelines.monitoring.input_drift import Watched
from sinet_pipelines.monitoring.likeness import Counts

AGE_BAND_CYCLES, AGE_BANDS = 50, 8  # wear is small within 50 cycles; the last band starts at 351


def age_bands(rows: pl.DataFrame) -> Counts:
    """(N,) the age band of each row, from 0."""
    return np.minimum((rows["cycle"].to_numpy() - 1) // AGE_BAND_CYCLES, AGE_BANDS - 1)


WATCHED = Watched(
    features=tuple(f"{name}_z_last" for name in SENSOR_NAMES),
    group="unit",
    order="cycle",
    groups="engines",
    contract=INPUT_DRIFT,
    strata=AGE_BANDS,
    stratum_of=age_bands,
    stratum="age",
)
