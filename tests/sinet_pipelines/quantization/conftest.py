"""A small fleet that has everything a graph can get wrong: six regimes, gaps, short lives, constant sensors."""

import datetime as dt
from dataclasses import replace

import lightgbm as lgb
import numpy as np
import polars as pl
import pytest

from sinet_pipelines.applications.turbofan.families import NETWORK
from sinet_pipelines.applications.turbofan.features.completeness import are_answerable
from sinet_pipelines.applications.turbofan.features.regimes import OperatingRegimes, find_regimes, setting_cells
from sinet_pipelines.applications.turbofan.features.scaled import scaled_windows
from sinet_pipelines.applications.turbofan.features.sequences import Sequences, sequence_windows
from sinet_pipelines.applications.turbofan.features.windows import window_features
from sinet_pipelines.applications.turbofan.graph.served import quantize_by_regime as quantize
from sinet_pipelines.applications.turbofan.schemas.features import FEATURE_NAMES
from sinet_pipelines.applications.turbofan.schemas.telemetry import CHANNELS, SENSOR_NAMES
from sinet_pipelines.applications.turbofan.task import RUL
from sinet_pipelines.models.gradient_boosting import BoostedModel
from sinet_pipelines.models.interval import Interval
from sinet_pipelines.models.model import Examples, Inputs
from sinet_pipelines.models.temporal_convolution import ConvolutionModel
from tests.sinet_pipelines.quantization.windows import export

# The six operating conditions of C-MAPSS FD002: altitude in kft, Mach number, throttle in % (its readme.txt).
SIX = np.array([(0, 0, 100), (10, 0.25, 100), (20, 0.7, 100), (25, 0.62, 60), (35, 0.84, 100), (42, 0.84, 100)])
CONSTANT_EVERYWHERE, CONSTANT_IN_A_REGIME = 0, 4  # sensors t2 and p2, as they are in C-MAPSS
LIVES = (19, 45, 80, 31, 120, 1)  # the shortest test engine of the six-regime subsets has 19 cycles


def make_fleet(n_regimes: int, *, seed: int = 7) -> pl.DataFrame:
    """Telemetry of some engines whose sensors follow regime, wear and noise, with a tenth of the cycles missing."""
    rng = np.random.default_rng(seed)
    levels = rng.uniform(20.0, 9000.0, size=(n_regimes, len(SENSOR_NAMES)))
    levels[:, CONSTANT_EVERYWHERE] = 518.67
    frames = [_engine(rng, number, life, levels) for number, life in enumerate(LIVES, start=1)]
    return pl.concat(frames)


def _engine(rng: np.random.Generator, number: int, life: int, levels: np.ndarray) -> pl.DataFrame:
    regime = rng.integers(len(levels), size=life)
    wear = np.linspace(0.0, 1.0, life)[:, None] ** 2
    sensors = levels[regime] * (1 + 0.01 * wear * rng.normal(size=levels.shape[1]) + 0.002 * rng.normal(size=(life, 1)))
    sensors = sensors * (1 + 0.003 * rng.normal(size=sensors.shape))
    for constant in (CONSTANT_EVERYWHERE, CONSTANT_IN_A_REGIME):
        sensors[:, constant] = levels[regime, constant]
    settings = SIX[regime] + rng.normal(size=(life, 3)) * (0.002, 0.0002, 0.0)
    kept = rng.random(life) < 0.9
    kept[-1] = True  # the last row is asked about
    kept[50:64] = False  # a fortnight of nothing
    start = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
    at = [start + dt.timedelta(minutes=36 * c) for c in range(life)]
    frame = pl.DataFrame(
        {
            "unit": [f"FD002-{number:04d}"] * life,
            "role": ["history"] * life,
            "cycle": np.arange(1, life + 1, dtype=np.int32),
            "recorded_at": at,
            "event_date": [instant.date() for instant in at],
            "row_hash": [f"{number}-{c}" for c in range(life)],
            **dict(zip(CHANNELS, np.hstack([settings, sensors]).T, strict=True)),
        }
    )
    return frame.filter(pl.Series(kept))


@pytest.fixture(scope="session", params=[1, 6], ids=["one regime", "six regimes"])
def fleet(request) -> pl.DataFrame:
    return make_fleet(request.param)


@pytest.fixture(scope="session")
def regimes(fleet) -> OperatingRegimes:
    return find_regimes(setting_cells(fleet))


@pytest.fixture(scope="session")
def asked(fleet) -> pl.DataFrame:
    """The rows of the fleet that a graph answers with a number."""
    return fleet.filter(pl.Series(are_answerable(sequence_windows(fleet, at=fleet))))


@pytest.fixture(scope="session")
def sequences(fleet, asked) -> Sequences:
    return sequence_windows(fleet, at=asked)


@pytest.fixture(scope="session")
def inputs(sequences, regimes) -> Inputs:
    return Inputs(window_features(sequences, regimes), FEATURE_NAMES, scaled_windows(sequences, regimes))


@pytest.fixture(scope="session")
def examples(asked, inputs) -> Examples:
    cycle = asked["cycle"].to_numpy()
    rul = (asked["cycle"].max() - cycle).astype(np.float64)
    return Examples(inputs, asked["unit"].to_numpy().astype(str), cycle, rul, RUL)


@pytest.fixture(scope="session")
def grow():
    """Fits a forest with any settings, on one thread: on so few rows a second one only waits for the first."""

    def fit(inputs: Inputs, target: np.ndarray, *, trees: int = 40, **parameters) -> BoostedModel:
        plain = {"objective": "regression", "min_data_in_leaf": 2, "verbose": -1, "num_threads": 1}
        data = lgb.Dataset(inputs.features_BF, target, params={"verbose": -1})
        return BoostedModel(
            inputs.feature_names, lgb.train({**plain, **parameters}, data, trees).model_to_string(), RUL
        )

    return fit


@pytest.fixture(scope="session")
def forest(grow, inputs, examples) -> BoostedModel:
    return grow(inputs, examples.target_B, trees=60)


@pytest.fixture(scope="session")
def served(forest, regimes) -> bytes:
    return export(forest, regimes=regimes, family="gradient_boosting")


@pytest.fixture(scope="session")
def network(examples) -> ConvolutionModel:
    return replace(NETWORK, epochs=4).fit(examples, seed=1)


@pytest.fixture(scope="session")
def interval() -> Interval:
    return Interval(level=0.9, knots=(5.0, 40.0, 110.0), half_widths=(3.0, 25.0, 12.0), range=RUL.range)


@pytest.fixture(scope="session")
def served_network(network, regimes, interval) -> bytes:
    return export(network, regimes=regimes, family="temporal_convolution", interval=interval)


@pytest.fixture(scope="session")
def quantized_network(served_network, sequences, regimes) -> bytes:
    return quantize(served_network, sequences, regimes=regimes)
