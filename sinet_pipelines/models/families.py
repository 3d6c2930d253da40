"""The families by name. A row of `CANDIDATES` is trained, evaluated, exported, judged and registered by every walk.

A new family is a file beside this, a row here, and its graph in `quantization/export.py` (CONTRIBUTING.md shows one).
"""

from sinet_pipelines.errors import ModelNotFoundError
from sinet_pipelines.models.blend import Blend
from sinet_pipelines.models.gradient_boosting import GradientBoosting
from sinet_pipelines.models.model import Family
from sinet_pipelines.models.perceptron import Perceptron
from sinet_pipelines.models.temporal_convolution import TemporalConvolution
from sinet_pipelines.models.yardsticks import Constant, Ridge

#: The plain average of trees and network: what a cleverer combination has to beat.
AVERAGE = Blend("average", (GradientBoosting(), TemporalConvolution()))

#: What competes to be the champion, in the order of the pages. A family without an asset of its own in
#: `assets/training.py` is trained with its default settings by one that is made for it.
CANDIDATES: tuple[Family, ...] = (
    GradientBoosting(),
    TemporalConvolution(),
    AVERAGE,
)
CANDIDATE_NAMES: tuple[str, ...] = tuple(family.name for family in CANDIDATES)

FAMILIES: dict[str, Family] = {family.name: family for family in (*CANDIDATES, Perceptron(), Constant(), Ridge())}

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
