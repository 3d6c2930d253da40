"""What an API server looks at before it makes a pod: its account, priority, security, and the namespace's quota."""

import copy
import re
from decimal import Decimal
from typing import Any

from tests.clusters.objects import Objects
from tests.clusters.pod_security import violations

ENFORCED = "pod-security.kubernetes.io/enforce"
SUFFIXES = {"m": Decimal("0.001"), "k": Decimal(1000), "M": Decimal(10**6), "G": Decimal(10**9), "T": Decimal(10**12)}
SUFFIXES |= {"": Decimal(1), "Ki": Decimal(2**10), "Mi": Decimal(2**20), "Gi": Decimal(2**30), "Ti": Decimal(2**40)}
SYSTEM_PRIORITIES = ("system-cluster-critical", "system-node-critical")
Body = dict[str, Any]


def quantity(text: str | int | float) -> Decimal:
    """An amount as Kubernetes spells it.

    >>> quantity("250m"), quantity("2Ki")
    (Decimal('0.250'), Decimal('2048'))
    """
    found = re.fullmatch(r"([0-9.]+)([a-zA-Z]*)", str(text))
    if found is None or found[2] not in SUFFIXES:
        raise ValueError(f"{text!r} is no quantity")
    return Decimal(found[1]) * SUFFIXES[found[2]]


def usage_of(spec: Body) -> dict[str, Decimal]:
    """What a pod takes of a quota; what it requests is also under the plain name."""
    used: dict[str, Decimal] = {"pods": Decimal(1), "count/pods": Decimal(1)}
    for kind in ("requests", "limits"):
        for container in spec["containers"]:
            amounts = container.get("resources") or {}
            for name, amount in (amounts.get(kind) or amounts.get("limits") or {}).items():
                key = f"{kind}.{name}"
                used[key] = used.get(key, Decimal(0)) + quantity(amount)
    return used | {key.removeprefix("requests."): amount for key, amount in used.items() if "requests." in key}


def refused(objects: Objects, namespace: str, name: str, spec: Body, *, neighbours: list[Body]) -> str:
    """The words after `pods "NAME" is forbidden: ` with the name, or "" where the pod may be made.

    Args:
        objects: of the cluster.
        namespace: of the pod.
        name: as it is made up: the owner's, a hyphen, five characters.
        spec: of the pod.
        neighbours: specs of the namespace's pods that have not ended.
    """
    account = spec.get("serviceAccountName") or "default"
    prefix = name.rpartition("-")[0] + "-"  # the first checks come before the name is complete
    if objects.get("serviceaccounts", namespace, account) is None:
        words = f'error looking up service account {namespace}/{account}: serviceaccount "{account}" not found'
        return f'pods "{prefix}" is forbidden: {words}'
    wanted = spec.get("priorityClassName")
    if wanted and wanted not in SYSTEM_PRIORITIES and objects.get("priorityclasses", "", wanted) is None:
        return f'pods "{prefix}" is forbidden: no PriorityClass with name {wanted} was found'
    runtime = spec.get("runtimeClassName")
    if runtime and objects.get("runtimeclasses", "", runtime) is None:
        return f'pods "{prefix}" is forbidden: pod rejected: RuntimeClass "{runtime}" not found'
    labels = (objects.get("namespaces", "", namespace) or {}).get("metadata", {}).get("labels", {})
    if labels.get(ENFORCED) == "restricted" and (bad := violations(spec)):
        return f'pods "{name}" is forbidden: violates PodSecurity "restricted:latest": {bad}'
    over = _over_quota(objects, namespace, spec, neighbours)
    return f'pods "{name}" is forbidden: {over}' if over else ""


def _over_quota(objects: Objects, namespace: str, spec: Body, neighbours: list[Body]) -> str:
    request_rows = usage_of(spec)
    for quota in objects.list("resourcequotas", namespace):
        hard = quota["spec"].get("hard", {})
        name = quota["metadata"]["name"]
        if missing := sorted(
            key for key in hard if key not in request_rows and key.split(".")[-1] in ("cpu", "memory")
        ):
            containers = ",".join(one["name"] for one in spec["containers"])
            wanted = "; ".join(f"{key} for: {containers}" for key in missing)
            return f"failed quota: {name}: must specify {wanted}"
        used = {key: sum((usage_of(one).get(key, Decimal(0)) for one in neighbours), Decimal(0)) for key in hard}
        over = sorted(
            key for key in hard if key in request_rows and used[key] + request_rows[key] > quantity(hard[key])
        )
        if over:
            requested = ",".join(f"{key}={_spelled(key, request_rows[key])}" for key in over)
            taken = ",".join(f"{key}={_spelled(key, used[key])}" for key in over)
            limited = ",".join(f"{key}={hard[key]}" for key in over)
            return f"exceeded quota: {name}, requested: {requested}, used: {taken}, limited: {limited}"
    return ""


def _spelled(key: str, amount: Decimal) -> str:
    """An amount as the API server writes it: memory in Mi where it is whole, cores in thousandths where not."""
    if key.endswith("memory") and amount and amount % 2**20 == 0:
        return f"{amount // 2**20}Mi"
    return f"{amount.normalize():f}" if amount == amount.to_integral_value() else f"{int(amount * 1000)}m"


def defaulted(objects: Objects, namespace: str, spec: Body) -> Body:
    """The spec as it is kept: with its account, and whether the account's token is mounted."""
    kept = copy.deepcopy(spec)
    kept.setdefault("serviceAccountName", "default")
    kept.setdefault("terminationGracePeriodSeconds", 30)
    account = objects.get("serviceaccounts", namespace, kept["serviceAccountName"]) or {}
    is_mounted = kept.get("automountServiceAccountToken", account.get("automountServiceAccountToken", True))
    kept["automountServiceAccountToken"] = is_mounted
    return kept
