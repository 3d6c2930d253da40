import datetime as dt

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sinet_pipelines.applications.turbofan.features.regimes import find_regimes, setting_cells
from sinet_pipelines.applications.turbofan.features.sequences import sequence_windows
from sinet_pipelines.applications.turbofan.features.windows import rolling_statistics, window_features
from sinet_pipelines.applications.turbofan.schemas.features import (
    CHANGE_HORIZONS,
    FEATURE_NAMES,
    MEAN_HORIZONS,
    SLOPE_HORIZONS,
    SPREAD_HORIZONS,
    WINDOW_CYCLES,
    WINDOW_FEATURES,
)
from sinet_pipelines.applications.turbofan.schemas.telemetry import CHANNELS, SENSOR_NAMES, SENSORS
from sinet_pipelines.errors import ContractError
from tests.sinet_pipelines.applications.turbofan.features.engines import engines

FLEET = engines(95, 33, 19, 1, regimes=6, missing=0.15)
HORIZONS = {*MEAN_HORIZONS, *SPREAD_HORIZONS, *SLOPE_HORIZONS, *CHANGE_HORIZONS, WINDOW_CYCLES}
REGIMES = find_regimes(setting_cells(engines(200, 180, regimes=6)))


def features_of(history: pl.DataFrame, *, first: pl.DataFrame | None = None) -> pl.DataFrame:
    first = history if first is None else first
    return rolling_statistics(history, first_cycles=first.filter(pl.col("cycle") <= 10), regimes=REGIMES)


def brute_force(history: pl.DataFrame, unit: str, cycle: int) -> dict[str, float]:
    """A second implementation, from the words of the docstring: one row, plain loops, numpy's own functions."""
    rows = history.filter(pl.col("unit") == unit, pl.col("cycle") <= cycle).sort("cycle")
    z = {int(c): REGIMES.standardise(row) for c, row in zip(rows["cycle"], rows.select(CHANNELS).rows(), strict=True)}
    out = {"age_cycles": float(cycle)}
    for s, name in enumerate(SENSOR_NAMES):
        recent = {h: [(c, z[c][s]) for c in sorted(z) if c > cycle - h] for h in HORIZONS}
        values = {h: np.array([v for _, v in pairs]) for h, pairs in recent.items()}
        first = [z[c][s] for c in range(1, 11) if c in z]
        baseline = np.mean(first) if first else 0.0
        out[f"{name}_z_last"] = z[cycle][s]
        for h in MEAN_HORIZONS:
            out[f"{name}_z_mean_{h}"] = values[h].mean()
        for h in SPREAD_HORIZONS:
            out[f"{name}_z_spread_{h}"] = values[h].std()
        for h in SLOPE_HORIZONS:
            times = np.array([c for c, _ in recent[h]], dtype=float)
            out[f"{name}_z_slope_{h}"] = np.polyfit(times - cycle, values[h], 1)[0] if np.ptp(times) > 1 else 0.0
        for h in CHANGE_HORIZONS:
            out[f"{name}_z_change_{h}"] = values[h].mean() - baseline
    return out


def test_features_are_those_of_a_second_implementation():
    features = features_of(FLEET)
    for row in features.sample(25, seed=3).iter_rows(named=True):
        expected = brute_force(FLEET, row["unit"], row["cycle"])
        got = np.array([row[name] for name in FEATURE_NAMES])
        np.testing.assert_allclose(got, [expected[name] for name in FEATURE_NAMES], rtol=2e-6, atol=2e-6)


def test_the_mean_of_a_known_window():
    """Of one sensor z is 0, 1, 2, ... and cycle 4 is absent; worked by hand at cycle 6."""
    mean, sd = REGIMES.sensor_means[0][1], REGIMES.sensor_sds[0][1]
    cycles = [1, 2, 3, 5, 6]
    rows = engines(6).filter(pl.col("cycle").is_in(cycles))
    values = pl.Series("t24_degr", [mean + sd * (c - 1) for c in cycles])
    row = features_of(rows.with_columns(values)).filter(pl.col("cycle") == 6).row(0, named=True)
    assert row["t24_degr_z_last"] == pytest.approx(5.0, abs=1e-4)
    assert row["t24_degr_z_mean_5"] == pytest.approx((1 + 2 + 4 + 5) / 4, abs=1e-4)
    assert row["t24_degr_z_mean_30"] == pytest.approx((0 + 1 + 2 + 4 + 5) / 5, abs=1e-4)
    assert row["t24_degr_z_slope_30"] == pytest.approx(1.0, abs=1e-4)
    assert row["t24_degr_z_change_10"] == pytest.approx(0.0, abs=1e-4)
    assert row["window_cycles_present"] == 5


@given(cut=st.integers(1, 94), seed=st.integers(0, 2**16))
@settings(max_examples=15, deadline=None)
def test_the_future_changes_nothing(cut, seed):
    rng = np.random.default_rng(seed)
    past, future = FLEET.filter(pl.col("cycle") <= cut), FLEET.filter(pl.col("cycle") > cut)
    other = future.with_columns(pl.col(name) * rng.uniform(0.5, 2.0) for name in CHANNELS)
    kept = other.filter(pl.Series(rng.random(len(other)) < 0.5))
    with_future = features_of(pl.concat([past, kept])).filter(pl.col("cycle") <= cut)
    assert with_future.equals(features_of(past))


@given(seed=st.integers(0, 2**16))
@settings(max_examples=8, deadline=None)
def test_the_order_of_rows_changes_nothing(seed):
    assert features_of(FLEET.sample(fraction=1.0, shuffle=True, seed=seed)).equals(features_of(FLEET))


def test_day_by_day_with_one_day_of_reach_is_as_all_at_once():
    fleet = engines(130, 95, regimes=6, missing=0.15)
    days = sorted(fleet["event_date"].unique())
    reach = {day: fleet.filter(pl.col("event_date").is_between(day - dt.timedelta(days=1), day)) for day in days}
    parts = [features_of(reach[day], first=fleet).filter(pl.col("event_date") == day) for day in days]
    assert len(days) == 4
    assert pl.concat(parts).sort("unit", "cycle").equals(features_of(fleet))


def test_a_table_and_a_served_window_have_the_same_features():
    at = FLEET.sample(60, seed=2).select("unit", "cycle")
    served = window_features(sequence_windows(FLEET, at=at), REGIMES)
    tabled = at.join(features_of(FLEET), on=["unit", "cycle"], how="left", maintain_order="left").select(FEATURE_NAMES)
    np.testing.assert_array_equal(served, tabled.to_numpy())


def test_two_neighbouring_cycles_are_no_slope():
    slopes = features_of(engines(3)).select(pl.selectors.contains("_slope_")).to_numpy()
    np.testing.assert_array_equal(slopes[:2], 0.0)
    assert (slopes[2] != 0.0).sum() == 2 * (len(SENSORS) - 1)  # two horizons of all sensors but the constant one


def test_another_engine_is_never_seen():
    alone = features_of(FLEET.filter(pl.col("unit") == "FD00X-0002"))
    assert alone.equals(features_of(FLEET).filter(pl.col("unit") == "FD00X-0002"))


def test_a_partial_window_is_flagged():
    present = dict(features_of(engines(40, missing=0.0)).select("cycle", "window_cycles_present").iter_rows())
    assert {cycle: present[cycle] for cycle in (1, 29, 30, 40)} == {1: 1, 29: 29, 30: 30, 40: 30}


def test_an_engine_whose_first_cycles_are_lost_is_measured_against_its_regime():
    late = engines(60).filter(pl.col("cycle") > 20)
    row = features_of(late).tail(1)
    np.testing.assert_array_equal(row["t30_degr_z_change_30"], row["t30_degr_z_mean_30"])


def test_a_constant_sensor_moves_exactly_not_at_all():
    features = features_of(FLEET).select(pl.selectors.starts_with("t2_degr_"))
    assert (features == 0.0).to_numpy().all()


def test_the_table_keeps_its_contract():
    features = features_of(FLEET)
    assert features.to_arrow().cast(WINDOW_FEATURES.schema).schema == WINDOW_FEATURES.schema
    assert np.isfinite(features.select(FEATURE_NAMES).to_numpy()).all()
    assert len(features) == len(FLEET)
    assert set(features["regimes_version"]) == {REGIMES.version}


def test_no_rows_give_no_features():
    assert features_of(FLEET.head(0)).columns == list(WINDOW_FEATURES.schema.names)


def test_a_cycle_that_is_there_twice_is_refused():
    with pytest.raises(ContractError, match="cycle 1 of engine FD00X-0001 is there twice"):
        features_of(pl.concat([FLEET.filter(pl.col("cycle") == 1)] * 2))
