"""What a look at a Job tells of an attempt: a Job that waits in its queue was not preempted, one that had begun was."""

from types import SimpleNamespace

import pytest

from resources.router import explanations
from resources.router.attempts import Attempt
from resources.router.endings import JOB_LOST, PREEMPTED
from resources.router.explanations import Explanations
from resources.router.places import Place
from resources.router.seen import SeenJob


def looked_at(job, **how):
    """An attempt after a look at its Job; the cluster is one that shows this Job and nothing else."""
    cluster = SimpleNamespace(look=lambda namespace, name: job, last_lines=lambda namespace, pod, container: ())
    attempt = Attempt("step", 0, step=None, run_id="run", place=Place("EAST", "cpu", 1.0), **how)
    Explanations(SimpleNamespace(get=lambda region: cluster)).look(attempt)
    return attempt


def job(*, is_suspended, pods=()):
    return SeenJob(is_complete=False, is_failed=False, is_suspended=is_suspended, reason="", message="", pods=pods)


def test_a_job_that_waits_in_its_queue_was_taken_nothing_away():
    assert looked_at(job(is_suspended=True)).disturbed is None


def test_an_interrupted_worker_whose_job_is_gone_was_ended_with_its_job(monkeypatch):
    told = []
    monkeypatch.setattr(explanations, "tell_ending", lambda attempt, ending: told.append(ending))
    cluster = SimpleNamespace(look=lambda namespace, name: None, told_of=lambda namespace, name: None)
    attempt = Attempt(
        "step", 0, step=None, run_id="run", place=Place("EAST", "cpu", 1.0), is_interrupted=True, name="a"
    )
    looking = Explanations(SimpleNamespace(get=lambda region: cluster))
    looking.look(attempt)
    looking.explain_at_last(attempt)
    assert [ending.reason for ending in told] == [JOB_LOST]
    assert "Job a was deleted" in told[0].message


@pytest.mark.parametrize("how", [{"is_interrupted": True}, {}])
def test_a_job_that_its_queue_suspends_at_work_is_preempted(how):
    pods = () if how else (SimpleNamespace(name="step-x", is_live=True, container="dagster"),)
    assert looked_at(job(is_suspended=True, pods=pods), **how).disturbed.reason is PREEMPTED
