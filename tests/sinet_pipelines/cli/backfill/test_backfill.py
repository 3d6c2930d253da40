"""`sinet backfill`: a plan, exactly the missing days, pause and resume, what others do meanwhile, and bad input."""

import json
import os
import shutil
import signal
import subprocess
import sys
from datetime import timedelta

import dagster as dg
import polars as pl
import pytest

from sinet_pipelines.applications.turbofan.landed import TELEMETRY
from sinet_pipelines.applications.turbofan.schemas.telemetry import DROP
from sinet_pipelines.backfills import record as kinds
from sinet_pipelines.backfills.journal import append_entry, journal_path, read_entries, request
from sinet_pipelines.backfills.order import BackfillOrder
from sinet_pipelines.cli.backfill_pages import request_of, show_list, show_one, show_plan
from sinet_pipelines.cli.backfill_run import begin, resume
from sinet_pipelines.cli.home import held
from sinet_pipelines.errors import BusyError, UsageError
from tests.conftest import CHECKOUT
from tests.inventory import EAST
from tests.sinet_pipelines.cli.backfill.conftest import BOTH, DAYS, ONE, RAW, VALIDATED, made, record, texts
from tests.walk.conftest import environment_of
from tests.zones import landing_zone

pytestmark = pytest.mark.slow  # each executes a backfill

#: `sinet` that kills itself at its second run: before the run begins, or after its days are made and before the journal
#: has its end.
KILLER = """
import os, signal, sys
from sinet_pipelines.cli import orchestrator
from sinet_pipelines.cli.main import main

execute, runs, point = orchestrator.execute, [], sys.argv.pop(1)

def dying(*arguments):
    runs.append(arguments)
    if len(runs) < 2 or point == "after":
        execute(*arguments)
    if len(runs) == 2:
        os.kill(os.getpid(), signal.SIGKILL)

orchestrator.execute = dying
main()
"""


def test_a_plan_of_a_home_without_past_runs_shows_what_is_missing_and_invents_no_number(plan, days):
    facts = plan(span=(days[0], days[-1]))
    assert facts["cells"] == {"EAST/turbofan/raw_telemetry": texts(days)}
    assert (facts["runs"], facts["day_partitions"], facts["past_runs"]) == (1, DAYS, 0)
    assert {name: found["value"] for name, found in facts["estimates"].items()} == dict.fromkeys(facts["estimates"])
    assert facts["notes"] == ["this home has no past run; time, cost and events cannot be estimated"]
    assert facts["max_partitions_per_run"] == DAYS
    (region,) = facts["regions"]
    assert (region["region"], region["hardware"], region["day_partitions"]) == ("EAST", ["cpu"], DAYS)


def test_a_run_makes_exactly_the_missing_days_and_a_second_one_nothing(place, make, days):
    make(first=2)
    before = made(place)
    code, facts = make()
    after = made(place)
    assert (code, facts["state"], facts["as_planned"]) == (0, "done", True)
    assert sorted(after) == texts(days)
    assert {day: number for day, number in after.items() if day in before} == before
    assert make()[1] == {"home": str(place), "backfill": None, "state": "done", "runs": []}
    assert made(place) == after
    assert journal_path(place, 3).exists() is False


def test_the_newest_days_come_first_each_after_the_rows_it_is_made_from(make, days):
    _, facts = make(BOTH, days_per_run=2)
    found = [sorted(run["assets"]["EAST/turbofan/validated_telemetry"]) for run in facts["runs"]]
    assert found == [texts(days[2:]), texts(days[:2])]
    assert all(run["assets"]["EAST/turbofan/raw_telemetry"] for run in facts["runs"])


def test_truth_stands_beside_the_estimate_and_past_runs_give_an_interval(plan, make, days, place, capfd):
    make(days_per_run=1)
    facts = plan(redo=True, span=(days[0], days[-1]))
    assert facts["past_runs"] == DAYS
    for found in facts["estimates"].values():
        assert 0 < found["lower"] <= found["value"] <= found["upper"]
    make(redo=True)
    show_one(None, home=place, as_json=True)
    shown = json.loads(capfd.readouterr().out)
    assert set(shown["truths"]) == set(shown["estimates"])
    assert all(truth > 0 for truth in shown["truths"].values())
    assert {one["of"] for one in shown["coverage"].values()} == {1}  # the first backfill had no interval


def test_all_makes_good_days_again_once(place, make, days):
    make()
    before = made(place)
    code, facts = make(redo=True)
    assert (code, facts["state"], len(facts["runs"])) == (0, "done", 1)
    assert all(number > before[day] for day, number in made(place).items())


def test_a_pause_request_ends_the_backfill_after_its_run_and_resume_makes_the_rest(place, make, days, at_run, capfd):
    at_run(1, before=lambda _: request(place, 1, "pause"))
    code, facts = make(days_per_run=2)
    assert (code, facts["state"], sorted(made(place))) == (0, "paused", texts(days[2:]))
    first = made(place)
    assert resume(None, home=place, project=None, as_json=True) == 0
    assert json.loads(capfd.readouterr().out)["state"] == "done"
    after = made(place)
    assert sorted(after) == texts(days)
    assert {day: after[day] for day in first} == first
    with pytest.raises(UsageError, match="backfill 1 is done; `sinet backfill run"):
        resume(1, home=place, project=None, as_json=True)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_pauses_after_the_run_in_progress(place, make, days, at_run, number):
    at_run(1, before=lambda _: os.kill(os.getpid(), number))
    code, facts = make(days_per_run=1)
    assert (code, facts["state"], [run["status"] for run in facts["runs"]]) == (0, "paused", ["SUCCESS"])
    assert sorted(made(place)) == texts(days[-1:])


def test_a_cancelled_backfill_keeps_what_it_made_and_is_not_resumed(place, make, days, at_run):
    at_run(1, before=lambda _: request_of(1, "cancel", home=place, as_json=True))
    with pytest.raises(json.JSONDecodeError):  # the request printed JSON of its own
        make(days_per_run=1)
    assert (record(place).state, sorted(made(place))) == ("cancelled", texts(days[-1:]))
    with pytest.raises(UsageError, match="is cancelled"):
        resume(1, home=place, project=None, as_json=True)
    with pytest.raises(UsageError, match="there is nothing to pause"):
        request_of(1, "pause", home=place, as_json=True)


def test_days_that_land_later_are_not_added_to_a_backfill_that_was_begun(place, make, days, at_run, capfd):
    """`dbt retry` took the days of today instead of those that had failed (dbt-core#11423)."""
    at_run(1, before=lambda _: request(place, 1, "pause"))
    make(days_per_run=1)
    zone = landing_zone(place, TELEMETRY)
    rows = zone.read_day(EAST.name, days[-1]).rows.head(1).select(column.name for column in DROP.columns)
    zone.land(EAST.name, days[-1] + timedelta(days=1), name="new", rows=rows)
    resume(1, home=place, project=None, as_json=True)
    assert sorted(made(place)) == texts(days)


def test_a_day_that_someone_else_makes_meanwhile_is_not_made_a_second_time(place, make, days, at_run, definitions):
    """As a backfill of the UI beside ours."""
    from tests.conftest import executor_for

    def make_oldest(instance):
        assert executor_for(place, definitions)(instance, [RAW], (days[0], days[0])).success

    at_run(1, after=make_oldest)
    _, facts = make(days_per_run=1)
    ours = [day for run in facts["runs"] for day in run["assets"]["EAST/turbofan/raw_telemetry"]]
    assert (facts["state"], ours) == ("done", texts(days[:0:-1]))
    assert sorted(made(place)) == texts(days)
    assert facts["as_planned"] is False


def test_changed_code_makes_days_of_the_older_code_again_and_shows_it(place, make, days, at_run, monkeypatch, capfd):
    from sinet_pipelines.cli import orchestrator

    at_run(1, before=lambda _: request(place, 1, "pause"))
    make(days_per_run=2)
    first = made(place)
    graph = orchestrator.load_definitions().resolve_asset_graph()
    known = {key: graph.get(key).code_version for key in graph.get_all_asset_keys()} | {RAW: "another"}
    monkeypatch.setattr(type(graph.get(RAW)), "code_version", property(lambda self: known[self.key]))
    resume(1, home=place, project=None, as_json=True)
    assert (
        "the code of EAST/turbofan/raw_telemetry changed since; what is left was planned anew" in capfd.readouterr().err
    )
    assert all(made(place)[day] > number for day, number in first.items())
    (entry,) = [one for one in read_entries(journal_path(place, 1)) if one["kind"] == kinds.REPLANNED]
    assert entry["changed"] == ["EAST/turbofan/raw_telemetry"]


@pytest.mark.parametrize(("point", "left"), [("before", 1), ("after", 2)])
def test_after_a_kill_resume_makes_the_rest_and_nothing_twice(place, days, point, left, capfd, tmp_path):
    """Backfills of Dagster died with their daemon, and could not be resumed (dagster#33059, #11631, #29467)."""
    script = tmp_path / "killer.py"
    script.write_text(KILLER)
    words = ["backfill", "run", ONE, "--days", f"{days[0]}:{days[-1]}", "--days-per-run", "1", "--home", str(place)]
    killed = subprocess.run([sys.executable, str(script), point, *words], env=environment_of(CHECKOUT), check=False)
    assert killed.returncode == -signal.SIGKILL
    before = made(place)
    assert sorted(before) == texts(days[-left:])
    show_list(home=place, as_json=True)
    (found,) = json.loads(capfd.readouterr().out)["backfills"]
    assert found["state"] == "interrupted"
    assert resume(None, home=place, project=None, as_json=True) == 0
    after = made(place)
    assert sorted(after) == texts(days)
    assert {day: after[day] for day in before} == before
    assert json.loads(capfd.readouterr().out)["as_planned"] is False


def test_a_good_asset_of_a_day_is_not_made_again_for_the_missing_one_beside_it(place, make, days):
    """A backfill of Dagster made all assets of a partition again when one had failed (dagster#20465)."""
    make(first=2)
    before = made(place)
    _, facts = make(BOTH, first=2)
    assert [set(run["assets"]) for run in facts["runs"]] == [{"EAST/turbofan/validated_telemetry"}]
    assert made(place) == before


def test_runs_that_succeed_and_make_nothing_end_the_backfill_as_failed(place, make, days, monkeypatch):
    """An asset backfill of Dagster hung for ever after such a run (dagster#17745)."""
    from sinet_pipelines.cli import orchestrator

    def succeed(instance, run, _):
        for kind in ("PIPELINE_START", "PIPELINE_SUCCESS"):
            instance.report_dagster_event(dg.DagsterEvent(kind, run.job_name), run.run_id)

    monkeypatch.setattr(orchestrator, "execute", succeed)
    code, facts = make(first=3)
    assert (code, facts["state"], len(facts["runs"])) == (3, "failed", 3)
    assert facts["failed"] == {"EAST/turbofan/raw_telemetry": texts(days[3:])}


def test_after_three_failed_runs_in_a_row_the_rest_is_left_and_resume_makes_it(place, make, days, monkeypatch, capfd):
    from sinet_pipelines.cli import orchestrator

    with monkeypatch.context() as broken:
        fail = "the disk is full"
        broken.setattr(orchestrator, "execute", lambda instance, run, _: instance.report_run_failed(run, fail))
        code, facts = make(days_per_run=1)
    assert (code, facts["state"], len(facts["runs"])) == (3, "failed", 3)
    assert made(place) == {}
    assert resume(None, home=place, project=None, as_json=True) == 0
    assert sorted(made(place)) == texts(days)
    assert json.loads(capfd.readouterr().out)["state"] == "done"


def test_a_backfill_whose_code_does_not_load_stays_to_be_resumed(place, make, days, at_run, monkeypatch):
    """Job backfills of Dagster were cancelled while their code location did not load (dagster#33527)."""
    from sinet_pipelines.cli import orchestrator

    at_run(1, before=lambda _: request(place, 1, "pause"))
    make(days_per_run=3)
    with monkeypatch.context() as broken:
        broken.setattr(orchestrator, "load_definitions", lambda: (_ for _ in ()).throw(SyntaxError("half saved")))
        with pytest.raises(SyntaxError):
            resume(1, home=place, project=None, as_json=True)
    assert record(place).state == "paused"
    assert resume(1, home=place, project=None, as_json=True) == 0
    assert sorted(made(place)) == texts(days)


def test_code_that_changes_on_disk_is_taken_over_by_a_new_process_between_two_runs(
    place, make, days, at_run, monkeypatch
):
    from sinet_pipelines.cli import backfill_session

    signatures, started = iter(["one", "one", "another"]), []

    def replace_process(_, words):
        started.append(words[1:])
        raise SystemExit(0)

    with monkeypatch.context() as reloaded:
        reloaded.setattr(backfill_session, "code_signature", lambda: next(signatures))
        reloaded.setattr(os, "execv", replace_process)
        with pytest.raises(SystemExit):
            make(days_per_run=3)
    resumed = ["backfill", "resume", "1", "--home", str(place), "--json"]
    assert started == [["-m", "sinet_pipelines.cli", *resumed]]
    assert sorted(made(place)) == texts(days[-3:])
    assert resume(1, home=place, project=None, as_json=True) == 0
    assert sorted(made(place)) == texts(days)


def test_the_signature_of_the_code_changes_with_a_file(tmp_path, monkeypatch):
    from sinet_pipelines.cli.backfill_session import code_signature

    monkeypatch.setenv("SINET_PROJECT", str(tmp_path))
    (tmp_path / "assets").mkdir()
    (tmp_path / "assets" / "notes.txt").write_text("no code")
    before = code_signature()
    (tmp_path / "assets" / "stage.py").write_text("x = 1")
    assert before == ""
    assert code_signature() != before


def test_pages_show_state_progress_and_truth_in_plain_lines(place, make, days, capfd):
    make(first=2, days_per_run=1)
    show_list(home=place, as_json=False)
    show_one(1, home=place, as_json=False)
    shown = capfd.readouterr().out
    assert "backfill 1 is done" in shown
    assert shown.count("SUCCESS: 1 day-partition") == 2
    assert "not known" in shown
    show_plan(BackfillOrder(ONE), home=place, project=None, as_json=False)
    assert "max_partitions_per_run" in capfd.readouterr().out


def test_a_day_that_a_run_of_the_ui_is_making_is_left_to_it_and_the_others_go_first(place, make, days, monkeypatch):
    from schedules import backfill_busy

    looks, being_made = [], backfill_busy.being_made

    def one_is_busy(instance, graph):
        looks.append(1)
        return [(RAW, days[-1])] if len(looks) < 3 else being_made(instance, graph)

    monkeypatch.setattr(backfill_busy, "being_made", one_is_busy)
    _, facts = make(first=1, days_per_run=1)
    found = [run["assets"]["EAST/turbofan/raw_telemetry"] for run in facts["runs"]]
    assert found == [texts([days[2]]), texts([days[1]]), texts([days[3]])]


def test_days_that_fail_their_contract_end_the_backfill_with_1_and_are_named(place, make, days, plan):
    """A failed day stalled backfills of Airflow (airflow#25353); here its neighbours go on."""
    zone = landing_zone(place, TELEMETRY)
    rows = zone.read_day(EAST.name, days[2]).rows.select(column.name for column in DROP.columns)
    zone.land(EAST.name, days[2], name="spoilt", rows=rows.with_columns(pl.lit(-1).cast(pl.Int64).alias("cycle")))
    code, facts = make(BOTH, first=1, days_per_run=1)
    assert (code, facts["state"]) == (1, "done")
    assert facts["refused"] == {"EAST/turbofan/validated_telemetry": texts([days[2]])}
    assert sorted(made(place, VALIDATED)) == texts([days[1], days[3]])
    again = plan(BOTH, (days[1], days[-1]))
    assert (again["runs"], again["refused"]) == (0, facts["refused"])


def test_a_budget_takes_the_newest_days_that_fit_and_names_the_rest(plan, make, days):
    make(days_per_run=1)
    whole = plan(redo=True, span=(days[0], days[-1]), days_per_run=1)
    limit = whole["estimates"]["cost_usd"]["upper"] * 0.7
    facts = plan(redo=True, span=(days[0], days[-1]), days_per_run=1, budget_usd=limit)
    kept, left_out = facts["cells"]["EAST/turbofan/raw_telemetry"], facts["left_out"]
    assert kept
    assert left_out
    assert left_out + kept == texts(days)
    assert facts["estimates"]["cost_usd"]["upper"] <= limit
    assert f"the budget leaves out {len(left_out)} day" in " ".join(facts["notes"])


def test_a_budget_without_a_past_run_or_below_one_day_is_refused(plan, make, days):
    with pytest.raises(UsageError, match="a budget needs an estimate, and this home has no past run"):
        plan(budget_usd=1.0)
    make(days_per_run=1)
    with pytest.raises(UsageError, match="the budget of 1e-12 USD holds no day: the newest one takes up to"):
        plan(redo=True, budget_usd=1e-12)


def test_days_on_which_nothing_landed_are_refused(plan, days):
    late = days[-1] + timedelta(days=400), days[-1] + timedelta(days=402)
    with pytest.raises(UsageError, match=f"nothing landed from {late[0]} to {late[1]} for the selected assets"):
        plan(span=late)


def test_a_refused_request_leaves_no_backfill_behind(place, days):
    """Airflow kept a backfill of an invalid range, which blocked all later ones (apache/airflow pull 66874)."""
    late = days[-1] + timedelta(days=400)
    with pytest.raises(UsageError):
        begin(BackfillOrder(ONE, (late, late)), home=place, project=None, as_json=True)
    assert not (place / "backfills").exists()


def test_assets_without_days_are_made_once_and_take_no_days(plan, days):
    with pytest.raises(UsageError, match="the selected assets have no days, each exists once; omit --days"):
        plan('key:"EAST/turbofan/failure_events"', span=(days[0], days[-1]))
    facts = plan(f'{ONE} or key:"EAST/turbofan/failure_events"')
    assert facts["once"] == ["EAST/turbofan/failure_events"]
    assert facts["day_partitions"] == len(facts["cells"]["EAST/turbofan/raw_telemetry"])


def test_what_waits_for_an_upstream_that_is_not_selected_is_named(plan):
    facts = plan('key:"EAST/turbofan/validated_telemetry"')
    assert facts["runs"] == 0
    assert "wait for upstreams that are not selected; write + before a key" in " ".join(facts["notes"])


def test_a_second_backfill_beside_a_running_one_is_refused_by_its_number(place, make, days):
    append_entry(journal_path(place, 1), kinds.BEGUN, home=str(place), goal={}, pid=os.getpid(), process_started=1.0)
    message = rf"backfill 1 \(process {os.getpid()}\) is in progress in .*; wait for it, or `sinet backfill pause 1`"
    with held(place), pytest.raises(BusyError, match=message):
        make()


def test_the_backfill_of_the_home_that_was_copied_is_not_resumed(place, make, days, at_run, tmp_path):
    at_run(1, before=lambda _: request(place, 1, "pause"))
    make(days_per_run=1)
    copy = tmp_path / "copy"
    shutil.copytree(place, copy)
    with pytest.raises(UsageError, match=f"backfill 1 belongs to the home {place}, of which {copy} is a copy"):
        resume(1, home=copy, project=None, as_json=True)
    assert sorted(made(copy)) == texts(days[-1:])
