"""A Job and its pods as the router sees them: what matters of what the API shows."""

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class SeenPod:
    """A pod of a Job: its phase, and why it does not run or runs no more."""

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
    return SeenJob(
        is_complete="Complete" in conditions or bool(job.status.succeeded),
        is_failed=failed is not None or bool(job.status.failed and not job.status.active),
        is_suspended=bool(job.spec.suspend),
        reason=(failed.reason or "") if failed else "",
        message=(failed.message or "") if failed else "",
        pods=pods,
    )


def seen_pod(pod: Any) -> SeenPod:
    """What matters of a pod of the API."""
    conditions = {one.type: one for one in pod.status.conditions or []}
    disrupted, scheduled = conditions.get("DisruptionTarget"), conditions.get("PodScheduled")
    states = [
        one.state for one in [*(pod.status.init_container_statuses or []), *(pod.status.container_statuses or [])]
    ]
    ended = [state.terminated for state in states if state and state.terminated]
    waiting = [state.waiting for state in states if state and state.waiting and state.waiting.reason]
    worst = max(ended, key=lambda one: one.exit_code, default=None)
    return SeenPod(
        name=pod.metadata.name,
        phase=pod.status.phase or "Pending",
        reason=pod.status.reason or "",
        message=pod.status.message or "",
        disruption=f"{disrupted.reason}: {disrupted.message or ''}" if disrupted and disrupted.status == "True" else "",
        exit_code=worst.exit_code if worst else None,
        exit_reason=(worst.reason or "") if worst else "",
        waiting=f"{waiting[0].reason}: {waiting[0].message or ''}" if waiting else "",
        unschedulable=(scheduled.message or scheduled.reason or "")
        if scheduled and scheduled.status == "False"
        else "",
        is_going=pod.metadata.deletion_timestamp is not None,
    )
