import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sinet_pipelines.metrics.rul import phm08_score, rul_errors

CYCLES = st.lists(st.tuples(st.floats(0, 125), st.floats(0, 300)), min_size=1, max_size=20)


def test_a_late_prediction_costs_more_than_an_early_one():
    assert phm08_score([60.0], [50.0]) == pytest.approx(math.e - 1)
    assert phm08_score([40.0], [50.0]) == pytest.approx(math.exp(10 / 13) - 1)


def test_the_score_is_a_sum_not_a_mean():
    assert phm08_score([60.0] * 7, [50.0] * 7) == pytest.approx(7 * (math.e - 1))


def test_a_perfect_clipped_predictor_is_perfect_only_against_capped_truth():
    errors = rul_errors(np.array([125.0, 100.0]), np.array([145.0, 100.0]), cap_cycles=125.0)
    assert errors.rmse_capped == errors.score_capped == errors.bias_capped == 0.0
    assert errors.rmse_uncapped == pytest.approx(math.sqrt(400 / 2))
    assert errors.score_uncapped == pytest.approx(math.exp(20 / 13) - 1)


def test_a_prediction_that_is_no_number_makes_no_number():
    assert math.isnan(rul_errors([np.nan, 1.0], [1.0, 1.0], cap_cycles=125.0).rmse_capped)


@given(CYCLES)
def test_figures_are_zero_or_more_and_truth_costs_nothing(pairs):
    predicted, true = map(np.array, zip(*pairs, strict=True))
    errors = rul_errors(predicted, true, cap_cycles=125.0)
    assert min(errors.rmse_capped, errors.rmse_uncapped, errors.score_capped, errors.score_uncapped) >= 0.0
    assert errors.n == len(pairs)
    assert abs(errors.bias_capped) <= errors.rmse_capped + 1e-9
    perfect = rul_errors(true, true, cap_cycles=125.0)
    assert perfect.rmse_uncapped == perfect.score_uncapped == 0.0
