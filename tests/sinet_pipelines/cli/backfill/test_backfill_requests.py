"""What others do to a backfill: requests while its code is taken over, their own locks, and files that it leaves."""

import json
import os
import time

import pytest

from sinet_pipelines.backfills import record as kinds
from sinet_pipelines.backfills.journal import append_entry, journal_path, request
from sinet_pipelines.cli import backfill_run, backfill_session
from sinet_pipelines.cli.backfill_run import resume
from sinet_pipelines.errors import BusyError
from tests.sinet_pipelines.cli.backfill.conftest import BOTH, made, texts


@pytest.mark.slow
def test_a_pause_while_a_new_process_takes_over_changed_code_is_kept(place, make, days, monkeypatch, capfd):
    signatures = iter(["one", "one", "another"])

    def signature():
        found = next(signatures)
        if found == "another":  # after this session read its requests for the last time
            request(place, 1, "pause")
        return found

    def replace_process(*_):
        raise SystemExit(0)

    with monkeypatch.context() as reloaded:
        reloaded.setattr(backfill_session, "code_signature", signature)
        reloaded.setattr(os, "execv", replace_process)
        with pytest.raises(SystemExit):
            make(days_per_run=3)
    resume(1, home=place, project=None, as_json=True)  # in this process, as after `execv`
    assert json.loads(capfd.readouterr().out)["state"] == "paused"
    assert sorted(made(place)) == texts(days[-3:])


def test_a_lock_inside_the_work_of_a_backfill_is_not_reported_as_its_own(place, make, monkeypatch):
    process = backfill_run._process()
    append_entry(journal_path(place, 1), kinds.BEGUN, home=str(place), goal={}, **process)

    def plan_of(*_, **__):
        raise BusyError("another process publishes this region; wait for it")

    monkeypatch.setattr(backfill_run, "plan_of", plan_of)
    with pytest.raises(BusyError, match="^another process publishes this region; wait for it$"):
        make()


@pytest.mark.slow
def test_a_backfill_removes_old_files_at_its_end(place, make):
    old = place / "dagster" / "compute_logs" / "7d0f2f0e-1111-4222-8333-000000000040"  # of a run
    old.mkdir(parents=True)
    before = time.time() - 40 * 86_400
    os.utime(old, (before, before))
    assert make(first=3)[0] == 0
    assert not old.exists()


@pytest.mark.slow
def test_a_table_that_the_total_of_tables_does_not_count_is_named(make, plan, days):
    make(first=3)
    facts = plan(BOTH, (days[3], days[3]), redo=True)
    assert facts["estimates"]["table_bytes"]["value"] > 0
    note = "the total of tables does not count EAST/turbofan/validated_telemetry, of which no day is on this machine"
    assert note in facts["notes"]
