"""Finds the reason why an attempt ended from its Job and pods."""

from resources.router.endings import (
    DEADLINE_EXCEEDED,
    ERROR,
    EVICTED,
    IMAGE_PULL,
    JOB_LOST,
    KILLED,
    NO_CONFIG,
    NO_CONTAINER,
    NO_PRIORITY_CLASS,
    NO_SERVICE_ACCOUNT,
    NO_VERDICT,
    NO_VOLUME,
    NODE_LOST,
    NOT_STARTED,
    OOM_KILLED,
    POD_LOST,
    POD_REFUSED,
    POD_SECURITY,
    PREEMPTED,
    QUOTA_EXCEEDED,
    RUNS_AS_ROOT,
    Reason,
)
from resources.router.seen import SeenJob, SeenPod

WAITING = {  # the kubelet's reasons for a container that cannot start and is retried for ever
    "ErrImagePull": IMAGE_PULL,
    "ImagePullBackOff": IMAGE_PULL,
    "InvalidImageName": IMAGE_PULL,
    "ErrImageNeverPull": IMAGE_PULL,
    "ImageInspectError": IMAGE_PULL,
    "RegistryUnavailable": IMAGE_PULL,
    "SignatureValidationFailed": IMAGE_PULL,
    "CreateContainerConfigError": NO_CONFIG,
    "CreateContainerError": NO_CONTAINER,
    "RunContainerError": NO_CONTAINER,
    "PreCreateHookError": NO_CONTAINER,
    "PreStartHookError": NO_CONTAINER,
    "PostStartHookError": NO_CONTAINER,
    "CrashLoopBackOff": NO_CONTAINER,  # of a sidecar that the worker waits for: the worker itself never restarts
}
REFUSALS = (  # of a pod at its creation, by the API server's message in the event FailedCreate
    ("serviceaccount", NO_SERVICE_ACCOUNT),
    ("exceeded quota", QUOTA_EXCEEDED),
    ("violates podsecurity", POD_SECURITY),
    ("priorityclass", NO_PRIORITY_CLASS),
)
MOUNTS = ("FailedMount", "FailedAttachVolume", "FailedMapVolume")
DISRUPTIONS = {  # https://kubernetes.io/docs/concepts/workloads/pods/disruptions/#pod-disruption-conditions
    "PreemptionByScheduler": PREEMPTED,
    "EvictionByEvictionAPI": EVICTED,
    "TerminationByKubelet": EVICTED,
    "DeletionByTaintManager": NODE_LOST,
    "DeletionByPodGC": NODE_LOST,
}
EVENTS = {"Preempted": PREEMPTED, "Evicted": EVICTED, "TaintManagerEviction": NODE_LOST}
POD_REASONS = {
    "Evicted": EVICTED,
    "Preempting": PREEMPTED,
    "NodeLost": NODE_LOST,
    "NodeShutdown": PREEMPTED,
    "Terminated": PREEMPTED,
    "Shutdown": PREEMPTED,
    "DeadlineExceeded": DEADLINE_EXCEEDED,
}
NEVER_STARTED = ("StartError", "ContainerCannotRun")  # a runtime's reasons for a worker that never started
KILL_CODES = (137, 143)  # 128 + SIGKILL, 128 + SIGTERM


def why_failed(seen: SeenJob) -> tuple[Reason, str]:
    """The reason of a failed Job and the message of Kubernetes; the pod's reason is preferred to the Job's."""
    if seen.reason == "DeadlineExceeded":
        return DEADLINE_EXCEEDED, seen.message or "the Job was active longer than its deadline"
    for pod in seen.pods:
        found = why_ended(pod)
        if found is not None:
            return found
    return POD_LOST, f"the Job failed ({seen.reason or 'no reason given'}) and no pod of it is left"


def why_waits(waiting: str) -> Reason | None:
    """The reason of a container that cannot start, from the kubelet's message; None where it may only be slow.

    >>> why_waits('CreateContainerConfigError: configmap "settings" not found').name
    'NoConfig'
    >>> why_waits("CreateContainerConfigError: container has runAsNonRoot and image will run as root").name
    'RunsAsRoot'
    >>> why_waits("ContainerCreating: ")
    """
    if "runAsNonRoot" in waiting or "non-root policy" in waiting:
        return RUNS_AS_ROOT
    return WAITING.get(waiting.split(":")[0])


def why_refused(message: str) -> Reason:
    """Why no pod of a Job was created, from the API server's message.

    >>> why_refused('Error creating: pods "a-1" is forbidden: exceeded quota: small, requested: cpu=2').name
    'QuotaExceeded'
    """
    text = message.lower().replace(" ", "")
    return next((reason for words, reason in REFUSALS if words.replace(" ", "") in text), POD_REFUSED)


def why_not_started(event: str) -> Reason:
    """Why the container of a pod on a node does not start, from the newest warning about the pod."""
    return NO_VOLUME if event in MOUNTS else NOT_STARTED


def why_disturbed(seen: SeenJob) -> tuple[Reason, str] | None:
    """Why the cluster removes a Job's pod; None where it does not."""
    if seen.reason == "DeadlineExceeded":  # set before the pods have ended
        return DEADLINE_EXCEEDED, seen.message or "the Job was active longer than its deadline"
    if seen.is_suspended:
        return PREEMPTED, "its queue suspended the Job"
    if seen.is_failed:
        reason, message = why_failed(seen)
        return None if reason is ERROR else (reason, message)
    for pod in seen.pods:
        if pod.disruption:
            return DISRUPTIONS.get(pod.disruption.split(":")[0], EVICTED), pod.disruption
    if seen.is_going:
        return JOB_LOST, "somebody deleted its Job"
    going = next((pod for pod in seen.pods if pod.is_going), None)
    return (POD_LOST, f"somebody deleted pod {going.name}") if going else None


def why_ended(pod: SeenPod) -> tuple[Reason, str] | None:
    """The reason of a pod's end and its message, from the state of its worker; None where there is none."""
    container = f"container {pod.container} of pod {pod.name}"
    if pod.exit_reason == "OOMKilled":
        return OOM_KILLED, f"{container} exceeded its memory limit"
    if pod.exit_reason in NEVER_STARTED:
        return NO_CONTAINER, f"{container} did not start: {pod.exit_message or pod.exit_reason}"
    if pod.reason in POD_REASONS:
        return POD_REASONS[pod.reason], pod.message or f"pod {pod.name}: {pod.reason}"
    if pod.disruption:
        return DISRUPTIONS.get(pod.disruption.split(":")[0], EVICTED), pod.disruption
    if pod.is_going:
        return POD_LOST, f"somebody deleted pod {pod.name}"
    if pod.exit_code in KILL_CODES:
        return KILLED, f"{container} ended with code {pod.exit_code}"
    if pod.exit_code:
        return ERROR, f"{container} ended with code {pod.exit_code}"
    if pod.exit_code == 0:
        return NO_VERDICT, f"{container} ended with code 0" + (f" ({pod.others})" if pod.others else "")
    return None
