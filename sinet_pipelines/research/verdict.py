"""A verdict: whether an experiment's challenger may be promoted, and if not, every reason why."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from sinet_pipelines.errors import ContractError
from sinet_pipelines.evaluation.choice import choose
from sinet_pipelines.evaluation.gate import MAX_GROWTH
from sinet_pipelines.models.model import Floats
from sinet_pipelines.regions import Region
from sinet_pipelines.research.recipe import Recipe


@dataclass(frozen=True)
class ExperimentVerdict:
    """Whether a challenger may be promoted.

    Attributes:
        may_be_promoted: whether every condition is kept.
        reasons: the conditions that are not, each in words; empty where all are.
        numbers: what it was decided by.
    """

    may_be_promoted: bool
    reasons: tuple[str, ...]
    numbers: Mapping[str, float]

    @property
    def sentence(self) -> str:
        """The verdict in one sentence."""
        if self.may_be_promoted:
            return "may be promoted: every condition is kept"
        return f"may not be promoted: {'; '.join(self.reasons)}"


def judge_experiment(
    recipe: Recipe,
    *,
    endpoint: Region,
    rmse_cycles: float,
    candidates: Mapping[str, float],
    answers_B: Floats,
) -> ExperimentVerdict:
    """Whether the challenger may be promoted, by four conditions that real work can keep.

    The endpoint's region has the hardware; the figures come from that hardware and from nothing that stands in for it;
    out of fold the challenger errs at most 10 % more than the best candidate; and every answer is a number.

    Args:
        recipe: of the experiment.
        endpoint: the region that serves the champion.
        rmse_cycles: the challenger's RMSE out of fold.
        candidates: the candidates' RMSE in cycles by name, on the same folds.
        answers_B: (B,) the challenger's answers in cycles, B at least 1.

    Raises:
        ContractError: when the challenger was asked nothing, or no candidate's error is a number.
    """
    if not len(answers_B):
        raise ContractError(f"{recipe.name} was asked nothing (at least one row is needed); evaluate it first")
    best = choose(candidates).name
    limit = candidates[best] * (1.0 + MAX_GROWTH)
    not_numbers = int((~np.isfinite(answers_B)).sum())
    conditions = (
        (recipe.hardware in endpoint.hardware, f"{endpoint.name}, where the endpoint is, has no {recipe.hardware}"),
        (recipe.simulated_on is None, f"its figures were {recipe.provenance}, not measured on {recipe.hardware}"),
        (
            rmse_cycles <= limit,
            f"its error out of fold is {rmse_cycles:.2f} cycles (allowed: {limit:.2f}, {MAX_GROWTH:.0%} above {best})",
        ),
        (not not_numbers, f"{not_numbers} of {len(answers_B)} answers are no number"),
    )
    reasons = tuple(reason for is_kept, reason in conditions if not is_kept)
    numbers = {
        "conditions": float(len(conditions)),
        "conditions_kept": float(len(conditions) - len(reasons)),
        "rmse_cycles": float(rmse_cycles),
        "rmse_best_candidate_cycles": float(candidates[best]),
        "rmse_limit_cycles": float(limit),
        "answers": float(len(answers_B)),
        "not_numbers": float(not_numbers),
    }
    return ExperimentVerdict(not reasons, reasons, numbers)
