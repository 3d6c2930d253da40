"""A recipe names hardware that its region has, and says where its figures come from."""

import pytest

from sinet_pipelines.errors import UnknownHardwareError, UnknownRegionError
from sinet_pipelines.research.experiments import EXPERIMENTS, RECIPES
from sinet_pipelines.research.recipe import Recipe


def recipe(**changed):
    said = {"name": "n", "question": "Does it?", "region": "NULL_ISLAND", "hardware": "neuromorphic", "family": "f"}
    return Recipe(**{**said, "simulated_on": "cpu", **changed})


def test_figures_of_a_simulated_recipe_come_from_what_stands_in():
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
def test_hardware_that_the_region_has_not_is_refused_with_what_it_has(changed):
    with pytest.raises(UnknownHardwareError, match="cpu"):
        recipe(**changed)


def test_an_unknown_kind_or_region_is_refused():
    with pytest.raises(UnknownHardwareError, match="abacus"):
        recipe(hardware="abacus")
    with pytest.raises(UnknownRegionError, match="NORTH"):
        recipe(region="NORTH")


@pytest.mark.parametrize("told", RECIPES, ids=lambda told: told.name)
def test_every_recipe_of_the_house_asks_one_question_of_a_family_there_is(told):
    assert told.question.count("?") == 1
    assert told.question.endswith("?")
    assert EXPERIMENTS[told.family].name == told.family
