import pyarrow as pa
import pytest

from sinet_pipelines.applications.turbofan.schemas import features
from sinet_pipelines.applications.turbofan.schemas.features import FEATURE_NAMES, FEATURES, WINDOW_CYCLES
from sinet_pipelines.applications.turbofan.schemas.telemetry import SENSOR_NAMES
from sinet_pipelines.schemas.contract import Contract, DataClass

CONTRACTS = {name: value for name, value in vars(features).items() if isinstance(value, Contract)}


def test_every_statistic_of_every_sensor_and_the_age_are_features():
    statistics = [name.removeprefix(SENSOR_NAMES[0]) for name in FEATURE_NAMES if name.startswith(SENSOR_NAMES[0])]
    assert {"_z_last", "_z_mean_5", "_z_mean_30", "_z_spread_30", "_z_slope_15", "_z_change_10"} < set(statistics)
    assert (*(f"{sensor}{name}" for name in statistics for sensor in SENSOR_NAMES), "age_cycles") == FEATURE_NAMES
    assert len(FEATURE_NAMES) == len(set(FEATURE_NAMES))


def test_features_are_float32_with_a_unit():
    assert {column.dtype for column in FEATURES} == {pa.float32()}
    assert all(column.unit and column.description for column in FEATURES)


def test_no_horizon_looks_further_back_than_the_window():
    horizons = (features.MEAN_HORIZONS, features.SPREAD_HORIZONS, features.SLOPE_HORIZONS, features.CHANGE_HORIZONS)
    assert max(max(each) for each in horizons) <= WINDOW_CYCLES
    assert {*features.SPREAD_HORIZONS, *features.CHANGE_HORIZONS} <= set(features.MEAN_HORIZONS)


@pytest.mark.parametrize("contract", CONTRACTS.values(), ids=CONTRACTS)
def test_a_contracts_columns_are_different_and_hold_its_key(contract):
    names = contract.schema.names
    assert len(names) == len(set(names))
    assert set(contract.key) <= set(names)


def test_what_could_be_turned_back_into_rows_is_of_class_sequence():
    classes = {contract.name: contract.data_class for contract in CONTRACTS.values()}
    sequences = {name for name, data_class in classes.items() if data_class is DataClass.SEQUENCE}
    assert sequences == {f"{kind}_sequences" for kind in ("training", "calibration", "evaluation", "live")}
    assert DataClass.RAW not in classes.values()
