import numpy as np
import pytest

from sinet_pipelines.applications.turbofan.task import RUL
from tests.sinet_pipelines.models.examples import examples


def test_the_target_is_the_capped_remaining_life():
    example = examples(lives=(200,), sequences=False)
    assert example.target_B[0] == 125.0
    assert example.target_B[-1] == 0.0
    assert example.truth_B[0] == 199.0


def test_every_engine_has_equal_weight():
    example = examples(lives=(50, 200), sequences=False)
    short = example.group_B == "FD001-0001"
    assert example.weight_B[short].sum() == pytest.approx(example.weight_B[~short].sum())
    assert example.weight_B.mean() == pytest.approx(1.0)


def test_taken_rows_keep_their_sequences():
    example = examples(lives=(20, 30))
    rows = np.array([40, 3])
    taken = example.take(rows)
    np.testing.assert_array_equal(taken.inputs.features_BF, example.inputs.features_BF[rows])
    np.testing.assert_array_equal(taken.inputs.sequences.windows(), example.inputs.sequences.windows()[rows])
    assert taken.inputs.sequences.cycle_B.tolist() == [21, 4]
    np.testing.assert_array_equal(taken.truth_B, example.truth_B[rows])


def test_a_prediction_that_is_nan_stays_nan():
    np.testing.assert_array_equal(RUL.within_range(np.array([np.nan, -3.0, 130.0, 7.0])), [np.nan, 0.0, 125.0, 7.0])
