"""How an attempt of a step ended in its cluster: a reason with a name, what it means for the next one, the cure.

The names are Kubernetes' own where it has one.
"""

from dataclasses import dataclass

LOG_LINES = 20  # of the pod's log, kept with the failure: enough for a traceback's end


@dataclass(frozen=True)
class Reason:
    """A way to end.

    Attributes:
        name: as it is shown.
        cure: what a person can do.
        is_retried: another attempt may help.
        moves: another flavour or region may help, where the asset may move.
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
DEADLINE_EXCEEDED = Reason("DeadlineExceeded", "it took longer than its needs say; raise `hours`", is_retried=False)
NODE_LOST = Reason("NodeLost", "its node is gone; the next attempt goes to another one", moves=True)
POD_LOST = Reason("PodLost", "its pod is gone and left no state; see who deletes pods in this namespace")
JOB_LOST = Reason("JobLost", "its Job is gone; see who deletes Jobs in this namespace")
REGION_LOST = Reason(
    "RegionLost",
    "the step may still be at work there: run again from the failure once the region answers, or place it elsewhere",
    is_retried=False,
)
UNREACHABLE = Reason("Unreachable", "see `sinet doctor` for this region's API server", moves=True)
UNSCHEDULABLE = Reason(
    "Unschedulable", "add nodes or quota for it, bind it to other hardware, or let it move", is_retried=False
)
IMAGE_PULL = Reason(
    "ImagePull", "see that the region's image exists and its pull secret is right (`sinet doctor`)", is_retried=False
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
NO_POD = Reason("NoPod", "see that the Job controller of the region's cluster is well")
NO_VOLUME = Reason(
    "NoVolume",
    "create the claim, storage class, config map or secret that is named, or see that its volume may be mounted there",
    is_retried=False,
)
NO_CONFIG = Reason(
    "NoConfig",
    "create the config map or secret that is named (`sinet doctor --clusters`), or take it from the region's row",
    is_retried=False,
)
RUNS_AS_ROOT = Reason(
    "RunsAsRoot", "give the image a numeric user that is not root, or set `run_as_user` of the region", is_retried=False
)
NO_CONTAINER = Reason("NoContainer", "see the node's container runtime, and that the image can be started", moves=True)
NOT_STARTED = Reason(
    "NotStarted", "see the pod's events (`kubectl describe pod`) for its node, network and volumes", moves=True
)
REFUSED = Reason("Refused", "see `sinet doctor` for this region's permissions, namespace and quota", is_retried=False)
UNBOUND = Reason("Unbound", "bind the asset with `bind(region, ...)` in resources/placement.py", is_retried=False)
NO_VERDICT = Reason("NoVerdict", "its worker ended without a word in the event log; see the pod's last lines")
KILLED = Reason("Killed", "its worker was killed from outside; see the node's log")
ERROR = Reason("Error", "its worker failed before it could say why; see the pod's last lines")

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
        reason: which of the ways.
        message: what was found, in words.
        log: the pod's last lines.
    """

    reason: Reason
    message: str
    log: tuple[str, ...] = ()

    def __str__(self) -> str:
        """What is shown as the failure: the reason, what was found, the cure, the last lines."""
        said = f"{self.reason.name}: {self.message}; {self.reason.cure}"
        return "\n".join([said, "last lines of its log:", *self.log]) if self.log else said
