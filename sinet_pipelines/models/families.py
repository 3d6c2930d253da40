"""The families that every application may use, by name, with their default settings.

A new family is a file in this package, a row here, and a `write_raw` for its model in `quantization/export.py`. An
application lists its own candidates (CONTRIBUTING.md shows both).
"""

from sinet_pipelines.errors import ModelNotFoundError
from sinet_pipelines.models.baselines import Constant, Logistic, Ridge
from sinet_pipelines.models.gradient_boosting import GradientBoosting
from sinet_pipelines.models.model import Family
from sinet_pipelines.models.perceptron import Perceptron
from sinet_pipelines.models.random_forest import RandomForest
from sinet_pipelines.models.temporal_convolution import TemporalConvolution

FAMILIES: dict[str, Family] = {
    family.name: family
    for family in (
        GradientBoosting(),
        RandomForest(),
        TemporalConvolution(),
        Perceptron(),
        Constant(),
        Ridge(),
        Logistic(),
    )
}


def family(name: str) -> Family:
    """The family of this name, with its default settings.

    Raises:
        ModelNotFoundError: when there is none.
    """
    if name not in FAMILIES:
        raise ModelNotFoundError(f"no family {name!r} (known: {', '.join(FAMILIES)}); add a row to models/families.py")
    return FAMILIES[name]
