from datetime import date

import polars as pl
import pytest

from sinet_pipelines.applications.turbofan.fleet import Fleet
from sinet_pipelines.applications.turbofan.fleet_layout import lay_out
from sinet_pipelines.applications.turbofan.planted_faults import plant_faults
from sinet_pipelines.applications.turbofan.schemas.telemetry import DROP
from sinet_pipelines.applications.turbofan.simulator import simulate_fleet
from tests.inventory import NAMES

FLEET = Fleet("simulated", True, date(2026, 3, 1), regions=NAMES)


@pytest.fixture(scope="module")
def clean():
    return lay_out(simulate_fleet(), FLEET).days


@pytest.fixture(scope="module")
def faulty(clean):
    return plant_faults(clean, FLEET, seed=0)


def _by_place(days):
    return {(part.region, part.day): part.rows for part in reversed(days)}


def _of(planted, kind):
    return [fault for fault in planted if fault.kind == kind]


def test_every_kind_of_fault_is_planted(faulty):
    assert {fault.kind for fault in faulty[1]} == {
        "out_of_range",
        "missing_value",
        "conflicting_cycle",
        "text_in_number",
        "other_unit",
        "exact_copies",
        "drift",
    }


def test_bad_rows_are_as_many_as_the_record_says_and_one_in_a_hundred_at_most(clean, faulty):
    before, after = _by_place(clean), _by_place(faulty[0])
    for fault in faulty[1]:
        rows = after[fault.region, fault.day]
        values = rows[fault.column] if fault.column else None
        if fault.kind == "out_of_range":
            column = DROP.column(fault.column)
            assert (~values.is_between(column.minimum, column.maximum)).sum() == fault.rows
        elif fault.kind == "missing_value":
            assert values.null_count() == fault.rows
        elif fault.kind == "text_in_number":
            assert values.dtype == pl.String
            assert values.cast(pl.Float64, strict=False).null_count() == fault.rows
        elif fault.kind == "conflicting_cycle":
            twice = rows.filter(rows.select("unit", "cycle").is_duplicated())
            assert twice.height == fault.rows == 2
            assert twice[fault.column].n_unique() == 2
        else:
            continue
        assert 1 <= fault.rows <= max(2, 0.01 * before[fault.region, fault.day].height)


def test_bad_rows_are_on_several_days_of_every_region(faulty):
    single = [fault for fault in faulty[1] if fault.kind not in ("other_unit", "exact_copies", "drift")]
    assert {fault.region for fault in single} == set(FLEET.regions)
    assert len({fault.day for fault in single}) == len(single) >= 6


def test_one_region_measures_one_day_in_another_unit(clean, faulty):
    (fault,) = _of(faulty[1], "other_unit")
    assert (fault.region, fault.day, fault.column) == ("WEST", FLEET.day(17), "t2_degr")
    rows, before = _by_place(faulty[0])["WEST", fault.day], _by_place(clean)["WEST", fault.day]
    assert fault.rows == rows.height == before.height
    assert not rows["t2_degr"].is_between(380, 620).any()
    assert rows["t2_degr"].to_list() == pytest.approx([value / 1.8 for value in before["t2_degr"]], abs=0.006)


def test_copies_come_in_a_second_drop_of_their_day(faulty):
    (fault,) = _of(faulty[1], "exact_copies")
    drops = [part.rows for part in faulty[0] if (part.region, part.day) == (fault.region, fault.day)]
    assert len(drops) == 2
    assert drops[1].height == fault.rows == 25
    assert drops[1].join(drops[0], on=drops[0].columns, how="anti", nulls_equal=True).height == 0


def test_drift_begins_on_its_day_and_in_its_region_alone(clean, faulty):
    (fault,) = _of(faulty[1], "drift")
    assert (fault.region, fault.day) == ("NULL_ISLAND", FLEET.day(19))
    before, after = _by_place(clean), _by_place(faulty[0])
    for place, rows in before.items():
        if rows.height == after[place].height and after[place].schema[fault.column] == pl.Float64:
            shift = (after[place][fault.column] - rows[fault.column]).mean()
            drifts = place[0] == "NULL_ISLAND" and place[1] >= fault.day
            assert shift == pytest.approx(1.3 if drifts else 0.0, abs=0.2)  # 3 sd of about 0.45 degR


def test_nothing_else_is_touched(clean, faulty):
    before, after = _by_place(clean), _by_place(faulty[0])
    assert before.keys() == after.keys()
    touched = {(fault.region, fault.day) for fault in faulty[1]}
    drift = _of(faulty[1], "drift")[0]
    untouched = [p for p in before if p not in touched and not (p[0] == drift.region and p[1] >= drift.day)]
    assert len(untouched) > 50
    assert all(before[place].equals(after[place]) for place in untouched)


def test_the_same_seed_plants_the_same(clean, faulty):
    again = plant_faults(clean, FLEET, seed=0)
    assert again[1] == faulty[1]
    assert all(a.rows.equals(b.rows) for a, b in zip(again[0], faulty[0], strict=True))


def test_a_small_fleet_gets_only_what_its_days_can_bear():
    days = lay_out(simulate_fleet(history_engines=3, live_engines=3), FLEET).days
    _, planted = plant_faults(days, FLEET, seed=0)
    assert not {fault.kind for fault in planted} & {"out_of_range", "missing_value", "text_in_number"}
