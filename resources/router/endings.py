"""How an attempt of a step ended in its cluster: the reason, whether a retry may help, and the cure.

The names of reasons are Kubernetes' own where it has one.
"""

from dataclasses import dataclass

LOG_LINES = 20  # last lines of the pod's log in a failure: enough for the end of a traceback


@dataclass(frozen=True)
class Reason:
    """A reason why an attempt ended.

    Attributes:
        name: its name in messages.
        cure: what a person can do.
        is_retried: whether another attempt may help.
        moves: whether another kind of hardware or region may help, where the asset may move.
    """

    name: str
    cure: str
    is_retried: bool = True
    moves: bool = False


OOM_KILLED = Reason("OOMKilled", "the next attempt gets more memory; raise `memory_mib` in the asset's needs")
EVICTED = Reason(
    "Evicted", "its node ran short of memory or disk, or was drained; the next attempt may go elsewhere", moves=True
)
PREEMPTED = Reason(
    "Preempted", "something of higher priority took its place; raise `priority`, or let the asset move", moves=True
)
DEADLINE_EXCEEDED = Reason("DeadlineExceeded", "it took longer than its needs allow; raise `hours`", is_retried=False)
NODE_LOST = Reason("NodeLost", "its node is gone; the next attempt goes to another one", moves=True)
POD_LOST = Reason("PodLost", "its pod is gone without a final state; find out who deletes pods in this namespace")
JOB_LOST = Reason("JobLost", "its Job is gone; find out who deletes Jobs in this namespace")
REGION_LOST = Reason(
    "RegionLost",
    "the step may still run there: run again from the failure once the region responds, or place it elsewhere",
    is_retried=False,
)
UNREACHABLE = Reason("Unreachable", "see `sinet doctor` for this region's API server", moves=True)
UNSCHEDULABLE = Reason(
    "Unschedulable", "add nodes or quota for it, bind it to other hardware, or let it move", is_retried=False
)
IMAGE_PULL = Reason(
    "ImagePull", "check that the region's image exists and its pull secret is right (`sinet doctor`)", is_retried=False
)
NO_SERVICE_ACCOUNT = Reason(
    "NoServiceAccount", "create it in the namespace, or change `service_account` of the region", is_retried=False
)
QUOTA_EXCEEDED = Reason(
    "QuotaExceeded",
    "wait until others' steps end, raise the namespace's ResourceQuota, or let the asset move",
    moves=True,
)
POD_SECURITY = Reason(
    "PodSecurity",
    "the namespace enforces a Pod Security level that this pod violates: relax its label, or change what is named",
    is_retried=False,
)
NO_PRIORITY_CLASS = Reason("NoPriorityClass", "create it, or change `priority_classes` of the region", is_retried=False)
POD_REFUSED = Reason(
    "PodRefused", "see `kubectl describe job` and `sinet doctor --clusters` for this region", is_retried=False
)
NO_POD = Reason("NoPod", "check the Job controller of the region's cluster")
NO_VOLUME = Reason(
    "NoVolume",
    "create the claim, storage class, config map or secret that is named, or check that its volume mounts there",
    is_retried=False,
)
NO_CONFIG = Reason(
    "NoConfig",
    "create the config map or secret that is named (`sinet doctor --clusters`), or remove it from the region's row",
    is_retried=False,
)
RUNS_AS_ROOT = Reason(
    "RunsAsRoot", "set a numeric user that is not root in the image, or `run_as_user` of the region", is_retried=False
)
NO_CONTAINER = Reason("NoContainer", "check the node's container runtime, and that the image starts", moves=True)
NOT_STARTED = Reason(
    "NotStarted", "check the pod's events (`kubectl describe pod`) for its node, network and volumes", moves=True
)
REFUSED = Reason("Refused", "see `sinet doctor` for this region's permissions, namespace and quota", is_retried=False)
UNBOUND = Reason("Unbound", "bind the asset with `bind(region, ...)` in resources/placement.py", is_retried=False)
NO_VERDICT = Reason("NoVerdict", "its worker ended without a final event in the event log; see the pod's last lines")
KILLED = Reason("Killed", "its worker was killed from outside; see the node's log")
ERROR = Reason("Error", "its worker failed before it could record why; see the pod's last lines")

REASONS = {
    reason.name: reason
    for reason in (
        OOM_KILLED,
        EVICTED,
        PREEMPTED,
        DEADLINE_EXCEEDED,
        NODE_LOST,
        POD_LOST,
        JOB_LOST,
        REGION_LOST,
        UNREACHABLE,
        UNSCHEDULABLE,
        IMAGE_PULL,
        NO_SERVICE_ACCOUNT,
        QUOTA_EXCEEDED,
        POD_SECURITY,
        NO_PRIORITY_CLASS,
        POD_REFUSED,
        NO_POD,
        NO_VOLUME,
        NO_CONFIG,
        RUNS_AS_ROOT,
        NO_CONTAINER,
        NOT_STARTED,
        REFUSED,
        UNBOUND,
        NO_VERDICT,
        KILLED,
        ERROR,
    )
}


@dataclass(frozen=True)
class Ending:
    """How one attempt ended.

    Attributes:
        reason: the reason.
        message: what was found, as text.
        log: the pod's last lines.
    """

    reason: Reason
    message: str
    log: tuple[str, ...] = ()

    def __str__(self) -> str:
        """The failure message: the reason, what was found, the cure, the last lines."""
        text = f"{self.reason.name}: {self.message}; {self.reason.cure}"
        return "\n".join([text, "last lines of its log:", *self.log]) if self.log else text
