"""Who may use which parts of a cluster's API: rules of Roles, only in the region's namespace.

Steps have no rights. `RUNS` is for programs that start runs: the router in the run's pod, and the daemon, which reads
its own pod with them. `LAUNCHES` has the additional rights of Dagster's run launcher, only in its own cluster.
"""

from collections.abc import Sequence
from typing import Any

from sinet_pipelines.deployment.cluster.rights import rules as rights_of_endpoints
from sinet_pipelines.inventory.regions import Region

Rule = dict[str, Any]

RUNS: tuple[Rule, ...] = (
    {"apiGroups": ["batch"], "resources": ["jobs"], "verbs": ["create", "get", "list", "delete", "patch"]},
    {"apiGroups": [""], "resources": ["pods"], "verbs": ["get", "list"]},
    {"apiGroups": [""], "resources": ["pods/log"], "verbs": ["get"]},
    {"apiGroups": [""], "resources": ["events"], "verbs": ["list"]},
)
LAUNCHES: tuple[Rule, ...] = (
    {"apiGroups": ["batch"], "resources": ["jobs/status"], "verbs": ["get"]},
    {"apiGroups": [""], "resources": ["pods"], "verbs": ["delete"]},  # for a cancelled run
)


def run_rules(region: Region) -> list[Rule]:
    """The rules of a region's `run_service_account`: to start runs, and to read the state of endpoints."""
    cluster = region.cluster
    looks = [rule for rule in rights_of_endpoints(cluster.serving, only_looks=True) if rule not in RUNS]
    return [*RUNS, *(LAUNCHES if cluster.runs_dagster else ()), *looks]


def single_rules(rules: Sequence[Rule]) -> list[tuple[str, str, str, str]]:
    """The rules one by one: verb, group, resource, subresource.

    >>> single_rules(RUNS)[-2:]
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
