"""The task of milling models: predict whether the machine fails on a product."""

from collections.abc import Mapping

import numpy as np

from sinet_pipelines.applications.milling.schemas import FEATURE_NAMES, MACHINE_FAILURE
from sinet_pipelines.metrics.failure import average_precision
from sinet_pipelines.models.task import Floats, Kind, Metric, Task


def pr_auc(probability_B: Floats, failed_B: Floats, weight_B: Floats) -> float:
    """Average precision; all products have equal weight."""
    del weight_B
    return average_precision(probability_B, failed_B == 1.0)


def errors(probability_B: Floats, failed_B: Floats) -> Mapping[str, float]:
    """Average precision and the mean squared error of probabilities (Brier 1950)."""
    return {
        "pr_auc": average_precision(probability_B, failed_B == 1.0),
        "brier": float(np.mean((probability_B - failed_B) ** 2)),
    }


FAILURE = Task(
    kind=Kind.CLASSIFICATION,
    target=MACHINE_FAILURE.name,
    unit="1",
    group="product_id",
    order="record_id",
    groups="products",
    feature_names=FEATURE_NAMES,
    metric=Metric("PR-AUC", "", pr_auc, is_better_high=True, digits=3),
    outputs=("failure_probability", "is_warned"),
    slices=("product_type", "region", "origin"),
    errors=errors,
    predicted="failure_probability",
)
