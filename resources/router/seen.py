"""A Job and its pods as the router sees them: what matters of what the API shows."""

from dataclasses import dataclass
from typing import Any

WORKER = "dagster"  # the container that dagster-k8s makes for a step; others (proxies, init containers) are not it


@dataclass(frozen=True)
class SeenPod:
    """A pod of a Job: its phase, and why its worker does not run or runs no more.

    Attributes:
        name: of the pod.
        phase: as Kubernetes has it.
        reason: of the pod's end, where the pod as a whole has one.
        message: beside the reason.
        disruption: why the cluster takes it away.
        exit_code: of the worker; of an init container that failed before it; None while neither has ended.
        exit_reason: beside the code, such as OOMKilled.
        exit_message: the runtime's words for it, where it has any.
        waiting: why the worker does not start: reason and message of the container that is waited for.
        unschedulable: why it gets no node.
        is_going: somebody asked for its deletion.
        container: which container `exit_code` is about.
        is_at_work: the worker runs, whatever its neighbours do.
        others: how the other containers ended, in words.
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
        """Whether it may still do something."""
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
    is_going: bool = False  # somebody asked for its deletion

    @classmethod
    def of(cls, pod: SeenPod) -> "SeenJob":
        """A Job at work with this pod."""
        return cls(is_complete=False, is_failed=False, is_suspended=False, reason="", message="", pods=(pod,))

    @property
    def is_finished(self) -> bool:
        """Whether nothing more comes of it."""
        return self.is_complete or self.is_failed

    @property
    def has_live_pods(self) -> bool:
        """Whether a pod of it may still do something."""
        return any(pod.is_live for pod in self.pods)


def seen_job(job: Any, pods: tuple[SeenPod, ...]) -> SeenJob:
    """What matters of a Job of the API."""
    conditions = {one.type: one for one in job.status.conditions or [] if one.status == "True"}
    failed = conditions.get("Failed")
    why = failed or conditions.get("FailureTarget")  # the reason is set before the pods end, `Failed` after them
    return SeenJob(
        is_complete="Complete" in conditions or bool(job.status.succeeded),
        # a pod that was told to end counts as failed at once, and may still save its state
        is_failed=failed is not None
        or bool(job.status.failed and not job.status.active and not job.status.terminating),
        is_suspended=bool(job.spec.suspend),
        reason=(why.reason or "") if why else "",
        message=(why.message or "") if why else "",
        pods=pods,
        is_going=job.metadata.deletion_timestamp is not None,
    )


def seen_pod(pod: Any) -> SeenPod:
    """What matters of a pod of the API: its worker's state, not its neighbours'."""
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
    """The end of a container, None while it has none."""
    return container.state.terminated if container and container.state else None


def _waits(container: Any) -> Any:
    """Why a container waits; None where it does not, or waits for an init container of the pod."""
    waiting = container.state.waiting if container and container.state else None
    return waiting if waiting and waiting.reason and waiting.reason != "PodInitializing" else None
