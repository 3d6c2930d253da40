"""Calibrated probabilities: Platt scaling of scores, and the table that shows how well it worked."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sinet_pipelines.applications.milling.physics import Floats

#: Bounds of the bins of the table; most products are safe, so the lowest bins are narrow.
BINS = (0.0, 0.01, 0.05, 0.2, 0.5, 0.8, 1.0)

_LEAST_SCORE = 1e-6  # a forest's score may be 0 or 1, whose logit is infinite


@dataclass(frozen=True)
class PlattScaling:
    """The probability sigmoid(slope * logit(score) + offset).

    J. Platt, "Probabilistic outputs for support vector machines", 1999; on logits as by Kull, Silva Filho, Flach,
    AISTATS 2017. It never falls with the score, so it changes no rank and no PR-AUC within one model.
    """

    slope: float
    offset: float

    def __call__(self, score_B: Floats) -> Floats:
        """(B,) probabilities.

        >>> PlattScaling(1.0, 0.0)(np.array([0.25, 0.5])).round(6).tolist()
        [0.25, 0.5]
        """
        return 1.0 / (1.0 + np.exp(-(self.slope * _logit(score_B) + self.offset)))


def fit_platt(score_B: Floats, failed_B: NDArray[np.bool_]) -> PlattScaling:
    """Slope (not below 0) and offset with the greatest likelihood.

    Args:
        score_B: (B,) scores of models that were fitted without these rows.
        failed_B: (B,) the outcome, of both classes.
    """
    from scipy.optimize import minimize

    logit_B, failed = _logit(score_B), failed_B.astype(np.float64)

    def loss(parameters: Floats) -> tuple[float, Floats]:
        raw_B = parameters[0] * logit_B + parameters[1]
        error_B = 1.0 / (1.0 + np.exp(-raw_B)) - failed
        value = np.mean(np.logaddexp(0.0, raw_B) - failed * raw_B)
        return float(value), np.array([np.mean(error_B * logit_B), np.mean(error_B)])

    found = minimize(loss, np.array([1.0, 0.0]), jac=True, method="L-BFGS-B", bounds=[(0.0, None), (None, None)])
    return PlattScaling(float(found.x[0]), float(found.x[1]))


def calibration_table(probability_B: Floats, failed_B: NDArray[np.bool_]) -> list[dict[str, Any]]:
    """One row a bin of probability: products, their mean probability, and the share of them that failed.

    An empty bin has no row.

    >>> calibration_table(np.array([0.9, 1.0, 0.0]), np.array([True, False, False]))[1]
    {'from': 0.8, 'to': 1.0, 'products': 2, 'predicted': 0.95, 'observed': 0.5}
    """
    bin_B = np.digitize(probability_B, BINS[1:-1])
    rows = []
    for place, (low, high) in enumerate(zip(BINS, BINS[1:], strict=False)):
        inside = bin_B == place
        if inside.any():
            means = {"predicted": probability_B[inside].mean(), "observed": failed_B[inside].mean()}
            rounded = {name: round(float(value), 4) for name, value in means.items()}
            rows.append({"from": low, "to": high, "products": int(inside.sum()), **rounded})
    return rows


def _logit(score_B: Floats) -> Floats:
    clipped = np.clip(score_B, _LEAST_SCORE, 1.0 - _LEAST_SCORE)
    return np.log(clipped / (1.0 - clipped))
