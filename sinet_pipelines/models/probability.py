"""Decisions: the calibrated probability of an event from a model's score, and the threshold for a warning."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sinet_pipelines.models.model import Floats, probability_of

LEAST_SCORE = 1e-6  # a forest's score may be 0 or 1, whose logit is infinite


@dataclass(frozen=True)
class PlattScaling:
    """The probability sigmoid(slope * logit(score) + offset).

    J. Platt, "Probabilistic outputs for support vector machines", 1999; applied to logits as by Kull, Silva Filho and
    Flach, AISTATS 2017. With a slope above 0 it keeps the order of the scores, and so the PR-AUC of one model.

    Attributes:
        slope: factor of the logit, from 0.
        offset: of the logit.
    """

    slope: float
    offset: float

    def __call__(self, score_B: Floats) -> Floats:
        """(B,) probabilities of (B,) scores.

        >>> PlattScaling(1.0, 0.0)(np.array([0.25, 0.5])).round(6).tolist()
        [0.25, 0.5]
        """
        return probability_of(self.slope * logit_of(score_B) + self.offset)


@dataclass(frozen=True)
class Decision:
    """The rule that turns a score into a probability and a warning.

    Attributes:
        scaling: of scores.
        threshold: smallest probability that causes a warning.
    """

    scaling: PlattScaling
    threshold: float

    def probability(self, score_B: Floats) -> Floats:
        """(B,) calibrated probabilities of scores."""
        return self.scaling(score_B)

    def is_warned(self, score_B: Floats) -> NDArray[np.bool_]:
        """(B,) whether the probability is at least the threshold."""
        return self.scaling(score_B) >= self.threshold


def logit_of(score_B: Floats) -> Floats:
    """(B,) logarithms of the odds of (B,) scores, which are clipped to [1e-6, 1 - 1e-6] first."""
    clipped = np.clip(score_B, LEAST_SCORE, 1.0 - LEAST_SCORE)
    return np.log(clipped / (1.0 - clipped))
