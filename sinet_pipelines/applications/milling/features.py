"""Features of process records: the process inputs and the published physics; nothing of the outcome is read."""

from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from sinet_pipelines.applications.milling.physics import (
    Floats,
    heat_dissipation_margin,
    overstrain_margin,
    power_margin,
    power_w,
    temperature_difference_k,
)
from sinet_pipelines.applications.milling.schemas import (
    FEATURE_NAMES,
    IDENTITY,
    INPUT_NAMES,
    MACHINE_FAILURE,
    PRODUCT_TYPES,
)


@dataclass(frozen=True)
class Examples:
    """Products with known outcome; B of them, F features.

    Attributes:
        features_BF: (B, F) float64, columns in the order of `FEATURE_NAMES`.
        failed_B: (B,) whether the machine failed.
        product_B: (B,) product; all records of a product are on one side of a split.
        type_B: (B,) L, M or H.
    """

    features_BF: Floats
    failed_B: NDArray[np.bool_]
    product_B: NDArray[np.str_]
    type_B: NDArray[np.str_]

    def __len__(self) -> int:
        """How many products."""
        return len(self.failed_B)

    def take(self, rows: NDArray[np.bool_]) -> "Examples":
        """Those rows alone."""
        return Examples(self.features_BF[rows], self.failed_B[rows], self.product_B[rows], self.type_B[rows])


def process_features(records: pl.DataFrame) -> pl.DataFrame:
    """The table of features (contract `PROCESS_FEATURES`), in the order of the records.

    Args:
        records: with the identity and the process inputs of `PROCESS_RECORDS`; other columns are never read.
    """
    kind = records["product_type"].to_numpy()
    air_k, process_k, speed_rpm, torque_nm, wear_min = (records[name].to_numpy() for name in INPUT_NAMES[1:])
    difference_k = temperature_difference_k(process_k, air_k)
    power = power_w(torque_nm, speed_rpm)
    overstrain = wear_min * torque_nm
    columns = {
        "quality_level": np.array([PRODUCT_TYPES.index(str(name)) for name in kind], dtype=np.float64),
        "rotational_speed_rpm": speed_rpm,
        "torque_nm": torque_nm,
        "tool_wear_min": wear_min,
        "temperature_difference_k": difference_k,
        "power_w": power,
        "overstrain_min_nm": overstrain,
        "heat_dissipation_margin": heat_dissipation_margin(difference_k, speed_rpm),
        "power_margin": power_margin(power),
        "overstrain_margin": overstrain_margin(overstrain, kind),
    }
    identity = records.select(column.name for column in IDENTITY)
    return identity.with_columns(pl.Series(name, columns[name], dtype=pl.Float64) for name in FEATURE_NAMES)


def examples(records: pl.DataFrame) -> Examples:
    """What models are fitted on: features and label, record by record."""
    features = process_features(records)
    return Examples(
        features_BF=features.select(FEATURE_NAMES).to_numpy().astype(np.float64),
        failed_B=records[MACHINE_FAILURE.name].to_numpy() == 1,
        product_B=records["product_id"].to_numpy().astype(np.str_),
        type_B=records["product_type"].to_numpy().astype(np.str_),
    )
