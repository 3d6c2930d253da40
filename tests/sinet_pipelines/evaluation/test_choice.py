import pytest

from sinet_pipelines.errors import ContractError
from sinet_pipelines.evaluation.choice import choose


def test_the_least_error_wins_and_the_first_named_of_equals():
    assert choose({"a": 11.0, "b": 10.0, "c": 10.0}).name == "b"


def test_an_error_that_is_no_number_never_wins():
    assert choose({"a": float("nan"), "b": 12.0, "c": float("inf")}).name == "b"


def test_where_no_error_is_a_number_nothing_is_chosen():
    with pytest.raises(ContractError, match="none of 2 candidates"):
        choose({"a": float("nan"), "b": float("inf")})
