"""A recipe names hardware that its region has, and says where its figures come from."""

import pytest

from sinet_pipelines.applications.turbofan.experiments import EXPERIMENTS, RECIPES
from sinet_pipelines.errors import UnknownHardwareError
from sinet_pipelines.research.recipe import Recipe
from tests.inventory import NULL_ISLAND, get_region


def recipe(**changed):
    values = {"name": "n", "question": "Does it?", "region": "NULL_ISLAND", "hardware": "neuromorphic", "family": "f"}
    return Recipe(**{**values, "simulated_on": "cpu", **changed})


def test_figures_of_a_simulated_recipe_come_from_the_simulating_hardware():
    assert recipe().measured_on == "cpu"
    assert recipe().provenance == "simulated on cpu"


def test_figures_of_a_recipe_on_its_hardware_come_from_that():
    assert recipe(simulated_on=None).measured_on == "neuromorphic"
    assert recipe(simulated_on=None).provenance == "measured on neuromorphic"


@pytest.mark.parametrize(
    "changed",
    [
        {"hardware": "nvidia-h100"},
        {"simulated_on": "nvidia-h100"},
        {"region": "WEST"},
    ],
)
def test_hardware_that_is_not_on_site_is_rejected_with_what_is(changed):
    one = recipe(**changed)
    with pytest.raises(UnknownHardwareError, match="cpu"):
        one.require_on_site(get_region(one.region))


def test_an_unknown_kind_is_refused():
    with pytest.raises(UnknownHardwareError, match="abacus"):
        recipe(hardware="abacus").require_on_site(NULL_ISLAND)


def test_the_hardware_that_the_region_has_is_accepted():
    assert recipe().require_on_site(NULL_ISLAND) is None


@pytest.mark.parametrize("reported", RECIPES, ids=lambda reported: reported.name)
def test_every_recipe_has_one_question_and_a_known_family(reported):
    assert reported.question.count("?") == 1
    assert reported.question.endswith("?")
    assert EXPERIMENTS[reported.family].name == reported.family
    reported.require_on_site(get_region(reported.region))
