"""A pod of a cluster in memory: what the API shows of it, and the process that its container runs as."""

import secrets
import uuid
from dataclasses import dataclass, field
from typing import Any, Protocol

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
    """A pod: what the API shows of it, its process, and what is to become of it.

    Attributes:
        namespace: of the pod.
        name: of the pod.
        job: what made it, a Job or a ReplicaSet.
        labels: of its template, and its owner's.
        spec: as it was admitted.
        created_at: by the cluster's clock.
        owner_kind: `Job` or `ReplicaSet`.
        node: where it was bound to; "" before.
        is_ending_since: when it was asked to end.
        told_at: when its kubelet heard of that and told its process.
        is_deleted: somebody asked for its deletion: it goes once it has ended.
        is_counted: its Job's controller has counted it.
        started: how many of its containers have been started, init containers first.
        has_volumes: its volumes are mounted.
        beside: other containers that an admission controller put there, and how they ended if they did.
    """

    namespace: str
    name: str
    job: str
    labels: dict[str, str]
    spec: dict[str, Any]
    created_at: float
    owner_kind: str = "Job"
    phase: str = "Pending"
    process: Process | None = None
    node: str = ""
    is_ending_since: float | None = None
    told_at: float | None = None
    is_deleted: bool = False
    is_counted: bool = False
    reason: str = ""
    message: str = ""
    disruption: str = ""
    unschedulable: str = ""
    waiting: str = ""
    exit_code: int | None = None
    exit_reason: str = ""
    log: str = ""
    started: int = 0
    init_codes: list[int] = field(default_factory=list)
    has_volumes: bool = False
    is_ready: bool = False
    is_silent: bool = False  # its node is not heard of
    restarts: int = 0
    last_code: int | None = None  # how its container ended before it was started again
    annotations: dict[str, str] = field(default_factory=dict)
    ip: str = field(default_factory=lambda: _address())
    restarts_at: float | None = None
    looked_at: float | None = None  # when its readiness was asked for
    beside: dict[str, int | None] = field(default_factory=dict)
    uid: str = field(default_factory=lambda: str(uuid.uuid4()))
    history: list[tuple[float, dict[str, Any]]] = field(default_factory=list)
    written: tuple[Any, ...] = ()  # as it was when it was written down last

    @property
    def is_live(self) -> bool:
        """Whether it may still do something, as far as the API knows."""
        return self.phase in LIVE

    @property
    def is_terminating(self) -> bool:
        """Whether it is to go and has not ended."""
        return self.is_live and self.is_deleted

    @property
    def init_containers(self) -> list[dict[str, Any]]:
        """The containers that run first, one after the other."""
        return self.spec.get("initContainers") or []

    @property
    def container(self) -> dict[str, Any]:
        """The container that runs, or is the next to."""
        done = len(self.init_codes)
        return self.init_containers[done] if done < len(self.init_containers) else self.spec["containers"][0]

    @property
    def is_initialized(self) -> bool:
        """Whether its init containers have all succeeded."""
        return len(self.init_codes) == len(self.init_containers) and not any(self.init_codes)

    @property
    def grace_s(self) -> float:
        """How long it may take to end."""
        return float(self.spec.get("terminationGracePeriodSeconds", 30))

    def state(self) -> tuple[Any, ...]:
        """Everything of it that changes and that the API shows."""
        flags = (self.is_deleted, self.is_counted, self.is_ready, self.is_silent, self.has_volumes)
        words = (self.phase, self.node, self.reason, self.message, self.disruption, self.unschedulable, self.waiting)
        codes = (self.exit_code, self.exit_reason, self.started, self.restarts, *self.init_codes)
        return flags, words, codes, tuple(self.beside.items())

    def shown(self, stamp: str) -> dict[str, Any]:
        """The pod as the API shows it."""
        metadata: dict[str, Any] = {"name": self.name, "namespace": self.namespace, "labels": self.labels}
        metadata |= {"uid": self.uid, "creationTimestamp": stamp}
        if self.annotations:
            metadata["annotations"] = self.annotations
        owner = {"apiVersion": "batch/v1" if self.owner_kind == "Job" else "apps/v1", "kind": self.owner_kind}
        metadata["ownerReferences"] = [{**owner, "name": self.job, "uid": self.job, "controller": True}]
        if self.owner_kind == "Job" and not self.is_counted:
            metadata["finalizers"] = ["batch.kubernetes.io/job-tracking"]
        if self.is_deleted:
            metadata |= {"deletionTimestamp": stamp, "deletionGracePeriodSeconds": int(self.grace_s)}
        status: dict[str, Any] = {"phase": self.phase, "conditions": self._conditions(stamp)}
        if self.node:
            status |= {"hostIP": "127.0.0.1", "podIP": self.ip, "startTime": stamp}
            status["containerStatuses"] = self._statuses(stamp)
            if self.init_containers:
                status["initContainerStatuses"] = self._init_statuses(stamp)
        status |= {key: value for key, value in (("reason", self.reason), ("message", self.message)) if value}
        spec = {**self.spec, **({"nodeName": self.node} if self.node else {})}
        return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec, "status": status}

    def _conditions(self, stamp: str) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = []

        def add(kind: str, is_true: bool, reason: str = "", message: str = "") -> None:
            values = {key: value for key, value in (("reason", reason), ("message", message)) if value}
            found.append({"type": kind, "status": str(is_true), "lastTransitionTime": stamp, **values})

        if self.disruption:
            reason, _, message = self.disruption.partition(": ")
            add("DisruptionTarget", True, reason, message)
        if self.node:
            add("PodReadyToStartContainers", bool(self.has_volumes and self.is_live))
            waits = "" if self.is_initialized else "ContainersNotInitialized"
            add("Initialized", self.is_initialized, waits)
            why = "" if self.is_ready else self._why_unready()
            words = f"containers with unready status: [{self.spec['containers'][0]['name']}]"
            add("Ready", self.is_ready and not self.is_silent, why, words if why == "ContainersNotReady" else "")
            add("ContainersReady", self.is_ready, why, words if why == "ContainersNotReady" else "")
            add("PodScheduled", True)
        elif self.unschedulable:
            add("PodScheduled", False, "Unschedulable", self.unschedulable)
        return found

    def _why_unready(self) -> str:
        return {"Succeeded": "PodCompleted", "Failed": "PodFailed"}.get(self.phase, "ContainersNotReady")

    def _statuses(self, stamp: str) -> list[dict[str, Any]]:
        main = self.spec["containers"][0]
        state: dict[str, Any]
        if self.exit_code is not None:
            state = _terminated(self.exit_code, self.exit_reason, stamp)
        elif self.phase == "Running" and not self.waiting:
            state = {"running": {"startedAt": stamp}}
        else:
            reason, _, message = (self.waiting or "ContainerCreating").partition(": ")
            if self.init_containers and not self.is_initialized:
                reason, message = "PodInitializing", ""
            state = {"waiting": {"reason": reason, **({"message": message} if message else {})}}
        found = [_status(main, state, is_ready=self.is_ready, restarts=self.restarts)]
        if self.is_initialized and self.last_code is not None:
            found[0]["lastState"] = _terminated(self.last_code, "", stamp, log=self.log)
        for name, code in self.beside.items():
            ended = {"running": {"startedAt": stamp}} if code is None else _terminated(code, "", stamp)
            found.append(_status({"name": name, "image": "x"}, ended, is_ready=code is None))
        return found

    def _init_statuses(self, stamp: str) -> list[dict[str, Any]]:
        found = []
        for at, container in enumerate(self.init_containers):
            if at < len(self.init_codes):
                state = _terminated(self.init_codes[at], "", stamp)
            elif at < self.started and self.process is not None:
                state = {"running": {"startedAt": stamp}}
            else:
                reason, _, message = (self.waiting or "PodInitializing").partition(": ")
                state = {"waiting": {"reason": reason, **({"message": message} if message else {})}}
            is_ready = state.get("terminated", {}).get("exitCode") == 0
            is_current = at == len(self.init_codes)
            found.append(_status(container, state, is_ready=is_ready, restarts=self.restarts if is_current else 0))
            if is_current and self.last_code is not None:
                found[-1]["lastState"] = _terminated(self.last_code, "", stamp, log=self.log)
        return found


def _address() -> str:
    """A loopback address of its own: all of 127.0.0.0/8 is this machine."""
    return f"127.{secrets.randbelow(200) + 20}.{secrets.randbelow(256)}.{secrets.randbelow(254) + 1}"


def _terminated(code: int, reason: str, stamp: str, *, log: str = "") -> dict[str, Any]:
    why = reason or ("Error" if code else "Completed")
    values = {"message": log[-2000:]} if code and log else {}  # FallbackToLogsOnError
    return {"terminated": {"exitCode": code, "reason": why, "startedAt": stamp, "finishedAt": stamp, **values}}


def _status(container: dict[str, Any], state: dict[str, Any], *, is_ready: bool, restarts: int = 0) -> dict[str, Any]:
    more = {"image": container.get("image", ""), "imageID": "", "ready": is_ready, "restartCount": restarts}
    return {"name": container["name"], "state": state, "started": "running" in state, **more}
