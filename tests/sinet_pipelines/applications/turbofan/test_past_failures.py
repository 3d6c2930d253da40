"""Windows before past failures of engines, and the scale of their vectors."""

import datetime as dt

import numpy as np
import polars as pl
import pytest

from sinet_pipelines.applications.turbofan.past_failures import EMBEDDING, PAST_FAILURES, past_windows
from sinet_pipelines.applications.turbofan.schemas.events import FAILURE_EVENTS
from sinet_pipelines.applications.turbofan.schemas.features import FEATURE_NAMES, WINDOW_FEATURES
from sinet_pipelines.applications.turbofan.schemas.telemetry import SENSORS
from sinet_pipelines.storage.tables import TableStore

AT = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)


def windows(unit, cycles, *, whole=30):
    count = len(cycles)
    rows = {"unit": [unit] * count, "role": ["history"] * count, "cycle": cycles, "recorded_at": [AT] * count}
    rows |= {"event_date": [AT.date()] * count, "row_hash": [f"{unit}{n}" for n in cycles]}
    rows |= {"regimes_version": ["r"] * count, "window_cycles_present": [whole] * count}
    return pl.DataFrame(rows | {name: [0.5] * count for name in FEATURE_NAMES})


@pytest.fixture
def tables(tmp_path):
    store = TableStore(str(tmp_path), "turbofan")
    failures = {"unit": ["A", "B"], "cycle": [200, 40], "failed_at": [AT, AT]}
    store.replace(FAILURE_EVENTS, pl.DataFrame(failures))
    parts = [windows("A", [74, 75, 150, 200]), windows("B", [35], whole=12), windows("LIVE", [10])]
    store.replace_days(WINDOW_FEATURES, pl.concat(parts), days=[AT.date()])
    return store


def test_windows_are_complete_within_125_cycles_and_of_engines_that_failed(tables):
    found = past_windows(tables)
    assert found.select("unit", "cycle", "cycles_to_failure").rows() == [("A", 75, 125), ("A", 150, 50), ("A", 200, 0)]
    assert found.columns == ["unit", "cycle", "regimes_version", *EMBEDDING.columns, "cycles_to_failure"]


def test_without_failures_there_are_no_windows(tmp_path):
    store = TableStore(str(tmp_path), "turbofan")
    store.replace_days(WINDOW_FEATURES, windows("A", [3]), days=[AT.date()])
    assert past_windows(store).is_empty()


def test_a_distance_of_1_along_a_sensor_is_a_standard_deviation_of_noise():
    noise = np.random.default_rng(0).normal(size=(20_000, 20))
    change = noise[:, :10].mean(axis=1) - noise[:, 10:].mean(axis=1)
    assert EMBEDDING.scales[0] == pytest.approx(change.std(), rel=0.02)


def test_the_embedding_uses_features_of_the_table():
    assert set(EMBEDDING.columns) <= set(FEATURE_NAMES)
    assert len(EMBEDDING.columns) == len(SENSORS)
    assert PAST_FAILURES.ref == f"failure_index/v_{EMBEDDING.version}"
