"""The verdict on an experiment: whether its challenger may be promoted, and if not, every reason."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from sinet_pipelines.errors import ContractError
from sinet_pipelines.evaluation.choice import choose
from sinet_pipelines.evaluation.gate import MAX_GROWTH
from sinet_pipelines.inventory.regions import Region
from sinet_pipelines.models.model import Floats
from sinet_pipelines.models.task import Metric
from sinet_pipelines.research.recipe import Recipe


@dataclass(frozen=True)
class ExperimentVerdict:
    """Whether a challenger may be promoted.

    Attributes:
        may_be_promoted: whether every condition is met.
        reasons: one for each condition that is not met; empty where all are.
        numbers: the figures behind the decision, by name.
    """

    may_be_promoted: bool
    reasons: tuple[str, ...]
    numbers: Mapping[str, float]

    @property
    def sentence(self) -> str:
        """The verdict in one sentence."""
        if self.may_be_promoted:
            return "may be promoted: every condition is met"
        return f"may not be promoted: {'; '.join(self.reasons)}"


def judge_experiment(
    recipe: Recipe,
    *,
    endpoint: Region,
    metric: Metric,
    score: float,
    candidates: Mapping[str, float],
    predicted_B: Floats,
) -> ExperimentVerdict:
    """Whether the challenger may be promoted, by four conditions.

    The endpoint's region has the hardware. The figures come from that hardware and not from a simulation. The
    challenger's out-of-fold metric is at most 10 % worse than the best candidate's. Every prediction is finite.

    Args:
        recipe: recipe of the experiment.
        endpoint: the region that serves the champion.
        metric: the metric by which candidates are compared.
        score: the challenger's out-of-fold metric.
        candidates: the candidates' metrics by name, on the same folds.
        predicted_B: (B,) the challenger's predictions, B at least 1.

    Raises:
        ContractError: the challenger has no predictions, or no candidate has a finite metric.
    """
    if not len(predicted_B):
        raise ContractError(f"{recipe.name} has no predictions (at least one row is needed); evaluate it first")
    best = choose(candidates, metric).name
    limit = candidates[best] * (1.0 - MAX_GROWTH if metric.is_better_high else 1.0 + MAX_GROWTH)
    not_numbers = int((~np.isfinite(predicted_B)).sum())
    conditions = (
        (
            recipe.hardware in endpoint.hardware,
            f"{endpoint.name}, where the endpoint is, has no {recipe.hardware}",
        ),
        (recipe.simulated_on is None, f"its figures were {recipe.provenance}, not measured on {recipe.hardware}"),
        (
            metric.cost(score) <= metric.cost(limit),
            f"its {metric.name} out of fold is {metric.with_unit(metric.text(score))} (allowed: {metric.text(limit)}, "
            f"{MAX_GROWTH:.0%} {'below' if metric.is_better_high else 'above'} {best})",
        ),
        (not not_numbers, f"{not_numbers} of {len(predicted_B)} predictions are not finite"),
    )
    reasons = tuple(reason for is_met, reason in conditions if not is_met)
    numbers = {
        "conditions": float(len(conditions)),
        "conditions_met": float(len(conditions) - len(reasons)),
        "score": float(score),
        "score_best_candidate": float(candidates[best]),
        "score_limit": float(limit),
        "predictions": float(len(predicted_B)),
        "not_numbers": float(not_numbers),
    }
    return ExperimentVerdict(not reasons, reasons, numbers)
