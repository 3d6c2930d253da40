"""What may be asked of a cluster's API for its endpoints: rules of a Role in the region's namespace.

`APPLIES` is for the one step that applies an endpoint (`Serving.service_account`), `LOOKS` for whoever asks how it
stands: `sinet status`, the sensors, the pages. Nothing here reaches beyond the namespace, no Secret is read, and no pod
is made or ended but by the controllers.
"""

from typing import Any

from sinet_pipelines.sites import Serving, ServingTarget

Rule = dict[str, Any]

_PODS: list[Rule] = [  # why a rollout does not go on
    {"apiGroups": [""], "resources": ["pods"], "verbs": ["list"]},
    {"apiGroups": [""], "resources": ["events"], "verbs": ["list"]},
]
_APPLIED: list[Rule] = [  # server-side apply is `patch`, and `create` as well where there is nothing yet
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
    """The rules of the Role that a region's row needs; empty where its server is a process.

    >>> [rule["resources"] for rule in rules(Serving(target=ServingTarget.KSERVE))]
    [['inferenceservices'], ['pods'], ['events']]
    """
    return (LOOKS if only_looks else APPLIES)[serving.target]
