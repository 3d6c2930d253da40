import pytest
from scipy import stats

from sinet_pipelines.metrics.coverage import covered_band


@pytest.mark.parametrize("intervals", [1, 5, 20, 34, 60, 100, 259, 5000])
def test_the_band_is_the_central_one_of_the_binomial(intervals):
    assert covered_band(intervals) == tuple(stats.binom.ppf([0.025, 0.975], intervals, 0.9).astype(int))


def test_without_intervals_none_is_covered():
    assert covered_band(0) == (0, 0)


@pytest.mark.parametrize(("level", "band"), [(0.0, (0, 0)), (1.0, (20, 20))])
def test_what_is_certain_has_no_band(level, band):
    assert covered_band(20, level=level) == band
