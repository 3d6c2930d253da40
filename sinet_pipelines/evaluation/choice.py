"""Chooses a candidate by its out-of-fold score alone; the evaluation set is not used."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from sinet_pipelines.errors import ContractError
from sinet_pipelines.models.task import Metric


@dataclass(frozen=True)
class Choice:
    """The chosen candidate, which becomes the challenger.

    Attributes:
        name: of the candidate's family.
        reason: in one sentence, with every candidate's score.
    """

    name: str
    reason: str


def choose(score_by_name: Mapping[str, float], metric: Metric) -> Choice:
    """The candidate with the best finite score; the first of equal ones.

    Args:
        score_by_name: out-of-fold value of the metric by candidate.
        metric: the metric, which defines whether a larger value is better.

    Raises:
        ContractError: when no candidate has a finite score.

    >>> from sinet_pipelines.models.task import weighted_rmse
    >>> choose({"trees": 11.0, "network": 10.0}, Metric("RMSE", "cycles", weighted_rmse)).reason
    'network has the least out-of-fold RMSE: network 10.00, trees 11.00 cycles'
    """
    finite = {name: score for name, score in score_by_name.items() if np.isfinite(score)}
    if not finite:
        raise ContractError(
            f"none of {len(score_by_name)} candidates has a finite {metric.name} (at least one must); train again"
        )
    ranked = sorted(finite, key=lambda name: metric.cost(finite[name]))
    listed = metric.with_unit(", ".join(f"{name} {metric.text(finite[name])}" for name in ranked))
    return Choice(ranked[0], f"{ranked[0]} has the {metric.best} out-of-fold {metric.name}: {listed}")
