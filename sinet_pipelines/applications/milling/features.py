"""Features of process records: the published physics of the process inputs; the outcome is not read."""

import numpy as np
import polars as pl

from sinet_pipelines.applications.milling.physics import (
    as_measured,
    heat_dissipation_margin,
    overstrain_margin,
    power_margin,
    power_w,
    temperature_difference_k,
    tool_life_share,
)
from sinet_pipelines.applications.milling.schemas import (
    FEATURE_NAMES,
    INPUT_NAMES,
    MACHINE_FAILURE,
    PRODUCT_TYPES,
)
from sinet_pipelines.applications.milling.tables import PROCESS_FEATURES
from sinet_pipelines.applications.milling.task import FAILURE
from sinet_pipelines.models.model import Examples, Inputs

_BESIDE = tuple(column.name for column in PROCESS_FEATURES.columns if column.name not in FEATURE_NAMES)


def process_features(records: pl.DataFrame) -> pl.DataFrame:
    """The table of features (contract `PROCESS_FEATURES`), in the order of the records, float32.

    Args:
        records: with the process inputs; other columns of the contract are kept, but not read.
    """
    kind = records["product_type"].to_numpy()
    air_k, process_k, speed_rpm, torque_nm, wear_min = (as_measured(records[name]) for name in INPUT_NAMES[1:])
    difference_k = temperature_difference_k(process_k, air_k)
    power = power_w(torque_nm, speed_rpm)
    overstrain = wear_min * torque_nm
    columns = {
        "quality_level": np.array([PRODUCT_TYPES.index(str(name)) for name in kind], dtype=np.float64),
        "tool_life_share": tool_life_share(wear_min),
        "temperature_difference_k": difference_k,
        "power_w": power,
        "overstrain_min_nm": overstrain,
        "heat_dissipation_margin": heat_dissipation_margin(difference_k, speed_rpm),
        "power_margin": power_margin(power),
        "overstrain_margin": overstrain_margin(overstrain, kind),
    }
    beside = records.select(name for name in _BESIDE if name in records.columns)
    return beside.with_columns(pl.Series(name, columns[name]).cast(pl.Float32) for name in FEATURE_NAMES)


def inputs_of(rows: pl.DataFrame) -> Inputs:
    """The inputs of a model, in the order of the rows: (B, F) features of any table that has these columns."""
    features_BF = np.ascontiguousarray(rows.select(FEATURE_NAMES).to_numpy().astype(np.float32, copy=False))
    return Inputs(features_BF, FEATURE_NAMES)


def examples_of(rows: pl.DataFrame) -> Examples:
    """The training examples of a family, in the order of the rows.

    Args:
        rows: with product, record, features and `machine_failure`, as in the training set.
    """
    return Examples(
        inputs=inputs_of(rows),
        group_B=rows["product_id"].to_numpy().astype(np.str_),
        order_B=rows["record_id"].to_numpy().astype(np.int32),
        truth_B=rows[MACHINE_FAILURE.name].to_numpy().astype(np.float64),
        task=FAILURE,
    )


def examples_of_records(records: pl.DataFrame) -> Examples:
    """The examples of process records with their outcome (contract `PROCESS_RECORDS`)."""
    return examples_of(process_features(records).with_columns(records[MACHINE_FAILURE.name]))
