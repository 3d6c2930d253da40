"""The feature store as a resource: what one step defines and writes, another reads."""

from datetime import UTC, datetime

import dagster as dg
import polars as pl
import pyarrow as pa
from deltalake import write_deltalake

from resources.feature_store import FeatureStoreResource, feature_store_resource


def test_what_one_step_writes_another_reads(tmp_path):
    table = str(tmp_path / "window_features")
    row = {"unit": ["a"], "cycle": [1], "recorded_at": [datetime(2026, 3, 1, tzinfo=UTC)], "row_hash": ["x"]}
    write_deltalake(table, pl.DataFrame({**row, "mean": [1.5]}).to_arrow())
    features = {"mean": pa.float64()}

    @dg.asset
    def online_store(feature_store: FeatureStoreResource) -> None:
        repository = feature_store.repository(tables=[table], features=features)
        repository.apply()
        repository.write_online()

    @dg.asset(deps=[online_store])
    def reader(feature_store: FeatureStoreResource) -> dg.MaterializeResult:
        found = feature_store.repository(tables=[table], features=features).read_online(["a"])
        return dg.MaterializeResult(metadata={"mean": found["mean"][0]})

    done = dg.materialize([online_store, reader], resources={"feature_store": feature_store_resource(tmp_path)})
    (event,) = done.asset_materializations_for_node("reader")
    assert event.metadata["mean"].value == 1.5
    assert sorted(path.name for path in (tmp_path / "feast").glob("[!.]*")) == [
        "online.db",
        "registry.db",
        "replica.json",
    ]
