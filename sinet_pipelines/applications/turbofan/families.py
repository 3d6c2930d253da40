"""The families that compete to predict remaining useful life, and the baselines with which they are compared.

Every run trains, evaluates, exports, compares and registers each family of `CANDIDATES`. A family without an asset of
its own in `assets/turbofan/training.py` has a generated asset, which trains it with the settings in this file.
"""

from sinet_pipelines.models.baselines import Constant, Ridge
from sinet_pipelines.models.blend import Blend
from sinet_pipelines.models.gradient_boosting import GradientBoosting
from sinet_pipelines.models.model import Family
from sinet_pipelines.models.temporal_convolution import TemporalConvolution

#: Suffixes of the window features that the network reads in addition to its sequences.
STATISTICS = ("_z_mean_30", "_z_slope_15", "_z_slope_30", "_z_change_30", "age_cycles")

NETWORK = TemporalConvolution(statistics=STATISTICS)

#: The plain average of trees and network: the baseline for other combinations.
AVERAGE = Blend("average", (GradientBoosting(), NETWORK))

#: The families that compete to be the champion, in the order of the pages.
CANDIDATES: tuple[Family, ...] = (
    GradientBoosting(),
    NETWORK,
    AVERAGE,
)

#: The families with which every candidate is compared; they are never candidates.
BASELINES: tuple[Family, ...] = (Constant(), Ridge())

CANDIDATE_NAMES: tuple[str, ...] = tuple(family.name for family in CANDIDATES)
BASELINE_NAMES: tuple[str, ...] = tuple(family.name for family in BASELINES)
FAMILIES: dict[str, Family] = {family.name: family for family in (*CANDIDATES, *BASELINES)}
