import numpy as np
import pytest

from sinet_pipelines.applications.milling.physics import (
    heat_dissipation_margin,
    overstrain_margin,
    power_margin,
    power_w,
    temperature_difference_k,
)


def test_a_kilowatt_is_ten_newton_metres_at_hundred_radians_a_second():
    assert power_w([10.0], [100.0 * 60.0 / (2.0 * np.pi)])[0] == pytest.approx(1000.0)


@pytest.mark.parametrize(
    ("difference_k", "speed_rpm", "fails"),
    [(8.5, 1379.0, True), (8.6, 1379.0, False), (8.5, 1380.0, False), (9.0, 1200.0, False)],
)
def test_heat_is_not_dissipated_below_both_limits_alone(difference_k, speed_rpm, fails):
    assert (heat_dissipation_margin([difference_k], [speed_rpm])[0] > 0) == fails


@pytest.mark.parametrize(("watts", "fails"), [(3499.9, True), (3500.0, False), (9000.0, False), (9000.1, True)])
def test_power_fails_outside_its_two_limits(watts, fails):
    assert (power_margin([watts])[0] > 0) == fails


@pytest.mark.parametrize(
    ("kind", "limit"), [("L", 11_000.0), ("M", 12_000.0), ("H", 13_000.0)], ids=["low", "medium", "high"]
)
def test_each_type_has_its_own_limit_of_overstrain(kind, limit):
    assert overstrain_margin([limit, limit + 1.0, limit - 1.0], [kind] * 3).tolist() == pytest.approx(
        [0.0, 1.0 / limit, -1.0 / limit]
    )


def test_a_difference_of_temperatures_is_that_of_the_recorded_floats():
    """Where 8.6 K are recorded the floats decide, as in the published table."""
    found = temperature_difference_k([308.6, 303.7], [300.0, 295.1])
    assert (found < 8.6).tolist() == [False, True]
    assert found.tolist() == pytest.approx([8.6, 8.6])
