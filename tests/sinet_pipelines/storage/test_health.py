"""Health of storage: damage is found by looking, named by file, and mended by the next write."""

import os
from datetime import date, timedelta

import polars as pl
import pyarrow as pa
import pytest
from deltalake import DeltaTable

import sinet_pipelines.storage.delta_log as delta_log
from sinet_pipelines.errors import StorageError
from sinet_pipelines.schemas.contract import Column, Contract, DataClass
from sinet_pipelines.storage.aside import ASIDE
from sinet_pipelines.storage.health import decode_table, look_at_table
from sinet_pipelines.storage.tables import TableStore

READINGS = Contract(
    "readings",
    "One reading.",
    DataClass.RAW,
    (
        Column("unit", pa.string(), "engine"),
        Column("value", pa.float64(), "value"),
        Column("event_date", pa.date32(), "day"),
    ),
    key=("unit",),
)
DAYS = [date(2026, 1, 1) + timedelta(days=n) for n in range(3)]


def rows(*days, value=1.0):
    return pl.DataFrame({"unit": ["a", "b"] * len(days), "value": value, "event_date": [d for d in days for _ in "ab"]})


@pytest.fixture
def root(tmp_path):
    """Tables with three days of two rows, the second written twice."""
    store = TableStore(str(tmp_path / "tables"))
    store.replace_days(READINGS, rows(*DAYS), days=DAYS)
    store.replace_days(READINGS, rows(DAYS[1], value=2.0), days=[DAYS[1]])
    return tmp_path / "tables" / "raw"


def newest_entry(root):
    return max((root / "readings" / "_delta_log").glob("*.json"))


def file_of(root, day):
    found = [uri for uri in DeltaTable(str(root / "readings")).file_uris() if f"event_date={day}" in uri]
    return root / found[0].removeprefix(str(root) + "/")


def test_a_whole_table_has_no_fault_and_tells_its_rows_by_day(root):
    health = look_at_table(root / "readings")
    assert health.is_readable
    assert health.version == 1
    assert health.rows == {day.isoformat(): 2 for day in DAYS}
    assert decode_table(root / "readings") == ()


def test_files_that_a_writer_stages_beside_the_others_may_vanish_while_the_folders_are_listed(root):
    whole = look_at_table(root / "readings")
    for folder in (root / "readings" / "_delta_log", file_of(root, DAYS[0]).parent):
        (folder / "00000000000000000002.json#1").symlink_to("gone")  # listed, and not there when it is looked at
    assert look_at_table(root / "readings") == whole


def test_the_look_agrees_with_delta_rs_after_a_checkpoint(root):
    store = TableStore(str(root.parent))
    DeltaTable(str(root / "readings")).create_checkpoint()
    store.replace_days(READINGS, rows(DAYS[0], value=3.0), days=[DAYS[0]])
    table, health = DeltaTable(str(root / "readings")), look_at_table(root / "readings")
    assert health.is_readable
    assert health.version == table.version()
    assert health.rows == {day.isoformat(): 2 for day in DAYS}


@pytest.mark.parametrize(
    "damage",
    [
        lambda path: path.write_bytes(b""),
        lambda path: path.write_bytes(b"\xff\x00 garbage"),
        lambda path: path.write_bytes(path.read_bytes()[:-40]),
        lambda path: path.write_bytes(b'"a text"\n'),
    ],
    ids=["emptied", "garbled", "truncated", "no action"],
)
def test_a_damaged_log_entry_is_named_refused_by_readers_and_mended_by_the_next_write(root, damage):
    entry = newest_entry(root)
    damage(entry)
    (fault,) = look_at_table(root / "readings").faults
    assert fault.path == entry
    store = TableStore(str(root.parent))
    with pytest.raises(StorageError, match=entry.name):
        store.read(READINGS)
    store.replace_days(READINGS, rows(*DAYS), days=DAYS)
    assert store.read(READINGS).height == 6
    assert look_at_table(root / "readings").is_readable
    assert [path.name.split("-")[0] for path in (root / ASIDE).iterdir()] == ["readings"]


def test_a_removed_entry_in_the_middle_is_named(root):
    first = root / "readings" / "_delta_log" / f"{0:020d}.json"
    first.unlink()
    (fault,) = look_at_table(root / "readings").faults
    assert fault.path == first
    assert "missing" in fault.found


def test_a_damaged_checkpoint_is_named(root):
    DeltaTable(str(root / "readings")).create_checkpoint()
    (checkpoint,) = (root / "readings" / "_delta_log").glob("*.checkpoint.parquet")
    checkpoint.write_bytes(checkpoint.read_bytes()[:100])
    (fault,) = look_at_table(root / "readings").faults
    assert fault.path == checkpoint


def _without_its_hinted_checkpoint(log):
    next(log.glob("*.checkpoint.parquet")).unlink()


def _without_any_entry(log):
    for entry in log.glob("*.json"):
        entry.unlink()


@pytest.mark.parametrize(
    ("damage", "named"),
    [(_without_its_hinted_checkpoint, "_last_checkpoint"), (_without_any_entry, f"{1:020d}.json")],
)
def test_a_cleaned_log_that_cannot_be_written_to_any_more_is_named_and_begun_anew(root, damage, named):
    DeltaTable(str(root / "readings")).create_checkpoint()
    damage(root / "readings" / "_delta_log")
    (fault,) = look_at_table(root / "readings").faults
    assert fault.path.name == named
    store = TableStore(str(root.parent))
    store.replace_days(READINGS, rows(*DAYS), days=DAYS)
    assert store.read(READINGS).height == 6


def test_a_log_whose_entries_before_a_checkpoint_were_cleaned_up_is_whole(root):
    DeltaTable(str(root / "readings")).create_checkpoint()
    (root / "readings" / "_delta_log" / f"{0:020d}.json").unlink()
    store = TableStore(str(root.parent))
    assert look_at_table(root / "readings").is_readable
    store.replace_days(READINGS, rows(DAYS[0], value=3.0), days=[DAYS[0]])
    assert store.read(READINGS).height == 6
    assert look_at_table(root / "readings").is_readable


def test_a_checkpoint_that_a_writer_made_since_the_folder_was_listed_is_not_missed(root, monkeypatch):
    DeltaTable(str(root / "readings")).create_checkpoint()
    listed = delta_log.list_files

    def a_moment_ago(folder):
        return {name: state for name, state in (listed(folder) or {}).items() if "checkpoint.parquet" not in name}

    monkeypatch.setattr(delta_log, "list_files", a_moment_ago)
    assert look_at_table(root / "readings").is_readable


@pytest.mark.parametrize("hint", [b"", b"{", b"[]", b"{}"])
def test_a_hint_that_says_nothing_is_passed_over(root, hint):
    DeltaTable(str(root / "readings")).create_checkpoint()
    (root / "readings" / "_delta_log" / "_last_checkpoint").write_bytes(hint)
    assert look_at_table(root / "readings").is_readable
    assert TableStore(str(root.parent)).read(READINGS).height == 6


def test_an_entry_that_is_overwritten_in_its_place_is_read_again_though_size_and_age_are_kept(root):
    assert look_at_table(root / "readings").is_readable
    entry = newest_entry(root)
    state, inode = entry.stat(), entry.stat().st_ino
    with entry.open("r+b") as file:
        file.write(b"\0")
    os.utime(entry, ns=(state.st_atime_ns, state.st_mtime_ns))
    assert (entry.stat().st_size, entry.stat().st_ino) == (state.st_size, inode)
    (fault,) = look_at_table(root / "readings").faults
    assert fault.path == entry


def test_a_folder_without_a_log_is_a_fault_and_no_folder_is_none(root):
    assert look_at_table(root / "never").faults == ()
    (root / "readings" / "_delta_log").rename(root / "elsewhere")
    (fault,) = look_at_table(root / "readings").faults
    assert "log is gone" in fault.found


@pytest.mark.parametrize("damage", [lambda p: p.unlink(), lambda p: p.write_bytes(p.read_bytes()[:-1])])
def test_a_lost_or_shortened_data_file_concerns_its_day_alone_and_writing_the_day_mends_it(root, damage):
    path = file_of(root, DAYS[2])
    damage(path)
    health = look_at_table(root / "readings")
    (fault,) = health.faults
    assert (fault.path, fault.day) == (path, DAYS[2].isoformat())
    assert health.fault_of(day=DAYS[2].isoformat(), rows=2, version=1) == fault
    assert health.fault_of(day=DAYS[0].isoformat(), rows=2, version=1) is None
    store = TableStore(str(root.parent))
    with pytest.raises(StorageError, match=path.name):
        store.read(READINGS)
    store.replace_days(READINGS, rows(DAYS[2]), days=[DAYS[2]])
    assert store.read(READINGS).height == 6
    assert look_at_table(root / "readings").is_readable


def test_a_flipped_page_of_the_same_size_is_found_by_decoding(root):
    path = file_of(root, DAYS[0])
    content = bytearray(path.read_bytes())
    content[4:60] = os.urandom(56)
    path.write_bytes(bytes(content))
    assert look_at_table(root / "readings").is_readable
    (fault,) = decode_table(root / "readings")
    assert fault.path == path
    assert "remove this file" in fault.cure


def test_what_a_materialisation_recorded_is_held_against_the_table(root):
    health = look_at_table(root / "readings")
    day = DAYS[1].isoformat()
    assert health.fault_of(day=day, rows=2, version=1) is None
    assert "version 1, recorded was 7" in health.fault_of(day=day, rows=2, version=7).found
    assert "2 rows, recorded were 5" in health.fault_of(day=day, rows=5, version=1).found
    gone = look_at_table(root / "never")
    assert "gone" in gone.fault_of(day=day, rows=2, version=0).found
    assert gone.fault_of(day=day, rows=0, version=0) is None
