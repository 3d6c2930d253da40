import numpy as np
import pytest

from sinet_pipelines.applications.milling.schemas import MODE_NAMES, PROCESS_RECORDS
from sinet_pipelines.applications.milling.simulator import simulate_records
from sinet_pipelines.errors import SourceError


@pytest.fixture(scope="module")
def tables():
    """Six tables of the published size."""
    return [simulate_records(seed=seed) for seed in range(6)]


def test_equal_arguments_give_an_equal_table_and_another_seed_another():
    one, same, other = (simulate_records(records=300, seed=seed) for seed in (3, 3, 4))
    assert one.equals(same)
    assert not one.equals(other)


def test_a_table_keeps_its_contract(tables):
    assert tables[0].to_arrow().schema.names == PROCESS_RECORDS.schema.names
    for column in PROCESS_RECORDS.columns:
        values = tables[0][column.name]
        assert values.null_count() == 0
        if column.minimum is not None:
            assert values.is_between(column.minimum, column.maximum).all(), column.name
        if column.allowed:
            assert set(values) == set(column.allowed)


@pytest.mark.parametrize(
    ("mode", "published"),
    [
        ("tool_wear_failure", 46),
        ("heat_dissipation_failure", 115),
        ("power_failure", 95),
        ("overstrain_failure", 98),
        ("random_failure", 19),
        ("machine_failure", 339),
    ],
)
def test_the_mean_number_of_failures_is_near_the_published_one(tables, mode, published):
    """Counts of one table vary: heat dissipation with the walk of the temperatures, the rare modes by chance."""
    mean = np.mean([table[mode].sum() for table in tables])
    assert 0.7 * published < mean < 1.3 * published


@pytest.mark.parametrize(
    ("name", "mean", "spread"),
    [
        ("air_temperature_k", 300.0, 2.0),
        ("process_temperature_k", 310.0, None),
        ("rotational_speed_rpm", 1538.8, 179.3),
        ("torque_nm", 39.99, 9.97),
        ("tool_wear_min", 107.95, 63.65),
    ],
)
def test_means_and_spreads_are_the_published_ones(tables, name, mean, spread):
    values = np.concatenate([table[name].to_numpy() for table in tables])
    assert values.mean() == pytest.approx(mean, rel=0.01)
    if spread is not None:
        assert values.std() == pytest.approx(spread, rel=0.04)


def test_types_come_in_the_published_shares_and_name_the_product(tables):
    counted = dict(tables[0].group_by("product_type").len().iter_rows())
    assert counted["L"] / 10_000 == pytest.approx(0.60, abs=0.02)
    assert counted["H"] / 10_000 == pytest.approx(0.10, abs=0.01)
    assert (tables[0]["product_id"].str.head(1) == tables[0]["product_type"]).all()


def test_a_tool_wears_by_its_products_and_begins_anew(tables):
    wear, kind = tables[0]["tool_wear_min"].to_numpy(), tables[0]["product_type"].to_numpy()
    step = np.diff(wear)
    added = np.array([{"L": 2.0, "M": 3.0, "H": 5.0}[name] for name in kind[:-1]])
    np.testing.assert_array_equal(step[step >= 0], added[step >= 0])
    assert set(wear[1:][step < 0]) == {0.0}
    assert 100 < (step < 0).sum() < 140  # 120 tools in the published table
    worn = tables[0]["tool_wear_failure"].to_numpy()[:-1] == 1
    assert (step[worn] < 0).all()


def test_a_random_failure_alone_is_no_failure_of_the_machine(tables):
    table = tables[0]
    modes = table.select(MODE_NAMES).to_numpy()
    alone = (modes[:, -1] == 1) & ~modes[:, :-1].any(axis=1)
    assert alone.any()
    assert table["machine_failure"].to_numpy()[alone].sum() == 0
    assert (table["machine_failure"].to_numpy()[modes[:, :-1].any(axis=1)] == 1).all()


@pytest.mark.parametrize(("records", "seed"), [(1, 0), (10, -1)])
def test_what_cannot_be_simulated_is_refused(records, seed):
    with pytest.raises(SourceError, match="allowed: 2 or more records, a seed from 0"):
        simulate_records(records=records, seed=seed)
