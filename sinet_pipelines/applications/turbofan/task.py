"""The task of turbofan models: predict the remaining cycles of an engine, from 0 to 125."""

from collections.abc import Mapping
from dataclasses import asdict

from numpy.typing import NDArray

from sinet_pipelines.applications.turbofan.schemas.features import FEATURE_NAMES, MAX_RUL_CYCLES
from sinet_pipelines.metrics.rul import rul_errors
from sinet_pipelines.models.task import Floats, Kind, Metric, Task, weighted_rmse


def one_over_life(cycle_B: NDArray, rul_B: Floats) -> Floats:
    """(B,) one over the engine's life, so that all engines have equal weight."""
    return 1.0 / (cycle_B + rul_B)


def errors(predicted_B: Floats, true_B: Floats) -> Mapping[str, float]:
    """RMSE, PHM08 score and bias against capped and uncapped truth."""
    return asdict(rul_errors(predicted_B, true_B, cap_cycles=float(MAX_RUL_CYCLES)))


#: The piecewise-linear target of Heimes 2008: a new engine has no visible wear, so targets are capped at 125.
RUL = Task(
    kind=Kind.REGRESSION,
    target="rul_cycles",
    unit="cycles",
    group="unit",
    order="cycle",
    groups="engines",
    feature_names=FEATURE_NAMES,
    metric=Metric("RMSE", "cycles", weighted_rmse),
    outputs=("rul_cycles", "lower_cycles", "upper_cycles"),
    range=(0.0, float(MAX_RUL_CYCLES)),
    resolution=1.0,  # cycle: truth is an integer
    weight=one_over_life,
    slices=("region", "origin"),
    errors=errors,
    predicted="predicted_cycles",
)
