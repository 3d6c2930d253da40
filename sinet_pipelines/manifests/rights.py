"""What may be asked of a cluster's API by whom: rules of Roles in the region's namespace, and nothing beyond it.

Steps have no rights. `RUNS` is for whoever starts runs: the router in the run's pod, and the daemon, which looks at its
own pod by them. `LAUNCHES` is what Dagster's run launcher asks beside that, in its own cluster alone.
"""

from typing import Any

Rule = dict[str, Any]

RUNS: tuple[Rule, ...] = (
    {"apiGroups": ["batch"], "resources": ["jobs"], "verbs": ["create", "get", "list", "delete", "patch"]},
    {"apiGroups": [""], "resources": ["pods"], "verbs": ["get", "list"]},
    {"apiGroups": [""], "resources": ["pods/log"], "verbs": ["get"]},
    {"apiGroups": [""], "resources": ["events"], "verbs": ["list"]},
)
LAUNCHES: tuple[Rule, ...] = (
    {"apiGroups": ["batch"], "resources": ["jobs/status"], "verbs": ["get"]},
    {"apiGroups": [""], "resources": ["pods"], "verbs": ["delete"]},  # of a run that is cancelled
)


def asked(rules: tuple[Rule, ...]) -> list[tuple[str, str, str, str]]:
    """The rules one by one: verb, group, resource, subresource.

    >>> asked(RUNS)[-2:]
    [('get', '', 'pods', 'log'), ('list', '', 'events', '')]
    """
    return [
        (verb, group, *_split(resource))
        for rule in rules
        for group in rule["apiGroups"]
        for resource in rule["resources"]
        for verb in rule["verbs"]
    ]


def _split(resource: str) -> tuple[str, str]:
    name, _, part = resource.partition("/")
    return name, part
