import pytest

from sinet_pipelines.applications.milling.application import MILLING
from sinet_pipelines.applications.milling.schemas import FEATURE_NAMES, MODE_NAMES, PROCESS_RECORDS, RISK_DIRECTIONS
from sinet_pipelines.applications.milling.tables import DROP, OUTCOME_EVENTS, PROCESS_FEATURES, TRAINING_SET
from sinet_pipelines.schemas.contract import DataClass


def test_records_never_leave_their_region_and_features_and_labels_may():
    assert PROCESS_RECORDS.data_class == DataClass.RAW
    raw = {table.name for table in MILLING.tables if table.data_class == DataClass.RAW}
    assert raw == {"raw_records", "validated_records", "quarantine"}
    assert {PROCESS_FEATURES.data_class, OUTCOME_EVENTS.data_class} == {DataClass.FEATURE}


@pytest.mark.parametrize("contract", [PROCESS_RECORDS, DROP, *MILLING.tables], ids=lambda one: one.name)
def test_keys_are_columns_and_bounds_are_in_order(contract):
    assert set(contract.key) <= set(contract.schema.names)
    bounded = [column for column in contract.columns if column.minimum is not None and column.maximum is not None]
    assert all(column.minimum < column.maximum for column in bounded)


def test_no_part_of_the_label_and_no_identifier_is_a_feature():
    assert not set(FEATURE_NAMES) & {"record_id", "product_id", "machine_failure", *MODE_NAMES}
    assert not set(PROCESS_FEATURES.schema.names) & {"machine_failure", *MODE_NAMES}
    assert not set(TRAINING_SET.schema.names) & set(MODE_NAMES)


def test_no_measured_column_leaves_a_region_as_a_feature():
    measured = {name for name in PROCESS_RECORDS.schema.names if name.endswith(("_k", "_rpm", "_nm", "_min"))}
    assert len(measured) == 5
    for table in (one for one in MILLING.tables if one.data_class == DataClass.FEATURE):
        assert not set(table.schema.names) & measured, table.name


def test_a_margin_raises_the_risk_and_what_has_two_sided_limits_has_no_direction():
    directions = dict(zip(FEATURE_NAMES, RISK_DIRECTIONS, strict=True))
    assert {name for name, risk in directions.items() if risk == 1} == {
        "tool_life_share",
        "heat_dissipation_margin",
        "power_margin",
        "overstrain_margin",
    }
    assert set(directions.values()) == {0, 1}
