"""The experiments on turbofan data: one recipe each, and the families of their challengers by name.

A new experiment is a family in a file beside this, a recipe here, and two assets in `assets/turbofan/research.py`;
docs/experiments.md has the steps. The families must pass `tests/contracts/test_model_families.py`, like those of
`models/`.
"""

from sinet_pipelines.applications.turbofan.spiking import SpikingNetwork
from sinet_pipelines.inventory.names import NULL_ISLAND
from sinet_pipelines.models.model import Family
from sinet_pipelines.research.recipe import Recipe

EXPERIMENTS: dict[str, Family] = {family.name: family for family in (SpikingNetwork(),)}

SPIKING = Recipe(
    name="spiking",
    question="Does a spiking network predict remaining useful life as well as the candidates, for less energy?",
    region=NULL_ISLAND,
    hardware="neuromorphic",
    simulated_on="cpu",
    family=SpikingNetwork.name,
)

RECIPES: tuple[Recipe, ...] = (SPIKING,)
