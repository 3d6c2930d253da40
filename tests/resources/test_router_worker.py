"""The entry of a step's process: it takes Dagster's arguments, and ends at once while it has begun nothing."""

import warnings

import pytest
from dagster import BackfillPolicy, DagsterInstance, asset, job, op
from dagster._utils.interrupts import capture_interrupts, check_captured_interrupt

from resources.router import execution
from resources.router.definition import LOOK_VARIABLE, look_s
from resources.router.fence import Fence
from resources.router.worker import USAGE, expect_beta, main
from sinet_pipelines.errors import UsageError
from tests.waiting import until


@op
def work():
    """Never runs."""


@job
def some_job():
    work()


@pytest.fixture(autouse=True)
def signals_as_they_were():
    import signal

    before = signal.getsignal(signal.SIGTERM)
    yield
    signal.signal(signal.SIGTERM, before)


@pytest.mark.parametrize("arguments", [[], ["api", "grpc"]])
def test_another_command_is_refused_in_one_sentence(arguments, capsys):
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert ended.value.code == USAGE
    assert "(allowed: 'api execute_step')" in capsys.readouterr().err


@pytest.mark.parametrize("seconds", ["soon", "nan", "-1", "inf"])
def test_seconds_that_are_no_number_are_refused_in_one_sentence(seconds, capsys):
    with pytest.raises(SystemExit) as ended:
        main(["linger", "job", seconds, "api", "execute_step"])
    assert ended.value.code == USAGE
    assert capsys.readouterr().err == (
        f"found {seconds!r} seconds after 'linger' (allowed: a number from 0 on); pass such a number\n"
    )


@pytest.mark.parametrize("text", ["soon", "", "0", "-1", "nan", "inf"])
def test_a_pause_of_the_executor_that_is_no_number_is_refused_with_its_variable(text):
    with pytest.raises(UsageError, match=f"{LOOK_VARIABLE} is {text!r} .allowed: seconds above 0."):
        look_s(text)


def test_a_worker_that_its_run_wants_no_more_is_told_to_end(monkeypatch):
    monkeypatch.setattr(execution, "WATCH_S", 0.02)
    with DagsterInstance.ephemeral() as instance:
        run = instance.create_run_for_job(some_job)
        fence = Fence(instance, run.run_id, "work", 0)
        with capture_interrupts(), execution._watched(fence):
            instance.report_run_canceling(run)
            until(check_captured_interrupt)
    assert fence.closed == "its run is CANCELING"


def test_the_last_lines_of_a_pods_log_are_no_warnings_of_beta_parts():
    def declared():
        @asset(backfill_policy=BackfillPolicy.single_run())
        def one():
            pass

    with warnings.catch_warnings(record=True) as before:
        warnings.simplefilter("always")
        declared()
    assert "is currently in beta" in str(before[0].message)
    with warnings.catch_warnings(record=True) as after:
        warnings.simplefilter("always")
        expect_beta()
        declared()
    assert after == []
