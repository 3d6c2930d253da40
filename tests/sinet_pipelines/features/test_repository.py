"""The feature repository: definitions are applied once and whole, and the online store knows the newest rows."""

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

import polars as pl
import pyarrow as pa
import pytest
from deltalake import DeltaTable, write_deltalake

from sinet_pipelines.errors import StorageError, UsageError
from sinet_pipelines.features.health import store_faults
from sinet_pipelines.features.repository import FeatureRepository

START = datetime(2026, 3, 1, tzinfo=UTC)
FEATURES = {"mean": pa.float32(), "present": pa.int32()}
SCHEMA = {
    "unit": pl.String,
    "cycle": pl.Int32,
    "recorded_at": pl.Datetime("us", "UTC"),
    "row_hash": pl.String,
    "mean": pl.Float32,
    "present": pl.Int32,
}


def at(cycle):
    return START + timedelta(minutes=36 * cycle)


def write(table, *rows, options=None):
    """Writes rows of unit, cycle and mean."""
    values = [(unit, cycle, at(cycle), f"{unit}{cycle}", mean, min(cycle, 30)) for unit, cycle, mean in rows]
    write_deltalake(
        str(table), pl.DataFrame(values, schema=SCHEMA, orient="row").to_arrow(), mode="append", storage_options=options
    )


@pytest.fixture
def repository(tmp_path):
    return FeatureRepository(tmp_path / "feast", (str(tmp_path / "EAST"), str(tmp_path / "WEST")), FEATURES)


def test_the_newest_row_of_each_engine_of_all_regions_is_online(repository, tmp_path):
    write(tmp_path / "EAST", ("a", 1, 1.0), ("a", 3, 3.0))
    write(tmp_path / "WEST", ("b", 2, 2.0))
    repository.apply()
    assert repository.write_online().entities == 2
    expected = pl.DataFrame(
        {"unit": ["b", "unseen", "a"], "mean": [2.0, None, 3.0], "present": [2, None, 3]},
        schema={"unit": pl.String, "mean": pl.Float32, "present": pl.Int32},
    )
    assert repository.read_online(["b", "unseen", "a"]).equals(expected)


def test_a_late_row_replaces_no_newer_one_online(repository, tmp_path):
    write(tmp_path / "EAST", ("a", 9, 9.0))
    repository.apply()
    repository.write_online()
    write(tmp_path / "EAST", ("a", 2, 2.0))
    repository.write_online()
    assert repository.read_online(["a"], features=["mean"])["mean"].to_list() == [9.0]


def test_an_engine_whose_rows_were_withdrawn_is_unknown_online_and_one_that_lost_its_last_has_the_one_before(
    repository, tmp_path
):
    write(tmp_path / "EAST", ("a", 1, 1.0), ("b", 1, 4.0), ("b", 2, 5.0))
    repository.apply()
    repository.write_online()
    DeltaTable(str(tmp_path / "EAST")).delete("unit = 'a' OR cycle = 2")
    assert repository.write_online().entities == 1
    assert repository.read_online(["a", "b"], features=["mean"])["mean"].to_list() == [None, 4.0]
    DeltaTable(str(tmp_path / "EAST")).delete()
    assert repository.write_online().entities == 0
    assert repository.read_online(["b"], features=["mean"])["mean"].to_list() == [None]


def test_online_and_offline_features_of_an_engines_last_instant_are_equal(repository, tmp_path):
    write(tmp_path / "EAST", *[("a", cycle, cycle / 3) for cycle in range(1, 40)])
    repository.apply()
    repository.write_online()
    offline = repository.historical(pl.DataFrame({"unit": ["a"], "event_timestamp": [at(39)]}))
    assert offline.drop("event_timestamp").equals(repository.read_online(["a"]))


def test_history_is_seen_for_two_days_and_no_longer(repository, tmp_path):
    write(tmp_path / "EAST", ("a", 1, 1.0))
    repository.apply()
    instants = [at(1) - timedelta(seconds=1), at(1), at(1) + timedelta(days=2), at(1) + timedelta(days=2, seconds=1)]
    entities = pl.DataFrame({"unit": ["a"] * 4, "event_timestamp": instants, "rul_cycles": [1, 2, 3, 4]})
    found = repository.historical(entities, features=["mean"])
    assert found["mean"].to_list() == [None, 1.0, 1.0, None]
    assert found.select(entities.columns).equals(entities)


def test_applying_again_changes_no_byte(repository):
    assert repository.apply()
    before = (repository.folder / "registry.db").read_bytes()
    assert not repository.apply()
    assert (repository.folder / "registry.db").read_bytes() == before


def test_another_list_of_features_is_applied(repository, tmp_path):
    repository.apply()
    wider = FeatureRepository(repository.folder, repository.tables, {**FEATURES, "slope": pa.float64()})
    assert wider.apply()
    assert {field.name for field in wider.store.get_feature_view("window_features").features} == {*FEATURES, "slope"}


def test_an_apply_that_dies_before_the_rename_leaves_the_old_definitions(repository, monkeypatch):
    repository.apply()
    wider = FeatureRepository(repository.folder, repository.tables, {**FEATURES, "slope": pa.float64()})

    def full_disk(path, target):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(Path, "replace", full_disk)
        with pytest.raises(StorageError, match="No space left on device; the features in it are as before"):
            wider.apply()
    assert not repository.apply()
    assert [entry.name for entry in repository.folder.iterdir() if entry.is_dir()] == []


def test_two_writers_at_once_end_with_one_whole_store(repository, tmp_path):
    write(tmp_path / "EAST", *[(f"e{number:02d}", 5, float(number)) for number in range(40)])

    def write_online(_):
        writer = FeatureRepository(repository.folder, repository.tables, FEATURES)
        writer.apply()
        return writer.write_online().entities

    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(write_online, range(4))) == [40] * 4
    units = [f"e{number:02d}" for number in range(40)]
    assert repository.read_online(units)["mean"].to_list() == [float(number) for number in range(40)]


def test_no_word_goes_to_the_terminal(repository, tmp_path, capfd):
    write(tmp_path / "EAST", ("a", 1, 1.0))
    repository.apply()
    repository.write_online()
    repository.read_online(["a"])
    assert capfd.readouterr() == ("", "")


def test_no_engine_asked_is_no_row(repository):
    repository.apply()
    assert repository.read_online([]).schema == {"unit": pl.String, "mean": pl.Float32, "present": pl.Int32}


def test_an_unknown_feature_is_named(repository):
    repository.apply()
    with pytest.raises(UsageError, match="window_features has no spread"):
        repository.read_online(["a"], features=["spread"])


def test_a_store_without_any_table_says_so(repository):
    repository.apply()
    with pytest.raises(StorageError, match="window_features has no rows"):
        repository.write_online()


def test_reading_before_applying_says_what_to_do(repository):
    with pytest.raises(UsageError, match="apply the repository first"):
        repository.read_online(["a"])


DAMAGES = {
    "deleted": lambda path: path.unlink(),
    "emptied": lambda path: path.write_bytes(b""),
    "truncated": lambda path: path.write_bytes(path.read_bytes()[: path.stat().st_size // 2]),
    "garbled": lambda path: path.write_bytes(b"\xff\x00garbled" * 400),
}


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)
@pytest.mark.parametrize("file", ["registry.db", "online.db"])
def test_a_damaged_file_of_the_store_is_named_and_made_again(repository, tmp_path, file, damage):
    write(tmp_path / "EAST", ("a", 1, 1.0), ("b", 2, 2.0))
    repository.apply()
    repository.write_online()
    assert list(store_faults(repository.folder, engines=2)) == []
    damage(repository.folder / file)
    (fault,) = store_faults(repository.folder, engines=2)
    assert fault.path == repository.folder / file
    again = FeatureRepository(repository.folder, repository.tables, FEATURES)
    assert again.apply()
    assert again.write_online().entities == 2
    assert again.read_online(["a", "b"], features=["mean"])["mean"].to_list() == [1.0, 2.0]
    assert list(store_faults(repository.folder, engines=2)) == []


def test_an_online_store_with_fewer_engines_than_recorded_is_a_fault(repository, tmp_path):
    write(tmp_path / "EAST", ("a", 1, 1.0))
    repository.apply()
    repository.write_online()
    (fault,) = store_faults(repository.folder, engines=2)
    assert "1 engines, recorded were 2" in fault.found
