"""Contracts of the monitoring of turbofans: drift of the sensors, quality of predictions, rows by day."""

import pyarrow as pa

from sinet_pipelines.applications.turbofan.schemas.features import MAX_RUL_CYCLES
from sinet_pipelines.applications.turbofan.schemas.telemetry import INSTANT
from sinet_pipelines.schemas.contract import Column, Contract, DataClass
from sinet_pipelines.schemas.monitoring import input_drift, rows_by_day

INPUT_DRIFT = input_drift("engines")
ROWS_BY_DAY = rows_by_day("engines")

PREDICTION_QUALITY = Contract(
    "prediction_quality",
    "One prediction whose truth has arrived.",
    DataClass.FEATURE,
    (
        Column("unit", pa.string(), "live engine"),
        Column("region", pa.string(), "region whose engine it is"),
        Column("cycle", pa.int32(), "cycle the prediction is about", "cycles", 1, 100_000),
        Column("predicted_cycles", pa.float64(), "predicted remaining useful life", "cycles"),
        Column("lower_cycles", pa.float64(), "lower end of the interval", "cycles", nullable=True),
        Column("upper_cycles", pa.float64(), "upper end of the interval", "cycles", nullable=True),
        Column("true_cycles", pa.float64(), f"what was left, capped at {MAX_RUL_CYCLES}", "cycles", 0, MAX_RUL_CYCLES),
        Column("late_cycles", pa.float64(), "predicted less true: above 0 the warning comes too late", "cycles"),
        Column("known_at", INSTANT, "instant the truth became known, UTC"),
        Column("version", pa.string(), "version of the model that predicted"),
    ),
    key=("unit", "cycle"),
)
