"""The expectations of a contract derive their configuration once, and again after a change."""

import great_expectations.expectations as gxe
import pytest

from sinet_pipelines.validation.expectations import _quick


@pytest.fixture
def bounds():
    return _quick(gxe.ExpectColumnValuesToBeBetween)(column="speed", min_value=0, max_value=9, meta={"rule": "slow"})


def test_an_expectation_derives_the_configuration_of_the_library_once(bounds):
    stock = gxe.ExpectColumnValuesToBeBetween(column="speed", min_value=0, max_value=9, meta={"rule": "slow"})
    assert bounds.configuration.kwargs == stock.configuration.kwargs
    assert bounds.configuration.meta == stock.configuration.meta
    assert bounds.configuration is bounds.configuration


def test_an_expectation_that_was_changed_has_another_configuration(bounds):
    before = bounds.configuration
    bounds.max_value = 5
    assert (before.kwargs["max_value"], bounds.configuration.kwargs["max_value"]) == (9, 5)
