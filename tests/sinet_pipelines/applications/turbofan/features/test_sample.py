"""The sane window: what every model is asked before it serves."""

import numpy as np
import polars as pl

from sinet_pipelines.applications.turbofan.features.regimes import find_regimes, setting_cells
from sinet_pipelines.applications.turbofan.features.sample import mean_engine
from sinet_pipelines.applications.turbofan.schemas.features import FIRST_CYCLES, WINDOW_CYCLES
from sinet_pipelines.applications.turbofan.schemas.telemetry import CHANNELS


def regimes_of(n_often, n_seldom):
    """Regimes of a fleet that flies one point often and another seldom, each sensor at a level of its own."""
    generator = np.random.default_rng(0)
    points = np.vstack([np.full((n_often, len(CHANNELS)), 10.0), np.full((n_seldom, len(CHANNELS)), 40.0)])
    noise = generator.normal(0, 0.001, points.shape)
    rows = pl.DataFrame(dict(zip(CHANNELS, (points + noise).T, strict=True)))
    named = rows.with_columns(unit=pl.lit("A-0001"), role=pl.lit("history"), cycle=pl.int_range(pl.len()))
    return find_regimes(setting_cells(named))


def test_a_mean_engine_shows_the_means_of_the_most_frequent_regime():
    sample = mean_engine(regimes_of(300, 60))
    assert sample.window_BTC.shape == (1, WINDOW_CYCLES, len(CHANNELS))
    assert sample.first_cycles_BTC.shape == (1, FIRST_CYCLES, len(CHANNELS))
    np.testing.assert_allclose(sample.window_BTC, 10.0, atol=0.01)


def test_a_mean_engine_is_unremarkable_in_every_sensor():
    regimes = regimes_of(300, 60)
    np.testing.assert_allclose(regimes.standardise(mean_engine(regimes).window_BTC), 0.0, atol=1e-2)
