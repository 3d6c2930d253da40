import pytest

from sinet_pipelines.errors import ContractError
from sinet_pipelines.evaluation.choice import choose
from sinet_pipelines.models.task import Metric, weighted_rmse

RMSE = Metric("RMSE", "cycles", weighted_rmse)


def test_the_least_error_wins_and_the_first_named_of_equals():
    assert choose({"a": 11.0, "b": 10.0, "c": 10.0}, RMSE).name == "b"


def test_a_score_that_is_nan_is_never_chosen():
    assert choose({"a": float("nan"), "b": 12.0, "c": float("inf")}, RMSE).name == "b"


def test_nothing_is_chosen_where_every_score_is_nan():
    with pytest.raises(ContractError, match="none of 2 candidates"):
        choose({"a": float("nan"), "b": float("inf")}, RMSE)


def test_where_more_is_better_the_greatest_wins():
    pr_auc = Metric("PR-AUC", "", weighted_rmse, is_better_high=True, digits=3)
    found = choose({"trees": 0.9, "forest": 0.92, "broken": float("nan")}, pr_auc)
    assert found.name == "forest"
    assert found.reason == "forest has the greatest out-of-fold PR-AUC: forest 0.920, trees 0.900"
