"""What nothing needs goes, and every row, model and recent file stays."""

import os
import time
from datetime import date
from pathlib import Path

import polars as pl
import pytest
from deltalake import DeltaTable

import sinet_pipelines.cli.pruning as pruning
from sinet_pipelines.applications.turbofan.schemas.events import TRUTH_EVENTS
from sinet_pipelines.cli.pruning import prune
from sinet_pipelines.errors import StorageError
from sinet_pipelines.storage.delta import vacuum_table
from sinet_pipelines.storage.tables import content_hash, empty, tables_of


@pytest.fixture
def tables(tmp_path):
    """A table of two versions."""
    store = tables_of(tmp_path, "EAST", "turbofan")
    for unit in ("a", "b"):
        row = dict.fromkeys(TRUTH_EVENTS.schema.names)
        frame = pl.DataFrame([row | {"unit": unit, "cycle": 1}], schema=empty(TRUTH_EVENTS).schema)
        filled = frame.with_columns(pl.col(pl.Float64).fill_null(1.0), pl.col(pl.Int32).fill_null(1)).with_columns(
            pl.col(name).fill_null(pl.lit(date(2026, 1, 1)).cast(dtype))
            for name, dtype in frame.schema.items()
            if dtype.is_temporal()
        )
        store.replace(TRUTH_EVENTS, filled)
    return store


def files(tables):
    return list((Path(tables.uri(TRUTH_EVENTS))).glob("*.parquet"))


def test_files_of_an_old_version_go_once_they_are_old_and_the_rows_stay(tmp_path, tables, monkeypatch):
    before = content_hash(tables.read(TRUTH_EVENTS), TRUTH_EVENTS)
    assert (prune(tmp_path), len(files(tables))) == (0, 2)
    monkeypatch.setattr(pruning, "KEEP_HOURS", 0)
    assert (prune(tmp_path), len(files(tables))) == (1, 1)
    assert content_hash(tables.read(TRUTH_EVENTS), TRUTH_EVENTS) == before
    assert tables.health(TRUTH_EVENTS).faults == ()


def test_pruning_twice_commits_nothing_new(tmp_path, tables, monkeypatch):
    monkeypatch.setattr(pruning, "KEEP_HOURS", 0)
    prune(tmp_path)
    log = sorted((Path(tables.uri(TRUTH_EVENTS)) / "_delta_log").iterdir())
    assert prune(tmp_path) == 0
    assert sorted((Path(tables.uri(TRUTH_EVENTS)) / "_delta_log").iterdir()) == log


def test_outputs_of_runs_go_after_a_month(tmp_path):
    folder = tmp_path / "dagster" / "compute_logs"
    for name, age_days in (("old", 31), ("new", 29)):
        (folder / name).mkdir(parents=True)
        at = time.time() - age_days * 86_400
        os.utime(folder / name, (at, at))
    assert prune(tmp_path) == 1
    assert [path.name for path in folder.iterdir()] == ["new"]


def test_a_home_without_anything_has_nothing_to_prune(tmp_path):
    assert prune(tmp_path) == 0


def test_a_damaged_table_is_left_to_others(tmp_path, tables):
    for entry in (Path(tables.uri(TRUTH_EVENTS)) / "_delta_log").glob("*.json"):
        entry.write_text("{")
    assert prune(tmp_path) == 0


def test_a_file_that_no_commit_names_yet_stays_however_old_it_looks(tmp_path, tables, monkeypatch):
    monkeypatch.setattr(pruning, "KEEP_HOURS", 0)
    uncommitted = Path(tables.uri(TRUTH_EVENTS)) / "part-00000-of-another-writer.snappy.parquet"
    uncommitted.write_bytes(b"PAR1")
    os.utime(uncommitted, (1, 1))
    prune(tmp_path)
    assert uncommitted.exists()


def test_a_file_that_cannot_be_removed_ends_nothing(tmp_path, tables, monkeypatch):
    monkeypatch.setattr(pruning, "KEEP_HOURS", 0)
    rows = tables.read(TRUTH_EVENTS)
    active = {Path(uri).name for uri in DeltaTable(tables.uri(TRUTH_EVENTS)).file_uris()}
    (old,) = [path for path in files(tables) if path.name not in active]
    old.unlink()
    (old / "of a user").mkdir(parents=True)
    with pytest.raises(StorageError, match="old files of .* were not removed"):
        vacuum_table(tables.uri(TRUTH_EVENTS), keep_hours=0)
    assert prune(tmp_path) == 0
    assert tables.read(TRUTH_EVENTS).equals(rows)


def test_a_process_that_has_read_a_table_reads_its_new_rows_after_a_rewrite_and_a_prune(tmp_path, tables, monkeypatch):
    monkeypatch.setattr(pruning, "KEEP_HOURS", 0)
    before = tables.read(TRUTH_EVENTS)
    tables.replace(TRUTH_EVENTS, before.with_columns(unit=pl.lit("rewritten")))
    assert prune(tmp_path) == 2
    assert tables.read(TRUTH_EVENTS)["unit"].to_list() == ["rewritten"]
    assert tables.health(TRUTH_EVENTS).is_readable
