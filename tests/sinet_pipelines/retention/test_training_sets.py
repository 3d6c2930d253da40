"""Training sets: one that a model needs is read again, equal, after its table was replaced; others go with files."""

from dataclasses import replace
from pathlib import Path

import polars as pl
import pytest

from sinet_pipelines.errors import StorageError
from sinet_pipelines.registry.tracking import tracking_of
from sinet_pipelines.retention.policy import Kind
from sinet_pipelines.storage.content import content_hash
from sinet_pipelines.storage.training_sets import keep_training_set, mark_removed, read_training_set, training_set_of
from tests.sinet_pipelines.retention.conftest import SAMPLES, names


def read(store, found):
    return read_training_set(store.tables, training_set_of(store.blobs, found.table, found.content))


def parquet_files(store):
    return {path.name for path in Path(store.tables.uri(SAMPLES)).glob("*.parquet")}


def test_the_set_of_a_registered_version_is_read_again_after_later_sets_and_retention(store):
    first = store.train(1.0)
    store.register(first)
    store.train(2.0)
    store.train(3.0)
    store.retain(0, 1, 40, 80)
    rows = read(store, first)
    assert rows.sort("unit")["value"].to_list() == [1.0, 2.0]
    assert content_hash(rows, SAMPLES) == first.content
    assert store.tables.read(SAMPLES)["value"].sum() == 7.0


def test_a_set_that_nothing_needs_goes_with_its_files_after_thirty_days(store):
    first, newest = store.train(1.0), store.train(2.0)
    assert names(store.retain(0, 29).removed, Kind.TRAINING_SETS) == []
    assert names(store.retain(31).removed, Kind.TRAINING_SETS) == [f"EAST/{first.name}"]
    assert parquet_files(store) == set(newest.files)
    assert read(store, newest).height == 2


def test_a_removed_set_is_an_error_with_the_time_and_the_cure(store):
    first = store.train(1.0)
    store.train(2.0)
    store.retain(0, 31)
    with pytest.raises(StorageError, match=r"were removed at 20.*restore a backup.*or train again"):
        read(store, first)


def test_a_set_goes_only_thirty_days_after_its_version_was_deleted_on_mlflows_page(store):
    first = store.train(1.0)
    store.register(first)
    store.train(2.0)
    store.retain(0, 100)
    tracking_of(store.home).client.delete_model_version("mill_rul", "1")
    assert names(store.retain(101, 130).removed, Kind.TRAINING_SETS) == []
    assert names(store.retain(132).removed, Kind.TRAINING_SETS) == [f"EAST/{first.name}"]


def test_the_files_of_a_removal_that_was_killed_go_with_the_next(store):
    first, newest = store.train(1.0), store.train(2.0)
    mark_removed(store.blobs, first)  # and no file was removed yet
    assert names(store.retain(0, 1).removed, Kind.TABLE_FILES) == [
        f"EAST/feature/mill/training_set/{path}" for path in first.files
    ]
    assert parquet_files(store) == set(newest.files)


def test_a_set_that_is_made_again_while_it_goes_stays(store):
    first = store.train(1.0)
    store.train(2.0)
    (found,) = [
        one
        for one in store.plan(days=0).kept
        if first.content in one.thing.name and one.thing.kind is Kind.TRAINING_SETS
    ]
    look = store.look(store.log.oldest_start)
    again = store.train(1.0)
    assert look.removers[found.thing.key](found.thing) is False
    assert read(store, again)["value"].sum() == 3.0


def test_a_file_of_a_set_that_was_changed_is_an_error(store):
    found = store.train(1.0)
    (path,) = [Path(store.tables.uri(SAMPLES), name) for name in found.files]
    pl.DataFrame({"unit": ["a", "b"], "value": [8.0, 9.0]}).write_parquet(path)
    changed = replace(found, files={path.name: path.stat().st_size})
    keep_training_set(store.blobs, changed)
    with pytest.raises(StorageError, match="they were changed"):
        read(store, changed)


def test_a_lost_file_of_a_set_is_named(store):
    found = store.train(1.0)
    (name,) = found.files
    Path(store.tables.uri(SAMPLES), name).unlink()
    with pytest.raises(StorageError, match=rf"1 of 1 files of {found.name} are missing.*{name}"):
        read(store, found)


def test_the_record_names_versions_and_features_and_the_set_by_its_content(store):
    found = store.train(1.0)
    assert found.name == f"mill/training_set/{content_hash(store.tables.read(SAMPLES), SAMPLES)}"
    assert (found.tables, found.features, found.version) == ({"EAST/mill/window_features": 7}, "f00d", 0)
