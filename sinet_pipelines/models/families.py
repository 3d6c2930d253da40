"""The families of this house by name; a new one is a file beside this and a row here."""

from sinet_pipelines.errors import ModelNotFoundError
from sinet_pipelines.models.blend import Blend
from sinet_pipelines.models.gradient_boosting import GradientBoosting
from sinet_pipelines.models.model import Family
from sinet_pipelines.models.perceptron import Perceptron
from sinet_pipelines.models.temporal_convolution import TemporalConvolution
from sinet_pipelines.models.yardsticks import Constant, Ridge

#: The plain average of trees and network: what a cleverer combination has to beat.
AVERAGE = Blend("average", (GradientBoosting(), TemporalConvolution()))

FAMILIES: dict[str, Family] = {
    family.name: family
    for family in (GradientBoosting(), TemporalConvolution(), Perceptron(), AVERAGE, Constant(), Ridge())
}

#: What every candidate stands beside; never candidates themselves.
YARDSTICKS = ("constant", "ridge")


def family(name: str) -> Family:
    """The family of this name, with its default settings.

    Raises:
        ModelNotFoundError: when there is none.
    """
    if name not in FAMILIES:
        raise ModelNotFoundError(f"no family {name!r} (known: {', '.join(FAMILIES)}); add a row to models/families.py")
    return FAMILIES[name]
