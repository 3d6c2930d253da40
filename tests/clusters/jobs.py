"""A Job of a cluster in memory, and what its controller writes into it: interim conditions first, final ones after.

It does what the Job controller of Kubernetes 1.36 does with one pod at a time: a pod that is to go counts as failed at
once, `FailureTarget` and `SuccessCriteriaMet` are written before the pods are counted, and `Failed` and `Complete` only
when none of them is left terminating.
"""

from dataclasses import dataclass, field
from typing import Any

from tests.clusters.pods import Pod

Condition = tuple[str, str, str]  # type, reason, message
TOO_OFTEN = ("FailureTarget", "BackoffLimitExceeded", "Job has reached the specified backoff limit")
TOO_LONG = ("FailureTarget", "DeadlineExceeded", "Job was active longer than specified deadline")
REACHED = ("SuccessCriteriaMet", "CompletionsReached", "Reached expected number of succeeded pods")
FINAL = {"FailureTarget": "Failed", "SuccessCriteriaMet": "Complete"}


@dataclass
class Job:
    """A Job: what was asked for, and how it stands.

    Attributes:
        target: the interim condition, from which on nothing more is started.
        condition: the final one.
        uncounted: pods whose end is written down and not yet counted: uid and `succeeded` or `failed`.
    """

    namespace: str
    name: str
    body: dict[str, Any]
    created_at: float
    uid: str = ""
    started_at: float | None = None
    finished_at: float | None = None
    is_deleted: bool = False
    was_suspended: bool = False
    succeeded: int = 0
    failed: int = 0
    target: Condition | None = None
    condition: Condition | None = None
    uncounted: dict[str, str] = field(default_factory=dict)
    history: list[tuple[float, dict[str, Any]]] = field(default_factory=list)

    @property
    def spec(self) -> dict[str, Any]:
        """What was asked for."""
        return self.body["spec"]

    @property
    def is_suspended(self) -> bool:
        """Whether it is to have no pods for now."""
        return bool(self.spec.get("suspend"))

    @property
    def is_finished(self) -> bool:
        """Whether nothing more comes of it."""
        return self.condition is not None

    def is_overdue(self, now: float) -> bool:
        """Whether it is active longer than its deadline."""
        limit = self.spec.get("activeDeadlineSeconds")
        return limit is not None and self.started_at is not None and now - self.started_at >= limit

    def is_kept(self, now: float) -> bool:
        """Whether a finished Job is still to be there."""
        kept_s = self.spec.get("ttlSecondsAfterFinished")
        return kept_s is None or self.finished_at is None or now - self.finished_at < kept_s

    def count(self, pods: list[Pod], *, now: float) -> bool:
        """One pass of its controller over how its pods ended; True where it has finished by that."""
        for kind in self.uncounted.values():  # noted at the pass before, their finalizers are gone now
            self.succeeded += kind == "succeeded"
            self.failed += kind == "failed"
        self.uncounted.clear()
        if self.is_finished:
            return False
        if self.target is not None and not any(pod.is_terminating for pod in pods):
            self.condition, self.finished_at = (FINAL[self.target[0]], *self.target[1:]), now
            return True
        for pod in pods:
            self.note(pod)
        if self.target is None and not self.is_suspended:
            self.target = self._reached(now)
        return False

    def note(self, pod: Pod) -> None:
        """Notes how a pod ended; one that is to go has failed, whatever becomes of it, but not in a suspended Job."""
        if pod.is_counted:
            return
        if pod.phase == "Succeeded":
            self.uncounted[pod.uid] = "succeeded"
        elif pod.phase == "Failed" or pod.is_deleted:
            if not self.is_suspended:
                self.uncounted[pod.uid] = "failed"
        else:
            return
        pod.is_counted = True

    def _reached(self, now: float) -> Condition | None:
        ended = list(self.uncounted.values())
        if self.failed + ended.count("failed") > self.spec.get("backoffLimit", 6):
            return TOO_OFTEN
        if self.succeeded + ended.count("succeeded") >= self.spec.get("completions", 1):
            return REACHED
        return TOO_LONG if self.is_overdue(now) else None

    def status(self, pods: list[Pod], stamp: str) -> dict[str, Any]:
        """The status as the controller writes it."""
        uids = {kind: [uid for uid, how in self.uncounted.items() if how == kind] for kind in ("succeeded", "failed")}
        status: dict[str, Any] = {
            "ready": sum(pod.is_ready and pod.is_live and not pod.is_deleted for pod in pods),
            "terminating": sum(pod.is_terminating for pod in pods),
            "uncountedTerminatedPods": {kind: found for kind, found in uids.items() if found},
        }
        counts = (
            ("active", sum(pod.is_live and not pod.is_deleted for pod in pods)),
            ("succeeded", self.succeeded),
            ("failed", self.failed),
        )
        status |= {name: count for name, count in counts if count}
        if self.started_at is not None:
            status["startTime"] = stamp
        if self.condition is not None and self.condition[0] == "Complete":
            status["completionTime"] = stamp
        if conditions := self._conditions(stamp):
            status["conditions"] = conditions
        return status

    def _conditions(self, stamp: str) -> list[dict[str, Any]]:
        found = []
        if self.is_suspended or self.was_suspended:
            way = "suspended" if self.is_suspended else "resumed"
            values = {"reason": f"Job{way.capitalize()}", "message": f"Job {way}"}
            found.append({"type": "Suspended", "status": str(self.is_suspended), **values})
        for one in (self.target, self.condition):
            if one is not None:
                found.append({"type": one[0], "status": "True", "reason": one[1], "message": one[2]})
        return [{**one, "lastProbeTime": stamp, "lastTransitionTime": stamp} for one in found]

    def shown(self, status: dict[str, Any], stamp: str) -> dict[str, Any]:
        """The Job as the API shows it."""
        metadata = {**self.body["metadata"], "namespace": self.namespace, "creationTimestamp": stamp, "uid": self.uid}
        if self.is_deleted:
            metadata |= {"deletionTimestamp": stamp, "finalizers": ["foregroundDeletion"]}
        return {"apiVersion": "batch/v1", "kind": "Job", "metadata": metadata, "spec": self.spec, "status": status}
