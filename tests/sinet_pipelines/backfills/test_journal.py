"""The journal: readable after a kill at any byte, damaged lines named, what other homes began left alone."""

import json
import shutil

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sinet_pipelines.backfills import record as kinds
from sinet_pipelines.backfills.history import MEASURES
from sinet_pipelines.backfills.journal import (
    append_entry,
    find_number,
    forget_request,
    journal_path,
    journals,
    next_number,
    numbers_of,
    read_entries,
    request,
    requested,
)
from sinet_pipelines.backfills.record import coverage, record_of
from sinet_pipelines.errors import StorageError, UsageError

GOAL = {"selection": "group:a", "assets": ["EAST/a"], "days": ["2026-03-01", "2026-03-02"], "redo_after": None}
PROCESS = {"pid": 1, "process_started": 2.5}
ESTIMATE = {"value": 10.0, "lower": 8.0, "upper": 12.0, "runs": 5, "unknown": []}
ASSETS = {"EAST/a": ["2026-03-01", "2026-03-02"]}


def amounts(value):
    return dict.fromkeys(MEASURES, value)


def write(home, number=1, *, truth=11.0, state="done", as_planned=True, pid=PROCESS["pid"]):
    """A whole journal, entry by entry; returns its file."""
    path = journal_path(home, number)
    append_entry(path, kinds.BEGUN, home=str(home), goal=GOAL, **{**PROCESS, "pid": pid})
    append_entry(path, kinds.PLANNED, code={"EAST/a": "1"}, assets=ASSETS, estimates=dict.fromkeys(MEASURES, ESTIMATE))
    append_entry(path, kinds.RUN_STARTED, run_id="one", assets=ASSETS)
    append_entry(path, kinds.RUN_ENDED, run_id="one", status="SUCCESS", assets=ASSETS, amounts=amounts(truth))
    append_entry(path, kinds.PAUSED)
    append_entry(path, kinds.RESUMED, pid=7, process_started=8.5)
    append_entry(path, kinds.FINISHED, state=state, failed={}, refused={}, as_planned=as_planned)
    return path


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    return write(tmp_path_factory.mktemp("whole")).read_bytes()


@given(data=st.data())
def test_a_kill_at_any_byte_leaves_a_journal_that_can_be_read_and_continued(whole, tmp_path_factory, data):
    home = tmp_path_factory.mktemp("killed")
    path = journal_path(home, 1)
    path.parent.mkdir()
    length = data.draw(st.integers(0, len(whole)))
    path.write_bytes(whole[:length])
    entries = read_entries(path)
    assert [json.dumps(entry, sort_keys=True) for entry in entries] == whole[:length].decode().split("\n")[:-1]
    if entries:
        assert record_of(1, entries).state in ("running", "paused", "done")
    append_entry(path, kinds.BEGUN if not entries else kinds.RESUMED, home=str(home), goal=GOAL, **PROCESS)
    again = read_entries(path)
    assert again[:-1] == entries
    assert record_of(1, again).state == "running"


def test_a_journal_without_a_whole_line_is_of_no_backfill(tmp_path):
    path = journal_path(tmp_path, 1)
    path.parent.mkdir()
    path.write_bytes(b'{"kind": "beg')
    assert numbers_of(tmp_path) == []
    assert next_number(tmp_path) == 1


@pytest.mark.parametrize("line", [b"{", b"[]", b'{"kind": "begun"}', b"\xff\xfe", b""])
def test_a_damaged_line_in_the_middle_is_named_with_the_cure(tmp_path, line):
    path = write(tmp_path)
    first, rest = path.read_bytes().split(b"\n", 1)
    path.write_bytes(b"\n".join([first, line, rest]))
    with pytest.raises(StorageError, match=r"line 2 of the journal .*0001\.jsonl is no entry; move the file away"):
        read_entries(path)


def test_a_backfill_is_found_by_its_number_and_the_last_one_without(tmp_path):
    write(tmp_path, 1)
    write(tmp_path, 2)
    assert (find_number(tmp_path, None), find_number(tmp_path, 1), next_number(tmp_path)) == (2, 1, 3)
    with pytest.raises(UsageError, match=r"no backfill 7 in .* \(there are: 1, 2\)"):
        find_number(tmp_path, 7)


def test_without_any_backfill_the_message_names_the_command_that_begins_one(tmp_path):
    with pytest.raises(UsageError, match="no backfill was begun in .*`sinet backfill run SELECTION` begins one"):
        find_number(tmp_path, None)


def test_the_last_session_and_the_first_plan_count(tmp_path):
    record = record_of(1, read_entries(write(tmp_path)))
    assert (record.state, record.process, record.code) == ("done", (7, 8.5), {"EAST/a": "1"})
    assert record.truths == dict.fromkeys(MEASURES, 11.0)
    assert record.estimates["seconds"].holds(11.0)


def test_coverage_counts_finished_backfills_that_made_what_was_planned(tmp_path):
    write(tmp_path, 1, truth=11.0)
    write(tmp_path, 2, truth=50.0)
    write(tmp_path, 3, truth=11.0, as_planned=False)
    records = [record_of(number, entries) for number, entries in journals(tmp_path)]
    assert coverage(records) == dict.fromkeys(MEASURES, (1, 2))


def test_an_estimate_that_does_not_count_an_asset_is_not_compared_with_the_truth(tmp_path):
    path = write(tmp_path)
    partial = {**ESTIMATE, "unknown": ["EAST/new"]}
    append_entry(path, kinds.PLANNED, code={}, assets=ASSETS, estimates={"seconds": partial, "cost_usd": ESTIMATE})
    planned, entries = read_entries(path)[-1], read_entries(path)[:-1]
    record = record_of(1, [entry if entry["kind"] != kinds.PLANNED else planned for entry in entries])
    assert (coverage([record])["seconds"], coverage([record])["cost_usd"]) == ((0, 0), (1, 1))


def test_an_amount_that_could_not_be_read_has_no_truth(tmp_path):
    path = write(tmp_path)
    append_entry(
        path, kinds.RUN_ENDED, run_id="2", status="SUCCESS", assets={}, amounts={**amounts(1.0), "table_bytes": None}
    )
    assert "table_bytes" not in record_of(1, read_entries(path)).truths


def test_a_moved_home_keeps_its_backfills_and_a_copied_one_does_not(tmp_path):
    home, copy, moved = tmp_path / "home", tmp_path / "copy", tmp_path / "moved"
    write(home)
    shutil.copytree(home, copy)
    assert record_of(1, read_entries(journal_path(home, 1))).is_of(home)
    assert not record_of(1, read_entries(journal_path(copy, 1))).is_of(copy)
    home.rename(moved)
    assert record_of(1, read_entries(journal_path(moved, 1))).is_of(moved)


def test_another_home_at_the_place_of_a_moved_one_does_not_take_its_backfills(tmp_path):
    home, moved = tmp_path / "home", tmp_path / "moved"
    write(home)
    home.rename(moved)
    write(home, pid=2)  # the same process may write both in a millisecond
    assert record_of(1, read_entries(journal_path(moved, 1))).is_of(moved)


def test_a_request_of_another_process_is_read_once_and_forgotten(tmp_path):
    write(tmp_path)
    assert requested(tmp_path, 1) == ""
    request(tmp_path, 1, "pause")
    assert requested(tmp_path, 1) == "pause"
    forget_request(tmp_path, 1)
    forget_request(tmp_path, 1)
    assert requested(tmp_path, 1) == ""
    assert numbers_of(tmp_path) == [1]


def test_a_journal_that_cannot_be_written_is_an_error_with_the_cure(tmp_path):
    journal_path(tmp_path, 1).mkdir(parents=True)
    with pytest.raises(StorageError, match="could not be written: Is a directory; free space or make it writable"):
        append_entry(journal_path(tmp_path, 1), kinds.PAUSED)
