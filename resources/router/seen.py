"""A Job and its pods as the API shows them, reduced to what the router uses."""

from dataclasses import dataclass
from typing import Any

WORKER = "dagster"  # the container that dagster-k8s makes for a step, as opposed to sidecars and init containers


@dataclass(frozen=True)
class SeenPod:
    """A pod of a Job: its phase, and why its worker does not run.

    Attributes:
        name: of the pod.
        phase: Kubernetes' phase.
        reason: of the pod's end, where the pod as a whole has one.
        message: of that reason.
        disruption: why the cluster removes it.
        exit_code: of the worker, or of an init container that failed before it; None while neither has ended.
        exit_reason: of the exit code, such as OOMKilled.
        exit_message: of the container runtime, where it has one.
        waiting: why the worker does not start: reason and message of the container that is waited for.
        unschedulable: why it gets no node.
        is_going: whether its deletion was requested.
        container: name of the container of `exit_code`.
        is_at_work: whether the worker runs, whatever the other containers do.
        others: how the other containers ended, as text.
    """

    name: str
    phase: str
    reason: str
    message: str
    disruption: str
    exit_code: int | None
    exit_reason: str
    waiting: str
    unschedulable: str
    is_going: bool
    container: str = WORKER
    is_at_work: bool = False
    others: str = ""
    exit_message: str = ""

    @property
    def is_live(self) -> bool:
        """Whether it may still do work."""
        return self.phase in ("Pending", "Running", "Unknown")


@dataclass(frozen=True)
class SeenJob:
    """A Job and its pods as the API showed them."""

    is_complete: bool
    is_failed: bool
    is_suspended: bool
    reason: str
    message: str
    pods: tuple[SeenPod, ...]
    is_going: bool = False  # its deletion was requested

    @classmethod
    def of(cls, pod: SeenPod) -> "SeenJob":
        """A running Job with this pod."""
        return cls(is_complete=False, is_failed=False, is_suspended=False, reason="", message="", pods=(pod,))

    @property
    def is_finished(self) -> bool:
        """Whether it has ended."""
        return self.is_complete or self.is_failed

    @property
    def has_live_pods(self) -> bool:
        """Whether a pod of it may still do work."""
        return any(pod.is_live for pod in self.pods)


def seen_job(job: Any, pods: tuple[SeenPod, ...]) -> SeenJob:
    """Reads the used parts of a Job of the API."""
    conditions = {one.type: one for one in job.status.conditions or [] if one.status == "True"}
    failed = conditions.get("Failed")
    why = failed or conditions.get("FailureTarget")  # the reason is set before the pods end, `Failed` after them
    return SeenJob(
        is_complete="Complete" in conditions or bool(job.status.succeeded),
        # a terminating pod counts as failed at once, and may still save its state
        is_failed=failed is not None
        or bool(job.status.failed and not job.status.active and not job.status.terminating),
        is_suspended=bool(job.spec.suspend),
        reason=(why.reason or "") if why else "",
        message=(why.message or "") if why else "",
        pods=pods,
        is_going=job.metadata.deletion_timestamp is not None,
    )


def seen_pod(pod: Any) -> SeenPod:
    """Reads the used parts of a pod of the API: the state of its worker, not of its other containers."""
    conditions = {one.type: one for one in pod.status.conditions or []}
    disrupted, scheduled = conditions.get("DisruptionTarget"), conditions.get("PodScheduled")
    before = list(pod.status.init_container_statuses or [])
    beside = list(pod.status.container_statuses or [])
    worker = next((one for one in beside if one.name == WORKER), beside[0] if beside else None)
    others = [one for one in (*before, *beside) if one is not worker]
    is_at_work = bool(worker and worker.state and worker.state.running)
    failed_before = (one for one in before if not is_at_work and _ended(one) and _ended(one).exit_code)
    ended = worker if _ended(worker) else next(failed_before, None)
    waited_for = [] if is_at_work or _ended(worker) else [*filter(_waits, before), *filter(_waits, [worker])]
    return SeenPod(
        name=pod.metadata.name,
        phase=pod.status.phase or "Pending",
        reason=pod.status.reason or "",
        message=pod.status.message or "",
        disruption=f"{disrupted.reason}: {disrupted.message or ''}" if disrupted and disrupted.status == "True" else "",
        exit_code=_ended(ended).exit_code if ended else None,
        exit_reason=(_ended(ended).reason or "") if ended else "",
        exit_message=(_ended(ended).message or "") if ended else "",
        waiting=f"{_waits(waited_for[0]).reason}: {_waits(waited_for[0]).message or ''}" if waited_for else "",
        unschedulable=(scheduled.message or scheduled.reason or "")
        if scheduled and scheduled.status == "False"
        else "",
        is_going=pod.metadata.deletion_timestamp is not None,
        container=ended.name if ended else WORKER,
        is_at_work=is_at_work,
        others=", ".join(f"{one.name} ended with code {_ended(one).exit_code}" for one in others if _ended(one)),
    )


def _ended(container: Any) -> Any:
    """The terminated state of a container; None while it has not ended."""
    return container.state.terminated if container and container.state else None


def _waits(container: Any) -> Any:
    """The waiting state of a container; None where it does not wait, or waits for an init container of the pod."""
    waiting = container.state.waiting if container and container.state else None
    return waiting if waiting and waiting.reason and waiting.reason != "PodInitializing" else None
