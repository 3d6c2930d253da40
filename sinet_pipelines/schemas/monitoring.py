"""Contracts of what is watched: drift of the inputs, how right predictions were, rows by day."""

import pyarrow as pa

from sinet_pipelines.schemas.contract import Column, Contract, DataClass
from sinet_pipelines.schemas.features import MAX_RUL_CYCLES
from sinet_pipelines.schemas.telemetry import INSTANT

INPUT_DRIFT = Contract(
    "input_drift",
    "One feature on one day held against the fleet's reference days: how far its values lie from what was normal.",
    DataClass.FEATURE,
    (
        Column("event_date", pa.date32(), "day of the rows; the partition"),
        Column("feature", pa.string(), "feature of `window_features`"),
        Column("psi", pa.float64(), "population stability index over deciles of the reference", "1", 0),
        Column("psi_limit", pa.float64(), "what a psi must exceed: 0.25, or chance at so few engines", "1", 0),
        Column("ks", pa.float64(), "largest gap between the distribution functions (Kolmogorov-Smirnov)", "1", 0, 1),
        Column("p_value", pa.float64(), "of a gap as large without drift, rows of an engine being alike", "1", 0, 1),
        Column("p_adjusted", pa.float64(), "the same for all features of the day together (Holm)", "1", 0, 1),
        Column("p_limit", pa.float64(), "what p_adjusted must not exceed to be drift", "1", 0, 1),
        Column("rows", pa.int64(), "rows compared", "rows", 1),
        Column("engines", pa.int64(), "engines whose rows these are", "engines", 1),
        Column("rows_worth", pa.float64(), "independent rows that say as much", "rows", 0),
        Column("drifted", pa.bool_(), "both limits are broken"),
    ),
    key=("event_date", "feature"),
)

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

ROWS_BY_DAY = Contract(
    "rows_by_day",
    "One region's day: the rows and engines that came, beside the reference days.",
    DataClass.FEATURE,
    (
        Column("event_date", pa.date32(), "day of the rows; the partition"),
        Column("region", pa.string(), "region that sent them"),
        Column("rows", pa.int64(), "distinct rows that landed; 0 on a silent day", "rows", 0),
        Column("engines", pa.int64(), "engines whose rows these are", "engines", 0),
        Column("share_of_reference", pa.float64(), "rows over the median of the reference days", "1", 0, nullable=True),
    ),
    key=("event_date", "region"),
)
