"""A sample window for requests to any model: an engine with its regime's means at every cycle."""

import numpy as np

from sinet_pipelines.applications.turbofan.features.regimes import OperatingRegimes
from sinet_pipelines.applications.turbofan.features.sequences import Sequences
from sinet_pipelines.applications.turbofan.schemas.features import FIRST_CYCLES, WINDOW_CYCLES

AGE_CYCLES = 100  # of the sample: old enough for a full window, young enough to have little wear


def mean_engine(regimes: OperatingRegimes) -> Sequences:
    """One engine, B = 1, in the most frequent regime, with that regime's mean in every sensor."""
    regime = int(np.argmax(regimes.row_counts))
    settings = np.asarray(regimes.centroids[regime]) * np.asarray(regimes.setting_scales)
    row_C = np.concatenate([settings, regimes.sensor_means[regime]]).astype(np.float32)
    return Sequences(
        unit=("mean-engine",),
        cycle_B=np.array([AGE_CYCLES], dtype=np.int32),
        window_BTC=np.tile(row_C, (1, WINDOW_CYCLES, 1)),
        first_cycles_BTC=np.tile(row_C, (1, FIRST_CYCLES, 1)),
    )
