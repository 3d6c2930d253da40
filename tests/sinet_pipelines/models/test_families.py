import pytest

from sinet_pipelines.errors import ModelNotFoundError
from sinet_pipelines.models.families import FAMILIES, family


def test_a_family_is_found_by_its_name():
    assert family("ridge") is FAMILIES["ridge"]


def test_an_unknown_family_is_rejected_with_the_known_ones():
    with pytest.raises(
        ModelNotFoundError, match=r"no family 'forest' \(known: gradient_boosting, random_forest, temporal_"
    ):
        family("forest")
