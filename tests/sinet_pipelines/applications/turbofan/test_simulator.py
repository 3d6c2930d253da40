import numpy as np
import polars as pl
import pytest

from sinet_pipelines.applications.turbofan.cmapss import last_cycles
from sinet_pipelines.applications.turbofan.physics import MODULES
from sinet_pipelines.applications.turbofan.schemas.telemetry import CHANNELS, SENSORS, SETTINGS
from sinet_pipelines.applications.turbofan.simulator import simulate_fleet, wear_out
from sinet_pipelines.errors import FleetError


@pytest.fixture(scope="module")
def fleet():
    return simulate_fleet()


@pytest.fixture(scope="module")
def sea_level():
    return simulate_fleet(regimes=1, seed=5)


def test_the_fleet_is_as_large_as_promised(fleet):
    assert fleet.train["unit"].n_unique() == 120
    assert fleet.test["unit"].n_unique() == 60
    assert 25_000 <= fleet.train.height + fleet.test.height <= 36_000


def test_the_fleet_has_the_shape_of_a_cmapss_subset(fleet):
    for rows in (fleet.train, fleet.test):
        assert rows.schema == {"unit": pl.Int32, "cycle": pl.Int32} | dict.fromkeys(CHANNELS, pl.Float64)
        cycles = rows.group_by("unit").agg(pl.col("cycle").sort())
        assert all(cycle.to_list() == list(range(1, len(cycle) + 1)) for cycle in cycles["cycle"])
    assert fleet.rul["unit"].to_list() == list(range(1, 61))


def test_every_reading_keeps_the_bounds_of_the_contract(fleet):
    both = pl.concat([fleet.train, fleet.test])
    for column in SETTINGS + SENSORS:
        assert both[column.name].is_between(column.minimum, column.maximum).all(), column.name


def test_lives_are_like_those_of_fd001(fleet):
    lives = last_cycles(fleet.train)["last_cycle"]
    assert 100 <= lives.min() <= 160  # FD001: 128
    assert 190 <= lives.mean() <= 230  # FD001: 206
    assert 280 <= lives.max() <= 420  # FD001: 362


def test_a_live_engine_is_cut_before_failure_and_one_before_its_window_is_full(fleet):
    assert fleet.rul["rul_cycles"].min() >= 1
    cut = last_cycles(fleet.test)["last_cycle"]
    assert cut[0] == 19
    assert cut.min() >= 1


def test_equal_seeds_give_equal_fleets_and_others_do_not():
    small = {"history_engines": 3, "live_engines": 2}
    one, again, other = (simulate_fleet(seed=seed, **small) for seed in (1, 1, 2))
    assert one.train.equals(again.train)
    assert one.test.equals(again.test)
    assert one.digest == again.digest != other.digest
    assert not one.train.equals(other.train)


@pytest.mark.parametrize("regimes", [1, 6])
def test_as_many_operating_points_are_flown_as_asked(regimes):
    rows = simulate_fleet(history_engines=5, live_engines=1, regimes=regimes).train
    assert rows.select(pl.col("altitude_kft").round(0), pl.col("throttle_angle_pct")).n_unique() == regimes


@pytest.mark.parametrize(
    "wrong", [{"history_engines": 0}, {"live_engines": 0}, {"regimes": 0}, {"regimes": 7}, {"live_engines": -1}]
)
def test_a_fleet_that_cannot_be_is_refused(wrong):
    with pytest.raises(FleetError, match=r"allowed: 1 or more of each, 1 to 6 regimes"):
        simulate_fleet(**wrong)


def test_an_engine_fails_when_its_health_is_used_up_and_never_recovers():
    wear = wear_out(50, np.random.default_rng(3))
    assert (np.diff(wear.losses, axis=2) >= 0).all()
    assert (np.diff(wear.health, axis=1) <= 0).all()
    engines = np.arange(50)
    assert (wear.health[engines, wear.life - 1] > 0).all()
    assert (wear.health[engines, wear.life] <= 0).all()
    assert (wear.health[:, 0] < 1).all()  # initial wear


def test_damage_grows_faster_the_older_the_engine():
    wear = wear_out(200, np.random.default_rng(4))
    half = wear.losses.mean(axis=0)[np.arange(200), wear.life // 2]
    end = wear.losses.mean(axis=0)[np.arange(200), wear.life - 1]
    assert np.median(half) < 0.3 * np.median(end)


def test_both_fault_modes_occur():
    module = wear_out(100, np.random.default_rng(0)).module
    assert set(module) == set(range(len(MODULES)))


def test_sensors_show_the_fault_and_which_one_it_is(sea_level):
    # as in FD003: T50 rises with either fault; P30 falls with the compressor's and rises with the fan's
    ends = sea_level.train.sort("unit", "cycle").group_by("unit", maintain_order=True)
    shift = ends.agg(pl.col("t50_degr", "p30_psia").tail(5).mean() - pl.col("t50_degr", "p30_psia").head(20).mean())
    assert shift["t50_degr"].min() > 10
    falls, rises = shift.filter(pl.col("p30_psia") < 0), shift.filter(pl.col("p30_psia") > 0)
    assert min(falls.height, rises.height) > 30
    assert falls["p30_psia"].max() < -1
    assert rises["p30_psia"].min() > 8


def test_noise_is_that_of_fd001(sea_level):
    steps = sea_level.train.select(pl.col("t30_degr", "p30_psia", "ps30_psia").diff().over("unit").std() / np.sqrt(2))
    np.testing.assert_allclose(steps.row(0), (4.0, 0.41, 0.10), rtol=0.05)
