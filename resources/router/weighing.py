"""Decides from the state of an attempt's Job whether it ended, may still succeed, or may move to another place."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import cast

from resources.router.attempts import Attempt
from resources.router.clock import Patience
from resources.router.endings import (
    JOB_LOST,
    NO_POD,
    NO_VERDICT,
    NO_VOLUME,
    NOT_STARTED,
    OOM_KILLED,
    POD_LOST,
    PREEMPTED,
    UNSCHEDULABLE,
    Ending,
)
from resources.router.explanations import Explanations
from resources.router.reading import why_disturbed, why_ended, why_failed, why_not_started, why_refused, why_waits
from resources.router.seen import SeenJob, SeenPod
from sinet_pipelines.placement.bindings import grace_s
from sinet_pipelines.placement.needs import Needs

UNBOUND_CLAIMS = "unbound immediate PersistentVolumeClaims"  # of the scheduler; the claim's events have the reason


@dataclass(frozen=True)
class NoNode:
    """The pod has had no node for so long that a step that may move moves.

    Attributes:
        message: the reason, from the scheduler's message.
    """

    message: str


Lasted = Callable[[str, float], bool]  # whether a condition has lasted, in every poll, for so many seconds


class Weighing:
    """Decides on an attempt from the state of its Job in the cluster, and from how long the state has lasted."""

    def __init__(self, explanations: Explanations, *, patience: Patience) -> None:
        self._explanations, self._patience = explanations, patience

    def outcome(
        self, attempt: Attempt, seen: SeenJob | None, *, lasted: Lasted, has_begun: Callable[[], bool]
    ) -> Ending | NoNode | None:
        """How the attempt ended, or that its step may move; None while it may still succeed.

        Args:
            attempt: the attempt of the Job.
            seen: the Job; None where there is none.
            lasted: returns for how long a condition has been seen.
            has_begun: whether the event log has an event of the attempt's worker.
        """
        silent_s = 0.0 if attempt.is_interrupted else self._patience.verdict_s  # its worker will write no more events
        if seen is None:
            if not lasted("gone", silent_s):
                return None
            return self._explanations.better(attempt, Ending(JOB_LOST, f"Job {attempt.name} does not exist"))
        if seen.is_failed:
            failed = Ending(*why_failed(seen), self._explanations.last_lines(attempt, seen))
            return self._explanations.better(attempt, failed)
        if seen.is_complete:
            silent = lasted("silent", silent_s)
            message = f"Job {attempt.name} is complete"
            if not silent:
                return None
            found = next((found for pod in seen.pods if (found := why_ended(pod)) and found[0] is OOM_KILLED), None)
            return Ending(*(found or (NO_VERDICT, message)), self._explanations.last_lines(attempt, seen))
        if not seen.has_live_pods:
            return self._podless(attempt, seen, lasted=lasted, has_begun=has_begun, silent_s=silent_s)
        pod = next(pod for pod in seen.pods if pod.is_live)
        if pod.is_going or seen.is_going:
            return self._going(attempt, seen, pod, lasted=lasted)
        return self._with_pod(attempt, pod, lasted=lasted)

    def _podless(
        self, attempt: Attempt, seen: SeenJob, *, lasted: Lasted, has_begun: Callable[[], bool], silent_s: float
    ) -> Ending | None:
        if seen.is_suspended and has_begun():
            taken = lasted("suspended", silent_s)
            return Ending(PREEMPTED, "its queue suspended the Job after it had begun") if taken else None
        if seen.is_suspended:
            message = f"Job {attempt.name} waits in its queue for {self._patience.pending_s:g} s"
            return Ending(UNSCHEDULABLE, message) if lasted("queued", self._patience.pending_s) else None
        if seen.pods:  # they have ended, and the Job's status is not updated yet
            ended = lasted("ended", self._patience.podless_s)
            return Ending(*why_failed(seen), self._explanations.last_lines(attempt, seen)) if ended else None
        if attempt.is_interrupted:  # its pod ended with its worker, and the Job's controller is late
            gone = Ending(POD_LOST, f"the pod of Job {attempt.name} is gone")
            return self._explanations.better(attempt, gone)
        refusal = self._explanations.obstacle(attempt) if lasted("podless", self._patience.image_s) else None
        if refusal is not None:
            return Ending(why_refused(refusal[1]), f"{refusal[0]}: {refusal[1]}")
        if lasted("podless", self._patience.podless_s):
            message = f"Job {attempt.name} has no pod for {self._patience.podless_s:g} s, and no event gives a reason"
            return Ending(NO_POD, message)
        return None

    def _going(self, attempt: Attempt, seen: SeenJob, pod: SeenPod, *, lasted: Lasted) -> Ending | None:
        """A terminating pod: given up when it exists long after its grace period, as on a lost node."""
        if not lasted("going", grace_s(cast(Needs, attempt.needs)) + self._patience.overdue_s):
            return None
        reason, message = why_disturbed(seen) or (POD_LOST, f"somebody deleted pod {pod.name}")
        ending = Ending(reason, f"{message}; the pod has not ended since, its node may be lost")
        return self._explanations.better(attempt, ending)

    def _with_pod(self, attempt: Attempt, pod: SeenPod, *, lasted: Lasted) -> Ending | NoNode | None:
        patience = self._patience
        if pod.exit_code is not None:  # its worker has ended, and another container keeps the pod running
            found = why_ended(pod) if lasted("silent", patience.verdict_s) else None
            return Ending(*found, self._explanations.last_lines(attempt, SeenJob.of(pod))) if found else None
        if pod.phase != "Pending" or pod.is_at_work:
            return None
        if pod.unschedulable:
            return self._unscheduled(attempt, pod, lasted=lasted)
        if pod.waiting:
            return self._waiting(attempt, pod, lasted=lasted)
        message = f"pod {pod.name} is pending for {patience.pending_s:g} s, and no event gives a reason"
        return Ending(UNSCHEDULABLE, message) if lasted("pending", patience.pending_s) else None

    def _unscheduled(self, attempt: Attempt, pod: SeenPod, *, lasted: Lasted) -> Ending | NoNode | None:
        patience = self._patience
        if "persistentvolumeclaim" in pod.unschedulable and "not found" in pod.unschedulable:  # no other node helps
            return Ending(NO_VOLUME, pod.unschedulable) if lasted("claimless", patience.image_s) else None
        if UNBOUND_CLAIMS in pod.unschedulable and lasted("volumeless", patience.image_s):
            why = self._explanations.unprovisioned(attempt, pod)
            if why is not None:
                return Ending(NO_VOLUME, f"{pod.unschedulable} ({why})")
        has_tried = attempt.move * patience.unschedulable_s >= patience.pending_s
        may_move = cast(Needs, attempt.needs).may_move_to and not has_tried
        if may_move and lasted("unschedulable", patience.unschedulable_s):
            return NoNode(pod.unschedulable)
        return Ending(UNSCHEDULABLE, pod.unschedulable) if lasted("pending", patience.pending_s) else None

    def _waiting(self, attempt: Attempt, pod: SeenPod, *, lasted: Lasted) -> Ending | None:
        """A pod on a node whose worker does not start: slow at first, then blocked, by the kubelet's message."""
        if not lasted("container", self._patience.image_s):
            return None
        reason = why_waits(pod.waiting)
        warning = self._explanations.obstacle(attempt, pod)
        detail = f" ({warning[0]}: {warning[1]})" if warning else ""
        if reason is not None:
            return Ending(reason, f"{pod.waiting}{detail}")
        if warning is not None:
            return Ending(why_not_started(warning[0]), f"{warning[0]}: {warning[1]}")
        if lasted("container", self._patience.container_s):
            return Ending(
                NOT_STARTED, f"{pod.waiting} for {self._patience.container_s:g} s, and no event gives a reason"
            )
        return None
