"""Feast's offline store on Delta: what was deleted stays deleted, and no order of files changes an answer."""

from datetime import UTC, datetime, timedelta

import pandas as pd
import polars as pl
import pytest
from deltalake import DeltaTable, write_deltalake
from feast import Entity, FeatureStore, FeatureView, Field, FileSource, RepoConfig, ValueType
from feast.types import Float32, String

from sinet_pipelines.errors import StorageError, UsageError
from sinet_pipelines.features.source import DeltaSource
from sinet_pipelines.features.store import DeltaOfflineStore

START = datetime(2026, 3, 1, tzinfo=UTC)
INSTANT = pl.Datetime("us", "UTC")
UNIT = Entity(name="unit", value_type=ValueType.STRING)


def at(hour):
    return START + timedelta(hours=hour)


def write(path, *rows, mode="append"):
    """Rows of unit, hour recorded, hour written, mean and spread."""
    schema = {
        "unit": pl.String,
        "recorded_at": INSTANT,
        "created_at": INSTANT,
        "mean": pl.Float32,
        "spread": pl.Float32,
    }
    frame = pl.DataFrame([(u, at(r), at(c), m, s) for u, r, c, m, s in rows], schema=schema, orient="row")
    write_deltalake(str(path), frame.to_arrow(), mode=mode)


def source(*tables, name="window", **changes):
    changes = {"timestamp_field": "recorded_at", "created_timestamp_column": "created_at", **changes}
    return DeltaSource(name=name, tables=[str(table) for table in tables], **changes)


def view(origin, *, ttl=timedelta(0)):
    fields = [Field(name="unit", dtype=String), Field(name="mean", dtype=Float32), Field(name="spread", dtype=Float32)]
    return FeatureView(name=origin.name, source=origin, schema=fields, entities=[UNIT], ttl=ttl)


def store(tmp_path, *views):
    config = RepoConfig(
        project="sinet",
        provider="local",
        entity_key_serialization_version=3,
        registry={"registry_type": "file", "path": str(tmp_path / "registry.db")},
        online_store={"type": "sqlite", "path": str(tmp_path / "online.db")},
        offline_store={"type": "sinet_pipelines.features.store.DeltaOfflineStore"},
        materialization_config={"pull_latest_features": True},
    )
    opened = FeatureStore(config=config)
    opened.apply([UNIT, *views])
    return opened


def entity_rows(*rows, **columns):
    return pd.DataFrame({"unit": [u for u, _ in rows], "event_timestamp": [at(h) for _, h in rows], **columns})


def history(opened, entities, *features, **options):
    answer = opened.get_historical_features(entity_df=entities, features=list(features), **options)
    return pl.DataFrame(pl.from_arrow(answer.to_arrow()))


def pulled(opened, origin, **span):
    job = DeltaOfflineStore.pull_all_from_table_or_query(
        opened.config, origin, ["unit"], ["mean"], "recorded_at", "created_at", **span
    )
    return pl.DataFrame(pl.from_arrow(job.to_arrow()))


def latest(opened, origin, **span):
    job = DeltaOfflineStore.pull_latest_from_table_or_query(
        opened.config, origin, ["unit"], ["mean"], "recorded_at", "created_at", **span
    )
    return dict(pl.DataFrame(pl.from_arrow(job.to_arrow())).select("unit", "mean").rows())


def test_rows_that_were_replaced_are_not_seen_again(tmp_path):
    table = tmp_path / "table"
    write(table, ("a", 0, 0, 1.0, 0.0))
    write(table, ("b", 0, 0, 2.0, 0.0), mode="overwrite")
    opened = store(tmp_path, view(source(table)))
    found = history(opened, entity_rows(("a", 1), ("b", 1)), "window:mean")
    assert found["mean"].to_list() == [None, 2.0]


def test_an_engine_is_found_in_whichever_regions_table_it_lies(tmp_path):
    write(tmp_path / "EAST", ("a", 0, 0, 1.0, 0.0))
    write(tmp_path / "WEST", ("b", 0, 0, 2.0, 0.0))
    opened = store(tmp_path, view(source(tmp_path / "EAST", tmp_path / "WEST", tmp_path / "never_written")))
    found = history(opened, entity_rows(("b", 0), ("a", 0)), "window:mean")
    assert found["mean"].to_list() == [2.0, 1.0]


def test_entities_keep_their_order_number_and_other_columns(tmp_path):
    write(tmp_path / "table", ("a", 0, 0, 1.0, 0.0), ("a", 2, 2, 3.0, 0.0))
    opened = store(tmp_path, view(source(tmp_path / "table")))
    entities = entity_rows(("a", 5), ("unseen", 5), ("a", 1), ("a", 5), rul_cycles=[7, 8, 9, 7])
    found = history(opened, entities, "window:mean")
    assert found.columns == ["unit", "event_timestamp", "rul_cycles", "mean"]
    assert found.select("unit", "rul_cycles", "mean").rows() == [
        ("a", 7, 3.0),
        ("unseen", 8, None),
        ("a", 9, 1.0),
        ("a", 7, 3.0),
    ]


def test_each_view_answers_by_its_own_ttl(tmp_path):
    write(tmp_path / "table", ("a", 0, 0, 1.0, 2.0))
    short = view(source(tmp_path / "table", name="short"), ttl=timedelta(hours=1))
    endless = view(source(tmp_path / "table", name="endless"))
    found = history(store(tmp_path, short, endless), entity_rows(("a", 1), ("a", 2)), "short:mean", "endless:spread")
    assert found.select("mean", "spread").rows() == [(1.0, 2.0), (None, 2.0)]


def test_full_names_tell_two_views_of_one_feature_apart(tmp_path):
    write(tmp_path / "old", ("a", 0, 0, 1.0, 0.0))
    write(tmp_path / "new", ("a", 0, 0, 2.0, 0.0))
    opened = store(tmp_path, view(source(tmp_path / "old", name="old")), view(source(tmp_path / "new", name="new")))
    found = history(opened, entity_rows(("a", 0)), "old:mean", "new:mean", full_feature_names=True)
    assert found.select("old__mean", "new__mean").rows() == [(1.0, 2.0)]


def test_of_two_rows_of_one_instant_the_last_written_is_seen(tmp_path):
    write(tmp_path / "table", ("a", 0, 5, 5.0, 0.0))
    write(tmp_path / "table", ("a", 0, 3, 3.0, 0.0))
    opened = store(tmp_path, view(source(tmp_path / "table")))
    assert history(opened, entity_rows(("a", 9)), "window:mean")["mean"].to_list() == [5.0]


def test_compaction_of_files_changes_no_tie(tmp_path):
    origin = source(tmp_path / "table", created_timestamp_column="", tie_breaks=["spread"])
    for spread in (1.0, 3.0, 2.0):
        write(tmp_path / "table", ("a", 0, 0, 10 - spread, spread))
    opened = store(tmp_path, view(origin))
    before = history(opened, entity_rows(("a", 0)), "window:mean")["mean"].to_list()
    DeltaTable(str(tmp_path / "table")).optimize.compact()
    assert before == history(opened, entity_rows(("a", 0)), "window:mean")["mean"].to_list() == [7.0]


def test_the_latest_row_is_that_of_the_whole_table_whatever_range_is_asked_for(tmp_path):
    origin = source(tmp_path / "table")
    write(
        tmp_path / "table", ("a", 0, 0, 1.0, 0.0), ("a", 9, 9, 9.0, 0.0), ("b", 1, 1, 2.0, 0.0), ("b", 1, 3, 4.0, 0.0)
    )
    opened = store(tmp_path, view(origin))
    assert latest(opened, origin, start_date=at(0), end_date=at(1)) == {"a": 9.0, "b": 4.0}


def test_materialising_an_old_window_harms_no_newer_value(tmp_path, capsys):
    write(tmp_path / "table", ("a", 0, 0, 1.0, 0.0), ("a", 9, 9, 9.0, 0.0))
    opened = store(tmp_path, view(source(tmp_path / "table")))
    opened.materialize(at(8), at(10))
    opened.materialize(at(0), at(1))
    capsys.readouterr()
    answer = opened.get_online_features(features=["window:mean"], entity_rows=[{"unit": "a"}]).to_dict()
    assert answer["mean"] == [9.0]


def test_a_span_has_both_its_ends(tmp_path):
    origin = source(tmp_path / "table")
    write(tmp_path / "table", *[("a", hour, hour, float(hour), 0.0) for hour in range(4)])
    opened = store(tmp_path, view(origin))
    assert pulled(opened, origin, start_date=at(1), end_date=at(2))["mean"].to_list() == [1.0, 2.0]
    assert pulled(opened, origin, end_date=at(0).replace(tzinfo=None))["mean"].to_list() == [0.0]


def test_a_source_comes_back_from_the_registry_as_it_went_in(tmp_path):
    origin = source(tmp_path / "EAST", tmp_path / "WEST", tie_breaks=["spread"])
    opened = store(tmp_path, view(origin))
    kept = opened.get_feature_view("window").batch_source
    assert kept == origin
    assert kept != source(tmp_path / "EAST", tie_breaks=["spread"])


def test_a_column_of_instants_of_another_name_is_understood_if_it_is_the_only_one(tmp_path):
    write(tmp_path / "table", ("a", 0, 0, 1.0, 0.0))
    opened = store(tmp_path, view(source(tmp_path / "table")))
    entities = entity_rows(("a", 1)).rename(columns={"event_timestamp": "cut_at"})
    assert history(opened, entities, "window:mean")["mean"].to_list() == [1.0]
    with pytest.raises(UsageError, match="2 columns of instants"):
        history(opened, entities.assign(known_at=at(0)), "window:mean")


def test_entities_asked_for_by_a_query_are_refused(tmp_path):
    opened = store(tmp_path, view(source(tmp_path / "table")))
    with pytest.raises(UsageError, match="requested by a query"):
        opened.get_historical_features(entity_df="SELECT 1", features=["window:mean"])


def test_a_table_that_was_never_written_is_named(tmp_path):
    opened = store(tmp_path, view(source(tmp_path / "nowhere")))
    with pytest.raises(StorageError, match="window has no rows: no Delta table at .*nowhere"):
        history(opened, entity_rows(("a", 1)), "window:mean")


def test_a_folder_of_parquet_files_is_refused(tmp_path):
    origin = FileSource(name="folder", path=str(tmp_path / "folder.parquet"), timestamp_field="recorded_at")
    opened = store(tmp_path)
    with pytest.raises(UsageError, match="source of kind FileSource is not read here"):
        pulled(opened, origin)
