"""Past failures of turbofan engines: windows before them, and the vector of a window.

The vector has one number for each sensor: its change since the engine was new, as the mean over the last 10
cycles less the mean of the first 10. Each sensor is already in standard deviations of its operating regime. The mean of
n such values of noise has the standard deviation sqrt(1/n), so the change is divided by sqrt(1/10 + 1/10): a distance
of 1 along one sensor is one standard deviation of noise, in every region.
"""

import math

import polars as pl

from sinet_pipelines.applications.turbofan.features.settled import settled
from sinet_pipelines.applications.turbofan.labels import labelled
from sinet_pipelines.applications.turbofan.schemas.events import FAILURE_EVENTS
from sinet_pipelines.applications.turbofan.schemas.features import (
    CHANGE_HORIZONS,
    FIRST_CYCLES,
    MAX_RUL_CYCLES,
    WINDOW_CYCLES,
    WINDOW_FEATURES,
)
from sinet_pipelines.applications.turbofan.schemas.telemetry import SENSORS
from sinet_pipelines.features.nearest import LEFT, Embedding, PastFailures
from sinet_pipelines.storage.tables import TableStore

EMBEDDED_CYCLES = CHANGE_HORIZONS[0]
EMBEDDING = Embedding(
    tuple(f"{sensor.name}_z_change_{EMBEDDED_CYCLES}" for sensor in SENSORS),
    (math.sqrt(1 / EMBEDDED_CYCLES + 1 / FIRST_CYCLES),) * len(SENSORS),
)


def past_windows(tables: TableStore) -> pl.DataFrame:
    """The complete windows within 125 cycles before each failure of a region.

    Args:
        tables: of the region.

    Returns:
        `unit`, `cycle`, `regimes_version`, the features of the embedding and `cycles_to_failure`, sorted by unit and
        cycle; no rows where no failure is known.
    """
    failures = tables.read(FAILURE_EVENTS)
    of_failed = pl.col("unit").is_in(failures["unit"].to_list())
    is_whole = pl.col("window_cycles_present") == WINDOW_CYCLES
    windows = tables.scan(WINDOW_FEATURES).filter(of_failed & is_whole)
    rows = settled(windows.select("unit", "cycle", "regimes_version", *EMBEDDING.columns).collect())
    known = labelled(rows, failures).filter(pl.col("rul_cycles") <= MAX_RUL_CYCLES)
    return known.rename({"rul_cycles": LEFT}).sort("unit", "cycle")


PAST_FAILURES = PastFailures(
    table=WINDOW_FEATURES,
    group="unit",
    order="cycle",
    standard="regimes_version",
    whole=("window_cycles_present", WINDOW_CYCLES),
    embedding=EMBEDDING,
    every=5,  # the vectors of neighbouring cycles are nearly equal: nine of ten values of their means are the same
    windows=past_windows,
)
