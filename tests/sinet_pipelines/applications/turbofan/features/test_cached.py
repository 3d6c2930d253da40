"""Sequences by way of the cache equal those without it, and are arranged again only for other data or rows."""

from datetime import date

import numpy as np
import polars as pl
import pytest

from sinet_pipelines.applications.turbofan.features.cached import read_sequences
from sinet_pipelines.applications.turbofan.schemas.features import SCALED_SENSORS, TRAINING_SEQUENCES
from sinet_pipelines.storage.tables import tables_of
from sinet_pipelines.training.array_cache import ArrayCache

REGIONS = ("EAST", "WEST")


def rows(region, *, seed=0):
    rng = np.random.default_rng(seed)
    fixed = {"event_date": date(2026, 1, 1), "row_hash": region, "regimes_version": "r"}
    frame = pl.DataFrame({"unit": [f"{region}-1"] * 40, "cycle": np.arange(1, 41, dtype=np.int32)})
    return frame.with_columns(
        *(pl.lit(value).alias(name) for name, value in fixed.items()),
        *(pl.Series(name, rng.normal(size=40).astype("f4")) for name in SCALED_SENSORS),
    ).select(TRAINING_SEQUENCES.schema.names)


@pytest.fixture
def stores(tmp_path):
    found = {region: tables_of(tmp_path, region, "turbofan") for region in REGIONS}
    for region, store in found.items():
        store.replace(TRAINING_SEQUENCES, rows(region))
    return found


AT = pl.concat(rows(region).select("unit", "cycle") for region in REGIONS)


def test_cached_sequences_equal_those_without_a_cache(stores, tmp_path):
    plain = read_sequences(stores, at=AT, cache=None)
    for _ in range(2):
        cache = ArrayCache(tmp_path / "cache")
        found = read_sequences(stores, at=AT, cache=cache)
        assert all(np.array_equal(vars(found)[name], values) for name, values in vars(plain).items())
        assert found.baseline_BS.flags.writeable
    assert (cache.hits, cache.misses) == (1, 0)


def test_other_data_and_other_rows_are_arranged_again(stores, tmp_path):
    cache = ArrayCache(tmp_path / "cache")
    first = read_sequences(stores, at=AT, cache=cache)
    assert len(read_sequences(stores, at=AT[:-1], cache=cache)) == len(first) - 1
    stores["WEST"].replace(TRAINING_SEQUENCES, rows("WEST", seed=1))
    changed = read_sequences(stores, at=AT, cache=cache)
    assert not np.array_equal(changed.z_LS, first.z_LS)
    assert (cache.hits, cache.misses) == (0, 3)
