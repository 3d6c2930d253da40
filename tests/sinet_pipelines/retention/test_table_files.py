"""Files of tables: those of old versions go once they are old, every row and every file of a write stays."""

import json
import os
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

from deltalake import DeltaTable

from sinet_pipelines.retention.places import Place
from sinet_pipelines.retention.policy import Kind
from sinet_pipelines.retention.runs import EventLog
from sinet_pipelines.retention.tables import Tables, tables_of_place
from sinet_pipelines.storage.layout import data_docs
from sinet_pipelines.storage.tables import content_hash
from tests.sinet_pipelines.retention.conftest import names
from tests.sinet_pipelines.storage.test_health import DAYS, READINGS, rows


def written_twice(store):
    """A table with a day of two versions, whose old file is listed as old at once."""
    store.tables.replace_days(READINGS, rows(*DAYS), days=DAYS)
    store.tables.replace_days(READINGS, rows(DAYS[1], value=2.0), days=[DAYS[1]])
    return Path(store.tables.uri(READINGS))


def look(store, hours=0.0) -> Tables:
    return tables_of_place(Place(store.home, "EAST"), keep=timedelta(hours=hours), now=datetime.now(UTC))


def old_things(store):
    return [one for one in look(store).things() if one.kind is Kind.TABLE_FILES]


def files(folder):
    return set(folder.rglob("*.parquet"))


def replaced_before(folder, age):
    """Sets the time at which the newest commit removed files from the table."""
    entry = max((folder / "_delta_log").glob("*.json"))
    actions = [json.loads(line) for line in entry.read_text().splitlines()]
    for action in actions:
        if "remove" in action:
            action["remove"]["deletionTimestamp"] = int((time.time() - age.total_seconds()) * 1000)
    entry.write_text("".join(f"{json.dumps(action)}\n" for action in actions))


def test_an_execution_removes_a_file_two_hours_after_it_was_replaced_and_no_sooner(plain):
    folder = written_twice(plain)
    there = files(folder)
    replaced_before(folder, timedelta(minutes=110))
    assert plain.retain(0).removed == ()
    assert files(folder) == there
    replaced_before(folder, timedelta(minutes=130))
    assert len(names(plain.retain(0).removed, Kind.TABLE_FILES)) == 1
    assert len(there) - len(files(folder)) == 1


def test_the_removal_of_a_replaced_file_leaves_all_rows(plain):
    folder = written_twice(plain)
    before, there = content_hash(plain.tables.read(READINGS), READINGS), files(folder)
    assert plain.retain(0).removed == ()
    (old,) = old_things(plain)
    assert look(plain).remove(old)
    assert len(there) - len(files(folder)) == 1
    assert content_hash(plain.tables.read(READINGS), READINGS) == before
    assert plain.tables.health(READINGS).faults == ()


def test_a_removal_writes_no_commit(plain):
    log = written_twice(plain) / "_delta_log"
    before = sorted(log.iterdir())
    found = look(plain)
    assert [found.remove(one) for one in found.things()] == [True]
    assert sorted(log.iterdir()) == before
    assert list(look(plain).things()) == []


def test_a_replaced_file_stays_while_a_run_is_in_progress_that_began_before(plain):
    written_twice(plain)
    plain.log = EventLog(in_progress=("1234",), oldest_start=datetime.now(UTC) - timedelta(hours=1))
    at = datetime.now(UTC) + timedelta(days=2)
    (kept,) = [one for one in plain.look(at).things if one.kind is Kind.TABLE_FILES]
    assert kept.unused_since == at  # the run began a hundred hours before `at`: its files are not old yet


def test_a_file_that_a_restored_version_has_again_stays(plain):
    folder = written_twice(plain)
    found, there = look(plain), files(folder)
    (old,) = [one for one in found.things() if one.kind is Kind.TABLE_FILES]
    DeltaTable(str(folder)).restore(0)
    assert found.remove(old) is False
    assert files(folder) == there


def test_a_file_that_no_commit_names_yet_stays_however_old_it_looks(plain):
    uncommitted = written_twice(plain) / f"event_date={DAYS[0]}" / "part-00000-of-another-writer.snappy.parquet"
    uncommitted.write_bytes(b"PAR1")
    os.utime(uncommitted, (1, 1))
    found = look(plain)
    assert [found.remove(one) for one in found.things()] == [True]
    assert uncommitted.exists()


def test_a_damaged_table_is_left_to_others_and_named(plain):
    for entry in (written_twice(plain) / "_delta_log").glob("*.json"):
        entry.write_text("{")
    found = plain.retain(0)
    assert found.removed == ()
    assert "nothing of EAST/mill/readings goes" in found.plan.notes[0]


def test_a_folder_or_a_link_in_the_place_of_an_old_file_stays(plain, tmp_path):
    written_twice(plain)
    (listed,) = old_things(plain)
    old = plain.home / listed.name
    found = look(plain)
    old.rename(tmp_path / "moved.parquet")
    old.symlink_to(tmp_path / "moved.parquet")
    assert old_things(plain) == []
    assert found.remove(listed) is False
    assert (tmp_path / "moved.parquet").exists()
    old.unlink()
    (old / "of a user").mkdir(parents=True)
    assert old_things(plain) == []
    assert found.remove(listed) is False


def test_a_process_that_has_read_a_table_reads_its_new_rows_after_a_rewrite_and_a_removal(plain):
    written_twice(plain)
    assert plain.tables.read(READINGS).height == 6
    plain.tables.replace_days(READINGS, rows(*DAYS, value=5.0), days=DAYS)
    found = look(plain)
    assert len([found.remove(one) for one in found.things()]) == 4
    assert set(plain.tables.read(READINGS)["value"]) == {5.0}


def test_outputs_of_runs_go_after_a_month_and_folders_of_others_stay(plain):
    folder = plain.home / "dagster" / "compute_logs"
    old, new = ("11111111-1111-1111-1111-11111111111" + end for end in "12")
    for name, age_days in ((old, 31), (new, 29), ("notes of a person", 400)):
        (folder / name).mkdir(parents=True)
        at = time.time() - age_days * 86_400
        os.utime(folder / name, (at, at))
    assert names(plain.retain(0).removed, Kind.OUTPUT) == [old]
    assert sorted(path.name for path in folder.iterdir()) == [new, "notes of a person"]


def test_the_output_of_an_old_tick_goes_and_that_of_a_new_tick_of_an_old_sensor_stays(plain):
    folder = plain.home / "dagster" / "compute_logs" / "__repository__" / "sensor"
    folder.mkdir(parents=True)
    for name, age_days in (("old.err", 31), ("new.err", 0)):
        (folder / name).write_text("tick")
        at = time.time() - age_days * 86_400
        os.utime(folder / name, (at, at))
    os.utime(folder.parent, (1, 1))
    os.utime(folder, (1, 1))
    (removed,) = names(plain.retain(0).removed, Kind.OUTPUT)
    assert removed.startswith("__repository__/sensor/20")
    assert [path.name for path in folder.iterdir()] == ["new.err"]


def test_a_home_without_anything_has_nothing_to_remove(plain):
    plain.home.mkdir()
    assert plain.retain(0).removed == ()
    assert not (plain.home / "retention.json").exists()


def test_data_docs_are_no_table_and_stay(plain):
    written_twice(plain)
    before = [one.name for one in look(plain).things()]
    page = Path(plain.tables.root) / data_docs(plain.tables.application) / "readings" / "page.html"
    page.parent.mkdir(parents=True)
    page.write_text("page")
    found = look(plain)
    assert ([one.name for one in found.things()], list(found.notes)) == (before, [])
    assert page.exists()
