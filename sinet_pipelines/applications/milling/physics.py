"""The published physics of milling failures: power, heat dissipation and overstrain, each with its margin.

Source of every rule and number: S. Matzka, "Explainable Artificial Intelligence for Predictive Maintenance
Applications", AI4I 2020, section II; UCI data set 601. A margin is the share by which a limit is exceeded: above 0 the
failure mode occurs, at 0 and below it does not.
"""

from collections.abc import Mapping

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]

STEPS = 1e4  # of a measured value in one of its units
RAD_PER_S_OF_RPM = 2.0 * np.pi / 60.0
MIN_TEMPERATURE_DIFFERENCE_K = 8.6  # heat is not dissipated below this difference ...
MIN_SPEED_RPM = 1380.0  # ... while the spindle turns more slowly than this
MIN_POWER_W, MAX_POWER_W = 3500.0, 9000.0
MAX_TOOL_LIFE_MIN = 240.0  # a tool is replaced, or fails, after 200 to 240 min of use
OVERSTRAIN_LIMIT_MIN_NM: Mapping[str, float] = {"L": 11_000.0, "M": 12_000.0, "H": 13_000.0}


def as_measured(values: ArrayLike) -> Floats:
    """Values in the precision of a request: float32, which at 300 K resolves four decimals, so four remain.

    The served graph rounds in the same way, so a value is the same number in tables and in requests.

    >>> bool(as_measured([308.6, 308.60001])[0] == as_measured(np.float32(308.6)) == 308.6)
    True
    """
    return np.round(np.asarray(values, dtype=np.float32).astype(np.float64) * STEPS) / STEPS


def power_w(torque_nm: ArrayLike, speed_rpm: ArrayLike) -> Floats:
    """Mechanical power in W: torque in Nm times angular speed in rad/s.

    >>> round(float(power_w(40.0, 1500.0)), 1)
    6283.2
    """
    return np.asarray(torque_nm, dtype=np.float64) * np.asarray(speed_rpm, dtype=np.float64) * RAD_PER_S_OF_RPM


def temperature_difference_k(process_k: ArrayLike, air_k: ArrayLike) -> Floats:
    """Process temperature minus air temperature in K.

    The difference is not rounded: the published table compares the float difference with 8.6 K, and twelve of its heat
    dissipation failures are recorded at 8.6 K, where the float difference is 8.59999.

    >>> temperature_difference_k([309.5, 308.6], [299.5, 300.0]).round(1).tolist()
    [10.0, 8.6]
    """
    return np.asarray(process_k, dtype=np.float64) - np.asarray(air_k, dtype=np.float64)


def tool_life_share(tool_wear_min: ArrayLike) -> Floats:
    """Time in use as a share of the longest life of a tool.

    >>> tool_life_share([0.0, 60.0, 240.0]).tolist()
    [0.0, 0.25, 1.0]
    """
    return np.asarray(tool_wear_min, dtype=np.float64) / MAX_TOOL_LIFE_MIN


def heat_dissipation_margin(difference_k: ArrayLike, speed_rpm: ArrayLike) -> Floats:
    """The smaller of the shares below 8.6 K and below 1380 rpm: heat is not dissipated where both are positive (HDF).

    >>> heat_dissipation_margin([4.3, 4.3, 8.6], [690.0, 1518.0, 690.0]).round(3).tolist()
    [0.5, -0.1, 0.0]
    """
    below_K = 1.0 - np.asarray(difference_k, dtype=np.float64) / MIN_TEMPERATURE_DIFFERENCE_K
    below_rpm = 1.0 - np.asarray(speed_rpm, dtype=np.float64) / MIN_SPEED_RPM
    return np.minimum(below_K, below_rpm)


def power_margin(power: ArrayLike) -> Floats:
    """The larger of the shares below 3500 W and above 9000 W (PWF).

    >>> power_margin([1750.0, 3500.0, 9900.0]).round(3).tolist()
    [0.5, 0.0, 0.1]
    """
    watts = np.asarray(power, dtype=np.float64)
    return np.maximum(1.0 - watts / MIN_POWER_W, watts / MAX_POWER_W - 1.0)


def overstrain_margin(overstrain_min_nm: ArrayLike, product_type: ArrayLike) -> Floats:
    """The share by which tool wear times torque is above the limit of the product's type (OSF).

    Args:
        overstrain_min_nm: (B,) tool wear in min times torque in Nm.
        product_type: (B,) L, M or H.

    >>> overstrain_margin([12100.0, 12000.0, 6500.0], ["L", "M", "H"]).round(3).tolist()
    [0.1, 0.0, -0.5]
    """
    limit = np.array([OVERSTRAIN_LIMIT_MIN_NM[str(kind)] for kind in np.asarray(product_type)])
    return np.asarray(overstrain_min_nm, dtype=np.float64) / limit - 1.0
