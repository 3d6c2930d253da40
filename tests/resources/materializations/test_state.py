"""What an asset's state is said to be: done, partial, failed, missing or running, by its landed days and checks."""

import fcntl
from datetime import UTC, date, datetime, timedelta
from functools import cache

import dagster as dg
import pytest
from dagster._core.events import DagsterEvent, DagsterEventType
from dagster._core.execution.plan.objects import StepSuccessData

from resources.materializations.asset_state import Failure
from resources.materializations.state import is_run_in_progress, states
from resources.placement import bind
from sinet_pipelines.applications.turbofan.landed import TELEMETRY
from sinet_pipelines.schemas.contract import DataClass
from sinet_pipelines.storage.layout import landing_root
from tests.deployed import deployment_at
from tests.inventory import EAST
from tests.zones import landing_zone

ROWS, MODEL = dg.AssetKey(["EAST", "turbofan", "rows"]), dg.AssetKey(["turbofan", "model"])
FIRST = date(2026, 3, 1)
DAYS = [FIRST + timedelta(days=ahead) for ahead in range(3)]


@pytest.fixture
def instance():
    with dg.DagsterInstance.ephemeral() as found:
        yield found


@pytest.fixture
def home(tmp_path):
    """A home in which three days have landed."""
    for day in DAYS:
        folder = landing_root(tmp_path, "EAST", "turbofan") / str(day)
        folder.mkdir(parents=True)
        (folder / "drop.parquet").write_bytes(b"looked at by name alone")
    return tmp_path


@cache
def toy():
    """An asset with days and one without, each with a check, and one that somebody else makes."""
    days = dg.DailyPartitionsDefinition(str(FIRST))
    place = bind(EAST, data_class=DataClass.RAW)
    checks = [dg.AssetCheckSpec("holds", asset=ROWS)]

    @dg.asset(key=ROWS, partitions_def=days, check_specs=checks, group_name="ingestion", **place)
    def rows(): ...

    @dg.asset(key=MODEL, deps=[ROWS], check_specs=[dg.AssetCheckSpec("agrees", asset=MODEL)], **place)
    def model(): ...

    return dg.Definitions([rows, model, dg.AssetSpec("outside")], resources={"east": None, "deployment": None})


@pytest.fixture
def look(instance, home):
    """The states of the two assets: rows, then model."""
    return lambda: states(instance, toy().resolve_asset_graph(), deployment_at(home))


def begin(instance, keys):
    """A run of some of the assets that has started."""
    job = toy().resolve_implicit_global_asset_job_def()
    return instance.create_run_for_job(job, asset_selection=frozenset(keys), status=dg.DagsterRunStatus.STARTED)


def step(instance, run, key, kind):
    """Records that a step of a run begins or ends."""
    data = StepSuccessData(duration_ms=1.0) if kind == DagsterEventType.STEP_SUCCESS else None
    event = DagsterEvent(kind.value, run.job_name, step_key=key.to_python_identifier(), event_specific_data=data)
    instance.report_dagster_event(event, run.run_id)


def make(instance, key, *days):
    for day in days or (None,):
        event = dg.AssetMaterialization(key, partition=str(day) if day else None)
        instance.report_runless_asset_event(event)


def judge(instance, key, check, *, passed, day=None, reason=None):
    run = begin(instance, [key])
    partition = str(day) if day else None
    evaluation = dg.AssetCheckEvaluation(
        asset_key=key, check_name=check, passed=passed, partition=partition, metadata={}, description=reason
    )
    event = DagsterEvent(DagsterEventType.ASSET_CHECK_EVALUATION.value, "any", event_specific_data=evaluation)
    instance.report_dagster_event(event, run.run_id)
    instance.report_dagster_event(DagsterEvent(DagsterEventType.RUN_SUCCESS.value, "any"), run.run_id)


@pytest.mark.parametrize("name", ["1970-01-01", "2099-01-01"])
def test_drops_of_a_day_that_is_no_partition_are_no_missing_day(look, home, name):
    before = look()[0].missing
    (landing_root(home, "EAST", "turbofan") / name).mkdir()
    (landing_root(home, "EAST", "turbofan") / name / "drop.parquet").write_bytes(b"looked at by name alone")
    assert look()[0].missing == before == len(DAYS)


def test_what_was_never_made_is_missing_and_only_what_runs_is_listed(look):
    rows, model = look()
    assert (rows.key, rows.group, rows.region, rows.hardware) == ("EAST/turbofan/rows", "ingestion", "EAST", "cpu")
    assert (rows.state, rows.done, rows.failed, rows.missing, rows.checks) == ("missing", 0, 0, 3, {})
    assert (model.state, model.checks) == ("missing", {})


def test_an_asset_is_done_when_every_landed_day_is(look, instance):
    make(instance, ROWS, *DAYS[:2])
    assert (look()[0].state, look()[0].missing) == ("partial", 1)
    make(instance, ROWS, DAYS[2], DAYS[2] + timedelta(days=1))
    assert (look()[0].state, look()[0].done) == ("done", 3)  # a day on which nothing landed does not count


def test_a_refused_day_is_failed_and_the_others_are_what_they_are(look, instance):
    make(instance, ROWS, DAYS[0])
    judge(instance, ROWS, "holds", passed=True, day=DAYS[0])
    judge(instance, ROWS, "holds", passed=False, day=DAYS[1])
    rows = look()[0]
    assert (rows.state, rows.done, rows.failed, rows.missing) == ("partial", 1, 1, 1)
    assert (rows.checks, rows.failed_days) == ({"holds": False}, [DAYS[1]])


def test_an_asset_none_of_whose_days_passed_is_failed(look, instance):
    judge(instance, ROWS, "holds", passed=False, day=DAYS[1])
    assert look()[0].state == "failed"


def test_a_made_day_that_was_refused_since_is_made_and_its_check_is_red(look, instance):
    make(instance, ROWS, *DAYS)
    judge(instance, ROWS, "holds", passed=False, day=DAYS[0])
    rows = look()[0]
    assert (rows.state, rows.done, rows.failed, rows.checks) == ("done", 3, 0, {"holds": False})
    assert rows.failed_days == [DAYS[0]]


def test_an_asset_without_days_is_done_when_it_was_made_and_shows_its_newest_check(look, instance):
    make(instance, MODEL)
    judge(instance, MODEL, "agrees", passed=False)
    judge(instance, MODEL, "agrees", passed=True)
    assert (look()[1].state, look()[1].checks) == ("done", {"agrees": True})


def test_an_asset_whose_newest_attempt_failed_is_failed_though_it_was_made_before(look, instance):
    make(instance, MODEL)
    run = begin(instance, [MODEL])  # which says what it is going to make
    instance.report_run_failed(run)
    assert look()[1].state == "failed"


def test_what_a_step_is_at_work_on_is_running_and_what_waits_in_the_same_run_is_not(look, instance):
    run = begin(instance, [ROWS, MODEL])
    assert [state.state for state in look()] == ["missing", "missing"]
    step(instance, run, ROWS, DagsterEventType.STEP_START)
    assert [state.state for state in look()] == ["running", "missing"]
    step(instance, run, ROWS, DagsterEventType.STEP_UP_FOR_RETRY)
    assert look()[0].state == "missing"
    step(instance, run, ROWS, DagsterEventType.STEP_RESTARTED)
    assert look()[0].state == "running"
    make(instance, ROWS, *DAYS)
    step(instance, run, ROWS, DagsterEventType.STEP_SUCCESS)
    step(instance, run, MODEL, DagsterEventType.STEP_START)
    assert [state.state for state in look()] == ["done", "running"]
    instance.report_run_failed(run)
    assert [state.state for state in look()] == ["done", "failed"]


def test_a_home_is_walked_while_its_lock_is_held(tmp_path):
    assert not is_run_in_progress(tmp_path)
    with (tmp_path / "run.lock").open("a+") as lock:
        assert not is_run_in_progress(tmp_path)
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert is_run_in_progress(tmp_path)
    assert not is_run_in_progress(tmp_path)


def test_the_landed_days_of_this_home_are_the_three(home):
    assert landing_zone(home, TELEMETRY).days("EAST") == DAYS


def test_a_failed_check_says_of_which_day_and_why_and_a_passed_one_nothing(look, instance):
    judge(instance, ROWS, "holds", passed=False, day=DAYS[1], reason="half of it is kelvin")
    judge(instance, ROWS, "holds", passed=False, day=DAYS[0], reason="then")
    judge(instance, ROWS, "holds", passed=True, day=DAYS[0])
    judge(instance, MODEL, "agrees", passed=False, reason="worse")
    rows, model = look()
    assert rows.failures == [Failure("holds", DAYS[1], "half of it is kelvin")]
    assert model.failures == [Failure("agrees", None, "worse")]
    judge(instance, MODEL, "agrees", passed=True)
    assert look()[1].failures == []


def test_when_an_asset_was_last_made_is_known(look, instance):
    assert [state.made_at for state in look()] == [None, None]
    before = datetime.now(UTC)
    make(instance, MODEL)
    assert before - timedelta(seconds=1) <= look()[1].made_at <= datetime.now(UTC)
    assert look()[0].made_at is None
