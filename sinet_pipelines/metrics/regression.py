"""Measures of predicted numbers: root mean square error and bias, in the unit of their arguments."""

import numpy as np
from numpy.typing import ArrayLike


def rmse(predicted: ArrayLike, true: ArrayLike) -> float:
    """Root mean square error, in the unit of its arguments (the usual one of Heimes 2008 and since).

    >>> round(rmse([10.0, 20.0], [13.0, 16.0]), 6)  # sqrt((9 + 16) / 2)
    3.535534
    """
    late = np.asarray(predicted, dtype=np.float64) - np.asarray(true, dtype=np.float64)
    return float(np.sqrt(np.mean(late**2)))


def bias(predicted: ArrayLike, true: ArrayLike) -> float:
    """Mean of predicted minus true; above 0 predictions are too large (the "average bias" of Saxena et al. 2010, MB).

    >>> bias([10.0, 20.0], [13.0, 16.0])
    0.5
    """
    return float(np.mean(np.asarray(predicted, dtype=np.float64) - np.asarray(true, dtype=np.float64)))
