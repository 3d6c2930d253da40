"""Measures of remaining useful life: RMSE, the PHM08 score and the bias, against capped and uncapped truth.

Models are trained on truth capped at 125 cycles (since Heimes 2008). Where lives are long, truth is above this cap, and
capped and uncapped figures are different scales: papers that cap the test truth cannot be compared with papers that do
not. Both are reported.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from sinet_pipelines.metrics.regression import bias, rmse

EARLY_CYCLES = 13.0  # an early prediction costs e times as much every 13 cycles (Saxena et al. 2008, section IV-D)
LATE_CYCLES = 10.0  # a late one every 10, since an engine that fails in flight costs more


@dataclass(frozen=True)
class RulErrors:
    """Errors of predictions.

    Attributes:
        n: predictions.
        rmse_capped: cycles, truth capped.
        rmse_uncapped: cycles, truth not capped.
        score_capped: PHM08 score, truth capped.
        score_uncapped: PHM08 score, truth not capped.
        bias_capped: cycles, mean of predicted less true (above 0: too late), truth capped.
    """

    n: int
    rmse_capped: float
    rmse_uncapped: float
    score_capped: float
    score_uncapped: float
    bias_capped: float


def phm08_score(predicted: ArrayLike, true: ArrayLike) -> float:
    """The score of the PHM08 challenge: a sum over engines in which late predictions cost more than early ones.

    With d = predicted - true, each adds exp(-d / 13) - 1 when d < 0 and exp(d / 10) - 1 otherwise (Saxena, Goebel,
    Simon, Eklund 2008, "Damage propagation modeling for aircraft engine run-to-failure simulation", eq. 13).

    >>> round(phm08_score([87.0, 110.0], [100.0, 100.0]), 6)  # 13 early and 10 late: e - 1 each
    3.436564
    """
    late = _late(predicted, true)
    with np.errstate(over="ignore"):  # thousands of cycles late have an infinite score, which is intended
        return float(np.sum(np.expm1(np.where(late < 0, -late / EARLY_CYCLES, late / LATE_CYCLES))))


def rul_errors(predicted: ArrayLike, true: ArrayLike, *, cap_cycles: float) -> RulErrors:
    """All measures of some predictions.

    Args:
        predicted: (n,) cycles, n at least 1.
        true: (n,) cycles left, not capped.
        cap_cycles: cap of the truth in training.

    >>> errors = rul_errors([125.0], [135.0], cap_cycles=125.0)
    >>> errors.rmse_capped, errors.rmse_uncapped
    (0.0, 10.0)
    """
    capped = np.minimum(np.asarray(true, dtype=np.float64), cap_cycles)
    return RulErrors(
        n=len(capped),
        rmse_capped=rmse(predicted, capped),
        rmse_uncapped=rmse(predicted, true),
        score_capped=phm08_score(predicted, capped),
        score_uncapped=phm08_score(predicted, true),
        bias_capped=bias(predicted, capped),
    )


def _late(predicted: ArrayLike, true: ArrayLike) -> NDArray[np.float64]:
    return np.asarray(predicted, dtype=np.float64) - np.asarray(true, dtype=np.float64)
