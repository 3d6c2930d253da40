"""Contracts of the data for training: setting cells, window features, sequences, training and evaluation sets.

Only this file defines the names of the features; `features/windows.py` and the served graph compute them in this
order. A feature's name has the channel, `_z` (z-scored within its operating regime), the statistic and its horizon in
cycles: `t24_degr_z_mean_10`.
"""

import pyarrow as pa

from sinet_pipelines.applications.turbofan.schemas.telemetry import (
    CHANNELS,
    IDENTITY,
    INSTANT,
    LAST_CYCLE,
    SENSORS,
    SETTINGS,
)
from sinet_pipelines.schemas.contract import Column, Contract, DataClass

WINDOW_CYCLES = 30  # shorter histories have flagged partial windows and raise no error
REACH_DAYS = 1  # earlier days in a window: 30 cycles at 30 or more cycles per day
FIRST_CYCLES = 10  # the state of a new engine: its baseline
MAX_RUL_CYCLES = 125  # a new engine has no visible wear: the piecewise-linear target of Heimes 2008

MEAN_HORIZONS = (5, 10, 20, 30)
SLOPE_HORIZONS = (15, 30)
SPREAD_HORIZONS = (30,)
CHANGE_HORIZONS = (10, 30)

ORIGINS = ("history", "live")  # cut at random from a complete life; a live engine whose truth has arrived

_STATISTICS = {
    "last": "at the last cycle",
    "mean": "mean over the last {} cycles",
    "spread": "standard deviation over the last {} cycles",
    "slope": "least-squares slope over the last {} cycles",
    "change": "mean over the last {} cycles less the mean of the engine's first 10",
}
_HORIZONS = (
    ("last", (1,)),
    ("mean", MEAN_HORIZONS),
    ("spread", SPREAD_HORIZONS),
    ("slope", SLOPE_HORIZONS),
    ("change", CHANGE_HORIZONS),
)


def _feature_columns() -> tuple[Column, ...]:
    """One column for each statistic, horizon and sensor, in that order, then the cycle itself."""
    columns = []
    for statistic, horizons in _HORIZONS:
        unit = "sd per cycle" if statistic == "slope" else "sd"
        for horizon in horizons:
            suffix = "last" if statistic == "last" else f"{statistic}_{horizon}"
            for sensor in SENSORS:
                description = f"{sensor.description}, {_STATISTICS[statistic].format(horizon)}"
                columns.append(Column(f"{sensor.name}_z_{suffix}", pa.float32(), description, unit))
    columns.append(Column("age_cycles", pa.float32(), "cycles flown, as a feature", "cycles", 1, LAST_CYCLE))
    return tuple(columns)


FEATURES: tuple[Column, ...] = _feature_columns()
FEATURE_NAMES: tuple[str, ...] = tuple(column.name for column in FEATURES)

#: A sensor z-scored within its operating regime, the input of networks.
SCALED_SENSORS: tuple[str, ...] = tuple(f"{sensor.name}_z" for sensor in SENSORS)

_UNIT, _ROLE, _CYCLE, _RECORDED = IDENTITY
_REGION = Column("region", pa.string(), "region whose engine it is")
_ORIGIN = Column("origin", pa.string(), "history engine never trained on, or live engine with truth", allowed=ORIGINS)
_DATE = Column("event_date", pa.date32(), "day of the row it comes from; the partition")
_HASH = Column("row_hash", pa.string(), "row of validated telemetry it describes")
_RUL = Column("rul_cycles", pa.int32(), "cycles left after this one, not capped", "cycles", 0, LAST_CYCLE)
_WINDOW = (
    Column("regimes_version", pa.string(), "version of the operating regimes it was standardised by"),
    Column(
        "window_cycles_present",
        pa.int32(),
        f"cycles of the last {WINDOW_CYCLES} that are there; fewer is a partial window",
        "cycles",
        1,
        WINDOW_CYCLES,
    ),
)

#: The statistics that a region publishes of its history engines; regimes are computed from them without rows.
SETTING_CELLS = Contract(
    "setting_cells",
    "One cell of the grid of flight settings: how many history rows fell into it, their means and squared deviations.",
    DataClass.FEATURE,
    (Column("row_count", pa.int64(), "history rows in the cell", "rows", 1),)
    + tuple(Column(f"{c.name}_mean", pa.float64(), f"mean of {c.description}", c.unit) for c in SETTINGS + SENSORS)
    + tuple(
        Column(f"{c.name}_m2", pa.float64(), f"sum of squared deviations of {c.description}", f"({c.unit})^2", 0)
        for c in SETTINGS + SENSORS
    ),
    key=tuple(f"{c.name}_mean" for c in SETTINGS),
)

WINDOW_FEATURES = Contract(
    "window_features",
    "One engine at one cycle: statistics of its last 30 cycles, each sensor in standard deviations of its regime.",
    DataClass.FEATURE,
    (_UNIT, _ROLE, _CYCLE, _RECORDED, _DATE, _HASH, *_WINDOW, *FEATURES),
    key=("unit", "cycle"),
)

UNIT_DIGESTS = Contract(
    "unit_digests",
    "The digest of one engine's validated rows of one day, or of its first cycles: published for the other regions.",
    DataClass.FEATURE,
    (
        Column("day", pa.date32(), "day of the rows; null for the engine's first cycles", nullable=True),
        _UNIT,
        Column("digest", pa.string(), "hash of the hashes of these rows"),
    ),
    key=("day", "unit"),
)

TRAINING_SET = Contract(
    "training_set",
    "One history engine at one cycle, its features then, and the cycles it had left.",
    DataClass.FEATURE,
    (_UNIT, _REGION, _CYCLE, _RECORDED, *_WINDOW, *FEATURES, _RUL),
    key=("unit", "cycle"),
)

EVALUATION_SET = Contract(
    "evaluation_set",
    "One cycle of an engine that no model was trained on: its features at that cycle, and its remaining cycles.",
    DataClass.FEATURE,
    (_UNIT, _REGION, _ORIGIN, _CYCLE, _RECORDED, *_WINDOW, *FEATURES, _RUL),
    key=("unit", "cycle"),
)

EVALUATION_RESULTS = Contract(
    "evaluation_results",
    "One predictor's errors over one slice of the evaluation set.",
    DataClass.FEATURE,
    (
        Column("slice", pa.string(), "what is compared: all, region or origin"),
        Column("value", pa.string(), "which region or origin; all"),
        Column("predictor", pa.string(), "the model, or a baseline beside it"),
        Column("n", pa.int64(), "evaluated cycles in the slice", "rows", 1),
        Column("engines", pa.int64(), "engines in the slice", "engines", 1),
        Column("rmse_capped", pa.float64(), f"RMSE, truth capped at {MAX_RUL_CYCLES}", "cycles", 0),
        Column("rmse_uncapped", pa.float64(), "RMSE, truth as it was", "cycles", 0),
        Column("score_capped", pa.float64(), f"PHM08 score, truth capped at {MAX_RUL_CYCLES}", "1", 0),
        Column("score_uncapped", pa.float64(), "PHM08 score, truth as it was", "1", 0),
        Column(
            "bias_capped", pa.float64(), f"mean error (late is positive), truth capped at {MAX_RUL_CYCLES}", "cycles"
        ),
    ),
    key=("slice", "value", "predictor"),
)

FLEET_PREDICTIONS = Contract(
    "fleet_predictions",
    "The champion's prediction for one live engine at its latest cycle.",
    DataClass.FEATURE,
    (
        _UNIT,
        _REGION,
        _CYCLE,
        Column("recorded_at", INSTANT, "instant of the cycle the prediction is about, UTC"),
        Column("rul_cycles", pa.float64(), "predicted remaining useful life", "cycles", 0, MAX_RUL_CYCLES),
        Column("lower_cycles", pa.float64(), "lower end of the interval", "cycles", 0, MAX_RUL_CYCLES, nullable=True),
        Column("upper_cycles", pa.float64(), "upper end of the interval", "cycles", 0, MAX_RUL_CYCLES, nullable=True),
        Column("model", pa.string(), "name in the registry"),
        Column("version", pa.string(), "version in the registry"),
    ),
    key=("unit", "cycle"),
)

_SEQUENCE = (
    _UNIT,
    _CYCLE,
    _DATE,
    _HASH,
    Column(
        "window",
        pa.list_(pa.field("element", pa.float32(), nullable=False)),
        f"{WINDOW_CYCLES} cycles x {len(CHANNELS)} channels, oldest first, NaN where a cycle is absent",
    ),
    Column(
        "first_cycles",
        pa.list_(pa.field("element", pa.float32(), nullable=False)),
        f"cycles 1 to {FIRST_CYCLES} x {len(CHANNELS)} channels, NaN where absent or not yet flown",
    ),
)

#: Rows can be recovered from windows of channels: windows leave a region only under an agreement.
EVALUATION_SEQUENCES = Contract(
    "evaluation_sequences",
    "The channels behind one row of the evaluation set, as the served model takes them.",
    DataClass.SEQUENCE,
    _SEQUENCE,
    key=("unit", "cycle"),
)

CALIBRATION_SEQUENCES = Contract(
    "calibration_sequences",
    "The channels behind one row of a training engine, drawn evenly from all operating regimes.",
    DataClass.SEQUENCE,
    _SEQUENCE,
    key=("unit", "cycle"),
)

LIVE_SEQUENCES = Contract(
    "live_sequences",
    "The channels of one live engine up to its latest cycle, as the served model takes them.",
    DataClass.SEQUENCE,
    _SEQUENCE,
    key=("unit", "cycle"),
)

TRAINING_SEQUENCES = Contract(
    "training_sequences",
    "One history engine at one cycle, every sensor in standard deviations of its regime; an engine's rows in order are "
    "its sequence.",
    DataClass.SEQUENCE,
    (
        _UNIT,
        _CYCLE,
        _DATE,
        _HASH,
        _WINDOW[0],
        *(
            Column(name, pa.float32(), f"{sensor.description}, off its regime's mean", "sd")
            for name, sensor in zip(SCALED_SENSORS, SENSORS, strict=True)
        ),
    ),
    key=("unit", "cycle"),
)
