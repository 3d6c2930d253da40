"""A median outside its bounds is explained by the unit in which it would be within them, and by the files."""

import pytest

from sinet_pipelines.applications.turbofan.schemas.telemetry import SENSORS, SETTINGS, VALIDATED_TELEMETRY
from sinet_pipelines.validation.units import OTHER_UNITS, explain_median, likely_units

COLUMN = {column.name: column for column in VALIDATED_TELEMETRY.columns}


@pytest.mark.parametrize(
    ("column", "median", "units"),
    [
        ("t2_degr", 271.7, ("kelvin",)),  # 489 degR
        ("t2_degr", 15.0, ("degrees Celsius", "degrees Fahrenheit")),  # 518.67 degR: the standard atmosphere
        ("t2_degr", 59.0, ("degrees Fahrenheit", "degrees Celsius")),  # the same
        ("t30_degr", 880.0, ("kelvin", "degrees Fahrenheit")),  # 1584 and 1340 degR
        ("p2_psia", 101.325, ("kilopascal",)),  # 14.7 psia
        ("p2_psia", 101_325.0, ("pascal",)),
        ("altitude_kft", 35_000.0, ("feet",)),
        ("nf_rpm", 39.8, ("revolutions per second",)),  # 2388 rpm
        ("nf_rpm", 250.07, ("radians per second",)),  # 2387.99 rpm
        ("w31_lbm_per_s", 140_000.0, ("pounds per hour",)),  # 38.9 lbm/s
        ("htbleed_btu_per_lb", 912.0, ("kilojoules per kilogram",)),  # 392 Btu/lb
        ("pcnfr_dmd_pct", 0.998, ("a fraction of one",)),
        ("mach_number", 84.0, ("per cent",)),
        ("t2_degr", 9_999.99, ()),
        ("phi_pps_per_psi", 1.0, ()),
    ],
)
def test_the_unit_is_one_in_which_the_median_would_be_right_the_likeliest_first(column, median, units):
    assert likely_units(COLUMN[column], median) == units


def test_more_than_one_unit_may_be_meant():
    assert likely_units(COLUMN["p30_psia"], 38.0) == ("bar", "standard atmospheres")
    assert "probably bar, or standard atmospheres" in explain_median(COLUMN["p30_psia"], 38.0, by_file={})


def test_the_files_whose_own_median_is_outside_are_named_and_of_many_the_first():
    by_file = {"EAST/a": 271.7, "EAST/b": 500.0, "EAST/c": None}
    assert explain_median(COLUMN["t2_degr"], 271.7, by_file=by_file) == (
        "median t2_degr is 271.7, expected 380 to 620 degR: probably kelvin; file EAST/a; drop the day again in degR"
    )
    many = {f"EAST/{number}": 271.7 for number in range(5)}
    assert "; files EAST/0, EAST/1, EAST/2 and 2 more; " in explain_median(COLUMN["t2_degr"], 271.7, by_file=many)


def test_what_no_known_unit_explains_is_another_unit_or_a_broken_instrument():
    found = explain_median(COLUMN["t2_degr"], 9_999.99, by_file={})
    assert found.startswith("median t2_degr is 1e+04, expected 380 to 620 degR: another unit, or a broken instrument; ")


def test_every_unit_of_the_contract_but_ratios_of_flows_has_others():
    assert {column.unit for column in SETTINGS + SENSORS} - set(OTHER_UNITS) == {"pps/psi"}
