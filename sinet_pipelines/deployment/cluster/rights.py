"""The rights that endpoints need in a cluster, as rules of a Role in the region's namespace.

The step that applies an endpoint has the rules `APPLIES` (`Serving.service_account`). Readers of its state (`sinet
status`, the sensors, the UI) have the rules `LOOKS`. No rule is valid outside the namespace or allows reading a Secret,
creating a pod or deleting one; the cluster's controllers create and delete pods.
"""

from typing import Any

from sinet_pipelines.inventory.regions import Region
from sinet_pipelines.inventory.sites import Serving, ServingTarget

Rule = dict[str, Any]

_PODS: list[Rule] = [  # for the reason of a rollout that does not proceed
    {"apiGroups": [""], "resources": ["pods"], "verbs": ["list"]},
    {"apiGroups": [""], "resources": ["events"], "verbs": ["list"]},
]
_APPLIED: list[Rule] = [  # server-side apply needs `patch`, and `create` for new objects
    {"apiGroups": ["apps"], "resources": ["deployments"], "verbs": ["get", "create", "patch"]},
    {"apiGroups": [""], "resources": ["services"], "verbs": ["get", "create", "patch"]},
    {"apiGroups": ["policy"], "resources": ["poddisruptionbudgets"], "verbs": ["get", "create", "patch"]},
]
_KSERVE: list[Rule] = [
    {"apiGroups": ["serving.kserve.io"], "resources": ["inferenceservices"], "verbs": ["get", "create", "patch"]},
]
APPLIES: dict[ServingTarget, list[Rule]] = {
    ServingTarget.PROCESS: [],
    ServingTarget.DEPLOYMENT: [*_APPLIED, *_PODS],
    ServingTarget.KSERVE: [*_KSERVE, *_PODS],
}
LOOKS: dict[ServingTarget, list[Rule]] = {
    target: [{**rule, "verbs": [verb for verb in rule["verbs"] if verb in ("get", "list")]} for rule in rules]
    for target, rules in APPLIES.items()
}


def rules(serving: Serving, *, only_looks: bool = False) -> list[Rule]:
    """The rules of the Role that a region's endpoint needs; empty where its server is a process.

    Args:
        serving: the serving settings in the region's row.
        only_looks: whether the rules are for readers of the state.

    >>> [rule["resources"] for rule in rules(Serving(target=ServingTarget.KSERVE))]
    [['inferenceservices'], ['pods'], ['events']]
    """
    return (LOOKS if only_looks else APPLIES)[serving.target]


def cure(region: Region, account: str) -> str:
    """A text for messages: how to grant a service account of a region the rights of its Role.

    >>> from sinet_pipelines.inventory.regions import read_inventory
    >>> cure(read_inventory(None).region("WEST"), "sinet-run")[:50]
    'give service account sinet-run in sinet its Role ('
    """
    cluster = region.cluster
    manifests = f"`{cluster.kubectl()} apply -k DIR/{region.key}`; `sinet render --deploy DIR` writes it"
    return f"give service account {account} in {cluster.namespace} its Role ({manifests})"
