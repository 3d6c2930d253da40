"""The nodes of a cluster in memory, and which of them a pod may go to."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from tests.clusters.admission import quantity, usage_of

UNREACHABLE = "node.kubernetes.io/unreachable"
UNSCHEDULABLE = "node.kubernetes.io/unschedulable"
SILENCE_S = 50.0  # a node that sends no heartbeat so long is `Unknown` (node-monitor-grace-period)
TOLERATION_S = 300.0  # how long a pod stays on an unreachable node unless its spec says another time


@dataclass
class Node:
    """A node: what it is, what it has, and whether its kubelet is heard of.

    Attributes:
        name: of the node.
        labels: by which pods choose it.
        allocatable: amounts by resource, as Kubernetes spells them.
        taints: keep pods off that do not tolerate them.
        lost_since: since when its kubelet is silent; None while it is not.
        is_cordoned: it takes no new pods.
    """

    name: str
    labels: dict[str, str] = field(default_factory=dict)
    allocatable: dict[str, str] = field(
        default_factory=lambda: {"cpu": "256", "memory": "2Ti", "pods": "250", "ephemeral-storage": "4Ti"}
    )
    taints: list[dict[str, str]] = field(default_factory=list)
    lost_since: float | None = None
    is_cordoned: bool = False

    @property
    def is_lost(self) -> bool:
        """Whether its kubelet is silent: pods there run on, and nobody hears of them."""
        return self.lost_since is not None

    def all_taints(self, now: float) -> list[dict[str, str]]:
        """Its taints, with those that the controllers add."""
        taints = list(self.taints)
        if self.is_cordoned:
            taints.append({"key": UNSCHEDULABLE, "effect": "NoSchedule"})
        if self.is_unreachable(now):
            taints += [{"key": UNREACHABLE, "effect": effect} for effect in ("NoSchedule", "NoExecute")]
        return taints

    def is_unreachable(self, now: float) -> bool:
        """Whether the cluster has noticed that its kubelet is silent."""
        return self.lost_since is not None and now - self.lost_since >= SILENCE_S

    def shown(self, now: float, stamp: str) -> dict[str, Any]:
        """The node as the API shows it."""
        ready: dict[str, Any] = {"type": "Ready", "status": "True", "reason": "KubeletReady"}
        if self.is_unreachable(now):
            ready = {"type": "Ready", "status": "Unknown", "reason": "NodeStatusUnknown"}
            ready["message"] = "Kubelet stopped posting node status."
        return {
            "apiVersion": "v1",
            "kind": "Node",
            "metadata": {"name": self.name, "labels": self.labels, "creationTimestamp": stamp},
            "spec": {"taints": self.all_taints(now), **({"unschedulable": True} if self.is_cordoned else {})},
            "status": {"allocatable": self.allocatable, "capacity": self.allocatable, "conditions": [ready]},
        }


def tolerates(spec: dict[str, Any], taint: dict[str, str]) -> bool:
    """Whether a pod's spec tolerates a taint."""
    return any(
        (not one.get("key") or one["key"] == taint["key"])
        and (not one.get("effect") or one["effect"] == taint["effect"])
        and (one.get("operator") == "Exists" or one.get("value", "") == taint.get("value", ""))
        for one in spec.get("tolerations") or []
    )


def stays_s(spec: dict[str, Any]) -> float | None:
    """How long a pod stays on a node that is unreachable; None for as long as it lives."""
    taint = {"key": UNREACHABLE, "effect": "NoExecute"}
    for one in spec.get("tolerations") or []:
        if tolerates({"tolerations": [one]}, taint):
            return one.get("tolerationSeconds")
    return TOLERATION_S


def place(
    spec: dict[str, Any],
    nodes: Iterable[Node],
    *,
    now: float,
    taken: dict[str, list[dict[str, Any]]],
    lacking: set[str],
) -> tuple[Node | None, str]:
    """The node for a pod, or the scheduler's words why there is none.

    Args:
        spec: of the pod.
        nodes: of the cluster.
        now: for what the cluster has noticed.
        taken: specs of the pods of each node that have not ended.
        lacking: resources that no node has free.
    """
    why: Counter[str] = Counter()
    total, fitting = 0, None
    for node in nodes:
        total += 1
        obstacles = _obstacles(spec, node, now=now, taken=taken.get(node.name, []), lacking=lacking)
        why.update(obstacles)
        if not obstacles and fitting is None:
            fitting = node
    if fitting is not None:
        return fitting, ""
    reasons = ", ".join(f"{count} {words}" for words, count in sorted(why.items()))
    none = f"0/{total} nodes are available"
    return None, f"{none}: {reasons}. preemption: {none}: {total} Preemption is not helpful for scheduling."


def _obstacles(
    spec: dict[str, Any], node: Node, *, now: float, taken: list[dict[str, Any]], lacking: set[str]
) -> list[str]:
    for taint in node.all_taints(now):
        if taint["effect"] != "PreferNoSchedule" and not tolerates(spec, taint):
            if taint["key"] == UNSCHEDULABLE:
                return ["node(s) were unschedulable"]
            return [f"node(s) had untolerated taint {{{taint['key']}: {taint.get('value', '')}}}"]
    if any(node.labels.get(key) != value for key, value in (spec.get("nodeSelector") or {}).items()):
        return ["node(s) didn't match Pod's node affinity/selector"]
    requested = {key.removeprefix("requests."): n for key, n in usage_of(spec).items() if key.startswith("requests.")}
    requested["pods"] = quantity(1)
    short = []
    for name, amount in requested.items():
        used = sum((usage_of(one).get(f"requests.{name}", usage_of(one).get(name, 0)) for one in taken), quantity(0))
        if name in lacking or used + amount > quantity(node.allocatable.get(name, "0")):
            short.append("Too many pods" if name == "pods" else f"Insufficient {name}")
    return short
