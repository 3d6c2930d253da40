"""The band of chance, against scipy's."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binom

from sinet_pipelines.pictures.binomial import binomial_band


@given(n=st.integers(1, 2000), share=st.floats(0.01, 0.99))
def test_the_band_is_that_of_scipy(n, share):
    assert binomial_band(n, share) == (int(binom.ppf(0.025, n, share)), int(binom.ppf(0.975, n, share)))


@pytest.mark.parametrize(("n", "share", "band"), [(10, 0.0, (0, 0)), (10, 1.0, (10, 10)), (0, 0.5, (0, 0))])
def test_certainty_and_nothing_leave_no_width(n, share, band):
    assert binomial_band(n, share) == band
