from dataclasses import replace

import numpy as np
import pytest

from sinet_pipelines.applications.turbofan.task import RUL
from sinet_pipelines.errors import ContractError
from sinet_pipelines.models.task import Kind
from tests.sinet_pipelines.models.examples import WORN


def test_a_classification_has_the_range_of_a_probability():
    assert WORN.range == (0.0, 1.0)
    assert not WORN.is_regression
    with pytest.raises(ContractError, match="range of a classification is"):
        replace(WORN, range=(0.0, 2.0))


@pytest.mark.parametrize(
    ("odd", "message"),
    [
        ({"range": (125.0, 0.0)}, "least, then greatest"),
        ({"outputs": ()}, "at least one"),
        ({"outputs": ("a", "a")}, "each name once"),
    ],
)
def test_an_invalid_task_is_rejected(odd, message):
    with pytest.raises(ContractError, match=message):
        replace(RUL, **odd)


def test_knots_divide_the_range_equally():
    assert RUL.knots(np.array([60.0])) == (0.0, 25.0, 50.0, 75.0, 100.0, 125.0)
    assert replace(RUL, range=None).knots(np.array([10.0, 20.0])) == (10.0, 12.0, 14.0, 16.0, 18.0, 20.0)


def test_without_bounds_nothing_is_clipped():
    values = np.array([-3.0, 500.0])
    assert replace(RUL, range=None).within_range(values).tolist() == [-3.0, 500.0]
    assert RUL.within_range(values).tolist() == [0.0, 125.0]


def test_weights_are_equal_without_a_rule_and_one_on_average_with_a_rule():
    order_B, truth_B = np.array([1, 2, 1]), np.array([1.0, 0.0, 9.0])
    assert replace(RUL, weight=None).weights(order_B, truth_B).tolist() == [1.0, 1.0, 1.0]
    weight_B = RUL.weights(order_B, truth_B)
    assert weight_B.mean() == pytest.approx(1.0)
    assert weight_B[0] == weight_B[1] == pytest.approx(5.0 * weight_B[2])


def test_the_loss_is_that_of_the_kind():
    assert RUL.loss(np.array([120.0]), np.array([300.0])) == pytest.approx(5.0)
    assert WORN.loss(np.array([0.5]), np.array([1.0])) == pytest.approx(np.log(2.0))
    assert (RUL.loss_name, WORN.loss_name) == ("rmse", "log_loss")
    assert Kind("regression") is RUL.kind
