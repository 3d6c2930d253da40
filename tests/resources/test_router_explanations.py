"""What a look at a Job tells of an attempt: a Job that waits in its queue was not preempted, one that had begun was."""

from dataclasses import replace
from types import SimpleNamespace

import pytest
from dagster import DagsterEvent, MetadataValue
from dagster._core.events import EngineEventData
from kubernetes.client import (
    V1ContainerState,
    V1ContainerStateTerminated,
    V1ContainerStatus,
    V1ObjectMeta,
    V1Pod,
    V1PodStatus,
)

from resources.router.attempts import Attempt
from resources.router.clock import Patience
from resources.router.endings import JOB_LOST, KILLED, NO_VERDICT, NODE_LOST, OOM_KILLED, PREEMPTED
from resources.router.explanations import Explanations
from resources.router.fence import OUT_OF_MEMORY
from resources.router.handler import RegionStepHandler
from resources.router.places import Place
from resources.router.seen import SeenJob, seen_pod
from resources.router.weighing import Weighing
from sinet_pipelines.placement.needs import Needs


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


def weighed(*looks, is_interrupted=True, reported=None):
    """How an attempt ended whose Job was seen like that, one look after the other, and at last not at all."""
    shown = [*looks, None]
    cluster = SimpleNamespace(
        look=lambda namespace, name: shown.pop(0),
        removal_event=lambda namespace, name: reported,
        last_lines=lambda namespace, pod, container: ("at work",),
    )
    attempt = Attempt("step", 0, step=None, run_id="run", place=Place("EAST", "cpu", 1.0), name="a", needs=Needs())
    attempt.is_interrupted = is_interrupted
    explanations = Explanations(SimpleNamespace(get=lambda region: cluster))
    weighing = Weighing(explanations, patience=Patience())
    for _ in (*looks, None):
        found = weighing.outcome(
            attempt, explanations.look(attempt), lasted=lambda what, limit_s: limit_s == 0, has_begun=lambda: True
        )
    return found


GOING = SimpleNamespace(
    name="a-1", is_live=True, is_going=True, container="dagster", disruption="", exit_code=None, phase="Running"
)


def test_an_interrupted_worker_whose_job_is_gone_was_ended_with_its_job_and_nobody_waits_for_its_word():
    ended = weighed(replace(job(is_suspended=False, pods=(GOING,)), is_going=True))
    assert (ended.reason, ended.log) == (JOB_LOST, ("at work",))
    assert "Job a does not exist" in ended.message


def test_a_job_that_went_with_its_node_was_not_deleted_by_somebody():
    ended = weighed(job(is_suspended=False, pods=(GOING,)), reported=("TaintManagerEviction", "the node is not ready"))
    assert (ended.reason, ended.message) == (NODE_LOST, "the node is not ready")


def test_a_worker_that_may_still_write_is_waited_for_though_its_job_is_gone():
    assert weighed(is_interrupted=False) is None


def test_a_pod_that_does_not_end_after_its_grace_period_is_lost_with_its_node():
    lost = replace_pod(disruption="DeletionByTaintManager: the node is not ready")
    explanations = Explanations(SimpleNamespace(get=lambda region: SimpleNamespace(last_lines=lambda *_, **__: ())))
    attempt = Attempt(
        "step", 0, step=None, run_id="run", place=Place("EAST", "cpu", 1.0), needs=Needs(checkpoint_seconds=30)
    )
    found = {
        waited_s: Weighing(explanations, patience=Patience()).outcome(
            attempt,
            job(is_suspended=False, pods=(lost,)),
            lasted=lambda what, limit_s, waited_s=waited_s: waited_s >= limit_s,
            has_begun=lambda: True,
        )
        for waited_s in (119, 120)
    }
    assert found[119] is None
    assert found[120].reason is NODE_LOST


def replace_pod(**how):
    return SimpleNamespace(**{**vars(GOING), **how})


@pytest.mark.parametrize("how", [{"is_interrupted": True}, {}])
def test_a_job_that_its_queue_suspends_at_work_is_preempted(how):
    pods = () if how else (SimpleNamespace(name="step-x", is_live=True, container="dagster"),)
    assert looked_at(job(is_suspended=True, pods=pods), **how).disturbed.reason is PREEMPTED


UNBOUND = "0/2 nodes are available: pod has unbound immediate PersistentVolumeClaims. not found"
WHY = 'step-x-local-ssd: storageclass.storage.k8s.io "absent" not found'


@pytest.mark.parametrize(
    ("waited_s", "why", "found"),
    [(299, WHY, None), (300, WHY, f"NoVolume: {UNBOUND} ({WHY})"), (300, None, None)],
)
def test_a_pod_whose_volume_nobody_provides_is_given_up_with_the_provisioners_words(waited_s, why, found):
    cluster = SimpleNamespace(unprovisioned=lambda namespace, pod: why)
    pod = replace_pod(name="step-x", phase="Pending", is_going=False, is_at_work=False, unschedulable=UNBOUND)
    attempt = Attempt("step", 0, step=None, run_id="run", place=Place("EAST", "cpu", 1.0), needs=Needs())
    ending = Weighing(Explanations(SimpleNamespace(get=lambda region: cluster)), patience=Patience()).outcome(
        attempt,
        job(is_suspended=False, pods=(pod,)),
        lasted=lambda what, limit_s: waited_s >= limit_s,
        has_begun=lambda: False,
    )
    assert (ending and f"{ending.reason.name}: {ending.message}") == found


@pytest.mark.parametrize(("exit_reason", "expected"), [("OOMKilled", OOM_KILLED), ("Completed", NO_VERDICT)])
def test_a_worker_that_ran_out_of_memory_gets_more_though_it_ended_with_code_0(exit_reason, expected):
    ended = seen_pod(pod_that_ended(exit_reason))
    whole = SeenJob(is_complete=True, is_failed=False, is_suspended=False, reason="", message="", pods=(ended,))
    cluster = SimpleNamespace(last_lines=lambda namespace, pod, container: ("last",))
    attempt = Attempt("step", 0, step=None, run_id="run", place=Place("EAST", "cpu", 1.0), name="a", needs=Needs())
    weighing = Weighing(Explanations(SimpleNamespace(get=lambda region: cluster)), patience=Patience())
    found = weighing.outcome(attempt, whole, lasted=lambda what, limit_s: True, has_begun=lambda: True)
    assert (found.reason, found.log) == (expected, ("last",))
    assert weighing.outcome(attempt, whole, lasted=lambda what, limit_s: False, has_begun=lambda: True) is None


def pod_that_ended(exit_reason):
    state = V1ContainerState(terminated=V1ContainerStateTerminated(exit_code=0, reason=exit_reason))
    worker = V1ContainerStatus(name="dagster", image="x", image_id="x", ready=False, restart_count=0, state=state)
    status = V1PodStatus(phase="Succeeded", container_statuses=[worker])
    return V1Pod(metadata=V1ObjectMeta(name="a-x"), status=status)


def test_a_step_whose_child_was_killed_for_memory_gets_more_memory():
    ended = V1ContainerStateTerminated(exit_code=137, reason="Error")
    status = V1ContainerStatus(
        name="dagster", image="x", image_id="x", ready=False, restart_count=0, state=V1ContainerState(terminated=ended)
    )
    pod = V1Pod(metadata=V1ObjectMeta(name="a-1"), status=V1PodStatus(phase="Failed", container_statuses=[status]))
    failed = replace(job(is_suspended=False, pods=(seen_pod(pod),)), is_failed=True)
    cluster = SimpleNamespace(
        last_lines=lambda namespace, pod, container: ("BrokenProcessPool",), removal_event=lambda namespace, name: None
    )
    attempt = Attempt("step", 1, step=None, run_id="run", place=Place("EAST", "cpu", 1.0), name="a", needs=Needs())
    handler = RegionStepHandler()
    handler._attempts["step"] = attempt
    data = EngineEventData(metadata={OUT_OF_MEMORY: MetadataValue.int(0)})
    event = DagsterEvent("ENGINE_EVENT", "job", step_key="step", event_specific_data=data)
    weighing = Weighing(Explanations(SimpleNamespace(get=lambda region: cluster)), patience=Patience())

    def outcome():
        handler.note_event(event)
        return weighing.outcome(attempt, failed, lasted=lambda *_: True, has_begun=lambda: True).reason

    assert outcome() is KILLED  # what an earlier attempt noted is not about this one
    attempt.number = 0
    assert outcome() is OOM_KILLED
