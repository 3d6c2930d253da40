"""Engines for tests: made of seeded noise, with wear, regimes, and cycles that are absent."""

import datetime as dt

import numpy as np
import polars as pl

from sinet_pipelines.applications.turbofan.schemas.telemetry import CHANNELS, SENSOR_NAMES

# The six operating conditions of C-MAPSS FD002: altitude in kft, Mach number, throttle in % (its readme.txt).
SIX = np.array([(0, 0, 100), (10, 0.25, 100), (20, 0.7, 100), (25, 0.62, 60), (35, 0.84, 100), (42, 0.84, 100)])
FIRST_DAY = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)


def engines(
    *lives: int, seed: int = 0, regimes: int = 1, missing: float = 0.0, role: str = "history", cycles_per_day: int = 40
) -> pl.DataFrame:
    """Validated telemetry of engines of these lives, their first rows on one day."""
    rng = np.random.default_rng(seed)
    levels = rng.uniform(20.0, 9000.0, size=(regimes, len(SENSOR_NAMES)))
    levels[:, 0] = 518.67  # one sensor is the same everywhere
    drift = rng.normal(size=len(SENSOR_NAMES))
    drift[0] = 0.0
    return pl.concat(
        _engine(rng, f"FD00X-{number:04d}", life, levels, drift, missing, role, cycles_per_day)
        for number, life in enumerate(lives, start=1)
    )


def _engine(rng, unit, life, levels, drift, missing, role, cycles_per_day) -> pl.DataFrame:
    regime = rng.integers(len(levels), size=life)
    wear = np.linspace(0.0, 1.0, life)[:, None] ** 2
    noise = 0.003 * rng.normal(size=(life, len(drift))) * (drift != 0)
    sensors = levels[regime] * (1 + 0.01 * wear * drift + noise)
    settings = SIX[regime] + rng.normal(size=(life, 3)) * (0.002, 0.0002, 0.0)
    cycle = np.arange(1, life + 1, dtype=np.int32)
    day = (cycle - 1) // cycles_per_day
    frame = pl.DataFrame(
        {
            "unit": [unit] * life,
            "role": [role] * life,
            "cycle": cycle,
            "recorded_at": [FIRST_DAY + dt.timedelta(minutes=36 * int(c)) for c in cycle],
            **dict(zip(CHANNELS, np.hstack([settings, sensors]).T, strict=True)),
            "event_date": [(FIRST_DAY + dt.timedelta(days=int(d))).date() for d in day],
            "row_hash": [f"{unit}-{c}" for c in cycle],
        }
    )
    return frame.filter(pl.Series(rng.random(life) >= missing))
