"""Simulates a fleet of turbofans with wear, failures and measurements, in the form of a C-MAPSS subset.

After A. Saxena, K. Goebel, D. Simon, N. Eklund, "Damage propagation modeling for aircraft engine run-to-failure
simulation", PHM 2008: every engine starts with some initial wear; a fault of one module (high-pressure compressor or
fan) makes that module lose efficiency and flow exponentially, h(t) = 1 - d - w(t); health is the smallest of the
remaining margins (stall of the module, exhaust gas temperature), and the engine fails when it reaches zero; the
recorded values are noisy sensors under changing operating conditions. Numbers not in the paper are marked assumptions.
"""

import hashlib
from dataclasses import dataclass

import numpy as np
import polars as pl

from sinet_pipelines.applications.turbofan.cmapss import CmapssSubset
from sinet_pipelines.applications.turbofan.physics import (
    MODULES,
    SIX_POINTS,
    relative_noise,
    relative_shifts,
    round_as_recorded,
    sensors_when_new,
)
from sinet_pipelines.applications.turbofan.schemas.telemetry import CHANNELS
from sinet_pipelines.errors import FleetError

SOURCE = "simulated by this project after Saxena, Goebel, Simon, Eklund 2008; no row is of a real engine"
LICENCE = "made by this project; no licence is needed"
VERSION = "1"  # of the model: version, seed and sizes determine a fleet
HISTORY_ENGINES, LIVE_ENGINES = 120, 60
SHORT_LIVE_CYCLES = 19  # the shortest engine of C-MAPSS's six-regime test files: its window is never full

_HORIZON = 600  # cycles; every engine of this model fails earlier
_FIRST_DAMAGE = 0.1  # w(t) = 0.1 (exp(a t^b) - 1): with 0.1 half of the damage comes in the last fifth, as on FD001
_CYCLES_TO_FAILURE = (205.0, 0.22, 130.0, 400.0)  # median, spread of the logarithm, least, most: the lives of FD001
_EXPONENT = (1.4, 1.6)  # assumption: b, about three halves
_UNLIKE = 0.06  # assumption: how far efficiency and flow of one module differ in pace
_INITIAL_WEAR = 0.08  # assumption: share of the margins an engine may have lost before its first cycle
_PROCESS_NOISE = 0.5  # assumption: spread of the logarithm of each cycle's own damage
_STALL_WEIGHTS, _HEAT_WEIGHTS = (0.4, 0.6), (0.7, 0.3)  # assumption: effect of efficiency and flow on each margin
_SETTING_JITTER = (0.0025, 0.0004, 0.0)  # half-widths about the operating point, as on FD001
_LIVE_SHARE = (0.25, 0.95)  # of its life a live engine has flown when it is cut


@dataclass(frozen=True)
class Wear:
    """The wear of engines, as shares of the largest possible loss of a module.

    Attributes:
        module: (n,) index into `turbofan.MODULES`.
        losses: (2, n, n_cycles) loss of efficiency and of flow, initial wear included; never falls.
        health: (n, n_cycles) smallest margin left, 1 for a perfect engine.
        life: (n,) the last cycle before health is used up.
    """

    module: np.ndarray
    losses: np.ndarray
    health: np.ndarray
    life: np.ndarray


def simulate_fleet(
    *,
    history_engines: int = HISTORY_ENGINES,
    live_engines: int = LIVE_ENGINES,
    seed: int = 0,
    regimes: int = len(SIX_POINTS),
    name: str = "SIM",
) -> CmapssSubset:
    """A fleet of history engines until failure, live engines cut before failure, and the truth of the live engines.

    Equal arguments return an equal fleet. The first live engine is too short for a full window.

    Args:
        history_engines: engines run to failure, 1 or more.
        live_engines: engines cut, 1 or more.
        seed: seed of all random numbers.
        regimes: operating points: 1 (sea level, as FD001) to 6.
        name: name of the subset, part of every engine's name.

    Raises:
        FleetError: a number that is not allowed.
    """
    if history_engines < 1 or live_engines < 1 or not 1 <= regimes <= len(SIX_POINTS):
        raise FleetError(
            f"{history_engines} history and {live_engines} live engines in {regimes} regimes "
            f"(allowed: 1 or more of each, 1 to {len(SIX_POINTS)} regimes); request such a fleet"
        )
    rng = np.random.default_rng(seed)
    wear = wear_out(history_engines + live_engines, rng)
    life, live_life = wear.life[:history_engines], wear.life[history_engines:]
    cut = np.clip((live_life * rng.uniform(*_LIVE_SHARE, live_engines)).astype(int), 1, live_life - 1)
    cut[0] = min(SHORT_LIVE_CYCLES, cut[0])
    rows = _measure(wear, np.concatenate([life, cut]), regimes=regimes, rng=rng)
    train = rows.filter(pl.col("unit") <= history_engines)
    test = rows.filter(pl.col("unit") > history_engines).with_columns(pl.col("unit") - history_engines)
    rul = pl.DataFrame({"unit": np.arange(1, live_engines + 1), "rul_cycles": live_life - cut}).cast(pl.Int32)
    made_from = f"turbofan {VERSION}, {history_engines} + {live_engines} engines, {regimes} regimes, seed {seed}"
    return CmapssSubset(name, train, test, rul, hashlib.sha256(made_from.encode()).hexdigest())


def wear_out(engines: int, rng: np.random.Generator) -> Wear:
    """Wear of each engine until long after its failure, with one of the two fault modes.

    Args:
        engines: n.
        rng: draws initial wear, fault mode, pace and process noise.
    """
    median, spread, least, most = _CYCLES_TO_FAILURE
    pace = np.clip(median * np.exp(rng.normal(0, spread, engines)), least, most)
    b = rng.uniform(*_EXPONENT, engines)[:, None]
    initial = rng.uniform(0, _INITIAL_WEAR, (2, engines, 1))
    losses = initial + np.stack([_damage(pace * rng.uniform(1, 1 + _UNLIKE, engines), b, rng) for _ in range(2)])
    margins = [1 - np.tensordot(weights, losses, axes=1) for weights in (_STALL_WEIGHTS, _HEAT_WEIGHTS)]
    health = np.minimum(*margins)
    return Wear(rng.integers(0, len(MODULES), engines), losses, health, (health > 0).sum(axis=1))


def _damage(cycles_to_failure: np.ndarray, b: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """w(t) for t = 1, 2, ...: exponential on average, with a random increment in each cycle: (n, n_cycles).

    `a` is chosen so that w is 1, the largest possible loss of the module, at `cycles_to_failure`.
    """
    a = np.log(1 + 1 / _FIRST_DAMAGE) / cycles_to_failure[:, None] ** b
    t = np.arange(_HORIZON + 1)[None, :]
    expected = _FIRST_DAMAGE * np.expm1(np.minimum(a * t**b, 6.0))  # at 6 the loss is 40-fold: long after failure
    noise = np.exp(rng.normal(-(_PROCESS_NOISE**2) / 2, _PROCESS_NOISE, (len(b), _HORIZON)))  # of mean 1
    return np.cumsum(np.diff(expected, axis=1) * noise, axis=1)


def _measure(wear: Wear, cycles: np.ndarray, *, regimes: int, rng: np.random.Generator) -> pl.DataFrame:
    """The records of each engine's first cycles: `unit`, `cycle` and the 24 channels, one row for each cycle.

    Args:
        wear: wear of n engines.
        cycles: (n,) number of recorded cycles of each.
        regimes: number of operating points, from which each flight draws one.
        rng: draws the points and all noise.
    """
    engine = np.repeat(np.arange(len(cycles)), cycles)
    cycle = np.arange(len(engine)) - np.repeat(np.cumsum(cycles) - cycles, cycles)  # from 0
    regime = rng.integers(0, regimes, len(engine))
    settings = _settings(regime, rng)
    sensors = round_as_recorded(_sensors(wear, engine, cycle, regime, rng))
    channels = dict(zip(CHANNELS, np.concatenate([settings, sensors], axis=1).T, strict=True))
    return pl.DataFrame({"unit": engine + 1, "cycle": cycle + 1} | channels).cast({"unit": pl.Int32, "cycle": pl.Int32})


def _settings(regime: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    points = np.array([[p.altitude_kft, p.mach_number, p.throttle_angle_pct] for p in SIX_POINTS])
    jitter = rng.uniform(-1, 1, (len(regime), 3)) * _SETTING_JITTER
    return np.round(points[regime] + jitter, 4)


def _sensors(
    wear: Wear, engine: np.ndarray, cycle: np.ndarray, regime: np.ndarray, rng: np.random.Generator
) -> np.ndarray:
    """Sensors before rounding: (n_rows, 21)."""
    new = np.array([sensors_when_new(point) for point in SIX_POINTS])
    reading, between_engines = relative_noise()
    shifts = np.einsum("lr,rls->rs", wear.losses[:, engine, cycle], relative_shifts()[wear.module[engine]])
    made = rng.normal(0, 1, (len(wear.life), len(between_engines))) * between_engines
    noise = rng.normal(0, 1, shifts.shape) * reading
    return new[regime] * (1 + made[engine] + shifts + noise)
