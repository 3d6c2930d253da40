"""The values of a turbofan's 21 sensors: those of a new engine at an operating point, and their shifts by wear.

It replaces the thermodynamic model of C-MAPSS, which is not public, with closed laws of this kind of engine and a few
constants. Fan inlet from the standard atmosphere (ICAO Doc 7488) and isentropic ram compression; the other stations
from sea level by corrected parameters - temperatures scale with theta = T2 / 518.67 degR, pressures with
delta = P2 / 14.62 psia, speeds with the root of a temperature ratio (Volponi, "Gas turbine parameter corrections",
1999) - each times a power of the corrected fan speed and a residual term of the squared Mach number.

Sources of the numbers: `sea_level`, noise, spread between new engines and the shift until failure are measured on
FD001 and FD003; the powers, the Mach terms and the division of a shift between the two losses are assumptions,
chosen so that the values at altitude are similar to those of the six-regime subsets.
"""

from dataclasses import dataclass

import numpy as np

from sinet_pipelines.applications.turbofan.schemas.telemetry import SENSOR_NAMES

STANDARD_DEGR = 518.67
SEA_LEVEL_P2_PSIA = 14.62  # 14.696 psia of the standard atmosphere minus an inlet loss of 0.5 %
FAN_RPM = 2388.0  # at 100 % corrected speed
_LAPSE_DEGR_PER_KFT = 3.566  # ICAO: 1.9812 K per 1000 ft, up to the tropopause
_TROPOPAUSE_KFT = 36.089
_SPEED_PER_THROTTLE = 0.0037675  # corrected speed lost per % of throttle: 84.93 % at 60 %, as the six regimes have it


@dataclass(frozen=True)
class OperatingPoint:
    """A flight condition.

    Attributes:
        altitude_kft: 0 to 42.
        mach_number: 0 to 0.9.
        throttle_angle_pct: 60 to 100.
    """

    altitude_kft: float
    mach_number: float
    throttle_angle_pct: float


SEA_LEVEL = OperatingPoint(0.0, 0.0, 100.0)

#: The six conditions of FD002 and FD004 (Saxena, Goebel, Simon, Eklund 2008); FD001 and FD003 have only the first.
SIX_POINTS: tuple[OperatingPoint, ...] = (
    SEA_LEVEL,
    OperatingPoint(10.0, 0.25, 100.0),
    OperatingPoint(20.0, 0.70, 100.0),
    OperatingPoint(25.0, 0.62, 60.0),
    OperatingPoint(35.0, 0.84, 100.0),
    OperatingPoint(42.0, 0.84, 100.0),
)


@dataclass(frozen=True)
class _Law:
    """A sensor at an operating point: `sea_level * (1 + mach * M**2) * speed_ratio**power * theta or delta or 1`."""

    sea_level: float
    mach: float = 0.0
    power: float = 0.0
    scale: str = ""


_LAWS = {
    "t24_degr": _Law(642.3, 0.0, 0.38, "theta"),
    "t30_degr": _Law(1586.0, -0.017, 0.69, "theta"),
    "t50_degr": _Law(1402.0, -0.092, 0.87, "theta"),
    "p15_psia": _Law(21.61, -0.018, 0.82, "delta"),
    "p30_psia": _Law(554.0, -0.089, 2.35, "delta"),
    "epr_ratio": _Law(1.30, -0.305, 1.22),
    "ps30_psia": _Law(47.30, -0.160, 1.17),
    "phi_pps_per_psi": _Law(521.9, -0.091, 2.40, "delta"),
    "nrc_rpm": _Law(8137.0, -0.0155, 0.17),
    "bpr_ratio": _Law(8.412, 0.157, -1.22),
    "farb_ratio": _Law(0.030, -0.370, 1.0),
}
_BLEED_BTU_PER_LB_DEGR = 0.2472  # heat capacity of air: bleed enthalpy is proportional to T30
_W31_FLOW, _W32_FLOW = 2.800, 1.680  # choked bleed: flow is proportional to P30 over the root of T30


def sensors_when_new(point: OperatingPoint) -> np.ndarray:
    """The 21 sensors of a new engine at an operating point, without noise: (21,) float64.

    >>> [round(float(value), 2) for value in sensors_when_new(SIX_POINTS[5])[[0, 4]]]  # T2 degR, P2 psia at 42,000 ft
    [445.01, 3.9]
    """
    square = point.mach_number**2
    ambient = STANDARD_DEGR - _LAPSE_DEGR_PER_KFT * min(point.altitude_kft, _TROPOPAUSE_KFT)
    t2 = ambient * (1 + 0.2 * square)  # (gamma - 1) / 2 with gamma = 1.4
    p2 = SEA_LEVEL_P2_PSIA * _ambient_pressure_ratio(point.altitude_kft) * (1 + 0.2 * square) ** 3.5
    speed = 1 - (100 - point.throttle_angle_pct) * _SPEED_PER_THROTTLE
    scales = {"": 1.0, "theta": t2 / STANDARD_DEGR, "delta": p2 / SEA_LEVEL_P2_PSIA}
    values = {
        name: law.sea_level * (1 + law.mach * square) * speed**law.power * scales[law.scale]
        for name, law in _LAWS.items()
    }
    values |= {"t2_degr": t2, "p2_psia": p2, "pcnfr_dmd_pct": 100 * speed, "nrf_rpm": FAN_RPM * speed}
    values["nf_rpm"] = values["nf_dmd_rpm"] = FAN_RPM * speed * np.sqrt(scales["theta"])
    values["nc_rpm"] = values["nrc_rpm"] * np.sqrt(values["t24_degr"] / STANDARD_DEGR)  # corrected at its own inlet
    values["htbleed_btu_per_lb"] = _BLEED_BTU_PER_LB_DEGR * values["t30_degr"]
    bleed = values["p30_psia"] / np.sqrt(values["t30_degr"])
    values |= {"w31_lbm_per_s": _W31_FLOW * bleed, "w32_lbm_per_s": _W32_FLOW * bleed}
    return np.array([values[name] for name in SENSOR_NAMES])


def _ambient_pressure_ratio(altitude_kft: float) -> float:
    """Ratio of pressure to sea-level pressure in the standard atmosphere: troposphere and isothermal layer above."""
    troposphere = (1 - _LAPSE_DEGR_PER_KFT * min(altitude_kft, _TROPOPAUSE_KFT) / STANDARD_DEGR) ** 5.2559
    return float(troposphere * np.exp(-max(altitude_kft - _TROPOPAUSE_KFT, 0.0) / 20.806))  # scale height 20,806 ft


#: Shift of a sensor at sea level at the largest possible loss of efficiency or flow of a module: (efficiency, flow).
_SHIFTS: dict[str, dict[str, tuple[float, float]]] = {
    "hpc": {
        "t24_degr": (0.65, 0.65),
        "t30_degr": (9.5, 6.0),
        "t50_degr": (15.5, 10.5),
        "p30_psia": (-1.0, -1.5),
        "nf_rpm": (0.09, 0.09),
        "nc_rpm": (-75.0, 117.0),
        "ps30_psia": (0.40, 0.39),
        "phi_pps_per_psi": (-0.90, -1.20),
        "nrf_rpm": (0.09, 0.09),
        "nrc_rpm": (-72.0, 101.0),
        "bpr_ratio": (0.050, 0.052),
        "htbleed_btu_per_lb": (2.4, 1.6),
        "w31_lbm_per_s": (-0.24, -0.25),
        "w32_lbm_per_s": (-0.144, -0.146),
    },
    "fan": {
        "t24_degr": (0.65, 0.60),
        "t30_degr": (12.0, 8.5),
        "t50_degr": (16.5, 12.5),
        "p30_psia": (6.2, 8.0),
        "nf_rpm": (0.28, 0.30),
        "nc_rpm": (38.0, 33.0),
        "epr_ratio": (0.007, 0.008),
        "ps30_psia": (0.52, 0.48),
        "phi_pps_per_psi": (6.0, 7.7),
        "nrf_rpm": (0.28, 0.30),
        "nrc_rpm": (29.0, 27.0),
        "bpr_ratio": (-0.070, -0.083),
        "htbleed_btu_per_lb": (3.0, 2.3),
        "w31_lbm_per_s": (0.28, 0.29),
        "w32_lbm_per_s": (0.168, 0.179),
    },
}
MODULES = tuple(_SHIFTS)

#: Standard deviations at sea level: of a reading, and between new engines; 0 for sensors that are not listed.
_NOISE = {
    "t24_degr": (0.30, 0.20),
    "t30_degr": (4.0, 2.0),
    "t50_degr": (4.0, 3.0),
    "p15_psia": (0.001, 0.001),
    "p30_psia": (0.41, 0.30),
    "nf_rpm": (0.030, 0.030),
    "nc_rpm": (4.2, 6.0),
    "ps30_psia": (0.10, 0.10),
    "phi_pps_per_psi": (0.30, 0.25),
    "nrf_rpm": (0.030, 0.030),
    "nrc_rpm": (3.2, 6.0),
    "bpr_ratio": (0.020, 0.012),
    "htbleed_btu_per_lb": (0.95, 0.50),
    "w31_lbm_per_s": (0.10, 0.06),
    "w32_lbm_per_s": (0.060, 0.036),
}
_DECIMALS = {
    "bpr_ratio": 4,
    "htbleed_btu_per_lb": 0,
    "nf_dmd_rpm": 0,
    "w32_lbm_per_s": 4,
}  # all others two, as in NASA's

_SEA_LEVEL_VALUES = sensors_when_new(SEA_LEVEL)


def relative_shifts() -> np.ndarray:
    """Shift of each sensor relative to its value, for each module and loss (efficiency, flow): (2, 2, 21).

    A shift is linear in the loss, and the same share of the reading at every operating point.
    """
    shifts = [[_SHIFTS[module].get(name, (0.0, 0.0)) for name in SENSOR_NAMES] for module in MODULES]
    return np.array(shifts).transpose(0, 2, 1) / _SEA_LEVEL_VALUES


def relative_noise() -> np.ndarray:
    """Standard deviations relative to the sensor's value: of a reading, and between new engines: (2, 21)."""
    return np.array([_NOISE.get(name, (0.0, 0.0)) for name in SENSOR_NAMES]).T / _SEA_LEVEL_VALUES


def round_as_recorded(sensors: np.ndarray) -> np.ndarray:
    """Readings rounded to the decimals of a recorder: (n, 21) to (n, 21)."""
    rounded = [np.round(sensors[:, i], _DECIMALS.get(name, 2)) for i, name in enumerate(SENSOR_NAMES)]
    return np.stack(rounded, axis=1)
