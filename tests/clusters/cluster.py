"""A cluster in memory: Jobs become pods, pods become processes, processes end; faults are done to it from outside.

It keeps what Kubernetes does where the router can see it: a Job with `backoffLimit` 0 fails with its first pod, a
preempted or drained pod is deleted once it has ended, an evicted one stays, a suspended Job loses its pod and gets a
new one when it is resumed, a Job deleted in the foreground goes after its pods.
"""

import copy
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Protocol

EVENTS = {"Evicted": "Evicted", "PreemptionByScheduler": "Preempted", "DeletionByTaintManager": "TaintManagerEviction"}
LIVE = ("Pending", "Running")


class Process(Protocol):
    """What a container runs as: a real process, or a step of a simulation."""

    reason: str  # OOMKilled where the kernel ended it

    def poll(self) -> int | None: ...

    def terminate(self) -> None: ...

    def kill(self) -> None: ...

    def log(self) -> str: ...


@dataclass
class Pod:
    """A pod: what the API shows of it, its process, and what is to become of it."""

    namespace: str
    name: str
    job: str
    labels: dict[str, str]
    spec: dict[str, Any]
    created_at: float
    phase: str = "Pending"
    process: Process | None = None
    is_ending_since: float | None = None
    is_deleted: bool = False
    reason: str = ""
    message: str = ""
    disruption: str = ""
    unschedulable: str = ""
    waiting: str = ""
    exit_code: int | None = None
    exit_reason: str = ""
    log: str = ""
    beside: dict[str, int | None] = field(default_factory=dict)  # other containers, and how they ended if they did
    history: list[tuple[float, dict[str, Any]]] = field(default_factory=list)

    @property
    def is_live(self) -> bool:
        return self.phase in LIVE

    def shown(self, stamp: str) -> dict[str, Any]:
        """The pod as the API shows it."""
        state: dict[str, Any] = {}
        if self.exit_code is not None:
            state = {"terminated": {"exitCode": self.exit_code, "reason": self.exit_reason or "Error"}}
        elif self.phase == "Running":
            state = {"running": {"startedAt": stamp}}
        elif self.waiting:
            reason, _, message = self.waiting.partition(": ")
            state = {"waiting": {"reason": reason, "message": message}}
        conditions = []
        if self.disruption:
            reason, _, message = self.disruption.partition(": ")
            conditions.append({"type": "DisruptionTarget", "status": "True", "reason": reason, "message": message})
        if self.unschedulable:
            said = {"reason": "Unschedulable", "message": self.unschedulable}
            conditions.append({"type": "PodScheduled", "status": "False", **said})
        states = {"dagster": state} if state else {}
        for name, code in self.beside.items():
            ended = {"terminated": {"exitCode": code, "reason": "Error" if code else "Completed"}}
            states[name] = {"running": {"startedAt": stamp}} if code is None else ended
        more = {"image": "x", "imageID": "", "ready": False, "restartCount": 0}
        metadata: dict[str, Any] = {"name": self.name, "namespace": self.namespace, "labels": self.labels}
        metadata["creationTimestamp"] = stamp
        if self.is_deleted:
            metadata["deletionTimestamp"] = stamp
        return {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": metadata,
            "spec": self.spec,
            "status": {
                "phase": self.phase,
                "conditions": conditions,
                "containerStatuses": [{"name": name, "state": now, **more} for name, now in states.items()],
                **({"reason": self.reason} if self.reason else {}),
                **({"message": self.message} if self.message else {}),
            },
        }


@dataclass
class Job:
    """A Job: what was asked for, and how it stands."""

    namespace: str
    name: str
    body: dict[str, Any]
    created_at: float
    started_at: float | None = None
    is_deleted: bool = False
    succeeded: int = 0
    failed: int = 0
    condition: tuple[str, str, str] | None = None
    history: list[tuple[float, dict[str, Any]]] = field(default_factory=list)

    @property
    def is_suspended(self) -> bool:
        return bool(self.body["spec"].get("suspend"))

    @property
    def is_finished(self) -> bool:
        return self.condition is not None

    def status(self, pods: list[Pod]) -> dict[str, Any]:
        """The status as the controller has written it last."""
        status: dict[str, Any] = {}
        if active := sum(pod.is_live for pod in pods):
            status["active"] = active
        if self.succeeded:
            status["succeeded"] = self.succeeded
        if self.failed:
            status["failed"] = self.failed
        if self.condition:
            kind, reason, message = self.condition
            status["conditions"] = [{"type": kind, "status": "True", "reason": reason, "message": message}]
        return status


class Cluster:
    """The objects of one region's cluster and what runs in it.

    Args:
        name: the region.
        now: what time it is.
        start: makes the process of a pod.
        start_delay_s: from a pod's creation to its process.
        lag_s: how late its controllers write down what happened.
    """

    def __init__(
        self,
        name: str,
        *,
        now: Callable[[], float],
        start: Callable[[str, Pod], Process],
        start_delay_s: float = 0.0,
    ) -> None:
        self.name, self.now, self._start, self._start_delay_s = name, now, start, start_delay_s
        self.lag_s = 0.0
        self.lock = threading.RLock()
        self.jobs: dict[tuple[str, str], Job] = {}
        self.pods: dict[tuple[str, str], Pod] = {}
        self.made: list[str] = []  # names of all Jobs ever made
        self.deleted: list[str] = []
        self.later: list[tuple[float, Callable[[], None]]] = []
        self.without: set[str] = set()  # resource names that no node has free
        self.unpullable: set[str] = set()
        self.slots: int | None = None  # pods that run at once; None for no limit
        self.stamp = "2026-01-01T00:00:00Z"  # what its clock says, right or wrong
        self.is_dark = False  # its nodes do nothing
        self.events: list[tuple[str, str, str, str]] = []  # namespace, pod, reason, message
        self.warnings: list[tuple[str, str, str, str, str]] = []  # namespace, kind, name, reason, message; newest last
        self.normal: list[tuple[str, str, str, str, str]] = []  # events that are no warnings, newer than those
        self.refuses_pods = ""  # why the API server makes no pod
        self.stuck = ""  # what the kubelet says of a container that it cannot start: "reason: message"
        self.beside: dict[str, int | None] = {}  # containers that an admission controller puts beside each worker
        self.mount = ""  # why the kubelet cannot mount a volume; the pod stays in ContainerCreating
        self._count = 0

    # what the API does

    def create(self, namespace: str, body: dict[str, Any]) -> Job | None:
        """Makes a Job; None if its name is taken."""
        with self.lock:
            key = (namespace, body["metadata"]["name"])
            if key in self.jobs:
                return None
            self.jobs[key] = job = Job(*key, copy.deepcopy(body), self.now())
            self.made.append(job.name)
            return job

    def delete(self, namespace: str, name: str) -> Job | None:
        """Marks a Job for deletion; None where there is none."""
        with self.lock:
            job = self.jobs.get((namespace, name))
            if job is not None and not job.is_deleted:
                job.is_deleted = True
                self.deleted.append(name)
            return job

    def pods_of(self, job: Job) -> list[Pod]:
        return [pod for pod in self.pods.values() if (pod.namespace, pod.job) == (job.namespace, job.name)]

    def shown_status(self, job: Job) -> dict[str, Any]:
        """The Job's status as its controller has written it, late by the lag."""
        known = [status for at, status in job.history if at <= self.now() - self.lag_s]
        return known[-1] if known else {}

    def shown_pods(self, namespace: str, job: str) -> list[dict[str, Any]]:
        """The pods of a Job as they were written down, late by the lag."""
        shown = []
        for pod in self.pods.values():
            if (pod.namespace, pod.job) == (namespace, job):
                known = [one for at, one in pod.history if at <= self.now() - self.lag_s]
                shown.extend(known[-1:])
        return shown

    # what happens by itself

    def advance(self) -> None:
        """Lets happen what is due by now."""
        with self.lock:
            due = [one for one in self.later if one[0] <= self.now()]
            self.later = [one for one in self.later if one[0] > self.now()]
            for _, happen in sorted(due, key=lambda one: one[0]):
                happen()
            if self.is_dark:
                return
            for pod in list(self.pods.values()):
                self._run(pod)
            for job in list(self.jobs.values()):
                self._account(job)
            for job in list(self.jobs.values()):
                self._control(job)
            self._write_down()

    def _control(self, job: Job) -> None:
        pods = self.pods_of(job)
        if job.is_deleted or job.is_suspended:
            for pod in pods:
                self.end(pod)
            return
        if job.is_finished:
            for pod in pods:
                self.end(pod)
            return
        job.started_at = self.now() if job.started_at is None else job.started_at
        limit = job.body["spec"].get("activeDeadlineSeconds")
        if limit is not None and self.now() - job.started_at > limit:
            job.condition = ("Failed", "DeadlineExceeded", "Job was active longer than specified deadline")
            for pod in pods:
                pod.disruption = ""
                self.end(pod)
            return
        if not any(pod.is_live for pod in pods):
            if self.refuses_pods:
                self._warn(job.namespace, "Job", job.name, "FailedCreate", self.refuses_pods)
                return
            self._count += 1
            template = job.body["spec"]["template"]
            name = f"{job.name}-{self._count:05d}"
            labels = {**template["metadata"].get("labels", {}), "job-name": job.name}
            self.pods[(job.namespace, name)] = Pod(
                job.namespace, name, job.name, labels, template["spec"], created_at=self.now(), beside=dict(self.beside)
            )

    def _run(self, pod: Pod) -> None:
        if pod.phase == "Pending":
            self._schedule(pod)
        if pod.phase != "Running" or pod.process is None:
            return
        code = pod.process.poll()
        grace_s = pod.spec.get("terminationGracePeriodSeconds", 30)
        if code is None and pod.is_ending_since is not None and self.now() - pod.is_ending_since >= grace_s:
            pod.process.kill()
            code = pod.process.poll()
        if code is not None:
            pod.exit_code, pod.exit_reason, pod.log = code, pod.process.reason, pod.process.log()
            if pod.is_ending_since is not None:
                pod.beside = {name: 143 if end is None else end for name, end in pod.beside.items()}
            if None not in pod.beside.values():  # else the pod lives as long as the container beside the worker
                pod.phase = "Failed" if any([code, *pod.beside.values()]) else "Succeeded"

    def _schedule(self, pod: Pod) -> None:
        if pod.is_ending_since is not None:
            pod.phase = "Failed"
            return
        limits = pod.spec["containers"][0].get("resources", {}).get("limits", {})
        lacking = sorted(self.without.intersection(limits))
        pod.unschedulable = f"0/8 nodes are available: 8 Insufficient {lacking[0]}." if lacking else ""
        if pod.spec["containers"][0]["image"] in self.unpullable:
            pod.waiting = "ImagePullBackOff: Back-off pulling image"
            return
        if self.stuck or self.mount:
            pod.waiting = self.stuck or "ContainerCreating: "
            if self.mount:
                self._warn(pod.namespace, "Pod", pod.name, "FailedMount", self.mount)
            return
        pod.waiting = ""
        if self.slots is not None and sum(one.phase == "Running" for one in self.pods.values()) >= self.slots:
            return
        if not lacking and self.now() - pod.created_at >= self._start_delay_s:
            pod.phase, pod.process = "Running", self._start(self.name, pod)

    def _warn(self, *warning: str) -> None:
        if warning not in self.warnings:
            self.warnings.append(warning)  # type: ignore[arg-type]

    def _account(self, job: Job) -> None:
        pods = self.pods_of(job)
        for pod in pods:
            if pod.is_live:
                continue
            if not job.is_finished and not job.is_suspended and not job.is_deleted:
                if pod.phase == "Succeeded":
                    job.succeeded, job.condition = 1, ("Complete", "CompletionsReached", "Reached expected number")
                else:
                    job.failed, job.condition = (
                        1,
                        ("Failed", "BackoffLimitExceeded", "Job has reached the backoff limit"),
                    )
            if pod.is_deleted or job.is_deleted or job.is_suspended:
                del self.pods[(pod.namespace, pod.name)]
        if job.is_deleted and not self.pods_of(job):
            del self.jobs[(job.namespace, job.name)]

    def _write_down(self) -> None:
        for job in self.jobs.values():
            status = job.status(self.pods_of(job))
            if not job.history or job.history[-1][1] != status:
                job.history.append((self.now(), status))
        for pod in self.pods.values():
            shown = pod.shown(self.stamp)
            if not pod.history or pod.history[-1][1] != shown:
                pod.history.append((self.now(), shown))

    # what is done to it

    def end(self, pod: Pod) -> None:
        """Asks a pod to end; it is killed after its grace period."""
        if pod.is_ending_since is None and pod.is_live:
            pod.is_ending_since = self.now()
            if pod.process is not None:
                pod.process.terminate()

    def kill(self, pod: Pod) -> None:
        """Ends a pod at once, without a word to it."""
        if pod.is_live:
            pod.is_ending_since = self.now()
            if pod.process is not None:
                pod.process.kill()
                self._run(pod)
            pod.phase = "Failed" if pod.is_live else pod.phase

    def disrupt(self, pod: Pod, reason: str, *, is_hard: bool = False) -> None:
        """Takes a pod away for a reason that Kubernetes has a name for."""
        if not pod.is_live:
            return
        if reason in EVENTS:
            self.events.append((pod.namespace, pod.name, EVENTS[reason], f"{EVENTS[reason]} by the cluster"))
        if reason == "Evicted":
            pod.reason, pod.message = "Evicted", "The node was low on resource: memory."
            pod.disruption = "TerminationByKubelet: The node was low on resource: memory."
        elif reason:
            pod.disruption, pod.is_deleted = f"{reason}: taken away by the cluster", True
        else:
            pod.is_deleted = True  # lost without a word
        self._write_down()
        if is_hard:
            self.kill(pod)
        else:
            self.end(pod)

    def replace(self, pod: Pod) -> None:
        """Kills a pod and forgets it, so that its Job makes another: what a lost node may do (dagster #33755)."""
        self.kill(pod)
        self.pods.pop((pod.namespace, pod.name), None)

    def suspend(self, job: Job, *, is_suspended: bool, is_hard: bool = False) -> None:
        """What a queue does when it takes a Job's quota away, or gives it back."""
        job.body["spec"]["suspend"] = is_suspended
        if is_suspended:
            job.started_at = None
            for pod in self.pods_of(job):
                self.kill(pod) if is_hard else self.end(pod)

    def dangling(self) -> list[Job]:
        """Jobs that are there and not finished."""
        return [job for job in self.jobs.values() if not job.is_finished]
