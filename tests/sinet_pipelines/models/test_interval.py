import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from sinet_pipelines.models.interval import Interval

INTERVAL = Interval(0.9, (0.0, 50.0, 125.0), (4.0, 20.0, 8.0), (0.0, 125.0))


@given(st.floats(0.0, 125.0))
def test_a_prediction_lies_inside_its_interval_and_the_interval_in_the_range(predicted):
    lower, upper = INTERVAL.around(np.array([predicted]))
    assert 0.0 <= lower[0] <= predicted <= upper[0] <= 125.0


def test_the_half_width_is_a_line_between_knots_and_constant_beyond():
    widths = INTERVAL.half_width(np.array([-5.0, 0.0, 25.0, 50.0, 87.5, 200.0]))
    np.testing.assert_allclose(widths, [4.0, 4.0, 12.0, 20.0, 14.0, 8.0])


def test_a_prediction_that_is_nan_has_a_nan_interval():
    lower, upper = INTERVAL.around(np.array([np.nan]))
    assert np.isnan(lower[0])
    assert np.isnan(upper[0])
