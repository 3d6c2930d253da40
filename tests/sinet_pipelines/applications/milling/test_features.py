import numpy as np
import polars as pl
import pytest

from sinet_pipelines.applications.milling.features import examples_of_records, process_features
from sinet_pipelines.applications.milling.reader import read_records
from sinet_pipelines.applications.milling.schemas import FEATURE_NAMES, MODE_NAMES
from sinet_pipelines.applications.milling.tables import PROCESS_FEATURES


def test_features_keep_their_contract(records):
    features = process_features(records)
    assert [name for name in PROCESS_FEATURES.schema.names if name in features.columns] == features.columns
    assert set(FEATURE_NAMES) <= set(features.columns)
    for column in (one for one in PROCESS_FEATURES.columns if one.name in features.columns):
        values = features[column.name]
        assert values.null_count() == 0
        if column.minimum is not None:
            assert values.is_between(column.minimum, column.maximum).all(), column.name


def test_features_of_one_product_by_hand():
    row = {
        "record_id": 1,
        "product_id": "M1",
        "product_type": "M",
        "air_temperature_k": 300.0,
        "process_temperature_k": 308.6,
        "rotational_speed_rpm": 1500.0,
        "torque_nm": 60.0,
        "tool_wear_min": 220.0,
    }
    found = process_features(pl.DataFrame([row])).row(0, named=True)
    assert found["quality_level"] == 1.0
    assert found["power_w"] == pytest.approx(60.0 * 157.0796, rel=1e-6)
    assert found["overstrain_min_nm"] == 13_200.0
    assert found["tool_life_share"] == pytest.approx(220 / 240)
    assert found["overstrain_margin"] == pytest.approx(0.1, rel=1e-6)
    assert found["power_margin"] == pytest.approx(9424.778 / 9000 - 1, rel=1e-5)
    assert found["temperature_difference_k"] == pytest.approx(8.6, rel=1e-6)
    assert found["heat_dissipation_margin"] == pytest.approx(1 - 1500 / 1380)


def test_failure_modes_and_identifiers_are_never_read(records):
    """Records without any column of the outcome have the same features."""
    before = records.drop(*MODE_NAMES, "machine_failure")
    assert process_features(before).equals(process_features(records))
    other = records.with_columns(pl.lit("X").alias("product_id"), pl.col("record_id").reverse())
    np.testing.assert_array_equal(
        examples_of_records(other).inputs.features_BF, examples_of_records(records).inputs.features_BF
    )


def test_the_label_is_the_recorded_failure_of_the_machine(records, known):
    assert known.truth_B.sum() == records["machine_failure"].sum()
    assert known.inputs.features_BF.shape == (records.height, len(FEATURE_NAMES))


def test_margins_are_the_published_modes_on_the_published_table(published_folder):
    """Heat dissipation, power and overstrain failures are those with a margin above 0, each of 10,000 products."""
    rows = read_records(published_folder).rows
    features = process_features(rows)
    for name in ("heat_dissipation", "power", "overstrain"):
        np.testing.assert_array_equal(
            features[f"{name}_margin"].to_numpy() > 0.0, rows[f"{name}_failure"].to_numpy() == 1
        )
