"""What is planted is found: each fault by the contract of validated records, and nothing else."""

from datetime import date

import pytest

from sinet_pipelines.applications.milling.delivery import land_simulated
from sinet_pipelines.applications.milling.landed import RECORDS
from sinet_pipelines.applications.milling.production import read_production
from sinet_pipelines.validation.judge import judge_days
from tests.inventory import NAMES
from tests.zones import landing_zone

ROW_FAULTS = {"out_of_range", "missing_value", "text_in_number", "unknown_type", "conflicting_record"}


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    home = tmp_path_factory.mktemp("planted")
    land_simulated(home, records=4000, today=date(2026, 3, 27), regions=NAMES)
    return home


@pytest.fixture(scope="module")
def judged(home):
    zone, production = landing_zone(home, RECORDS), read_production(home)
    days = [(region, fault.day) for fault in production.planted for region in [fault.region]]
    rows = {place: zone.read_day(*place).rows for place in dict.fromkeys(days)}
    return {place: judge_days(part, RECORDS.validated) for place, part in rows.items()}


def test_every_kind_of_fault_is_planted(home):
    kinds = [fault.kind for fault in read_production(home).planted]
    assert set(kinds) == ROW_FAULTS | {"other_unit", "exact_copies", "drift"}


def test_rows_with_a_fault_are_set_aside_and_their_days_pass(home, judged):
    faults = [fault for fault in read_production(home).planted if fault.kind in ROW_FAULTS]
    for fault in faults:
        found = judged[fault.region, fault.day]
        assert found.bad.height == fault.rows, fault
        assert found.days[0].passed, found.days[0].faults


def test_a_day_in_another_unit_fails_and_the_unit_is_named(home, judged):
    (fault,) = (one for one in read_production(home).planted if one.kind == "other_unit")
    found = judged[fault.region, fault.day].days[0]
    assert not found.passed
    assert any("probably degrees Celsius" in sentence for sentence in found.faults)


def test_copies_are_dropped_and_counted(home):
    (fault,) = (one for one in read_production(home).planted if one.kind == "exact_copies")
    assert landing_zone(home, RECORDS).read_day(fault.region, fault.day).duplicates == fault.rows


def test_drifted_rows_keep_their_contract(home, judged):
    (fault,) = (one for one in read_production(home).planted if one.kind == "drift")
    found = judged[fault.region, fault.day]
    assert found.days[0].passed
    assert found.good["torque_nm"].mean() == pytest.approx(45.0, abs=4.0)
