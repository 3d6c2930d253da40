"""Contracts of the milling tables: process records of the AI4I 2020 data set, features and labels.

Columns and units are those of S. Matzka, "Explainable Artificial Intelligence for Predictive Maintenance Applications",
AI4I 2020. The bounds are wider than the published table, but they exclude values in another unit: a temperature in
degrees Celsius, a speed in rad/s or a torque in lb ft is outside of them. `stuck_after` and `outlier_iqrs` are three
times the longest run of equal values and the largest distance in the published data; temperatures change slowly, so the
quartiles of a day are no scale of theirs.
"""

from dataclasses import dataclass

import pyarrow as pa

from sinet_pipelines.schemas.contract import Column, Contract, DataClass

_F, _F32, _I, _S = pa.float64(), pa.float32(), pa.int32(), pa.string()

PRODUCT_TYPES = ("L", "M", "H")  # quality of the product: low, medium, high

#: Measured before the outcome is known; the only columns that features are made from.
PROCESS_INPUTS: tuple[Column, ...] = (
    Column("product_type", _S, "quality of the product: L (low), M (medium), H (high)", allowed=PRODUCT_TYPES),
    Column("air_temperature_k", _F, "temperature of the air around the machine", "K", 270.0, 330.0, stuck_after=45),
    Column("process_temperature_k", _F, "temperature of the cutting process", "K", 280.0, 340.0, stuck_after=45),
    Column("rotational_speed_rpm", _F, "speed of the spindle", "rpm", 500.0, 5000.0, stuck_after=9, outlier_iqrs=20),
    Column("torque_nm", _F, "torque of the spindle", "Nm", 0.0, 150.0, stuck_after=9, outlier_iqrs=10),
    Column("tool_wear_min", _F, "time the tool has been in use", "min", 0.0, 400.0),
)
IDENTITY: tuple[Column, ...] = (
    Column("record_id", _I, "number of the record, in the order of production", "1", 1, 2**31 - 1),
    Column("product_id", _S, "product: its type and serial number", max_characters=128),
)
#: The outcome. The modes are parts of the label: known only after it, so they are never features.
MACHINE_FAILURE = Column("machine_failure", _I, "whether the machine failed", "1", 0, 1)
FAILURE_MODES: tuple[Column, ...] = (
    Column("tool_wear_failure", _I, "whether the worn tool failed (TWF)", "1", 0, 1),
    Column("heat_dissipation_failure", _I, "whether heat was not dissipated (HDF)", "1", 0, 1),
    Column("power_failure", _I, "whether the power was too low or too high (PWF)", "1", 0, 1),
    Column("overstrain_failure", _I, "whether a worn tool was overstrained (OSF)", "1", 0, 1),
    Column("random_failure", _I, "whether the process failed at random (RNF)", "1", 0, 1),
)
INPUT_NAMES = tuple(column.name for column in PROCESS_INPUTS)
MODE_NAMES = tuple(column.name for column in FAILURE_MODES)

PROCESS_RECORDS = Contract(
    "process_records",
    "One product on the milling machine, with its outcome.",
    DataClass.RAW,
    (*IDENTITY, *PROCESS_INPUTS, MACHINE_FAILURE, *FAILURE_MODES),
    key=("record_id",),
)


@dataclass(frozen=True)
class Feature:
    """One feature and the direction of its effect according to physics.

    Attributes:
        column: column of the table of features.
        risk: 1 where a larger value never makes a failure less likely, 0 where the direction is unknown.
    """

    column: Column
    risk: int = 0


#: The features of models: only derived quantities, since a measured column is class `raw` and stays in its region. A
#: margin is the share by which a published limit is exceeded: positive is beyond the limit. The single temperatures
#: are left out: every published mode depends only on their difference.
FEATURES: tuple[Feature, ...] = (
    Feature(Column("quality_level", _F32, "quality of the product: 0 low, 1 medium, 2 high", "1", 0, 2)),
    Feature(Column("tool_life_share", _F32, "time in use over the longest tool life (240 min)", "1", 0.0, 2.0), risk=1),
    Feature(Column("temperature_difference_k", _F32, "process less air temperature", "K", -50.0, 70.0)),
    Feature(Column("power_w", _F32, "torque times angular speed", "W", 0.0, 80_000.0)),
    Feature(Column("overstrain_min_nm", _F32, "tool wear times torque", "min Nm", 0.0, 60_000.0)),
    Feature(Column("heat_dissipation_margin", _F32, "share beyond both limits of heat dissipation", "1"), risk=1),
    Feature(Column("power_margin", _F32, "share beyond the nearer limit of the power", "1"), risk=1),
    Feature(Column("overstrain_margin", _F32, "share beyond the limit of overstrain of its type", "1"), risk=1),
)
FEATURE_NAMES = tuple(feature.column.name for feature in FEATURES)
RISK_DIRECTIONS = tuple(feature.risk for feature in FEATURES)
