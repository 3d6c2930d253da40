"""Chooses among candidates by their out-of-fold score alone: no row of the evaluation is used."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from sinet_pipelines.errors import ContractError
from sinet_pipelines.models.task import Metric


@dataclass(frozen=True)
class Choice:
    """The candidate that challenges the champion.

    Attributes:
        name: of its family.
        reason: in one sentence, with every candidate's score.
    """

    name: str
    reason: str


def choose(score_by_name: Mapping[str, float], metric: Metric) -> Choice:
    """The candidate with the best score; the first of equal ones. A candidate whose score is NaN is not chosen.

    Args:
        score_by_name: the metric out of fold, by name.
        metric: the metric, and whether a larger value is better.

    Raises:
        ContractError: when no candidate's score is a number.

    >>> from sinet_pipelines.models.task import weighted_rmse
    >>> choose({"trees": 11.0, "network": 10.0}, Metric("RMSE", "cycles", weighted_rmse)).reason
    'network has the least out-of-fold RMSE: network 10.00, trees 11.00 cycles'
    """
    sound = {name: score for name, score in score_by_name.items() if np.isfinite(score)}
    if not sound:
        raise ContractError(
            f"none of {len(score_by_name)} candidates has an error that is a number (at least one must); train again"
        )
    ranked = sorted(sound, key=lambda name: metric.cost(sound[name]))
    listed = metric.with_unit(", ".join(f"{name} {metric.text(sound[name])}" for name in ranked))
    return Choice(ranked[0], f"{ranked[0]} has the {metric.best} out-of-fold {metric.name}: {listed}")
