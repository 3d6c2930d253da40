"""What a Job and its pods show of an attempt's end: the worker's container decides, whatever runs beside it."""

import pytest
from kubernetes.client import (
    V1ContainerState,
    V1ContainerStateRunning,
    V1ContainerStateTerminated,
    V1ContainerStateWaiting,
    V1ContainerStatus,
    V1Job,
    V1JobCondition,
    V1JobSpec,
    V1JobStatus,
    V1ObjectMeta,
    V1Pod,
    V1PodStatus,
    V1PodTemplateSpec,
)

from resources.router.reading import why_disturbed, why_failed, why_refused, why_waits
from resources.router.seen import SeenJob, seen_job, seen_pod


def container(name, **state):
    return V1ContainerStatus(
        name=name, image="x", image_id="x", ready=False, restart_count=0, state=V1ContainerState(**state)
    )


def ended(name, code, reason="Error"):
    return container(name, terminated=V1ContainerStateTerminated(exit_code=code, reason=reason))


def running(name):
    return container(name, running=V1ContainerStateRunning())


def waiting(name, reason):
    return container(name, waiting=V1ContainerStateWaiting(reason=reason, message="as it is"))


def pod(*beside, before=(), phase="Failed"):
    status = V1PodStatus(phase=phase, init_container_statuses=list(before) or None, container_statuses=list(beside))
    return seen_pod(V1Pod(metadata=V1ObjectMeta(name="step-x"), status=status))


def reason_of(seen):
    reason, _ = why_failed(SeenJob(False, True, False, "BackoffLimitExceeded", "", (seen,)))
    return reason.name


@pytest.mark.parametrize("is_native", [False, True])
@pytest.mark.parametrize(
    ("worker", "proxy", "expected"),
    [
        ((137, "OOMKilled"), (143, "Error"), "OOMKilled"),
        ((1, "Error"), (137, "OOMKilled"), "Error"),
        ((143, "Error"), (255, "Error"), "Killed"),
        ((0, "Completed"), (1, "Error"), "NoVerdict"),
    ],
)
def test_the_workers_container_decides_however_the_proxy_ended(worker, proxy, expected, is_native):
    beside = [ended("istio-proxy", *proxy)]
    seen = pod(ended("dagster", *worker), before=beside) if is_native else pod(*beside, ended("dagster", *worker))
    assert reason_of(seen) == expected


def test_an_init_container_that_failed_is_named_where_the_worker_never_began():
    seen = pod(waiting("dagster", "PodInitializing"), before=[ended("fetch", 7)])
    reason, words = why_failed(SeenJob(False, True, False, "BackoffLimitExceeded", "", (seen,)))
    assert (reason.name, words) == ("Error", "container fetch of pod step-x ended with code 7")


def test_a_proxy_that_restarts_beside_a_worker_at_work_is_no_end():
    seen = pod(running("dagster"), before=[ended("istio-proxy", 1)], phase="Running")
    assert (seen.exit_code, seen.is_at_work) == (None, True)


def test_an_image_of_a_proxy_that_cannot_be_pulled_does_not_hinder_a_worker_at_work():
    seen = pod(running("dagster"), waiting("istio-proxy", "ImagePullBackOff"), phase="Pending")
    assert (seen.waiting, seen.is_at_work) == ("", True)


def test_a_worker_waits_for_the_init_container_that_cannot_start():
    seen = pod(waiting("dagster", "PodInitializing"), before=[waiting("fetch", "ErrImagePull")], phase="Pending")
    assert seen.waiting == "ErrImagePull: as it is"


@pytest.mark.parametrize(
    ("state", "expected"),
    [
        ("ImagePullBackOff", "ImagePull"),
        ("CreateContainerConfigError", "NoConfig"),
        ("CreateContainerError", "NoContainer"),
        ("RunContainerError", "NoContainer"),
    ],
)
def test_a_container_that_cannot_start_has_a_reason_of_its_own(state, expected):
    assert why_waits(f"{state}: as it is").name == expected


@pytest.mark.parametrize(
    "words",  # https://github.com/kubernetes/kubernetes/blob/master/pkg/kubelet/kuberuntime/security_context_others.go
    [
        'container has runAsNonRoot and image will run as root (pod: "a", container: dagster)',
        "container has runAsNonRoot and image has non-numeric user (sinet), cannot verify user is non-root",
        'container\'s runAsUser breaks non-root policy (pod: "a", container: dagster)',
    ],
)
def test_a_container_that_would_be_root_is_told_how_not_to_be(words):
    reason = why_waits(f"CreateContainerConfigError: {words}")
    assert reason.name == "RunsAsRoot"
    assert not reason.is_retried
    assert "run_as_user" in reason.cure


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (
            'pods "a-1" is forbidden: error looking up service account a/b: serviceaccount "b" not found',
            "NoServiceAccount",
        ),
        ('pods "a-1" is forbidden: exceeded quota: small, requested: limits.memory=4Gi', "QuotaExceeded"),
        ('pods "a-1" is forbidden: violates PodSecurity "restricted:latest": allowPrivilegeEscalation', "PodSecurity"),
        ('pods "a-1" is forbidden: no PriorityClass with name sinet-batch was found', "NoPriorityClass"),
        ('admission webhook "policy.example" denied the request: no', "PodRefused"),
    ],
)
def test_a_pod_that_may_not_be_made_has_a_reason_by_the_servers_words(words, expected):
    assert why_refused(f"Error creating: {words}").name == expected


def job(*conditions, **status):
    made = [V1JobCondition(type=kind, status="True", reason=reason, message="too long") for kind, reason in conditions]
    spec = V1JobSpec(template=V1PodTemplateSpec())
    return V1Job(metadata=V1ObjectMeta(name="step"), spec=spec, status=V1JobStatus(conditions=made, **status))


def test_a_deadline_is_known_before_the_pods_have_ended():
    going = V1Pod(metadata=V1ObjectMeta(name="step-x", deletion_timestamp="now"), status=V1PodStatus(phase="Running"))
    seen = seen_job(job(("FailureTarget", "DeadlineExceeded"), active=1), (seen_pod(going),))
    assert not seen.is_failed
    assert why_disturbed(seen)[0].name == "DeadlineExceeded"


def test_what_a_backoff_limit_is_about_to_end_is_explained_by_its_pod():
    seen = seen_job(
        job(("FailureTarget", "BackoffLimitExceeded"), active=1), (pod(ended("dagster", 137, "OOMKilled")),)
    )
    assert why_disturbed(seen) is None
    assert reason_of(seen.pods[0]) == "OOMKilled"


def test_a_container_that_the_runtime_could_not_start_is_no_crash_of_its_worker():
    why = V1ContainerStateTerminated(exit_code=128, reason="StartError", message='exec: "/no": no such file')
    seen = pod(container("dagster", terminated=why))
    reason, words = why_failed(SeenJob(False, True, False, "BackoffLimitExceeded", "", (seen,)))
    assert reason.name == "NoContainer"
    assert 'exec: "/no": no such file' in words


@pytest.mark.parametrize(("terminating", "is_failed"), [(1, False), (None, True)])
def test_a_pod_that_was_told_to_end_may_save_its_state_before_its_job_has_failed(terminating, is_failed):
    target = V1JobCondition(type="FailureTarget", status="True", reason="BackoffLimitExceeded")
    status = V1JobStatus(conditions=[target], failed=1, terminating=terminating)
    job = V1Job(metadata=V1ObjectMeta(name="a"), spec=V1JobSpec(template=V1PodTemplateSpec()), status=status)
    assert seen_job(job, ()).is_failed is is_failed
