"""The experiments of this house: a recipe each, and the families of their challengers by name.

A new one is a family in a file beside this, a recipe here, and two assets in `assets/research.py`; docs/experiments.md
says how. The families keep the suite of `tests/contracts/test_model_families.py` as those of `models/` do.
"""

from sinet_pipelines.models.model import Family
from sinet_pipelines.regions import NULL_ISLAND
from sinet_pipelines.research.recipe import Recipe
from sinet_pipelines.research.spiking import SpikingNetwork

EXPERIMENTS: dict[str, Family] = {family.name: family for family in (SpikingNetwork(),)}

SPIKING = Recipe(
    name="spiking",
    question="Does a spiking network predict remaining useful life as well as the candidates, for less energy?",
    region=NULL_ISLAND.name,
    hardware="neuromorphic",
    simulated_on="cpu",
    family=SpikingNetwork.name,
)

RECIPES: tuple[Recipe, ...] = (SPIKING,)
