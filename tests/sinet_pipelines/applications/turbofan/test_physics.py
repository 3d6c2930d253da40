import numpy as np
import pytest

from sinet_pipelines.applications.turbofan.physics import (
    MODULES,
    SEA_LEVEL,
    SIX_POINTS,
    relative_noise,
    relative_shifts,
    round_as_recorded,
    sensors_when_new,
)
from sinet_pipelines.applications.turbofan.schemas.telemetry import SENSOR_NAMES, SENSORS


def _at(point, name):
    return sensors_when_new(point)[SENSOR_NAMES.index(name)]


@pytest.mark.parametrize(
    ("point", "t2"),
    # total temperature of the standard atmosphere: (518.67 - 3.566 h) (1 + 0.2 M^2), worked by hand
    [(0, 518.67), (1, 483.01 * 1.0125), (2, 447.35 * 1.098), (3, 429.52 * 1.07688), (5, 389.9766 * 1.14112)],
)
def test_inlet_temperature_is_that_of_the_standard_atmosphere(point, t2):
    assert _at(SIX_POINTS[point], "t2_degr") == pytest.approx(t2, abs=0.01)


@pytest.mark.parametrize(
    ("altitude", "ratio"), [(0.0, 1.0), (10.0, 0.6877), (20.0, 0.4595), (36.089, 0.2234), (42.0, 0.1681)]
)
def test_inlet_pressure_at_rest_falls_as_the_standard_atmosphere(altitude, ratio):
    point = type(SEA_LEVEL)(altitude, 0.0, 100.0)
    # ICAO's tables of pressure over sea level's
    assert _at(point, "p2_psia") / _at(SEA_LEVEL, "p2_psia") == pytest.approx(ratio, rel=0.005)


@pytest.mark.parametrize("point", SIX_POINTS)
def test_a_new_engine_is_far_inside_the_bounds_at_every_point(point):
    for value, column in zip(sensors_when_new(point), SENSORS, strict=True):
        assert column.minimum < value < column.maximum, column.name


def test_a_new_engine_at_sea_level_is_like_those_of_fd001(nasa_folder):
    rows = np.loadtxt(nasa_folder / "train_FD001.txt")
    new = rows[rows[:, 1] <= 10, 5:].mean(axis=0)
    np.testing.assert_allclose(sensors_when_new(SEA_LEVEL), new, rtol=0.003)


def test_shifts_at_failure_are_like_those_of_fd001(nasa_folder):
    rows = np.loadtxt(nasa_folder / "train_FD001.txt")
    units = rows[:, 0]
    last = np.stack([rows[units == unit][-5:, 5:].mean(axis=0) for unit in np.unique(units)])
    early = np.stack([rows[units == unit][:20, 5:].mean(axis=0) for unit in np.unique(units)])
    measured = (last - early).mean(axis=0)
    ours = relative_shifts()[MODULES.index("hpc")].sum(axis=0) * sensors_when_new(SEA_LEVEL)
    np.testing.assert_allclose(ours, measured, rtol=0.1, atol=0.05)


def test_a_sensor_that_nothing_moves_has_no_noise_either():
    reading, between = relative_noise()
    for name in ("t2_degr", "p2_psia", "nf_dmd_rpm", "pcnfr_dmd_pct", "farb_ratio"):
        i = SENSOR_NAMES.index(name)
        assert reading[i] == between[i] == 0
        assert not relative_shifts()[:, :, i].any()


def test_readings_have_as_many_decimals_as_nasas():
    rounded = round_as_recorded(np.full((1, len(SENSORS)), 8.123456))[0]
    found = dict(zip(SENSOR_NAMES, rounded, strict=True))
    assert (found["t24_degr"], found["bpr_ratio"], found["w32_lbm_per_s"]) == (8.12, 8.1235, 8.1235)
    assert (found["htbleed_btu_per_lb"], found["nf_dmd_rpm"]) == (8.0, 8.0)
