"""What a Job and its pods say about how an attempt ended."""

from resources.router.endings import (
    DEADLINE_EXCEEDED,
    ERROR,
    EVICTED,
    KILLED,
    NODE_LOST,
    OOM_KILLED,
    POD_LOST,
    PREEMPTED,
    Reason,
)
from resources.router.seen import SeenJob, SeenPod

IMAGE_REASONS = (
    "ErrImagePull",
    "ImagePullBackOff",
    "InvalidImageName",
    "ErrImageNeverPull",
    "CreateContainerConfigError",
)
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
KILL_CODES = (137, 143)  # 128 + SIGKILL, 128 + SIGTERM


def why_failed(seen: SeenJob) -> tuple[Reason, str]:
    """The reason of a failed Job and the words that Kubernetes has for it; the pod knows better than the Job."""
    if seen.reason == "DeadlineExceeded":
        return DEADLINE_EXCEEDED, seen.message or "the Job was active longer than its deadline"
    for pod in seen.pods:
        found = _why_ended(pod)
        if found is not None:
            return found
    return POD_LOST, f"the Job failed ({seen.reason or 'no reason given'}) and no pod of it is left"


def why_disturbed(seen: SeenJob) -> tuple[Reason, str] | None:
    """The reason for which the cluster takes a Job's pod away; None where it does not."""
    if seen.is_suspended:
        return PREEMPTED, "its queue suspended the Job"
    if seen.is_failed:
        reason, message = why_failed(seen)
        return None if reason is ERROR else (reason, message)
    for pod in seen.pods:
        if pod.disruption:
            return DISRUPTIONS.get(pod.disruption.split(":")[0], EVICTED), pod.disruption
        if pod.is_going:
            return POD_LOST, f"somebody deleted pod {pod.name}"
    return None


def _why_ended(pod: SeenPod) -> tuple[Reason, str] | None:
    if pod.exit_reason == "OOMKilled":
        return OOM_KILLED, f"the container of pod {pod.name} went over its memory limit"
    if pod.reason in POD_REASONS:
        return POD_REASONS[pod.reason], pod.message or f"pod {pod.name}: {pod.reason}"
    if pod.disruption:
        return DISRUPTIONS.get(pod.disruption.split(":")[0], EVICTED), pod.disruption
    if pod.is_going:
        return POD_LOST, f"somebody deleted pod {pod.name}"
    if pod.exit_code in KILL_CODES:
        return KILLED, f"the container of pod {pod.name} ended with code {pod.exit_code}"
    if pod.exit_code:
        return ERROR, f"the container of pod {pod.name} ended with code {pod.exit_code}"
    return None
