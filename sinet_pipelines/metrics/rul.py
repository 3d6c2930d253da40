"""Measures of remaining useful life: RMSE, the PHM08 score and the bias, against capped and uncapped truth.

Where lives are long, truth lies above the cap of 125 cycles that models are taught, and capped and uncapped figures
are two different scales: papers that cap the test truth and papers that do not cannot be compared. Both are given.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from sinet_pipelines.schemas.features import MAX_RUL_CYCLES

EARLY_CYCLES = 13.0  # an early warning costs e times as much every 13 cycles (Saxena et al. 2008, section IV-D)
LATE_CYCLES = 10.0  # a late one every 10: the engine that fails in flight is the dearer


@dataclass(frozen=True)
class RulErrors:
    """How far predictions lie from the truth.

    Attributes:
        n: predictions.
        rmse_capped: cycles, truth capped at 125.
        rmse_uncapped: cycles, truth as it was.
        score_capped: PHM08 score, truth capped at 125.
        score_uncapped: PHM08 score, truth as it was.
        bias_capped: cycles, mean of predicted less true (above 0: too late), truth capped at 125.
    """

    n: int
    rmse_capped: float
    rmse_uncapped: float
    score_capped: float
    score_uncapped: float
    bias_capped: float


def rmse(predicted: ArrayLike, true: ArrayLike) -> float:
    """Root mean square error, in the unit of its arguments (the usual one of Heimes 2008 and since).

    >>> round(rmse([10.0, 20.0], [13.0, 16.0]), 6)  # sqrt((9 + 16) / 2)
    3.535534
    """
    return float(np.sqrt(np.mean(_late(predicted, true) ** 2)))


def bias(predicted: ArrayLike, true: ArrayLike) -> float:
    """Mean of predicted less true; above 0 predictions come too late (the "average bias" of Saxena et al. 2010, MB).

    >>> bias([10.0, 20.0], [13.0, 16.0])
    0.5
    """
    return float(np.mean(_late(predicted, true)))


def phm08_score(predicted: ArrayLike, true: ArrayLike) -> float:
    """The score of the PHM08 challenge: a sum over engines, late predictions costing more than early ones.

    With d = predicted - true, each adds exp(-d / 13) - 1 when d < 0 and exp(d / 10) - 1 otherwise (Saxena, Goebel,
    Simon, Eklund 2008, "Damage propagation modeling for aircraft engine run-to-failure simulation", eq. 13).

    >>> round(phm08_score([87.0, 110.0], [100.0, 100.0]), 6)  # 13 early and 10 late: e - 1 each
    3.436564
    """
    late = _late(predicted, true)
    with np.errstate(over="ignore"):  # thousands of cycles late is infinitely bad, not an accident of arithmetic
        return float(np.sum(np.expm1(np.where(late < 0, -late / EARLY_CYCLES, late / LATE_CYCLES))))


def rul_errors(predicted: ArrayLike, true: ArrayLike) -> RulErrors:
    """All measures of some predictions.

    Args:
        predicted: (n,) cycles, n at least 1.
        true: (n,) cycles left, not capped.

    >>> rul_errors([125.0], [135.0]).rmse_capped, rul_errors([125.0], [135.0]).rmse_uncapped
    (0.0, 10.0)
    """
    capped = np.minimum(np.asarray(true, dtype=np.float64), MAX_RUL_CYCLES)
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
