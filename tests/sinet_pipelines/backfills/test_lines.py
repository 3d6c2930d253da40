"""The fixed part and the part per day of what steps took."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sinet_pipelines.backfills.lines import fit_line


def test_no_sample_gives_no_line():
    assert fit_line([]) is None


def test_two_sizes_separate_the_fixed_part_from_the_days():
    line = fit_line([(10, 7.0), (20, 12.0)])
    assert (line.fixed, line.per_day, line.is_split) == (2.0, 0.5, True)


def test_one_size_gives_time_per_day_alone_and_shows_it():
    line = fit_line([(25, 5.0), (25, 6.0), (25, 5.5)])
    assert (line.fixed, line.is_split) == (0.0, False)
    assert line.at(25) == pytest.approx(5.5)


def test_an_asset_without_days_takes_the_median():
    assert fit_line([(0, 3.0), (0, 100.0), (0, 4.0)]).at(0) == 4.0


def test_a_tenth_of_wrong_samples_moves_the_line_little():
    good = [(days, 1.0 + 0.5 * days) for days in range(1, 19)]
    line = fit_line([*good, (5, 400.0), (9, 900.0)])
    assert line.per_day == pytest.approx(0.5, rel=0.05)
    assert line.fixed == pytest.approx(1.0, abs=0.5)


SAMPLES = st.lists(st.tuples(st.integers(0, 400), st.floats(0, 1e6)), min_size=1, max_size=20)


@given(SAMPLES, st.integers(0, 1000))
def test_more_days_never_take_less_and_nothing_takes_less_than_nothing(samples, days):
    line = fit_line(samples)
    assert 0 <= line.at(days) <= line.at(days + 1)
